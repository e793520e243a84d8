//! The layers can be taken one by one: what this example compiles is a short list.

#![expect(
    clippy::expect_used,
    reason = "a test helper outside of a test function"
)]

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::process::Command;

/// Everything below `minimal`, on Linux: no async runtime, no serde, no derive macro of annals. Of these
/// `redb` keeps snapshots, `blocking` is a pool of threads for cold reads, and `zstd` reads segments that were
/// compressed, by blocks that `lru` keeps.
const ALLOWED: &[&str] = &[
    "annals-core",
    "annals-log",
    "annals-store-log",
    "async-channel",
    "async-task",
    "async-trait",
    "atomic-waker",
    "bitflags",
    "blocking",
    "bytes",
    "cfg-if",
    "chrono",
    "concurrent-queue",
    "crc32c",
    "crossbeam-utils",
    "event-listener",
    "event-listener-strategy",
    "fastrand",
    "foldhash",
    "futures-core",
    "futures-io",
    "futures-lite",
    "futures-task",
    "futures-util",
    "getrandom",
    "hashbrown",
    "libc",
    "linux-raw-sys",
    "lru",
    "memmap2",
    "minimal",
    "num-traits",
    "once_cell",
    "parking",
    "pin-project-lite",
    "piper",
    "proc-macro2",
    "quote",
    "redb",
    "rustix",
    "slab",
    "smol_str",
    "syn",
    "tracing",
    "tracing-core",
    "unicode-ident",
    "uuid",
    "zstd",
    "zstd-safe",
    "zstd-sys",
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
    assert!(names.contains("annals-store-log"), "not a tree: {tree}");
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
fn it_tells_the_stock_and_knows_it_the_next_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let told = |arguments: &[&OsStr]| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_minimal"));
        let output = program.args(arguments).output().expect("the example runs");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{error}");
        String::from_utf8(output.stdout).expect("the example prints text")
    };
    let store = folder.path().join("stock");
    let cases = [(None, 2, 70), (Some(&store), 2, 70), (Some(&store), 4, 140)];
    for (store, version, pieces) in cases {
        let text = told(store.map(|store| store.as_os_str()).as_slice());
        let refused = format!(
            "stream stock-bolts is at version {version}, expected version {}",
            version - 1
        );
        assert!(text.contains(&refused), "{text}");
        assert!(
            text.ends_with(&format!("stock-bolts: {pieces} pieces\n")),
            "{text}"
        );
    }
}
