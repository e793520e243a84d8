//! A conflict says what came between.

use annals_concurrency::{Explanation, explain};
use annals_core::{
    Append, Criteria, Cursor, EventStore, EventStoreExt, EventType, Expected, ManualClock, Version,
};
use annals_store_memory::MemoryStore;
use futures_executor::block_on;

use crate::support::{append, correlated, event, stream};

/// A store with three events of account 42, by a clock that stands still.
fn store() -> MemoryStore {
    let clock = std::sync::Arc::new(ManualClock::default());
    let store = MemoryStore::builder().clock(clock).build();
    let events = [
        event("opened"),
        correlated("deposited", "request-7"),
        event("withdrawn"),
    ];
    let first = append().write(stream("account-42"), Expected::NoStream, events);
    block_on(store.append(first.build().unwrap())).unwrap();
    store
}

fn explained(store: &MemoryStore, append: Append) -> Explanation {
    let error = block_on(store.append(append)).unwrap_err();
    block_on(explain(store, error.conflict().unwrap())).unwrap()
}

fn writing(expected: Expected) -> Append {
    let write = append().write(stream("account-42"), expected, [event("closed")]);
    write.build().unwrap()
}

#[test]
fn a_conflict_is_one_line_and_a_structure() {
    let store = store();
    let explained = explained(&store, writing(Expected::Exactly(Version::new(1))));
    assert_eq!(
        explained.to_string(),
        "stream account-42: expected version 1, is at version 3; \
         deposited at 2 (account-42 version 2, 2000-01-01T00:00:00Z, correlation request-7), \
         withdrawn at 3 (account-42 version 3, 2000-01-01T00:00:00Z)"
    );
    let [check] = &explained.checks[..] else {
        panic!("{explained:?}");
    };
    assert_eq!(check.expected_version, Some(Version::new(1)));
    assert_eq!(check.actual_version, Some(Version::new(3)));
    let correlations = check
        .events
        .iter()
        .map(|event| event.correlation_id.clone());
    let correlations: Vec<_> = correlations.map(|id| id.map(|id| id.to_string())).collect();
    assert_eq!(correlations, [Some("request-7".to_owned()), None]);
    assert!(!check.more);
}

#[test]
fn every_kind_of_check_is_explained() {
    let store = store();
    let withdrawn = Criteria::of_types([EventType::from_static("withdrawn")]).unwrap();
    let last = block_on(store.last_event(&stream("account-42")))
        .unwrap()
        .unwrap();
    let several = append()
        .write(
            stream("account-41"),
            Expected::StreamExists,
            [event("closed").with_id(last.id())],
        )
        .check(stream("account-42"), Expected::NoStream)
        .unless(withdrawn, Cursor::START);
    let explained = explained(&store, several.build().unwrap());
    let shown: Vec<_> = explained
        .checks
        .iter()
        .map(|check| check.events.len())
        .collect();
    assert_eq!(shown, [0, 3, 1, 1], "{explained}");
    assert!(!explained.to_string().contains('\n'));
    block_on(store.tombstone(stream("account-42"), Expected::Any)).unwrap();
    let closed = self::explained(&store, writing(Expected::Any));
    let line = "stream account-42: expected an open stream, is closed for good";
    assert_eq!(closed.to_string(), line);
}

#[test]
fn a_long_conflict_is_cut() {
    let store = store();
    let many = (0..100).map(|_| event("deposited"));
    let many = append().write(stream("account-42"), Expected::Any, many);
    block_on(store.append(many.build().unwrap())).unwrap();
    let explained = explained(&store, writing(Expected::NoStream));
    let [check] = &explained.checks[..] else {
        panic!("{explained:?}");
    };
    assert_eq!(check.events.len(), Explanation::EVENTS_MAX);
    assert!(check.more && explained.to_string().ends_with(", and more"));
}

#[cfg(feature = "serde")]
#[test]
fn an_explanation_is_data() {
    let store = store();
    let explained = explained(&store, writing(Expected::Exactly(Version::new(2))));
    let text = serde_json::to_string(&explained).unwrap();
    assert!(text.contains(r#""event_type":"withdrawn""#), "{text}");
    assert_eq!(
        serde_json::from_str::<Explanation>(&text).unwrap(),
        explained
    );
}
