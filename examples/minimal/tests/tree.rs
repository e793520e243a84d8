//! The layers can be taken one by one: what this example compiles is a short list.

#![expect(
    clippy::expect_used,
    reason = "a test helper outside of a test function"
)]

use std::collections::BTreeSet;
use std::process::Command;

/// Everything below `minimal`, on Linux: no database client, no async runtime, no serde, no
/// derive macro of annals.
const ALLOWED: &[&str] = &[
    "annals-core",
    "annals-store-memory",
    "async-trait",
    "bytes",
    "cfg-if",
    "chrono",
    "concurrent-queue",
    "crossbeam-utils",
    "event-listener",
    "futures-core",
    "futures-task",
    "futures-util",
    "getrandom",
    "libc",
    "minimal",
    "num-traits",
    "parking",
    "pin-project-lite",
    "proc-macro2",
    "quote",
    "slab",
    "syn",
    "unicode-ident",
    "uuid",
];

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("cargo prints text")
}

#[test]
fn the_tree_is_short() {
    let tree = cargo(&["tree", "--edges", "normal", "--prefix", "none"]);
    let names: BTreeSet<&str> = tree
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert!(names.contains("annals-store-memory"), "not a tree: {tree}");
    let surplus: Vec<&&str> = names
        .iter()
        .filter(|name| !ALLOWED.contains(*name))
        .collect();
    assert!(
        surplus.is_empty(),
        "minimal compiles more than its list: {surplus:?}"
    );
}

#[test]
fn it_tells_the_stock() {
    let output = Command::new(env!("CARGO_BIN_EXE_minimal"))
        .output()
        .expect("the example runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success());
    assert!(
        text.contains("stream stock-bolts is at version 2, expected version 1"),
        "{text}"
    );
    assert!(text.ends_with("stock-bolts: 70 pieces\n"), "{text}");
}
