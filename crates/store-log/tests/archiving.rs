//! A store whose old segments are in an archive, and what it answers when that is out of reach.

#![expect(clippy::unwrap_used, reason = "a panic is a failed test")]

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use annals_archive_object::ObjectArchives;
use annals_archive_object::object_store::memory::InMemory;
use annals_core::{
    Answer, Append, AppendId, ContentType, Error, ErrorKind, EventStore, EventStoreExt, EventType,
    Expected, NewEvent, Optimizable, Position, ReadRequest, Receipt, SegmentArchiving,
    SegmentState, StreamId, Version,
};
use annals_store_log::{
    ArchivedSegments, Archives, LogStore, LogStoreBuilder, Settings, VerifySettings,
};
use futures_executor::block_on;

struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn builder(&self) -> LogStoreBuilder {
        let mut settings = Settings::default();
        settings.segment_bytes = 32 * 1024;
        settings.index_bytes_max = 16 * 1024;
        LogStore::builder(self.path("store")).settings(settings)
    }

    /// A store of several segments, all that are sealed in the archive.
    fn archived(&self) -> LogStore {
        let store = self.builder().create().unwrap();
        for number in 0..60 {
            append(&store, number).unwrap();
        }
        let cold = self.path("cold");
        for segment in store.segments().unwrap() {
            if segment.state != SegmentState::Active {
                archive(&store, segment.segment, &cold).unwrap();
            }
        }
        store
    }
}

fn go_on(_: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn archive(store: &LogStore, segment: u32, to: &Path) -> Result<(), Error> {
    let to = to.to_str().unwrap();
    let request = SegmentArchiving { segment, to };
    let moved = store.archive_segment(request, &mut |_| ControlFlow::Continue(()))?;
    assert!(moved.unwrap().bytes_after == 0);
    Ok(())
}

fn stream(number: u64) -> StreamId {
    StreamId::parse(&format!("order-{}", number % 7)).unwrap()
}

fn append(store: &LogStore, number: u64) -> Result<Receipt, Error> {
    let events = (0..10).map(|at| {
        let payload = format!(
            "{{\"number\":{number},\"at\":{at},\"text\":\"{}\"}}",
            "x".repeat(200)
        );
        NewEvent::new(EventType::from_static("placed"), ContentType::JSON, payload).unwrap()
    });
    let id = AppendId::parse(&format!("append-{number}")).unwrap();
    let append = Append::builder(id).write(stream(number), Expected::Any, events);
    block_on(store.append(append.build().unwrap()))
}

#[test]
fn a_store_opens_appends_and_judges_without_its_archive() {
    let place = Place::new();
    place.archived().close().unwrap();
    fs::rename(place.path("cold"), place.path("away")).unwrap();
    let store = place.builder().open().unwrap();
    let head = block_on(store.stream_head(&stream(3))).unwrap();
    assert_eq!(head.version, Version::new(90));
    let receipt = append(&store, 100).unwrap();
    assert_eq!(receipt.answer, Answer::First);
    let last = ReadRequest::all().backward().events_max(10);
    assert_eq!(block_on(store.read(last)).unwrap().events.len(), 10);

    let error = block_on(store.collect(ReadRequest::all())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    let said = error.to_string();
    let cold = place.path("cold");
    for part in ["segment 1", cold.to_str().unwrap(), "tell where it is"] {
        assert!(said.contains(part), "{said}");
    }
    let archives = place.builder().archives_in_use().unwrap();
    let location = cold.to_str().unwrap();
    assert_eq!(archives.len(), 1);
    assert!(archives[0].location == location && archives[0].segments > 3);
    let unreached = place.builder().reach_archive(location).unwrap_err();
    assert_eq!(unreached.kind(), ErrorKind::Unavailable, "{unreached}");
    let follower = place.builder().follow().unwrap();
    let error = block_on(follower.collect(ReadRequest::all())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(place.builder().verify(&mut |_| {}).is_err());
    let local = VerifySettings::default().archived(ArchivedSegments::Skip);
    let verified = place.builder().verify_with(local, &mut |_| {}).unwrap();
    assert!(verified.is_whole() && verified.log.segments_skipped > 3);
    let fork = place
        .builder()
        .fork(place.path("fork"), Position::MAX, &mut |_| {});
    assert_eq!(fork.unwrap_err().kind(), ErrorKind::Unavailable);

    // It is within reach again: the same store goes on.
    fs::rename(place.path("away"), &cold).unwrap();
    place.builder().reach_archive(location).unwrap();
    assert_eq!(
        block_on(store.collect(ReadRequest::all())).unwrap().len(),
        610
    );
    assert_eq!(append(&store, 3).unwrap().answer, Answer::Duplicate);
    place
        .builder()
        .fork(place.path("whole"), Position::MAX, &mut |_| {})
        .unwrap();
    store.close().unwrap();

    // It was moved for good, and the store is told so.
    fs::rename(&cold, place.path("elsewhere")).unwrap();
    let to = place.path("elsewhere");
    let archives = Archives::default().moved(cold.to_str().unwrap(), to.to_str().unwrap());
    let store = place.builder().archives(archives).open().unwrap();
    assert_eq!(
        block_on(store.collect(ReadRequest::all())).unwrap().len(),
        610
    );
    let fork = LogStore::builder(place.path("whole")).open().unwrap();
    assert_eq!(
        block_on(fork.collect(ReadRequest::all())).unwrap().len(),
        610
    );
    let segments = fork.segments().unwrap();
    assert!(segments.iter().all(|it| it.archived_bytes.is_none()));
}

#[test]
fn appends_and_reads_go_on_while_segments_move() {
    let place = Place::new();
    let store = place.archived();
    let segments = store.segments().unwrap();
    let archived = segments.iter().filter(|it| it.archived_bytes.is_some());
    for (number, it) in (200..).zip(archived) {
        let mut calls = 0;
        let restored = store.restore_segment(it.segment, &mut |_| {
            calls += 1;
            append(&store, number * 100 + calls).unwrap();
            let read = ReadRequest::stream(stream(3));
            assert!(block_on(store.collect(read)).unwrap().len() >= 90);
            ControlFlow::Continue(())
        });
        assert!(restored.unwrap().unwrap().bytes_after > 0);
    }
    let segments = store.segments().unwrap();
    assert!(segments.iter().all(|it| it.archived_bytes.is_none()));
    store.close().unwrap();
    assert!(place.builder().verify(&mut |_| {}).unwrap().is_whole());
}

#[test]
fn what_an_undo_leaves_in_an_archive_is_nothing() {
    let place = Place::new();
    let store = place.archived();
    let manifest = place.path("store/log/MANIFEST");
    let format = || fs::read(&manifest).unwrap()[8];
    assert_eq!(format(), 4);
    let folder = fs::read_dir(place.path("cold")).unwrap().next();
    let folder = folder.unwrap().unwrap().path();
    // As of a process that was killed before it removed what it had brought back.
    fs::write(folder.join("left behind"), b"whole").unwrap();
    for segment in store.segments().unwrap() {
        if segment.archived_bytes.is_some() {
            let restored = store.restore_segment(segment.segment, &mut go_on);
            restored.unwrap().unwrap();
        }
    }
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    assert_eq!(format(), 1);

    // Nor does a move that is refused leave a key.
    let sealed = store.segments().unwrap()[0].segment;
    for to in ["cold", "s3://bucket/cold"] {
        archive(&store, sealed, Path::new(to)).unwrap_err();
        assert_eq!(format(), 1);
    }
    let cold = place.path("cold");
    let broken = SegmentArchiving {
        segment: sealed,
        to: cold.to_str().unwrap(),
    };
    let moved = store.archive_segment(broken, &mut |_| ControlFlow::Break(()));
    assert_eq!(moved.unwrap(), None);
    assert_eq!(format(), 1);
}

#[test]
fn moves_there_and_back_at_once_lose_nothing() {
    let place = Place::new();
    let store = place.archived();
    let segments = store.segments().unwrap();
    let sealed: Vec<u32> = segments
        .iter()
        .filter(|it| it.archived_bytes.is_some())
        .map(|it| it.segment)
        .collect();
    for segment in &sealed {
        store.restore_segment(*segment, &mut go_on).unwrap();
    }
    // One at a time, so that often the last of all is brought back while another is moved.
    std::thread::scope(|scope| {
        for segment in sealed.iter().take(3) {
            let (store, cold) = (&store, place.path("cold"));
            scope.spawn(move || {
                for _ in 0..20 {
                    archive(store, *segment, &cold).unwrap();
                    store.restore_segment(*segment, &mut go_on).unwrap();
                }
                archive(store, *segment, &cold).unwrap();
            });
        }
    });
    let count = |store: &LogStore| {
        let read = store.collect(ReadRequest::all());
        block_on(read).unwrap().len()
    };
    assert_eq!(count(&store), 600);
    store.close().unwrap();
    assert_eq!(count(&place.builder().open().unwrap()), 600);
}

fn opened(directory: PathBuf) -> Result<LogStore, Error> {
    // ANCHOR: open
    let objects = Arc::new(ObjectArchives::from_env());
    let store = LogStore::builder(directory)
        .archives(Archives::default().opened_by(objects))
        .open_or_create()?;
    // ANCHOR_END: open
    Ok(store)
}

#[test]
fn an_object_store_is_opened_by_who_knows_it_and_none_in_memory() {
    let place = Place::new();
    place.builder().create().unwrap().close().unwrap();
    let store = opened(place.path("store")).unwrap();
    for number in 0..60 {
        append(&store, number).unwrap();
    }
    store.close().unwrap();
    let objects = ObjectArchives::default().store("test://cold", Arc::new(InMemory::new()));
    let archives = Archives::default().opened_by(Arc::new(objects));
    let store = place.builder().archives(archives.clone()).open().unwrap();
    for number in 60..90 {
        append(&store, number).unwrap();
    }
    let sealed = store.segments().unwrap();
    let sealed = sealed.iter().filter(|it| it.state != SegmentState::Active);
    for segment in sealed {
        let refused = archive(&store, segment.segment, Path::new("memory:///cold")).unwrap_err();
        assert!(
            refused.to_string().contains("no archive can be opened"),
            "{refused}"
        );
        archive(&store, segment.segment, Path::new("test://cold/shop")).unwrap();
    }
    let all = || block_on(store.collect(ReadRequest::all())).unwrap().len();
    assert_eq!(all(), 900);
    assert_eq!(append(&store, 3).unwrap().answer, Answer::Duplicate);
    let builder = place.builder().archives(archives);
    builder.reach_archive("test://cold/shop").unwrap();
    assert!(builder.verify(&mut |_| {}).unwrap().is_whole());
    builder
        .fork(place.path("fork"), Position::MAX, &mut |_| {})
        .unwrap();
    for segment in store.segments().unwrap() {
        if segment.archived_bytes.is_some() {
            let restored = store.restore_segment(segment.segment, &mut go_on);
            assert!(restored.unwrap().unwrap().bytes_after > 0);
        }
    }
    assert_eq!(all(), 900);
}

#[test]
fn a_url_of_a_file_is_the_directory() {
    let place = Place::new();
    let store = place.builder().create().unwrap();
    for number in 0..60 {
        append(&store, number).unwrap();
    }
    let cold = place.path("cold");
    let url = format!("file://{}", cold.display());
    archive(&store, 1, Path::new(&url)).unwrap();
    let folder = fs::read_dir(&cold).unwrap().next().unwrap().unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    let locations = place.builder().archives_in_use().unwrap();
    assert_eq!(locations[0].location, url);
    assert_eq!(
        block_on(store.collect(ReadRequest::all())).unwrap().len(),
        600
    );
    store.restore_segment(1, &mut go_on).unwrap();
    let encoded = archive(&store, 1, Path::new("file:///mnt/my%20cold")).unwrap_err();
    assert!(encoded.to_string().contains("can be opened"), "{encoded}");
}
