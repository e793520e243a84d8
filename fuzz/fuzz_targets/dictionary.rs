//! The shell of `annals_tests::fuzz::dictionary`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| annals_tests::fuzz::dictionary(input));
