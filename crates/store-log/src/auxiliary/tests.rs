//! Snapshots and checkpoints on disks that lose power, fail and rot.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use annals_core::limits::SNAPSHOT_BYTES_MAX;
use annals_core::{
    CheckpointName, CheckpointSave, CheckpointStore, ContentType, Cursor, Error, ErrorKind, FoldId,
    Position, Snapshot, SnapshotKey, SnapshotRemoval, SnapshotStore, StreamId, Timestamp, Version,
};
use annals_log::LogId;
use annals_log::vfs::sim::{Fault, Garbage, IoFault, SimFs};
use annals_log::vfs::{OsVfs, Vfs};
use futures_executor::block_on;

use super::{Auxiliary, CACHE_BYTES_DEFAULT};

const LOG: LogId = LogId::from_bytes([7; 16]);
const OTHER_LOG: LogId = LogId::from_bytes([8; 16]);
const DIRECTORY: &str = "/store";
const SNAPSHOTS: &str = "/store/snapshots.redb";
const CHECKPOINTS: &str = "/store/checkpoints";
const KEPT: &str = "/store/checkpoints.kept";

fn disk() -> SimFs {
    let disk = SimFs::new();
    disk.create_dir_all(Path::new(DIRECTORY)).unwrap();
    disk.settle();
    disk
}

fn open(disk: &SimFs) -> Auxiliary {
    of_log(disk, LOG)
}

fn of_log(disk: &SimFs, log: LogId) -> Auxiliary {
    let vfs: Arc<dyn Vfs> = Arc::new(disk.clone());
    Auxiliary::open(&vfs, Path::new(DIRECTORY), log, CACHE_BYTES_DEFAULT)
}

fn names(disk: &SimFs) -> Vec<String> {
    disk.names(Path::new(DIRECTORY)).unwrap()
}

fn key(stream: &str) -> SnapshotKey {
    SnapshotKey {
        stream: StreamId::parse(stream).unwrap(),
        fold: FoldId::parse("balance.1").unwrap(),
    }
}

/// Bytes that tell stream and version, of this length.
fn payload(stream: &str, version: u64, bytes: usize) -> Vec<u8> {
    let text = format!("{stream}@{version} ");
    text.bytes().cycle().take(bytes).collect()
}

fn snapshot(stream: &str, version: u64, bytes: usize) -> Snapshot {
    let taken_at = Timestamp::from_seconds(1_700_000_000);
    let payload = payload(stream, version, bytes);
    let version = Version::new(version);
    Snapshot::new(key(stream), version, ContentType::JSON, payload, taken_at).unwrap()
}

fn save(store: &Auxiliary, stream: &str, version: u64, bytes: usize) -> Result<(), Error> {
    block_on(store.save_snapshot(snapshot(stream, version, bytes)))
}

fn load(store: &Auxiliary, stream: &str, at_most: u64) -> Result<Option<Snapshot>, Error> {
    block_on(store.load_snapshot(&key(stream), Version::new(at_most)))
}

fn newest(store: &Auxiliary, stream: &str) -> Option<u64> {
    let loaded = load(store, stream, u64::MAX).unwrap()?;
    let version = loaded.version().value();
    let expected = snapshot(stream, version, loaded.payload().len());
    assert_eq!(
        loaded, expected,
        "the snapshot is another one than was saved"
    );
    Some(version)
}

fn remove(store: &Auxiliary, stream: &str, keep_newest: usize) -> Result<usize, Error> {
    let key = key(stream);
    block_on(store.remove_snapshots(SnapshotRemoval::Older { key, keep_newest }))
}

fn name(text: &str) -> CheckpointName {
    CheckpointName::parse(text).unwrap()
}

/// Saves a cursor and gives the new revision.
fn keep(store: &Auxiliary, of: &str, cursor: u64, expected_revision: u64) -> Result<u64, Error> {
    let cursor = Cursor::at(Position::new(cursor));
    let save = CheckpointSave {
        name: name(of),
        cursor,
        expected_revision,
    };
    Ok(block_on(store.save_checkpoint(save))?.revision)
}

/// Where the reader of this name stands, and the revision.
fn kept(store: &Auxiliary, of: &str) -> Result<Option<(u64, u64)>, Error> {
    let checkpoint = block_on(store.load_checkpoint(&name(of)))?;
    Ok(checkpoint.map(|checkpoint| {
        let position = checkpoint.cursor.position().unwrap();
        (position.value(), checkpoint.revision)
    }))
}

fn kind<T: std::fmt::Debug>(result: Result<T, Error>) -> ErrorKind {
    result.unwrap_err().kind()
}

#[test]
fn nothing_is_created_before_the_first_save() {
    let disk = disk();
    let store = open(&disk);
    assert_eq!(newest(&store, "a-1"), None);
    assert_eq!(remove(&store, "a-1", 0).unwrap(), 0);
    assert_eq!(kept(&store, "reader").unwrap(), None);
    block_on(store.remove_checkpoint(&name("reader"), 0)).unwrap();
    store.close();
    assert_eq!(names(&disk), Vec::<String>::new());
    save(&store, "a-1", 1, 10).unwrap();
    assert_eq!(names(&disk), ["snapshots.redb"]);
    keep(&store, "reader", 1, 0).unwrap();
    let all = ["checkpoints", "checkpoints.kept", "snapshots.redb"];
    assert_eq!(names(&disk), all);
}

#[test]
fn snapshots_and_checkpoints_survive_a_restart() {
    let disk = disk();
    let store = open(&disk);
    for version in [3, 1, 2] {
        save(&store, "a-1", version, 100).unwrap();
    }
    assert_eq!(keep(&store, "reader", 5, 0).unwrap(), 1);
    assert_eq!(keep(&store, "reader", 4, 1).unwrap(), 2);
    assert_eq!(keep(&store, "gone", 1, 0).unwrap(), 1);
    block_on(store.remove_checkpoint(&name("gone"), 1)).unwrap();
    store.close();
    assert_eq!(newest(&store, "a-1"), Some(3), "after closing");
    drop(store);
    let store = open(&disk.crash(1));
    assert_eq!(newest(&store, "a-1"), Some(3));
    let second = load(&store, "a-1", 2).unwrap();
    assert_eq!(second, Some(snapshot("a-1", 2, 100)));
    assert_eq!(load(&store, "a-1", 0).unwrap(), None);
    assert_eq!(remove(&store, "a-1", 1).unwrap(), 2);
    assert_eq!(load(&store, "a-1", 2).unwrap(), None);
    assert_eq!(kept(&store, "reader").unwrap(), Some((4, 2)));
    assert_eq!(kept(&store, "gone").unwrap(), None);
    assert_eq!(keep(&store, "gone", 1, 0).unwrap(), 2, "revisions go on");
    assert_eq!(kind(keep(&store, "reader", 9, 1)), ErrorKind::Conflict);
}

#[test]
fn a_payload_of_any_size_comes_back() {
    let directory = tempfile::tempdir().unwrap();
    let vfs: Arc<dyn Vfs> = Arc::new(OsVfs);
    let store = Auxiliary::open(&vfs, directory.path(), LOG, CACHE_BYTES_DEFAULT);
    let (row, chunk) = (32 * 1024, 128 * 1024 - 128);
    let sizes = [
        0,
        1,
        row,
        row + 1,
        chunk,
        chunk + 1,
        3 * chunk,
        SNAPSHOT_BYTES_MAX,
    ];
    for (version, bytes) in (1..).zip(sizes) {
        save(&store, "a-1", version, bytes).unwrap();
        let loaded = load(&store, "a-1", version).unwrap();
        assert!(
            loaded == Some(snapshot("a-1", version, bytes)),
            "{bytes} bytes"
        );
    }
    save(&store, "a-1", 8, 5).unwrap();
    assert_eq!(newest(&store, "a-1"), Some(8), "replaced by a small one");
    let file = directory.path().join("snapshots.redb");
    let before = std::fs::metadata(&file).unwrap().len();
    assert!(before < 2 * SNAPSHOT_BYTES_MAX as u64, "{before} bytes");
    assert_eq!(remove(&store, "a-1", 0).unwrap(), 8);
    for version in 9..12 {
        save(&store, "a-1", version, SNAPSHOT_BYTES_MAX / 16).unwrap();
        assert_eq!(remove(&store, "a-1", 0).unwrap(), 1);
    }
    let after = std::fs::metadata(&file).unwrap().len();
    assert!(
        after <= before,
        "the space of what is removed is used again: {before} then {after}"
    );
}

#[test]
fn a_damaged_snapshot_is_dropped_and_the_one_before_serves() {
    for bytes in [100, 200_000] {
        let disk = disk();
        let store = open(&disk);
        for version in [1, 2, 3] {
            save(&store, "a-1", version, bytes).unwrap();
        }
        store.close();
        let file = disk.disk().read(SNAPSHOTS).unwrap();
        let text = payload("a-1", 3, 60);
        let at = file.windows(60).position(|window| window == text).unwrap();
        disk.disk().flip_bit(SNAPSHOTS, at as u64 * 8).unwrap();
        assert_eq!(newest(&store, "a-1"), Some(2), "{bytes} bytes");
        assert_eq!(
            remove(&store, "a-1", 0).unwrap(),
            2,
            "the damaged one is gone"
        );
        save(&store, "a-1", 3, bytes).unwrap();
        assert_eq!(newest(&store, "a-1"), Some(3));
        assert_eq!(names(&disk), ["snapshots.redb"]);
    }
}

/// Overwrites most of the snapshot file.
fn scribble(disk: &SimFs, offset: u64) {
    let bytes = vec![0xa5; 400_000];
    disk.disk().write_at(SNAPSHOTS, &bytes, offset).unwrap();
}

#[test]
fn a_damaged_snapshot_file_is_set_aside() {
    let ruins: [fn(&SimFs); 5] = [
        |disk| disk.disk().write(SNAPSHOTS, b"").unwrap(),
        |disk| disk.disk().write(SNAPSHOTS, &[0; 10_000]).unwrap(),
        |disk| disk.disk().write(SNAPSHOTS, b"no database").unwrap(),
        |disk| disk.disk().set_length(SNAPSHOTS, 8192).unwrap(),
        |disk| scribble(disk, 64),
    ];
    for (case, ruin) in ruins.iter().enumerate() {
        let disk = disk();
        for round in 1..=2 {
            let store = open(&disk);
            save(&store, "a-1", round, 100).unwrap();
            keep(&store, "reader", 1, round - 1).unwrap();
            store.close();
            ruin(&disk);
            assert_eq!(newest(&store, "a-1"), None, "case {case}");
            let aside = format!("snapshots.redb.damaged-{round}");
            assert!(
                names(&disk).contains(&aside),
                "case {case}: {:?}",
                names(&disk)
            );
            save(&store, "a-1", 9, 100).unwrap();
            assert_eq!(newest(&store, "a-1"), Some(9), "case {case}");
            assert_eq!(
                kept(&store, "reader").unwrap(),
                Some((1, round)),
                "case {case}"
            );
        }
    }
}

#[test]
fn a_snapshot_file_that_is_ruined_while_open_is_set_aside() {
    let disk = disk();
    let vfs: Arc<dyn Vfs> = Arc::new(disk.clone());
    // Without a cache, so that every page is read from the ruin.
    let store = Auxiliary::open(&vfs, Path::new(DIRECTORY), LOG, 0);
    for version in 1..50 {
        save(&store, "a-1", version, 1000).unwrap();
    }
    scribble(&disk, 4096);
    let found = load(&store, "a-1", u64::MAX).unwrap();
    assert_eq!(found, None);
    save(&store, "a-1", 1, 1000).unwrap();
    assert_eq!(newest(&store, "a-1"), Some(1));
    assert!(names(&disk).contains(&"snapshots.redb.damaged-1".to_owned()));
}

#[test]
fn files_of_another_store_are_not_taken() {
    let disk = disk();
    let store = of_log(&disk, OTHER_LOG);
    save(&store, "a-1", 1, 100).unwrap();
    keep(&store, "reader", 1, 0).unwrap();
    store.close();
    let store = open(&disk);
    assert_eq!(newest(&store, "a-1"), None);
    assert!(names(&disk).contains(&"snapshots.redb.damaged-1".to_owned()));
    let error = kept(&store, "reader").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("another store"), "{error}");
}

#[test]
fn no_flipped_bit_makes_up_a_snapshot_or_an_error() {
    let disk = disk();
    let store = open(&disk);
    for version in 1..=20 {
        save(&store, "a-1", version, 700).unwrap();
        save(
            &store,
            "b-1",
            version,
            100 * usize::try_from(version).unwrap(),
        )
        .unwrap();
    }
    save(&store, "b-1", 21, 300_000).unwrap();
    remove(&store, "a-1", 3).unwrap();
    store.close();
    let bytes = disk.disk().read(SNAPSHOTS).unwrap();
    let pages: Vec<usize> = bytes
        .chunks(512)
        .enumerate()
        .filter(|(_, sector)| sector.iter().any(|byte| *byte != 0))
        .map(|(index, _)| index * 512)
        .collect();
    let mut chance = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        chance = chance
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from(chance >> 33).unwrap() % below
    };
    for round in 0..150 {
        let disk = disk.restart();
        let sector = pages[random(pages.len())];
        // The header is small and matters most.
        let at = if round % 2 == 0 {
            random(512)
        } else {
            sector + random(512)
        };
        let bit = at as u64 * 8 + random(8) as u64;
        if round % 5 == 4 {
            disk.disk()
                .write_at(SNAPSHOTS, &[0; 512], sector as u64)
                .unwrap();
        } else {
            disk.disk().flip_bit(SNAPSHOTS, bit).unwrap();
        }
        let store = open(&disk);
        for stream in ["a-1", "b-1"] {
            newest(&store, stream);
            remove(&store, stream, 1).unwrap();
            save(&store, stream, 30, 500).unwrap();
            assert_eq!(newest(&store, stream), Some(30), "bit {bit}");
        }
    }
}

#[test]
fn every_flipped_bit_of_the_checkpoints_is_an_error_that_says_so() {
    let disk = disk();
    let store = open(&disk);
    keep(&store, "reader", 5, 0).unwrap();
    let whole = disk.disk().read(CHECKPOINTS).unwrap();
    let cuts = (0..whole.len()).map(|length| whole[..length].to_vec());
    let flips = (0..whole.len() * 8).map(|bit| {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        bytes
    });
    for bytes in cuts.chain(flips) {
        disk.disk().write(CHECKPOINTS, &bytes).unwrap();
        let store = open(&disk);
        for error in [
            kept(&store, "reader").unwrap_err(),
            kept(&store, "other").unwrap_err(),
            keep(&store, "reader", 6, 1).unwrap_err(),
            block_on(store.remove_checkpoint(&name("other"), 0)).unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
            assert!(error.to_string().contains("restore"), "{error}");
        }
        assert_eq!(
            disk.disk().read(CHECKPOINTS).unwrap(),
            bytes,
            "left as it is"
        );
    }
    let store = open(&disk);
    kept(&store, "reader").unwrap_err();
    disk.disk().write(CHECKPOINTS, &whole).unwrap();
    assert_eq!(kept(&store, "reader").unwrap(), Some((5, 1)), "restored");
}

#[test]
fn checkpoints_that_went_missing_are_no_fresh_start() {
    let disk = disk();
    keep(&open(&disk), "reader", 5, 0).unwrap();
    let whole = disk.disk().read(CHECKPOINTS).unwrap();
    disk.disk().remove(CHECKPOINTS).unwrap();
    let store = open(&disk);
    assert_eq!(kind(kept(&store, "reader")), ErrorKind::Corrupt);
    assert_eq!(kind(keep(&store, "reader", 1, 0)), ErrorKind::Corrupt);
    disk.disk().write(CHECKPOINTS, &whole).unwrap();
    disk.disk().remove(KEPT).unwrap();
    assert_eq!(keep(&store, "reader", 6, 1).unwrap(), 2);
    assert!(disk.disk().read(KEPT).is_ok(), "the note is written again");
    disk.disk().remove(CHECKPOINTS).unwrap();
    disk.disk().remove(KEPT).unwrap();
    assert_eq!(kept(&open(&disk), "reader").unwrap(), None, "both removed");
}

#[test]
fn a_newer_format_is_refused_by_its_version() {
    let disk = disk();
    let store = open(&disk);
    keep(&store, "reader", 5, 0).unwrap();
    let mut bytes = disk.disk().read(CHECKPOINTS).unwrap();
    bytes[8] = 2;
    bytes.truncate(bytes.len() - 4);
    let checksum = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    disk.disk().write(CHECKPOINTS, &bytes).unwrap();
    let error = kept(&open(&disk), "reader").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("format: 2"), "{error}");
    // The snapshot file's format stands in front of the identity of its log.
    save(&store, "a-1", 1, 100).unwrap();
    store.close();
    let bytes = disk.disk().read(SNAPSHOTS).unwrap();
    let meta = [1, 0, 0, 0].into_iter().chain(LOG.to_bytes());
    let meta: Vec<u8> = meta.collect();
    let places = bytes.windows(20).enumerate();
    for (at, _) in places.filter(|(_, window)| *window == meta) {
        disk.disk().write_at(SNAPSHOTS, &[2], at as u64).unwrap();
    }
    let before = names(&disk);
    let store = open(&disk);
    for error in [
        load(&store, "a-1", 1).unwrap_err(),
        save(&store, "a-1", 1, 1).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("format: 2"), "{error}");
    }
    assert_eq!(names(&disk), before, "nothing is set aside");
}

#[test]
fn a_follower_has_neither() {
    let store = Auxiliary::of_follower();
    for found in [
        kind(load(&store, "a-1", 1)),
        kind(save(&store, "a-1", 1, 1)),
        kind(remove(&store, "a-1", 0)),
        kind(kept(&store, "reader")),
        kind(keep(&store, "reader", 1, 0)),
        kind(block_on(store.remove_checkpoint(&name("reader"), 0))),
    ] {
        assert_eq!(found, ErrorKind::Unsupported);
    }
    let error = kept(&store, "reader").unwrap_err();
    assert!(error.to_string().contains("read-only"), "{error}");
    store.close();
}

#[test]
fn a_full_disk_is_told_and_saving_goes_on_when_there_is_space() {
    let disk = disk();
    let store = open(&disk);
    save(&store, "a-1", 1, 100).unwrap();
    keep(&store, "reader", 1, 0).unwrap();
    let full = disk.disk().length(SNAPSHOTS).unwrap() + 300;
    disk.set_capacity(Some(full));
    assert_eq!(kind(save(&store, "a-1", 2, 3_000_000)), ErrorKind::NoSpace);
    assert_eq!(
        kind(keep(&store, &"long".repeat(200), 2, 0)),
        ErrorKind::NoSpace
    );
    assert_eq!(newest(&store, "a-1"), Some(1));
    assert_eq!(kept(&store, "reader").unwrap(), Some((1, 1)));
    disk.set_capacity(None);
    save(&store, "a-1", 2, 3_000_000).unwrap();
    assert_eq!(newest(&store, "a-1"), Some(2));
    assert_eq!(keep(&store, "reader", 2, 1).unwrap(), 2);
}

/// What a run was told: the last thing of each kind that was acknowledged, and what was asked since.
#[derive(Clone, Debug, Default)]
struct Told {
    snapshots: u64,
    snapshots_asked: u64,
    /// By name, positions and revisions; the first is the one that was acknowledged.
    checkpoints: BTreeMap<&'static str, Vec<Option<(u64, u64)>>>,
}

/// Saves snapshots and checkpoints in turns, and goes on after errors.
fn run(disk: &SimFs) -> Told {
    let mut told = Told::default();
    let store = open(disk);
    for step in 1..=2 {
        told.snapshots_asked = step;
        if save(&store, "a-1", step, 100_000).is_ok() {
            told.snapshots = step;
        }
        for reader in ["r", "s"] {
            let possible = told.checkpoints.entry(reader).or_insert_with(|| vec![None]);
            let known = possible.first().copied().flatten();
            let revision = known.map_or(0, |(_, revision)| revision);
            possible.push(Some((step, revision + 1)));
            if keep(&store, reader, step, revision).is_ok() {
                *possible = vec![Some((step, revision + 1))];
            }
        }
    }
    told
}

/// Holds what a store shows against what was told: all that was acknowledged, or what was asked later.
fn check(store: &Auxiliary, told: &Told, what: &str) {
    let found = newest(store, "a-1").unwrap_or(0);
    let span = told.snapshots..=told.snapshots_asked;
    assert!(
        span.contains(&found),
        "{what}: snapshot {found} of {told:?}"
    );
    for (reader, possible) in &told.checkpoints {
        let found = kept(store, reader).unwrap();
        assert!(
            possible.contains(&found),
            "{what}: {reader} at {found:?} of {told:?}"
        );
    }
}

/// A file that was set aside.
fn aside(disk: &SimFs) -> Option<String> {
    let mut names = names(disk).into_iter();
    names.find(|name| name.contains("damaged"))
}

/// How many calls a run takes.
fn calls() -> u64 {
    let disk = disk();
    let before = disk.calls();
    run(&disk);
    disk.calls() - before
}

#[test]
fn a_crash_at_any_call_loses_nothing_that_was_acknowledged() {
    let calls = calls();
    assert!(calls > 40, "{calls} calls");
    for call in 0..=calls {
        let disk = disk();
        disk.power_off_after(call);
        let told = run(&disk);
        for seed in 0..3 {
            let what = format!("call {call}, seed {seed}");
            let seed = call * 31 + seed;
            let crashed = disk.crash_with(seed, Garbage::Never);
            let store = open(&crashed);
            check(&store, &told, &what);
            save(&store, "a-1", 10, 50_000).unwrap();
            assert_eq!(newest(&store, "a-1"), Some(10), "{what}");
            assert_eq!(aside(&crashed), None, "{what}");
            // redb overwrites its header in place; where a disk leaves garbage there, snapshots are lost.
            let crashed = disk.crash(seed);
            let mut told = told.clone();
            told.snapshots = 0;
            check(&open(&crashed), &told, &what);
        }
    }
}

#[test]
fn an_error_at_any_call_is_told_or_without_effect() {
    let calls = calls();
    for fault in [
        Fault::Io(IoFault::Device),
        Fault::Io(IoFault::NoSpace),
        Fault::LateIo(IoFault::Device),
        Fault::ShortWrite,
    ] {
        for call in 0..=calls {
            let disk = disk();
            disk.fail_at(disk.calls() + call, fault);
            let told = run(&disk);
            disk.clear_faults();
            let what = format!("{fault:?} at call {call}");
            check(&open(&disk.restart()), &told, &what);
            let crashed = disk.crash_with(call, Garbage::Never);
            check(&open(&crashed), &told, &what);
        }
    }
}

#[test]
fn a_purge_leaves_no_byte_of_its_streams() {
    let directory = tempfile::tempdir().unwrap();
    let vfs: Arc<dyn Vfs> = Arc::new(OsVfs);
    let store = Auxiliary::open(&vfs, directory.path(), LOG, CACHE_BYTES_DEFAULT);
    let canary = |stream: &str| format!("canary of {stream} ").repeat(4_000);
    let keep = |stream: &str, version: u64| {
        let key = key(stream);
        let payload = canary(stream);
        let taken_at = Timestamp::EPOCH;
        let version = Version::new(version);
        let snapshot = Snapshot::new(key, version, ContentType::JSON, payload, taken_at).unwrap();
        block_on(store.save_snapshot(snapshot)).unwrap();
    };
    for version in 1..=5 {
        keep("a-1", version);
        keep("a-2", version);
    }
    assert_eq!(remove(&store, "a-1", 1).unwrap(), 4);
    let aside = directory.path().join("snapshots.redb.damaged-1");
    std::fs::write(aside, canary("a-1")).unwrap();
    let found = || {
        let files = std::fs::read_dir(directory.path()).unwrap();
        let bytes = files.map(|file| std::fs::read(file.unwrap().path()).unwrap());
        let bytes: Vec<Vec<u8>> = bytes.collect();
        ["a-1", "a-2"].map(|stream| {
            let canary = format!("canary of {stream} ");
            let holds =
                |file: &Vec<u8>| file.windows(canary.len()).any(|at| at == canary.as_bytes());
            bytes.iter().filter(|file| holds(file)).count()
        })
    };
    assert_eq!(found(), [2, 1]);
    for expected in [1, 0] {
        let streams = vec![key("a-1").stream];
        let removed = block_on(store.remove_snapshots(SnapshotRemoval::Purged { streams }));
        assert_eq!(removed.unwrap(), expected);
        assert_eq!(found(), [0, 1]);
    }
    for version in 1..=5 {
        let kept = load(&store, "a-2", version).unwrap().unwrap();
        assert_eq!(
            (kept.version().value(), kept.payload().len()),
            (version, canary("a-2").len())
        );
    }
    assert_eq!(newest_version(&store, "a-1"), None);
}

fn newest_version(store: &Auxiliary, stream: &str) -> Option<Version> {
    load(store, stream, u64::MAX)
        .unwrap()
        .map(|found| found.version())
}
