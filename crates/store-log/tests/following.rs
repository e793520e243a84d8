//! A follower beside a writer: what it sees, what it holds, and what it does when the disk fails or files go.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::io;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::ThreadId;
use std::time::Duration;

use annals_core::{
    Append, AppendId, Capabilities, ConsistencyLevel, ContentType, Cursor, Error, ErrorKind,
    EventStore, EventStoreExt, EventType, Expected, NewEvent, PolicyAction, PolicyChange,
    ReadRequest, RecordedEvent, StreamId, Version,
};
use annals_store_log::vfs::{Access, MappedFile, OsVfs, Vfs, VfsFile, VfsLock, Watch};
use annals_store_log::{
    Durability, LogFollower, LogStore, LogStoreBuilder, Maintenance, Parts, ReadMode, Settings,
};
use futures_executor::block_on;

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// The operating system's files, as a follower sees them that has bad luck.
#[derive(Clone, Debug, Default)]
struct Luck(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// No file can be read.
    fails: AtomicBool,
    /// How many reads of segments go well until all fail; below zero for ever.
    reads_left: AtomicI64,
    /// Index files that were listed are gone when they are opened, until they are listed again.
    listings_in_vain: AtomicI64,
    is_gone: AtomicBool,
    listings: AtomicU64,
    segment_bytes: AtomicU64,
    threads: Mutex<Vec<ThreadId>>,
}

#[derive(Debug)]
struct LuckyFile {
    luck: Luck,
    file: Arc<dyn VfsFile>,
    is_segment: bool,
}

impl Luck {
    fn new() -> Self {
        let luck = Self::default();
        luck.0.reads_left.store(-1, Ordering::SeqCst);
        luck
    }

    fn check(&self) -> io::Result<()> {
        if self.0.fails.load(Ordering::SeqCst) {
            return Err(io::Error::other("bad luck"));
        }
        Ok(())
    }

    fn set_fails(&self, fails: bool) {
        self.0.fails.store(fails, Ordering::SeqCst);
    }

    fn segment_bytes(&self) -> u64 {
        self.0.segment_bytes.load(Ordering::SeqCst)
    }

    fn listings(&self) -> u64 {
        self.0.listings.load(Ordering::SeqCst)
    }
}

impl Vfs for Luck {
    fn create_dir_all(&self, directory: &Path) -> io::Result<()> {
        OsVfs.create_dir_all(directory)
    }

    fn names(&self, directory: &Path) -> io::Result<Vec<String>> {
        self.0.listings.fetch_add(1, Ordering::SeqCst);
        let left = self.0.listings_in_vain.fetch_sub(1, Ordering::SeqCst);
        self.0.is_gone.store(left > 0, Ordering::SeqCst);
        OsVfs.names(directory)
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn VfsFile>> {
        self.check()?;
        let is_run = path.extension().is_some_and(|extension| extension == "run");
        if is_run && self.0.is_gone.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let name = path.file_name().unwrap_or_default();
        Ok(Arc::new(LuckyFile {
            luck: self.clone(),
            file: OsVfs.open(path, access)?,
            is_segment: !is_run && name != "WATERMARK" && name != "MANIFEST",
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        OsVfs.rename(from, to)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        OsVfs.hard_link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        OsVfs.remove(path)
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        OsVfs.sync_directory(directory)
    }

    fn lock(&self, path: &Path, holder: &str) -> io::Result<Box<dyn VfsLock>> {
        OsVfs.lock(path, holder)
    }

    fn readers_max(&self) -> NonZeroUsize {
        OsVfs.readers_max()
    }

    fn watch(&self, path: &Path) -> io::Result<Box<dyn Watch>> {
        OsVfs.watch(path)
    }
}

impl VfsFile for LuckyFile {
    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let inner = &self.luck.0;
        self.luck.check()?;
        if self.is_segment {
            let left = inner.reads_left.load(Ordering::SeqCst);
            if left == 0 {
                return Err(io::Error::other("bad luck with a segment"));
            }
            inner.reads_left.fetch_sub(1, Ordering::SeqCst);
            inner
                .threads
                .lock()
                .unwrap()
                .push(std::thread::current().id());
            inner
                .segment_bytes
                .fetch_add(buffer.len() as u64, Ordering::SeqCst);
        }
        self.file.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.file.write_at(bytes, offset)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.file.set_length(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    fn forget_cached(&self, range: Range<u64>) -> io::Result<()> {
        self.file.forget_cached(range)
    }

    fn map(&self, _: u64) -> io::Result<Option<Arc<dyn MappedFile>>> {
        Ok(None)
    }
}

/// A writer, and what a follower of it is made of.
struct Scene {
    directory: tempfile::TempDir,
    writer: LogStore,
    luck: Luck,
    appends: AtomicU64,
}

impl Scene {
    /// With a writer that holds this much of the index in memory.
    fn new(index_bytes_max: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut settings = Settings::default();
        settings.durability = Durability::Process;
        settings.index_bytes_max = index_bytes_max;
        settings.maintenance = Maintenance::Inline;
        let writer = LogStore::builder(directory.path().join("store")).settings(settings);
        Self {
            writer: writer.create().unwrap(),
            directory,
            luck: Luck::new(),
            appends: AtomicU64::new(0),
        }
    }

    fn builder(&self, index_bytes_max: usize) -> LogStoreBuilder {
        let mut settings = Settings::default();
        settings.index_bytes_max = index_bytes_max;
        settings.reads = ReadMode::Pread;
        let mut parts = Parts::os();
        parts.vfs = Arc::new(self.luck.clone());
        LogStore::builder(self.directory.path().join("store"))
            .settings(settings)
            .parts(parts)
    }

    fn follower(&self) -> LogFollower {
        self.builder(16 * 1024).follow().unwrap()
    }

    /// Appends this many events to the stream `a-1`, in one append.
    fn append(&self, events: usize) {
        let number = self.appends.fetch_add(1, Ordering::SeqCst);
        block_on(self.writer.append(append(number, events))).unwrap();
    }

    fn runs(&self) -> Vec<PathBuf> {
        let index = self.directory.path().join("store").join("index");
        let entries = std::fs::read_dir(index).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    /// The follower shows what the writer does, by stream and by position.
    fn check_same(&self, follower: &LogFollower, context: &str) {
        let stream = StreamId::parse("a-1").unwrap();
        for request in [ReadRequest::stream(stream.clone()), ReadRequest::all()] {
            let expected = block_on(self.writer.collect(request.clone())).unwrap();
            let found = block_on(follower.collect(request)).unwrap();
            let (found, expected) = (places(&found), places(&expected));
            let counts = (found.len(), expected.len());
            assert!(found == expected, "{context}: other events, {counts:?}");
        }
        let expected = block_on(self.writer.stream_head(&stream)).unwrap();
        let found = block_on(follower.stream_head(&stream)).unwrap();
        assert_eq!(found, expected, "{context}");
    }
}

fn append(number: u64, events: usize) -> Append {
    let event_type = EventType::parse("noted").unwrap();
    let payload = "x".repeat(100);
    let event = |_| NewEvent::new(event_type.clone(), ContentType::JSON, payload.clone()).unwrap();
    Append::builder(AppendId::parse(&format!("append-{number}")).unwrap())
        .write(
            StreamId::parse("a-1").unwrap(),
            Expected::Any,
            (0..events).map(event).collect::<Vec<_>>(),
        )
        .build()
        .unwrap()
}

/// Changes a bit of a file, or changes it back.
fn flip(path: &Path, at: u64) {
    let file = OsVfs.open(path, Access::Write).unwrap();
    let mut byte = [0];
    assert_eq!(file.read_at(&mut byte, at).unwrap(), 1);
    let [byte] = byte;
    assert_eq!(file.write_at(&[byte ^ 1], at).unwrap(), 1);
}

fn places(events: &[RecordedEvent]) -> Vec<(u64, u64)> {
    let place = |event: &RecordedEvent| (event.position().value(), event.version().value());
    events.iter().map(place).collect()
}

fn strong_head(follower: &LogFollower) -> Result<Cursor, Error> {
    block_on(follower.head(ConsistencyLevel::Strong))
}

/// What waiting for a change comes to.
fn waiting(follower: &Arc<LogFollower>, after: Cursor) -> mpsc::Receiver<Result<Cursor, Error>> {
    let (sender, receiver) = mpsc::channel();
    let follower = Arc::clone(follower);
    std::thread::spawn(move || sender.send(block_on(follower.changed_since(&after))));
    receiver
}

#[test]
fn a_look_that_fails_enters_nothing_twice() {
    for reads in 0..8 {
        let scene = Scene::new(64 * 1024 * 1024);
        scene.append(10);
        let follower = scene.builder(64 * 1024 * 1024).follow().unwrap();
        assert!(strong_head(&follower).is_ok());
        scene.luck.set_fails(true);
        for _ in 0..5 {
            scene.append(1000);
        }
        scene.luck.0.reads_left.store(reads, Ordering::SeqCst);
        scene.luck.set_fails(false);
        // It may fail or not, by how many reads it takes.
        for _ in 0..3 {
            let _ = strong_head(&follower);
        }
        scene.luck.0.reads_left.store(-1, Ordering::SeqCst);
        scene.check_same(&follower, &format!("after {reads} reads"));
    }
}

#[test]
fn files_that_go_while_they_are_listed_are_no_hole() {
    let scene = Scene::new(16 * 1024);
    for _ in 0..30 {
        scene.append(1000);
    }
    scene.luck.0.listings_in_vain.store(1, Ordering::SeqCst);
    let follower = scene.follower();
    let read = scene.luck.segment_bytes();
    assert!(read < 2_000_000, "{read} bytes of the log were read");
    scene.check_same(&follower, "opened");
}

#[test]
fn a_long_lag_is_taken_from_index_files() {
    let scene = Scene::new(16 * 1024);
    scene.append(1);
    let follower = scene.follower();
    scene.luck.set_fails(true);
    for _ in 0..30 {
        scene.append(1000);
    }
    let before = scene.luck.segment_bytes();
    scene.luck.set_fails(false);
    strong_head(&follower).unwrap();
    let read = scene.luck.segment_bytes() - before;
    assert!(read < 2_000_000, "{read} bytes of the log were read");
    scene.check_same(&follower, "behind");
}

#[test]
fn a_full_memory_is_not_surveyed_at_every_look() {
    let scene = Scene::new(64 * 1024 * 1024);
    let follower = scene.follower();
    for _ in 0..300 {
        scene.append(10);
        strong_head(&follower).unwrap();
    }
    let listings = scene.luck.listings();
    assert!(listings < 40, "the directory was listed {listings} times");
    scene.check_same(&follower, "full");
}

#[test]
fn a_follower_takes_files_over_as_they_come() {
    let scene = Scene::new(16 * 1024);
    let follower = scene.follower();
    for round in 0..100 {
        scene.append(20);
        strong_head(&follower).unwrap();
        if round % 10 == 0 {
            scene.check_same(&follower, &format!("round {round}"));
        }
    }
}

#[test]
fn whoever_waits_is_told_of_a_failure_and_can_wait_again() {
    let scene = Scene::new(64 * 1024 * 1024);
    scene.append(1);
    let follower = Arc::new(scene.follower());
    let head = strong_head(&follower).unwrap();
    let waits = waiting(&follower, head.clone());
    scene.luck.set_fails(true);
    scene.append(1);
    let told = waits.recv_timeout(PATIENCE).expect("the wait ends");
    let error = told.expect_err("nothing can be read");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("changed since"), "{error}");
    scene.luck.set_fails(false);
    let head = strong_head(&follower).unwrap();
    let waits = waiting(&follower, head.clone());
    scene.append(1);
    let changed = waits.recv_timeout(PATIENCE).expect("the wait ends");
    assert!(changed.unwrap() > head);
}

#[test]
fn the_log_is_read_in_the_place_of_a_damaged_index_file() {
    let scene = Scene::new(16 * 1024);
    for _ in 0..40 {
        scene.append(20);
    }
    let runs = scene.runs();
    assert!(!runs.is_empty());
    for run in runs {
        let bytes = std::fs::metadata(&run).unwrap().len();
        for at in [4200, bytes / 3, bytes / 2, bytes * 2 / 3] {
            flip(&run, at);
            let mapped = LogStore::builder(scene.writer.directory()).follow();
            let followers = [scene.follower(), mapped.unwrap()];
            let context = format!("byte {at} of {}", run.display());
            let stream = StreamId::parse("a-1").unwrap();
            for (follower, request) in followers.iter().flat_map(|follower| {
                let stream = ReadRequest::stream(stream.clone());
                [(follower, stream), (follower, ReadRequest::all())]
            }) {
                let found = block_on(follower.collect(request)).unwrap();
                let positions = found.iter().map(|event| event.position().value());
                assert!(positions.eq(1..=800), "{context}");
            }
            flip(&run, at);
            for follower in &followers {
                scene.check_same(follower, &context);
            }
        }
    }
}

#[test]
fn what_may_wait_for_a_disk_is_done_on_threads_that_may() {
    let scene = Scene::new(64 * 1024 * 1024);
    scene.append(1);
    let follower = scene.follower();
    scene.luck.0.threads.lock().unwrap().clear();
    let stream = StreamId::parse("a-1").unwrap();
    for _ in 0..20 {
        scene.append(100);
        strong_head(&follower).unwrap();
        block_on(follower.collect(ReadRequest::stream(stream.clone()))).unwrap();
    }
    let threads = scene.luck.0.threads.lock().unwrap();
    assert!(!threads.is_empty());
    assert!(!threads.contains(&std::thread::current().id()));
}

#[test]
fn errors_name_the_operation() {
    let scene = Scene::new(64 * 1024 * 1024);
    scene.append(1);
    let follower = scene.follower();
    let stream = StreamId::parse("a-1").unwrap();
    scene.luck.set_fails(true);
    let id = AppendId::parse("append-0").unwrap();
    let change = PolicyChange {
        stream: stream.clone(),
        expected: Expected::Any,
        action: PolicyAction::TruncateBefore(Version::new(1)),
    };
    let all = ReadRequest::all();
    let failures = [
        ("head", strong_head(&follower).err()),
        ("stream head", block_on(follower.stream_head(&stream)).err()),
        ("read", block_on(follower.read(all)).err()),
        ("receipt", block_on(follower.receipt(&id)).err()),
        ("append", block_on(follower.append(append(9, 1))).err()),
        (
            "change stream policy",
            block_on(follower.change_stream_policy(change)).err(),
        ),
        (
            "changed since",
            block_on(follower.changed_since(&Cursor::START)).err(),
        ),
    ];
    for (operation, error) in failures {
        let error = error.expect(operation);
        assert!(error.to_string().starts_with(operation), "{error}");
    }
}

#[test]
fn capabilities_tell_that_nothing_is_appended() {
    let scene = Scene::new(64 * 1024 * 1024);
    let found = scene.follower().capabilities();
    let mut expected = Capabilities::COMPLETE;
    expected.durability = annals_core::Durability::Synced;
    expected.payload_bytes_max = 0;
    expected.append_events_max = 0;
    expected.append_bytes_max = 0;
    expected.multi_stream_appends = false;
    expected.stream_checks = false;
    expected.conditions = false;
    expected.unique_event_ids = false;
    expected.stream_policies = false;
    assert_eq!(found, expected);
}
