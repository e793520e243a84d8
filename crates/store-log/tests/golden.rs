//! Stores of released formats stay readable (P9), their encodings stay as they are, and what a newer version
//! wrote is refused.
//!
//! `fixtures/store-v1` is a store of format 1, and `fixtures/store-v1.txt` is what it tells. Both are written
//! by `ANNALS_GOLDEN=write cargo test -p annals-store-log --test golden`, and only where there are none: a
//! fixture of a released format is never changed.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests"
)]

#[path = "golden/content.rs"]
mod content;
#[path = "golden/listing.rs"]
mod listing;

use std::env;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Once;

use annals_core::{CheckpointName, CheckpointStore, Error, ErrorKind};
use annals_store_log::LogStore;
use futures_executor::block_on;
use tempfile::TempDir;

use content::{APPENDS, builder};

/// The hash of each encoding in a store of a few events. A change here is a change of the format: it takes a
/// new format number, a new fixture, pages in docs/format and a line in the changelog.
const ENCODINGS: [(&str, &str, Range<usize>, u64); 7] = [
    ("segment header", SEGMENT, 0..4096, 0xa8dd_d4d8_487d_2166),
    (
        "first frame header",
        SEGMENT,
        4096..4136,
        0xd46f_c1d3_e007_bbdf,
    ),
    ("frames", SEGMENT, 4096..8192, 0xa461_5b87_ab10_f310),
    (
        "manifest",
        "log/MANIFEST",
        0..usize::MAX,
        0xc2dd_a2cf_3541_c020,
    ),
    (
        "watermark slot",
        "log/WATERMARK",
        0..512,
        0x4241_753f_2cfd_7bd6,
    ),
    ("run", "index/*.run", 0..usize::MAX, 0x6ade_6572_a7c5_7d4c),
    (
        "checkpoints",
        "checkpoints",
        0..usize::MAX,
        0xa1e5_5c9a_271e_0b1f,
    ),
];

const SEGMENT: &str = "log/00000000000000000001.segment";

/// How many appends that store has: few enough that no segment is sealed, which is a matter of policy.
const FEW: u64 = 9;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures")
}

fn golden() -> PathBuf {
    static WRITE: Once = Once::new();
    let directory = fixtures().join("store-v1");
    WRITE.call_once(|| {
        if env::var("ANNALS_GOLDEN").is_ok_and(|value| value == "write") && !directory.exists() {
            write_fixture(&directory);
        }
    });
    directory
}

fn write_fixture(directory: &Path) {
    let written = tempfile::tempdir_in(fixtures()).unwrap();
    block_on(content::write(&written.path().join("store"), APPENDS)).unwrap();
    let text = text(&written.path().join("store"));
    fs::remove_file(written.path().join("store/log/LOCK")).unwrap();
    fs::write(fixtures().join("store-v1.txt"), text).unwrap();
    fs::rename(written.path().join("store"), directory).unwrap();
}

/// What a store tells that may be written to.
fn text(directory: &Path) -> String {
    let store = open(directory).unwrap();
    block_on(async {
        let text = listing::events(&store).await + &listing::auxiliary(&store).await;
        store.close().unwrap();
        text
    })
}

fn open(directory: &Path) -> Result<LogStore, Error> {
    builder(directory).0.open()
}

/// The golden store in a directory of its own.
fn copy() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    for part in ["", "log", "index"] {
        fs::create_dir_all(path.join(part)).unwrap();
        for entry in fs::read_dir(golden().join(part)).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_file() {
                fs::copy(entry.path(), path.join(part).join(entry.file_name())).unwrap();
            }
        }
    }
    (directory, path)
}

fn expected() -> String {
    golden();
    fs::read_to_string(fixtures().join("store-v1.txt")).unwrap()
}

/// The file of this name; for a star the first in its directory.
fn file(store: &Path, name: &str) -> PathBuf {
    let path = store.join(name);
    if !name.contains('*') {
        return path;
    }
    let names = fs::read_dir(path.parent().unwrap()).unwrap();
    names.map(|entry| entry.unwrap().path()).min().unwrap()
}

#[test]
fn a_store_of_format_1_is_read_whole() {
    let (_directory, path) = copy();
    let verified = builder(&path).0.verify(&mut |_| {}).unwrap();
    assert!(verified.is_whole(), "{verified:?}");
    assert!(verified.index_files > 1, "{verified:?}");
    same_text(&text(&path), &expected());
}

#[test]
fn a_store_of_format_1_is_read_without_its_index() {
    let (_directory, path) = copy();
    fs::remove_dir_all(path.join("index")).unwrap();
    same_text(&text(&path), &expected());
}

#[test]
fn a_store_of_format_1_is_followed() {
    let (_directory, path) = copy();
    let follower = builder(&path).0.follow().unwrap();
    let told = block_on(listing::events(&follower));
    assert!(told.len() > 1_000);
    same_text(&told, &expected()[..told.len()]);
}

/// A change of an encoding is seen here.
#[test]
fn the_encodings_are_those_of_format_1() {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("store");
    block_on(content::write(&store, FEW)).unwrap();
    let found = ENCODINGS.map(|(name, path, range, _)| {
        let bytes = fs::read(file(&store, path)).unwrap();
        (name, hash(&bytes[range.start..range.end.min(bytes.len())]))
    });
    let pinned = ENCODINGS.map(|(name, _, _, hash)| (name, hash));
    assert_eq!(found, pinned, "in hexadecimal: {found:#018x?}");
}

#[test]
fn the_same_events_are_told_the_same_today() {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("store");
    block_on(content::write(&store, APPENDS)).unwrap();
    same_text(&text(&store), &expected());
}

/// FNV-1a. A CRC would not do: that of a block which ends with its own is the same for every block.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Raises the version in a file and puts its checksum right, as a newer binary would leave it.
fn make_newer(path: &Path, blocks: &[(usize, usize)]) {
    let mut bytes = fs::read(path).unwrap();
    for (start, length) in blocks {
        let end = bytes.len().min(start.saturating_add(*length));
        let block = &mut bytes[*start..end];
        assert_eq!(block[8..12], 1_u32.to_le_bytes());
        block[8] = 5;
        let (body, checksum) = block.split_last_chunk_mut::<4>().unwrap();
        *checksum = crc32c::crc32c(body).to_le_bytes();
    }
    fs::write(path, bytes).unwrap();
}

/// A newer file is refused by an error that names it and both versions.
fn check_newer(name: &str, blocks: &[(usize, usize)], ask: impl Fn(&Path) -> Result<(), Error>) {
    let (_directory, path) = copy();
    let file = file(&path, name);
    make_newer(&file, blocks);
    let before = fs::read(&file).unwrap();
    let error = ask(&path).unwrap_err();
    let text = told(&error);
    for part in [
        "format",
        "5",
        if name.ends_with("MANIFEST") { "4" } else { "1" },
        file.file_name().unwrap().to_str().unwrap(),
    ] {
        assert!(text.contains(part), "{name}: {part} is not in {text}");
    }
    assert_ne!(error.kind(), ErrorKind::Corrupt, "{text}");
    assert_eq!(fs::read(&file).unwrap(), before, "{name} is left as it is");
}

#[test]
fn files_of_a_newer_format_are_refused() {
    let opened = |path: &Path| open(path).map(drop);
    let whole = [(0, usize::MAX)];
    let last = "log/00000000000000000005.segment";
    check_newer("log/MANIFEST", &whole, opened);
    check_newer("log/WATERMARK", &[(0, 512), (4096, 512)], opened);
    check_newer(last, &[(0, 4096)], opened);
    check_newer("index/*.run", &[(0, 4096)], opened);
    check_newer("checkpoints", &whole, |path| {
        let store = open(path)?;
        let name = CheckpointName::parse("balances")?;
        block_on(store.load_checkpoint(&name)).map(drop)
    });
    check_newer("log/MANIFEST", &whole, |path| {
        builder(path).0.follow().map(drop)
    });
}

#[test]
fn a_sealed_segment_of_a_newer_format_is_refused_when_it_is_read() {
    check_newer(SEGMENT, &[(0, 4096)], |path| {
        let store = open(path)?;
        let request = annals_core::ReadRequest::all();
        block_on(annals_core::EventStoreExt::collect(&store, request)).map(drop)
    });
}

/// The error and its causes.
fn told(error: &Error) -> String {
    let first: &dyn std::error::Error = error;
    let chain = std::iter::successors(Some(first), |error| error.source());
    chain
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

fn same_text(found: &str, expected: &str) {
    for (line, (found, expected)) in (1..).zip(found.lines().zip(expected.lines())) {
        assert_eq!(found, expected, "line {line}");
    }
    assert_eq!(found.len(), expected.len());
}
