//! The shell of `annals_tests::fuzz::note_body`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| annals_tests::fuzz::note_body(input));
