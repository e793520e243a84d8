//! The page of the book about the command line is the one that the program makes.

use std::path::PathBuf;

use expect_test::expect_file;

#[test]
fn reference() {
    let page =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/book/src/the-command-line.md");
    expect_file![page].assert_eq(&annals_cli::reference());
}
