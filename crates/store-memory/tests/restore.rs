//! A store that holds what another one recorded.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use annals_core::{
    Append, ContentType, ErrorKind, EventStore, EventStoreExt, EventType, Expected, Ids, NewEvent,
    Position, ReadRequest, RecordedEvent, StreamHead, StreamId, StreamPolicy, UuidIds, Version,
};
use annals_store_memory::{MemoryRestore, MemoryStore};
use futures_executor::block_on;

const STREAM: StreamId = StreamId::from_static("thing-1");

fn append(expected: Expected) -> Append {
    let event = NewEvent::new(EventType::from_static("happened"), ContentType::JSON, "1").unwrap();
    let append = Append::builder(UuidIds::default().append_id()).write(STREAM, expected, [event]);
    append.build().unwrap()
}

/// Five events of one stream.
fn recorded() -> Vec<RecordedEvent> {
    let store = MemoryStore::new();
    for _ in 0..5 {
        block_on(store.append(append(Expected::Any))).unwrap();
    }
    block_on(store.collect(ReadRequest::all())).unwrap()
}

fn restored(events: &[RecordedEvent]) -> MemoryRestore {
    let mut restore = MemoryStore::builder().restoring();
    for event in events {
        restore.event(event.clone()).unwrap();
    }
    restore
}

#[test]
fn places_that_are_left_out_stay_empty() {
    let events = recorded();
    let store = restored(&events[2..4]);
    let store = store.finish(Position::new(7)).unwrap();
    block_on(async {
        let shown = store.collect(ReadRequest::all()).await.unwrap();
        assert_eq!(shown, events[2..4]);
        let of_stream = ReadRequest::stream(STREAM);
        assert_eq!(store.collect(of_stream.backward()).await.unwrap().len(), 2);
        let from = ReadRequest::all().appended_from(events[3].appended_at());
        assert!(store.collect(from).await.unwrap().contains(&events[3]));
        let head = store.stream_head(&STREAM).await.unwrap();
        assert_eq!(head.version, Version::new(4));
        let expected = Expected::Exactly(Version::new(4));
        let receipt = store.append(append(expected)).await.unwrap();
        assert_eq!(receipt.first_position, Position::new(8));
        assert_eq!(receipt.version_of(&STREAM), Some(Version::new(5)));
    });
}

#[test]
fn what_is_out_of_order_is_refused() {
    let events = recorded();
    let check = |error: annals_core::Error, message: &str| {
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains(message), "{error}");
    };
    for (before, next) in [(1, 0), (1, 1), (1, 3)] {
        let mut restore = restored(&[events[before].clone()]);
        let error = restore.event(events[next].clone()).unwrap_err();
        check(error, "in the order of their positions");
    }
    let early = restored(&events).finish(Position::new(4)).unwrap_err();
    check(early, "head lies before an event");
    let head = |version| StreamHead {
        stream: STREAM,
        version: Version::new(version),
        policy: StreamPolicy::default(),
    };
    let mut restore = restored(&events);
    for version in [4, 6] {
        let error = restore.stream(head(version)).unwrap_err();
        check(error, "version is not that of the last event");
    }
    restore.stream(head(5)).unwrap();
    let mut hidden = head(9);
    hidden.stream = StreamId::from_static("thing-2");
    restore.stream(hidden.clone()).unwrap();
    let store = restore.finish(Position::new(5)).unwrap();
    let found = block_on(store.stream_head(&hidden.stream)).unwrap();
    assert_eq!(found.version, Version::new(9));
    let many = MemoryStore::builder().restoring().stream(head(u64::MAX));
    check(many.unwrap_err(), "places empty");
}
