//! Forks: another store with the beginning of one, which shares its sealed files.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use annals_core::{
    Append, AppendId, Clock as _, ContentType, ErrorKind, EventId, EventStore, EventStoreExt,
    EventType, Expected, NewEvent, PolicyAction, PolicyChange, Position, ReadRequest,
    RecordedEvent, StreamId, SystemClock, Version,
};
use annals_log::vfs::SeededRng;
use annals_log::vfs::sim::SimFs;
use annals_store_log::{LogStore, Maintenance, Parts, Settings, StoreFork};
use futures_executor::block_on;

const HAPPENED: EventType = EventType::from_static("happened");

fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.segment_bytes = 64 * 1024;
    settings.batch_bytes_max = 8 * 1024;
    settings
}

/// An id of yesterday, the same each time, as an application chose it that recorded its events later.
fn id(n: u64) -> EventId {
    static MILLIS: OnceLock<i64> = OnceLock::new();
    let yesterday = || SystemClock.now().as_micros() / 1000 - 24 * 3600 * 1000;
    let millis = MILLIS.get_or_init(yesterday);
    let (high, low) = (millis >> 16, millis & 0xffff);
    let text = format!("{high:08x}-{low:04x}-7000-8000-{n:012}");
    text.parse().unwrap()
}

/// An append of this number of events to each of two streams.
fn append(n: u64, events: usize) -> Append {
    let event = |at: u64| {
        let event = NewEvent::new(HAPPENED, ContentType::JSON, vec![b'7'; 200]).unwrap();
        event.with_id(id(n * 1000 + at))
    };
    let write = |name: &str| StreamId::parse(&format!("thing-{name}-{}", n % 3)).unwrap();
    Append::builder(AppendId::parse(&format!("append-{n}")).unwrap())
        .write(write("a"), Expected::Any, (0..).map(event).take(events))
        .write(write("b"), Expected::Any, (500..).map(event).take(events))
        .build()
        .unwrap()
}

/// A store of so many appends of 2, 4 or 6 events each, over several segments.
fn fill(store: &LogStore, appends: u64) {
    let waiting =
        (0..appends).map(|n| store.append(append(n, 1 + usize::try_from(n % 3).unwrap())));
    // Many at once, so that frames hold several appends.
    block_on(futures_util::future::try_join_all(waiting)).unwrap();
}

fn events(store: &dyn EventStore, until: u64) -> Vec<RecordedEvent> {
    let request = ReadRequest::all().until(Position::new(until));
    block_on(store.collect(request)).unwrap()
}

fn fork(from: &Path, to: &Path, until: u64) -> StoreFork {
    let builder = LogStore::builder(from).settings(settings());
    builder.fork(to, Position::new(until), &mut |_| {}).unwrap()
}

fn open(directory: &Path) -> LogStore {
    LogStore::builder(directory)
        .settings(settings())
        .open()
        .unwrap()
}

/// The last position of the appends that end by then.
fn whole_until(store: &LogStore, appends: u64, until: u64) -> u64 {
    let ends = (0..appends).filter_map(|n| {
        let id = AppendId::parse(&format!("append-{n}")).unwrap();
        block_on(store.receipt(&id)).unwrap()
    });
    let ends = ends.map(|receipt| receipt.last_position.value());
    ends.filter(|end| *end <= until).max().unwrap_or(0)
}

#[test]
fn a_fork_is_the_store_as_it_was() {
    const APPENDS: u64 = 400;
    let directory = tempfile::tempdir().unwrap();
    let from = directory.path().join("store");
    let store = LogStore::builder(&from)
        .settings(settings())
        .create()
        .unwrap();
    fill(&store, APPENDS);
    let head = events(&store, u64::MAX).len() as u64;
    let all = events(&store, u64::MAX);
    let mut shared_most = 0;
    for (number, until) in (0..=head + 7)
        .step_by(131)
        .chain([head - 1, head])
        .enumerate()
    {
        let to = directory.path().join(format!("fork-{number}"));
        let fork = fork(&from, &to, until);
        let expected = whole_until(&store, APPENDS, until);
        assert_eq!(fork.position, Position::new(expected), "of {until}");
        assert_eq!(fork.segments_copied, 0);
        shared_most = shared_most.max(fork.segments_shared);
        let verified = LogStore::builder(&to).verify(&mut |_| {}).unwrap();
        assert!(verified.is_whole(), "{verified:?}");
        assert_eq!(verified.log.next_number, expected + 1);

        let forked = open(&to);
        assert_eq!(
            events(&forked, u64::MAX),
            all[..usize::try_from(expected).unwrap()]
        );
        let head = block_on(forked.head(annals_core::ConsistencyLevel::Strong)).unwrap();
        assert_eq!(head.position(), Some(Position::new(expected)));
        // Append ids of then are known, those of later are not.
        for n in (0..APPENDS).step_by(37) {
            let again = append(n, 1 + usize::try_from(n % 3).unwrap());
            let then = block_on(store.receipt(&again.id())).unwrap().unwrap();
            let answer = block_on(forked.append(again)).unwrap();
            let is_known = then.last_position.value() <= expected;
            assert_eq!(answer.is_duplicate(), is_known, "append {n} of {until}");
        }
    }
    assert!(shared_most >= 3, "several segments are shared");
    // The store has what it had, and its files are whole.
    assert_eq!(events(&store, u64::MAX), all);
    store.close().unwrap();
    assert!(
        LogStore::builder(&from)
            .verify(&mut |_| {})
            .unwrap()
            .is_whole()
    );
}

#[test]
fn a_fork_and_its_store_go_on_apart() {
    let directory = tempfile::tempdir().unwrap();
    let (from, to) = (
        directory.path().join("store"),
        directory.path().join("fork"),
    );
    let store = LogStore::builder(&from)
        .settings(settings())
        .create()
        .unwrap();
    fill(&store, 200);
    let before = events(&store, u64::MAX);
    let fork = fork(&from, &to, u64::MAX);
    assert_eq!(fork.position.value(), before.len() as u64);
    let forked = open(&to);
    for n in 1000..1200 {
        block_on(store.append(append(n, 1))).unwrap();
        block_on(forked.append(append(n + 1000, 2))).unwrap();
    }
    for (store, more) in [(&store, 2 * 200), (&forked, 4 * 200)] {
        let after = events(store, u64::MAX);
        assert_eq!(after[..before.len()], before);
        assert_eq!(after.len(), before.len() + more);
        store.close().unwrap();
    }
    for path in [&from, &to] {
        assert!(
            LogStore::builder(path)
                .verify(&mut |_| {})
                .unwrap()
                .is_whole()
        );
        assert_eq!(events(&open(path), before.len() as u64), before);
    }
    // The sealed files are the same, not copies; the store survives the removal of its fork.
    let inode = |path: &Path| {
        let segment = path.join("log/00000000000000000001.segment");
        fs::metadata(segment).unwrap().ino()
    };
    assert_eq!(inode(&from), inode(&to));
    fs::remove_dir_all(&to).unwrap();
    assert!(
        LogStore::builder(&from)
            .verify(&mut |_| {})
            .unwrap()
            .is_whole()
    );
}

#[test]
fn policies_are_those_of_then() {
    let directory = tempfile::tempdir().unwrap();
    let (from, to) = (
        directory.path().join("store"),
        directory.path().join("fork"),
    );
    let store = LogStore::builder(&from).create().unwrap();
    block_on(store.append(append(0, 3))).unwrap();
    let truncate = |version| {
        let change = PolicyChange {
            stream: StreamId::from_static("thing-a-0"),
            expected: Expected::Any,
            action: PolicyAction::TruncateBefore(Version::new(version)),
        };
        block_on(store.change_stream_policy(change)).unwrap()
    };
    truncate(2);
    block_on(store.append(append(1, 1))).unwrap();
    truncate(3);
    assert_eq!(fork(&from, &to, 7).position, Position::new(6));
    let head = block_on(open(&to).stream_head(&StreamId::from_static("thing-a-0"))).unwrap();
    assert_eq!(head.policy.truncate_before, Version::new(2));
    assert_eq!(
        block_on(store.stream_head(&head.stream))
            .unwrap()
            .policy
            .truncate_before,
        Version::new(3)
    );
}

#[test]
fn a_fork_takes_no_directory_that_holds_a_store() {
    let directory = tempfile::tempdir().unwrap();
    let (from, to) = (
        directory.path().join("store"),
        directory.path().join("other"),
    );
    for path in [&from, &to] {
        drop(LogStore::builder(path).create().unwrap());
    }
    for (from, to) in [(&from, &to), (&from, &from)] {
        let error = LogStore::builder(from)
            .fork(to, Position::MAX, &mut |_| {})
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    }
    let nowhere = directory.path().join("nowhere");
    LogStore::builder(nowhere)
        .fork(directory.path().join("new"), Position::MAX, &mut |_| {})
        .unwrap_err();
}

#[test]
fn a_crash_at_any_call_leaves_the_store_whole_and_a_finished_fork_durable() {
    let mut settings = settings();
    settings.maintenance = Maintenance::Inline;
    let disk = SimFs::new();
    let parts = |disk: &SimFs| Parts {
        vfs: Arc::new(disk.clone()),
        rng: Arc::new(SeededRng::new(3)),
        ..Parts::os()
    };
    let builder = |disk: &SimFs, path: &str| {
        LogStore::builder(path)
            .settings(settings.clone())
            .parts(parts(disk))
    };
    let store = builder(&disk, "/store").create().unwrap();
    fill(&store, 120);
    store.close().unwrap();
    drop(store);
    disk.settle();
    let all = events(&builder(&disk, "/store").open().unwrap(), u64::MAX);
    let until = Position::new(all.len() as u64 - 10);
    disk.settle();

    disk.record_boundaries();
    let fork = builder(&disk, "/store")
        .fork("/fork", until, &mut |_| {})
        .unwrap();
    let boundaries = disk.take_boundaries();
    assert!(boundaries.len() > 20, "{}", boundaries.len());
    let last = boundaries.len() - 1;
    for (index, boundary) in boundaries.into_iter().enumerate() {
        for seed in 0..4 {
            let crashed = boundary.file_system.crash(seed);
            let store = builder(&crashed, "/store").open().unwrap();
            assert_eq!(
                events(&store, u64::MAX),
                all,
                "boundary {index} seed {seed}"
            );
            if let Ok(forked) = builder(&crashed, "/fork").open() {
                let found = events(&forked, u64::MAX);
                assert_eq!(found, all[..found.len()], "boundary {index} seed {seed}");
                let is_whole = found.len() as u64 == fork.position.value();
                assert!(is_whole || index < last, "boundary {index} seed {seed}");
            } else {
                assert!(index < last, "boundary {index} seed {seed}");
            }
        }
    }
}
