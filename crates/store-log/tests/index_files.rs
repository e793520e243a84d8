//! Index files are derived: whatever happens to them, the store opens, says the truth, and builds them again.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a failed unwrap is a failed test"
)]

use std::fs;
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use annals_core::{
    Append, AppendId, Category, ContentType, Error, ErrorKind, EventStore, EventType, Expected,
    ManualClock, NewEvent, Position, ReadRequest, Receipt, StreamId, Timestamp, Version,
};
use annals_store_log::vfs::sim::{Fault, IoFault, SimFs};
use annals_store_log::vfs::{Access, OsVfs, Vfs, VfsFile, VfsLock, Watch};
use annals_store_log::{
    Durability, LogStore, LogStoreBuilder, Maintenance, Parts, ReadMode, Settings,
};
use futures_executor::block_on;

/// Small index files, built where they are needed, so that a test repeats exactly.
fn small() -> Settings {
    let mut settings = Settings::default();
    settings.segment_bytes = 1024 * 1024;
    settings.index_bytes_max = 16 * 1024;
    settings.maintenance = Maintenance::Inline;
    settings.durability = Durability::Process;
    settings
}

fn in_background() -> Settings {
    let mut settings = small();
    settings.maintenance = Maintenance::Background;
    settings
}

fn stream(n: usize) -> StreamId {
    StreamId::parse(&format!("account-{n}")).unwrap()
}

/// Events of a stream of their own, recorded together.
fn append_of(n: usize, event_type: &str, events: usize) -> Append {
    let event_type = EventType::parse(event_type).unwrap();
    let event = || {
        let payload = format!("\"marker-{n}-\"");
        NewEvent::new(event_type.clone(), ContentType::JSON, payload).unwrap()
    };
    let events: Vec<NewEvent> = std::iter::repeat_with(event).take(events).collect();
    Append::builder(AppendId::parse(&format!("append-{n}")).unwrap())
        .write(stream(n), Expected::NoStream, events)
        .build()
        .unwrap()
}

fn append(store: &LogStore, n: usize) -> Result<Receipt, Error> {
    block_on(store.append(append_of(n, "opened", 1)))
}

/// The streams 0 to `count` have an event each, at the position after their number, and each is known by its id.
fn check(store: &LogStore, count: usize, what: &str) {
    for n in 0..count {
        let position = n as u64 + 1;
        let page = block_on(store.read(ReadRequest::stream(stream(n)))).expect(what);
        let found: Vec<u64> = page
            .events
            .iter()
            .map(|event| event.position().value())
            .collect();
        assert_eq!(found, [position], "{what}: stream {n}");
        let id = AppendId::parse(&format!("append-{n}")).unwrap();
        let receipt = block_on(store.receipt(&id)).expect(what).expect(what);
        assert_eq!(receipt.first_position.value(), position, "{what}: {n}");
    }
}

/// The index files, oldest first.
fn runs(store: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(store.join("index"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "run"))
        .collect();
    files.sort();
    files
}

/// First and last position of an index file, by its name.
fn span(run: &Path) -> (u64, u64) {
    let stem = run.file_stem().unwrap().to_str().unwrap();
    let (first, last) = stem.split_once('-').unwrap();
    (first.parse().unwrap(), last.parse().unwrap())
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    *bytes.get_mut(at).unwrap() ^= 1;
    fs::write(path, bytes).unwrap();
}

/// A directory for a store.
struct Home {
    _directory: tempfile::TempDir,
    path: PathBuf,
}

impl Home {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store");
        Self {
            _directory: directory,
            path,
        }
    }

    fn builder(&self, settings: &Settings) -> LogStoreBuilder {
        LogStore::builder(&self.path).settings(settings.clone())
    }

    /// A store of so many events, closed again.
    fn with_events(settings: &Settings, count: usize) -> Self {
        let home = Self::new();
        let store = home.builder(settings).create().unwrap();
        (0..count).for_each(|n| drop(append(&store, n).unwrap()));
        store.close().unwrap();
        home
    }
}

#[test]
fn damage_anywhere_in_an_index_file_is_healed() {
    let home = Home::with_events(&Settings::default(), 10);
    let run = runs(&home.path).pop().unwrap();
    let whole = fs::read(&run).unwrap();
    for at in (0..whole.len()).step_by(whole.len() / 150) {
        let what = format!("byte {at} of {}", whole.len());
        fs::write(&run, &whole).unwrap();
        flip(&run, at);
        let store = LogStore::builder(&home.path).open().expect(&what);
        check(&store, 10, &what);
        store.close().unwrap();
        let store = LogStore::builder(&home.path).open().expect(&what);
        check(&store, 10, &what);
    }
}

#[test]
fn damage_in_each_block_of_each_index_file_is_healed() {
    const EVENTS: usize = 6000;
    let mut settings = small();
    settings.index_bytes_max = 512 * 1024;
    let home = Home::with_events(&settings, EVENTS);
    let files = runs(&home.path);
    assert!(files.len() >= 2, "{files:?}");
    let whole: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    let blocks = |bytes: &[u8]| {
        (4096 + 20..bytes.len())
            .step_by(16 * 1024)
            .collect::<Vec<_>>()
    };
    assert!(blocks(&whole[0]).len() > 3, "{} bytes", whole[0].len());
    for mode in [Maintenance::Inline, Maintenance::Background] {
        settings.maintenance = mode;
        for (nth, at) in blocks(&whole[0]).into_iter().enumerate() {
            let what = format!("{mode:?}, byte {at} of the first, another of the second");
            for run in runs(&home.path) {
                fs::remove_file(run).unwrap();
            }
            for (file, bytes) in files.iter().zip(&whole) {
                fs::write(file, bytes).unwrap();
            }
            flip(&files[0], at);
            let others = blocks(&whole[1]);
            flip(&files[1], others[nth % others.len()]);
            let store = home.builder(&settings).open().expect(&what);
            check(&store, EVENTS, &what);
            store.close().unwrap();
            let verified = home.builder(&settings).verify(&mut |_| {}).unwrap();
            assert_eq!(verified.index, [], "{what}");
            let last = runs(&home.path).last().map(|run| span(run).1);
            assert_eq!(last, Some(EVENTS as u64), "{what}");
        }
    }
}

#[test]
fn an_index_is_built_again_in_bounded_memory_whatever_the_batches() {
    const EVENTS: usize = 6000;
    for events in [1, 2, 3, 100] {
        let home = Home::new();
        let store = home.builder(&small()).create().unwrap();
        for n in 0..EVENTS / events {
            block_on(store.append(append_of(n, "opened", events))).unwrap();
        }
        store.close().unwrap();
        fs::remove_dir_all(home.path.join("index")).unwrap();
        let store = home.builder(&small()).open().unwrap();
        let last = runs(&home.path).last().map_or(0, |run| span(run).1);
        let left = EVENTS as u64 - last;
        assert!(
            left < 1000,
            "{left} events stay in memory, {events} an append"
        );
        store.close().unwrap();
    }
}

#[test]
fn runs_that_an_opening_finds_are_merged() {
    let home = Home::with_events(&small(), 6000);
    let merged = runs(&home.path).len();
    fs::remove_dir_all(home.path.join("index")).unwrap();
    let store = home.builder(&small()).open().unwrap();
    let rebuilt = runs(&home.path).len();
    assert!(rebuilt <= merged, "{rebuilt} rather than {merged}");
    check(&store, 6000, "after the merges");
}

/// Appends, reads, flushes, merges and damage at once; the seed is where the files are damaged.
fn check_turmoil(settings: &Settings, seed: usize) {
    const OLD: usize = 3000;
    const NEW: usize = 1500;
    let what = format!("{:?}, seed {seed}", settings.maintenance);
    let mut quiet = small();
    quiet.index_bytes_max = 128 * 1024;
    let home = Home::with_events(&quiet, OLD);
    for (nth, run) in runs(&home.path).iter().enumerate() {
        let length = fs::metadata(run).unwrap().len();
        let at = 4096 + (seed * 7919 + nth * 104_729) % (usize::try_from(length).unwrap() - 4096);
        flip(run, at);
    }
    let store = home.builder(settings).open().expect(&what);
    std::thread::scope(|scope| {
        scope.spawn(|| (OLD..OLD + NEW).for_each(|n| drop(append(&store, n).expect(&what))));
        for half in 0..2 {
            let (store, what) = (&store, &what);
            scope.spawn(move || {
                for n in (half..OLD).step_by(2) {
                    let n = n * 1361 % OLD;
                    let page = block_on(store.read(ReadRequest::stream(stream(n))));
                    assert_eq!(page.expect(what).events.len(), 1, "{what}: {n}");
                }
            });
        }
    });
    check(&store, OLD + NEW, &what);
    store.close().unwrap();
    let verified = home.builder(settings).verify(&mut |_| {}).unwrap();
    assert_eq!(verified.index, [], "{what}");
    let last = runs(&home.path).last().map(|run| span(run).1);
    assert_eq!(last, Some((OLD + NEW) as u64), "{what}");
}

#[test]
fn damage_is_healed_while_index_files_are_written_and_merged() {
    for seed in 0..3 {
        check_turmoil(&in_background(), seed);
        check_turmoil(&small(), seed);
    }
}

/// The variable by which the pool of threads that block is made as small as can be.
const POOL: &str = "BLOCKING_MAX_THREADS";

#[test]
fn healing_needs_no_second_thread_of_the_pool() {
    const NAME: &str = "healing_needs_no_second_thread_of_the_pool";
    if std::env::var_os(POOL).is_none() {
        let tests = std::env::current_exe().unwrap();
        let run = Command::new(tests)
            .args(["--exact", NAME])
            .env(POOL, "1")
            .output();
        let run = run.unwrap();
        let told = String::from_utf8_lossy(&run.stdout);
        assert!(run.status.success() && told.contains("1 passed"), "{told}");
        return;
    }
    let (done, is_done) = mpsc::channel();
    std::thread::spawn(move || {
        let mut settings = small();
        settings.index_bytes_max = 512 * 1024;
        let home = Home::with_events(&settings, 6000);
        let files = runs(&home.path);
        let length = usize::try_from(fs::metadata(&files[0]).unwrap().len()).unwrap();
        settings.maintenance = Maintenance::Background;
        for at in (4096 + 20..length).step_by(16 * 1024) {
            flip(&runs(&home.path)[0], at);
            let store = home.builder(&settings).open().unwrap();
            check(&store, 6000, "with one thread");
            store.close().unwrap();
        }
        done.send(()).unwrap();
    });
    let healed = is_done.recv_timeout(Duration::from_mins(2));
    healed.expect("the pool's only thread waits for itself");
}

/// The operating system's file system, which refuses to write index files for as long as it is told to, and lists
/// an index file that is gone.
#[derive(Clone, Debug, Default)]
struct Refusing(Arc<Mutex<Refusal>>);

#[derive(Debug, Default)]
struct Refusal {
    kind: Option<io::ErrorKind>,
    times: usize,
    lists_gone: bool,
}

/// The index file that is listed and gone.
const GONE: &str = "00000000000000000001-00000000000000009999.run";

impl Refusing {
    fn set(&self, kind: Option<io::ErrorKind>) {
        self.0.lock().unwrap().kind = kind;
    }

    fn times(&self) -> usize {
        self.0.lock().unwrap().times
    }

    fn parts(&self) -> Parts {
        let mut parts = Parts::os();
        parts.vfs = Arc::new(self.clone());
        parts
    }
}

impl Vfs for Refusing {
    fn create_dir_all(&self, directory: &Path) -> io::Result<()> {
        OsVfs.create_dir_all(directory)
    }

    fn names(&self, directory: &Path) -> io::Result<Vec<String>> {
        let mut names = OsVfs.names(directory)?;
        if directory.ends_with("index") && self.0.lock().unwrap().lists_gone {
            names.push(GONE.to_owned());
        }
        Ok(names)
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn VfsFile>> {
        let is_index = path
            .parent()
            .is_some_and(|parent| parent.ends_with("index"));
        let mut refusal = self.0.lock().unwrap();
        if let Some(kind) = refusal
            .kind
            .filter(|_| is_index && access == Access::Create)
        {
            refusal.times += 1;
            return Err(kind.into());
        }
        OsVfs.open(path, access)
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

/// A store whose index files are refused, and what refuses them.
fn refused(settings: &Settings, refusal: io::ErrorKind) -> (Home, LogStore, Refusing) {
    let home = Home::new();
    let vfs = Refusing::default();
    let store = home.builder(settings).parts(vfs.parts()).create().unwrap();
    vfs.set(Some(refusal));
    (home, store, vfs)
}

#[test]
fn a_refusal_says_what_is_in_the_way_and_ends_with_it() {
    for settings in [small(), in_background()] {
        for (refusal, kind) in [
            (io::ErrorKind::StorageFull, ErrorKind::NoSpace),
            (io::ErrorKind::QuotaExceeded, ErrorKind::NoSpace),
            (io::ErrorKind::PermissionDenied, ErrorKind::Unavailable),
        ] {
            let (home, store, vfs) = refused(&settings, refusal);
            let taken = (0..5000).take_while(|n| match append(&store, *n) {
                Ok(_) => true,
                Err(error) => {
                    assert_eq!(error.kind(), kind, "{error}");
                    false
                }
            });
            let taken = taken.count();
            assert!((10..5000).contains(&taken), "{taken} appends");
            vfs.set(None);
            append(&store, taken).unwrap();
            check(&store, taken + 1, "after the refusal");
            store.close().unwrap();
            assert_eq!(span(runs(&home.path).last().unwrap()).1, taken as u64 + 1);
        }
    }
}

#[test]
fn what_could_not_be_written_is_written_without_another_full_memory() {
    let mut settings = small();
    settings.index_bytes_max = 256 * 1024;
    let (home, store, vfs) = refused(&settings, io::ErrorKind::StorageFull);
    let is_full = |n: &usize| {
        append(&store, *n).unwrap();
        vfs.times() > 0
    };
    let full = (0..10_000).find(is_full).unwrap();
    assert!(full > 500, "{full} appends");
    vfs.set(None);
    let more = full / 2;
    (full + 1..full + 1 + more).for_each(|n| drop(append(&store, n).unwrap()));
    let written = runs(&home.path);
    assert_eq!(written.len(), 1, "{full} appends, and {more}");
    assert_eq!(span(&written[0]), (1, full as u64 + 1));
}

#[test]
fn who_only_reads_makes_nothing_and_knows_that_index_files_go() {
    let home = Home::with_events(&small(), 10);
    let index = home.path.join("index");
    let vfs = Refusing::default();
    vfs.0.lock().unwrap().lists_gone = true;
    let builder = home.builder(&small()).parts(vfs.parts());
    let verified = builder.verify(&mut |_| {}).unwrap();
    assert!(verified.is_whole(), "{verified:?}");
    fs::remove_dir_all(&index).unwrap();
    let verified = home.builder(&small()).verify(&mut |_| {}).unwrap();
    assert!(verified.is_whole() && !index.exists(), "{verified:?}");
    let follower = home.builder(&small()).follow().unwrap();
    let page = block_on(follower.read(ReadRequest::all())).unwrap();
    assert_eq!((page.events.len(), index.exists()), (10, false));
}

/// A store on a simulated disk, in Pread mode.
fn simulated(fs: &SimFs) -> LogStoreBuilder {
    let mut parts = Parts::os();
    parts.vfs = Arc::new(fs.clone());
    let mut settings = small();
    settings.reads = ReadMode::Pread;
    LogStore::builder("/store").parts(parts).settings(settings)
}

#[test]
fn an_index_file_that_is_of_no_use_is_gone_for_good() {
    let fs = SimFs::new();
    let store = simulated(&fs).create().unwrap();
    (0..10).for_each(|n| drop(append(&store, n).unwrap()));
    store.close().unwrap();
    let useless = Path::new("/store/index").join(GONE);
    fs.disk().write(&useless, b"of no use").unwrap();
    fs.settle();
    assert!(fs.disk().read_durable(&useless).is_ok());
    let store = simulated(&fs).open().unwrap();
    assert!(fs.disk().read_durable(&useless).is_err());
    check(&store, 10, "without it");
}

#[test]
fn an_opening_that_cannot_read_does_not_turn_the_clock_back() {
    const LATE: Timestamp = Timestamp::from_micros(1_000_000);
    let fs = SimFs::new();
    let clock = ManualClock::at(Timestamp::EPOCH);
    let store = simulated(&fs).clock(Arc::new(clock.clone()));
    let store = store.create().unwrap();
    (0..9).for_each(|n| drop(append(&store, n).unwrap()));
    clock.set(LATE);
    append(&store, 9).unwrap();
    store.close().unwrap();
    for call in 0..1000 {
        let fs = fs.restart();
        fs.fail_at(call, Fault::Io(IoFault::Device));
        let clock = Arc::new(ManualClock::at(Timestamp::EPOCH));
        let store = simulated(&fs).clock(clock).open();
        if fs.calls() <= call {
            assert!(call > 10, "{call} calls");
            return;
        }
        fs.clear_faults();
        let Ok(store) = store else { continue };
        append(&store, 10).unwrap();
        let page = block_on(store.read(ReadRequest::stream(stream(10)))).unwrap();
        assert!(page.events[0].appended_at() >= LATE, "call {call} fails");
    }
    panic!("an opening has more calls than were tried");
}

/// Flips a bit of the event of this number in the log, and has that repaired.
fn lose(home: &Home, n: usize) {
    let segment = home.path.join("log/00000000000000000001.segment");
    let bytes = fs::read(&segment).unwrap();
    let marker = format!("marker-{n}-");
    let found = bytes
        .windows(marker.len())
        .position(|at| at == marker.as_bytes());
    flip(&segment, found.unwrap());
    let repaired = LogStore::builder(&home.path).repair(&mut |_| {}).unwrap();
    assert_eq!(repaired.quarantined.len(), 1);
}

#[test]
fn events_of_a_kind_that_is_lost_do_not_keep_the_store_closed() {
    let home = Home::new();
    let store = home.builder(&small()).create().unwrap();
    for (n, kind) in ["first", "second", "second", "first", "second"]
        .iter()
        .enumerate()
    {
        block_on(store.append(append_of(n, kind, 1))).unwrap();
    }
    store.close().unwrap();
    // The index is gone before the repair could ask it.
    fs::remove_dir_all(home.path.join("index")).unwrap();
    lose(&home, 1);
    for _ in 0..2 {
        let store = home.builder(&small()).open().unwrap();
        let read = |n| block_on(store.read(ReadRequest::stream(stream(n))));
        for n in [0, 3] {
            assert_eq!(read(n).unwrap().events.len(), 1, "{n}");
        }
        let category = Category::from_static("account");
        for request in [
            ReadRequest::all(),
            ReadRequest::category(category),
            ReadRequest::stream(stream(2)),
        ] {
            let error = block_on(store.read(request.after(Position::new(2)))).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        }
        // All but the kind is known of them: nothing is recorded again in their place.
        let head = block_on(store.stream_head(&stream(2))).unwrap();
        assert_eq!(head.version, Version::FIRST);
        let again = block_on(store.append(append_of(2, "second", 1))).unwrap_err();
        assert_eq!(again.kind(), ErrorKind::Corrupt, "{again}");
        store.close().unwrap();
    }
    let store = home.builder(&small()).open().unwrap();
    let receipt = block_on(store.append(append_of(5, "third", 1))).unwrap();
    assert_eq!(receipt.first_position.value(), 6);
}

#[test]
fn what_is_lost_at_the_end_of_damaged_index_files_stays_lost() {
    const OLD: usize = 3000;
    const NEW: usize = 100;
    let mut settings = small();
    settings.index_bytes_max = 512 * 1024;
    settings.segment_bytes = 4 * 1024 * 1024;
    let home = Home::with_events(&settings, OLD);
    lose(&home, OLD - 1);
    let files = runs(&home.path);
    let length = usize::try_from(fs::metadata(&files[0]).unwrap().len()).unwrap();
    let mut count = OLD;
    for at in (4096 + 20..length).step_by(16 * 1024) {
        let what = format!("byte {at}");
        flip(&runs(&home.path)[0], at);
        let store = home.builder(&settings).open().expect(&what);
        (count..count + NEW).for_each(|n| drop(append(&store, n).expect(&what)));
        count += NEW;
        for n in (0..count).filter(|n| *n != OLD - 1) {
            let page = block_on(store.read(ReadRequest::stream(stream(n)))).expect(&what);
            assert_eq!(page.events[0].position().value(), n as u64 + 1, "{what}");
        }
        store.close().unwrap();
        let verified = home.builder(&settings).verify(&mut |_| {}).unwrap();
        assert_eq!(verified.index, [], "{what}");
        let last = runs(&home.path).last().map(|run| span(run).1);
        assert_eq!(last, Some(count as u64), "{what}");
    }
}
