//! Every error of the derive: where it points and what it says to write.
//!
//! `TRYBUILD=overwrite cargo test -p annals-macros --test ui` writes the expected output anew.

#[test]
fn errors_say_what_to_write() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/fail/*.rs");
}
