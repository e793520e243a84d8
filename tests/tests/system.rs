//! A repository over a store is the event-sourcing system: the same commands give the same versions,
//! positions, states and histories, now and at every version.

#![expect(clippy::expect_used, reason = "helpers of tests")]

use std::sync::Arc;

use annals_aggregate::{CommandError, Context, Repository};
use annals_codec::JsonCodec;
use annals_core::{
    ErrorKind, Event, EventSourcingSystem, EventStoreExt, EventStream, Expected, ReadRequest,
    RecordedEvent, Version,
};
use annals_store_memory::MemoryStore;
use annals_tests::ledger::{Ledger, LedgerEvent};
use annals_tests::strategies::{event, history};
use futures_executor::block_on;
use proptest::collection::vec;
use proptest::prelude::*;

const KEYS: [&str; 3] = ["a", "b", "c-d"];

/// Events that a command decides for one of the aggregates, whatever its state. Amounts have their whole
/// range, so that some are refused.
fn commands() -> impl Strategy<Value = Vec<(&'static str, Vec<LedgerEvent>)>> {
    vec((prop::sample::select(&KEYS), vec(event(), 0..4)), 0..24)
}

proptest! {
    #[test]
    fn a_repository_is_the_system(commands in commands()) {
        let mut system = EventSourcingSystem::<Ledger>::new();
        let store = Arc::new(MemoryStore::new());
        let repository = Repository::<Ledger>::new(store.clone(), JsonCodec);
        for (key, events) in commands {
            let recorded = system.record(key, Expected::Any, events.clone());
            let decide = |_: &Ledger| Ok::<_, std::convert::Infallible>(events.clone());
            let executed = block_on(repository.execute(key, decide));
            match (recorded, executed) {
                (Ok(version), Ok(executed)) => {
                    prop_assert_eq!(executed.version, version);
                    let state = system.state(key).cloned().unwrap_or_default();
                    prop_assert_eq!(executed.state, state);
                }
                (Err(error), Err(CommandError::Store(refused))) => {
                    prop_assert_eq!(error.kind(), ErrorKind::Refused);
                    prop_assert_eq!(refused.kind(), ErrorKind::Refused);
                }
                (system, store) => {
                    prop_assert!(false, "the system says {system:?}, the repository {store:?}");
                }
            }
        }
        for key in KEYS {
            same_at_every_version(&system, &repository, key)?;
        }
        same_log(&system, &store)?;
    }
}

proptest! {
    /// What was loaded a while ago is saved where nothing happened since, and a conflict elsewhere.
    #[test]
    fn a_stale_save_conflicts_as_a_stale_record_does(
        saves in vec((prop::sample::select(&KEYS), history(), 0..3_u64), 0..16),
    ) {
        let mut system = EventSourcingSystem::<Ledger>::new();
        let store = Arc::new(MemoryStore::new());
        let repository = Repository::<Ledger>::new(store.clone(), JsonCodec);
        for (key, events, lag) in saves {
            let present = system.history(key).map_or(Version::ABSENT, EventStream::version);
            let known = Version::new(present.value().saturating_sub(lag));
            let recorded = system.record(key, Expected::Exactly(known), events.clone());
            let mut loaded = block_on(repository.load_at(key, known)).expect("it loads");
            loaded.record(events.clone()).expect("amounts stay in range");
            match (recorded, block_on(repository.save(&mut loaded, &Context::new()))) {
                (Ok(version), Ok(Some(_))) => prop_assert_eq!(loaded.version(), version),
                // Nothing to save is not checked against the store.
                (_, Ok(None)) => prop_assert!(events.is_empty()),
                (Err(error), Err(refused)) => {
                    prop_assert_eq!(error.conflict(), refused.conflict());
                    prop_assert!(error.conflict().is_some());
                }
                (system, store) => {
                    prop_assert!(false, "the system says {system:?}, the repository {store:?}");
                }
            }
        }
        same_log(&system, &store)?;
    }
}

fn same_at_every_version(
    system: &EventSourcingSystem<Ledger>,
    repository: &Repository<Ledger>,
    key: &str,
) -> Result<(), TestCaseError> {
    let versions = system
        .history(key)
        .map_or(Version::ABSENT, EventStream::version);
    for version in (0..=versions.value()).map(Version::new) {
        let loaded = block_on(repository.load_at(key, version)).expect("the history is right");
        let state = system.state_at(key, version).expect("the history is right");
        prop_assert_eq!(loaded.state(), &state);
        prop_assert_eq!(loaded.version(), version);
    }
    Ok(())
}

fn same_log(
    system: &EventSourcingSystem<Ledger>,
    store: &MemoryStore,
) -> Result<(), TestCaseError> {
    let log = block_on(store.collect(ReadRequest::all())).expect("the store reads");
    let head = log.last().map(RecordedEvent::position);
    prop_assert_eq!(system.newest(), head.unwrap_or_default());
    for recorded in log {
        let history = system.history(recorded.stream().key());
        let entry = history.and_then(|history| {
            history
                .entries()
                .iter()
                .find(|entry| entry.position == recorded.position())
        });
        let entry = entry.expect("the system has an event at this position");
        prop_assert_eq!(entry.version, recorded.version());
        prop_assert_eq!(entry.event.kind().event_type(), recorded.event_type());
    }
    Ok(())
}
