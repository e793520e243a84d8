//! The shell of `annals_tests::fuzz::log_compressed`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| annals_tests::fuzz::log_compressed(input));
