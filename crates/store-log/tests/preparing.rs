//! What callers prepare and what the committer adds to it: kinds that are new, and ids from any source.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::VecDeque;
use std::fmt;
use std::fs;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::task::{Context, Waker};
use std::thread;

use annals_core::{
    Append, AppendId, ConsistencyLevel, ContentType, Criteria, CriteriaItem, Error, ErrorKind,
    EventId, EventStore, EventType, Expected, FailedCheck, Ids, NewEvent, Position, ReadRequest,
    Receipt, StreamId, Tags, UuidIds,
};
use annals_store_log::{Durability, LogStore, LogStoreBuilder, Maintenance, Settings};
use futures_executor::block_on;
use uuid::Uuid;

/// How many kinds have a code; those that come later are spelled out.
const CODES: usize = 4095;

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

    fn builder(&self) -> LogStoreBuilder {
        let mut settings = Settings::default();
        settings.durability = Durability::Process;
        settings.maintenance = Maintenance::Inline;
        settings.segment_bytes = 64 * 1024;
        LogStore::builder(&self.path).settings(settings)
    }

    fn create(&self) -> LogStore {
        self.builder().create().unwrap()
    }

    fn create_with(&self, ids: &Arc<Scripted>) -> LogStore {
        let ids = Arc::clone(ids) as Arc<dyn Ids>;
        self.builder().ids(ids).create().unwrap()
    }

    /// The store opened again without index files, so that everything is read from the log.
    fn open_again(&self, store: &LogStore) -> LogStore {
        store.close().unwrap();
        fs::remove_dir_all(self.path.join("index")).unwrap();
        self.builder().open().unwrap()
    }

    /// The bytes of the segment files, oldest first.
    fn segments(&self) -> Vec<Vec<u8>> {
        let entries = fs::read_dir(self.path.join("log")).unwrap();
        let mut paths: Vec<PathBuf> = entries
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|name| name == "segment"))
            .collect();
        paths.sort();
        paths.iter().map(|path| fs::read(path).unwrap()).collect()
    }
}

/// A source that gives these ids, then good ones; before the first it does what it was told.
#[derive(Default)]
struct Scripted {
    ids: Mutex<VecDeque<u128>>,
    first: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    good: UuidIds,
}

impl Scripted {
    fn new(ids: impl IntoIterator<Item = u128>) -> Arc<Self> {
        let scripted = Self::default();
        scripted.ids.lock().unwrap().extend(ids);
        Arc::new(scripted)
    }
}

impl Ids for Scripted {
    fn event_id(&self) -> EventId {
        let first = self.first.lock().unwrap().take();
        if let Some(first) = first {
            first();
        }
        let next = self.ids.lock().unwrap().pop_front();
        next.map_or_else(|| self.good.event_id(), id)
    }

    fn append_id(&self) -> AppendId {
        self.good.append_id()
    }
}

impl fmt::Debug for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scripted").finish_non_exhaustive()
    }
}

fn id(number: u128) -> EventId {
    EventId::new(Uuid::from_u128(number)).unwrap()
}

fn event_of(event_type: &str, payload: &str) -> NewEvent {
    let event_type = EventType::parse(event_type).unwrap();
    NewEvent::new(event_type, ContentType::JSON, payload.to_owned()).unwrap()
}

fn append_of(name: &str, events: Vec<NewEvent>) -> Append {
    let stream = StreamId::parse("account-1").unwrap();
    Append::builder(AppendId::parse(name).unwrap())
        .write(stream, Expected::Any, events)
        .build()
        .unwrap()
}

fn append(store: &LogStore, name: &str, events: Vec<NewEvent>) -> Result<Receipt, Error> {
    block_on(store.append(append_of(name, events)))
}

/// Type, payload and id of every event that is asked for.
fn read(store: &LogStore, request: ReadRequest) -> Vec<(String, String, EventId)> {
    let mut found = Vec::new();
    let mut next = Some(request);
    while let Some(request) = next {
        let page = block_on(store.read(request)).unwrap();
        next = page.next.filter(|_| !page.events.is_empty());
        found.extend(page.events.iter().map(|event| {
            let payload = String::from_utf8(event.payload().to_vec()).unwrap();
            (event.event_type().to_string(), payload, event.id())
        }));
    }
    found
}

/// The types of all events.
fn types(store: &LogStore) -> Vec<String> {
    let events = read(store, ReadRequest::all());
    events.into_iter().map(|(name, ..)| name).collect()
}

fn of_type(name: &str) -> ReadRequest {
    let name = EventType::parse(name).unwrap();
    let item = CriteriaItem::new([name], Tags::new([]).unwrap()).unwrap();
    ReadRequest::matching(Criteria::any_of([item]).unwrap())
}

fn head(store: &LogStore) -> Option<Position> {
    block_on(store.head(ConsistencyLevel::Strong))
        .unwrap()
        .position()
}

#[test]
fn two_callers_bring_the_first_event_of_a_kind_at_once() {
    const KINDS: usize = 60;
    let home = Home::new();
    let store = home.create();
    let barrier = Barrier::new(2);
    thread::scope(|scope| {
        for caller in ["one", "other"] {
            let (store, barrier) = (&store, &barrier);
            scope.spawn(move || {
                for kind in 0..KINDS {
                    let event = event_of(&format!("kind-{kind}"), caller);
                    barrier.wait();
                    append(store, &format!("{caller}-{kind}"), vec![event]).unwrap();
                }
            });
        }
    });
    let check = |store: &LogStore| {
        for kind in 0..KINDS {
            let events = read(store, of_type(&format!("kind-{kind}")));
            let mut callers: Vec<&str> = events.iter().map(|event| event.1.as_str()).collect();
            callers.sort_unstable();
            assert_eq!(callers, ["one", "other"], "kind {kind}");
        }
        assert_eq!(types(store).len(), 2 * KINDS);
    };
    check(&store);
    check(&home.open_again(&store));
}

/// While the first append is judged, the second is prepared, which knows no code for its kinds then.
#[test]
fn a_kind_may_get_its_code_between_preparation_and_commit() {
    let home = Home::new();
    let ids = Scripted::new([]);
    let store = Arc::new(home.create_with(&ids));
    let (begun, has_begun) = mpsc::channel();
    let (waits, is_waiting) = mpsc::channel();
    *ids.first.lock().unwrap() = Some(Box::new(move || {
        begun.send(()).unwrap();
        is_waiting.recv().unwrap();
    }));
    let other = Arc::clone(&store);
    let second = thread::spawn(move || {
        has_begun.recv().unwrap();
        let events = vec![event_of("opened", "2"), event_of("paid", "3")];
        let mut append: Pin<Box<dyn Future<Output = _>>> =
            Box::pin(other.append(append_of("second", events)));
        let polled = append
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending());
        waits.send(()).unwrap();
        block_on(append)
    });
    append(&store, "first", vec![event_of("opened", "1")]).unwrap();
    let receipt = second.join().unwrap().unwrap();
    assert_eq!(receipt.first_position, Position::new(2));
    append(&store, "third", vec![event_of("paid", "4")]).unwrap();
    let check = |store: &LogStore| {
        assert_eq!(types(store), ["opened", "opened", "paid", "paid"]);
        assert_eq!(read(store, of_type("opened")).len(), 2);
    };
    check(&store);
    check(&home.open_again(&store));
    // The second append did not state its first kind again.
    let bytes = home.segments().concat();
    let stated = bytes.windows(6).filter(|bytes| *bytes == b"opened");
    assert_eq!(stated.count(), 1);
}

#[test]
fn a_segment_states_again_what_an_earlier_one_stated() {
    let home = Home::new();
    let store = home.create();
    let mut expected = vec!["opened".to_owned()];
    append(&store, "first", vec![event_of("opened", "1")]).unwrap();
    while home.segments().len() < 4 {
        let number = expected.len();
        let filling = event_of("filled", &"x".repeat(20_000));
        append(&store, &format!("filling-{number}"), vec![filling]).unwrap();
        expected.push("filled".to_owned());
    }
    append(&store, "last", vec![event_of("opened", "2")]).unwrap();
    expected.push("opened".to_owned());
    assert_eq!(types(&store), expected);
    let again = home.open_again(&store);
    assert_eq!(types(&again), expected);
    append(&again, "later", vec![event_of("opened", "3")]).unwrap();
    assert_eq!(read(&again, of_type("opened")).len(), 3);
    let segments = home.segments();
    let states = |bytes: &Vec<u8>, name: &[u8]| bytes.windows(6).any(|bytes| bytes == name);
    let opened = segments.iter().map(|bytes| states(bytes, b"opened"));
    assert!(opened.eq((1..=segments.len()).map(|n| n == 1 || n == segments.len())));
    assert!(segments.iter().all(|bytes| states(bytes, b"filled")));
}

#[test]
fn kinds_beyond_the_last_code_are_spelled_out() {
    const KINDS: usize = CODES + 40;
    const TOGETHER: usize = 100;
    let home = Home::new();
    let store = home.create();
    let names: Vec<String> = (0..KINDS).map(|kind| format!("kind-{kind:05}")).collect();
    for (number, names) in names.chunks(TOGETHER).enumerate() {
        let events = names.iter().map(|name| event_of(name, "1")).collect();
        append(&store, &format!("append-{number}"), events).unwrap();
    }
    assert_eq!(types(&store), names);
    let store = home.open_again(&store);
    assert_eq!(types(&store), names);
    let again = [
        &names[0],
        &names[CODES - 1],
        &names[CODES],
        &names[KINDS - 1],
    ];
    let events = again.iter().map(|name| event_of(name, "2")).collect();
    append(&store, "again", events).unwrap();
    let check = |store: &LogStore| {
        for name in again {
            let found = read(store, of_type(name));
            let payloads: Vec<&str> = found.iter().map(|event| event.1.as_str()).collect();
            assert_eq!(payloads, ["1", "2"], "{name}");
        }
    };
    check(&store);
    check(&home.open_again(&store));
}

#[test]
fn ids_that_go_backward_are_good() {
    const EVENTS: u128 = 300;
    let home = Home::new();
    let ids = Scripted::new((1..=EVENTS).rev());
    let store = home.create_with(&ids);
    for number in 0..EVENTS / 3 {
        let events = vec![event_of("opened", "1"); 3];
        append(&store, &format!("append-{number}"), events).unwrap();
    }
    let check = |store: &LogStore| {
        let found = read(store, ReadRequest::all());
        let found = found.into_iter().map(|(.., found)| found);
        assert!(found.eq((1..=EVENTS).rev().map(id)));
    };
    check(&store);
    check(&home.open_again(&store));
}

/// Each is refused, and nothing of it is there, now or later; the next append is good.
#[test]
fn ids_that_repeat_are_refused() {
    let home = Home::new();
    let repeats: [&[u128]; 4] = [&[9], &[7], &[8, 8], &[10, 11, 10]];
    let ids = Scripted::new([7, 9].into_iter().chain(repeats.concat()));
    let store = home.create_with(&ids);
    append(&store, "first", vec![event_of("opened", "1"); 2]).unwrap();
    for given in repeats {
        let events = vec![event_of("repeated", "2"); given.len()];
        let name = format!("repeats-{given:?}");
        let error = append(&store, &name, events).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.to_string().contains("repeats itself"), "{error}");
        assert_eq!(head(&store), Some(Position::new(2)));
        let receipt = block_on(store.receipt(&AppendId::parse(&name).unwrap()));
        assert!(receipt.unwrap().is_none());
    }
    append(&store, "last", vec![event_of("closed", "3")]).unwrap();
    let expected = ["opened", "opened", "closed"];
    assert_eq!(types(&store), expected);
    assert_eq!(types(&home.open_again(&store)), expected);
    assert!(
        !home
            .segments()
            .concat()
            .windows(8)
            .any(|bytes| bytes == b"repeated")
    );
}

#[test]
fn the_highest_id_leaves_room_for_others() {
    let home = Home::new();
    let store = home.create();
    let highest = || event_of("opened", "1").with_id(id(u128::MAX));
    let events = vec![event_of("before", "0"), highest(), event_of("after", "2")];
    append(&store, "first", events).unwrap();
    let taken = |store: &LogStore, name: &str| {
        let error = append(store, name, vec![event_of("more", "3"), highest()]).unwrap_err();
        let failures = error.conflict().unwrap().failures();
        let expected = FailedCheck::EventId {
            id: id(u128::MAX),
            position: Position::new(2),
        };
        assert_eq!(failures, [expected]);
    };
    taken(&store, "second");
    append(&store, "third", vec![event_of("more", "3"); 2]).unwrap();
    let store = home.open_again(&store);
    taken(&store, "fourth");
    append(&store, "fifth", vec![event_of("more", "4"); 2]).unwrap();
    let found = read(&store, ReadRequest::all());
    let names: Vec<&str> = found.iter().map(|event| event.0.as_str()).collect();
    assert_eq!(
        names,
        ["before", "opened", "after", "more", "more", "more", "more"]
    );
    let mut ids: Vec<EventId> = found.iter().map(|event| event.2).collect();
    assert_eq!(ids.get(1), Some(&id(u128::MAX)));
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 7);
}
