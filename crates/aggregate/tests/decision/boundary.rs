//! The condition of an append is what the decision read, to the event.

use std::sync::Arc;

use annals_aggregate::{CommandError, DecisionModel as _};
use annals_core::{Condition, Error, ErrorKind, EventStoreExt, Expected, ReadRequest, StreamId};
use annals_store_memory::MemoryStore;
use futures_executor::block_on;

use crate::meddled::Meddled;
use crate::seats::{
    Occupant, Occupied, RoomEvent, arrived, count, decisions, occupant, painted, presence, record,
    take, taken,
};

/// What others record between the read and the append is found, wherever in between: a condition that is
/// left out, or whose cursor is asked for after the read, lets two guests have one room.
#[test]
fn what_comes_after_the_page_is_a_conflict() {
    block_on(async {
        let store = Meddled::after_reads([vec![taken("7", "ben")]]);
        let decided = decisions(&store)
            .decide(occupant("7"), take("ada"))
            .await
            .unwrap_err();
        assert_eq!(decided.refused(), Some(&Occupied));
        assert_eq!(store.calls().reads.len(), 2);
        assert_eq!(count(&store).await, 1);
    });
}

#[test]
fn what_is_not_selected_is_not_in_the_way() {
    block_on(async {
        let others = vec![taken("8", "ben"), painted("7")];
        let store = Meddled::after_reads([others]);
        let decided = decisions(&store)
            .decide(occupant("7"), take("ada"))
            .await
            .unwrap();
        assert_eq!((decided.attempts, decided.is_recorded()), (1, true));
        assert_eq!(decided.events, [taken("7", "ada")]);
    });
}

/// The criteria of the condition are those of the read, and its cursor is the last page's, also over
/// several pages and after a conflict.
#[test]
fn the_condition_is_what_was_read() {
    block_on(async {
        let store =
            Meddled::after_reads([vec![], vec![taken("7", "cleo")], vec![], vec![painted("7")]]);
        record(
            &store.inner,
            vec![taken("7", "ada"), painted("7"), taken("7", "ben")],
        )
        .await;
        let decided = decisions(&store)
            .with_page_events_max(1)
            .decide(occupant("7"), |occupant| {
                Ok::<_, ()>(taken("7", &occupant.guests.len().to_string()))
            })
            .await
            .unwrap();
        let calls = store.calls();
        let append = calls.appends.last().unwrap();
        let [Condition { unless, after }] = append.conditions() else {
            panic!("{append:?}");
        };
        assert_eq!(*unless, occupant("7").criteria().unwrap());
        assert_eq!(Some(after), calls.pages.last().map(|page| &page.cursor));
        assert_eq!(decided.events, [taken("7", "3")]);
    });
}

/// A conflict is answered by reading on, not by reading all of it again.
#[test]
fn after_a_conflict_it_reads_on() {
    block_on(async {
        let store = Meddled::after_reads([vec![taken("7", "ben")], vec![taken("7", "cleo")]]);
        record(&store.inner, vec![taken("7", "ada")]).await;
        let decided = decisions(&store)
            .decide(occupant("7"), |occupant| {
                Ok::<_, ()>(taken("7", &occupant.guests.join("+")))
            })
            .await
            .unwrap();
        assert_eq!(decided.attempts, 3);
        assert_eq!(decided.events, [taken("7", "ada+ben+cleo")]);
        let read: Vec<usize> = store
            .calls()
            .pages
            .iter()
            .map(|page| page.events.len())
            .collect();
        assert_eq!(read, [1, 1, 1]);
    });
}

#[test]
fn a_decision_that_is_always_disturbed_ends() {
    block_on(async {
        let store = Meddled::after_reads((0..9).map(|_| vec![taken("7", "ben")]));
        let decided = decisions(&store)
            .with_attempts_max(3)
            .decide(occupant("7"), |_| Ok::<_, ()>(taken("7", "ada")))
            .await;
        let Err(CommandError::Contended {
            attempts: 3,
            conflict,
        }) = decided
        else {
            panic!("{decided:?}");
        };
        assert_eq!(conflict.kind(), ErrorKind::Conflict);
        assert_eq!(count(&store).await, 3);
    });
}

#[test]
fn a_decision_without_events_appends_nothing() {
    block_on(async {
        let store = Meddled::after_reads([vec![taken("7", "ben")]]);
        let decided = decisions(&store)
            .decide(occupant("7"), |_| Ok::<_, ()>(None::<RoomEvent>))
            .await
            .unwrap();
        assert!(!decided.is_recorded() && decided.events.is_empty());
        assert!(store.calls().appends.is_empty());
    });
}

#[test]
fn a_decision_that_reads_nothing_has_no_condition() {
    block_on(async {
        let store = Meddled::without_conditions();
        record(&store, vec![taken("7", "ada")]).await;
        let nobody: Vec<Occupant> = Vec::new();
        let decided = decisions(&store)
            .decide(nobody, |_| Ok::<_, ()>(painted("7")))
            .await
            .unwrap();
        assert!(decided.is_recorded());
        let calls = store.calls();
        assert!(calls.reads.is_empty());
        assert!(
            calls
                .appends
                .iter()
                .all(|append| append.conditions().is_empty())
        );
    });
}

#[test]
fn a_store_without_conditions_is_told_before_anything_is_read() {
    block_on(async {
        let store = Meddled::without_conditions();
        let decided = decisions(&store).decide(occupant("7"), take("ada")).await;
        let error = decided.unwrap_err();
        assert_eq!(error.store().map(Error::kind), Some(ErrorKind::Unsupported));
        assert!(store.calls().reads.is_empty());
    });
}

#[test]
fn events_go_to_the_stream_of_their_category_or_the_one_that_is_named() {
    block_on(async {
        let store = Arc::new(MemoryStore::new());
        let named = StreamId::from_static("floor-2");
        record(&store, vec![painted("7")]).await;
        decisions(&store)
            .with_stream(named.clone())
            .decide(presence("ada"), |_| Ok::<_, ()>(arrived("ada")))
            .await
            .unwrap();
        let events = store.collect(ReadRequest::all()).await.unwrap();
        let streams: Vec<_> = events.iter().map(|event| event.stream().clone()).collect();
        assert_eq!(streams, [StreamId::from_static("room"), named.clone()]);

        store.tombstone(named.clone(), Expected::Any).await.unwrap();
        let closed = decisions(&store)
            .with_stream(named)
            .decide(occupant("7"), take("ada"))
            .await;
        let error = closed.unwrap_err();
        assert!(matches!(&error, CommandError::Store(_)), "{error:?}");
    });
}
