//! A decision under a fixed append id is recorded once; one of unknown outcome is sent again.

use std::sync::Arc;

use annals_aggregate::{CommandError, Context};
use annals_core::{AppendId, StreamId};
use annals_store_memory::MemoryStore;
use futures_executor::block_on;

use crate::meddled::{Answer, Meddled};
use crate::seats::{
    Occupant, Occupied, RoomEvent, count, decisions, occupant, record, take, taken,
};

fn context(id: &str) -> Context {
    Context::new().with_append_id(AppendId::parse(id).unwrap())
}

fn never(_: &Occupant) -> Result<RoomEvent, Occupied> {
    panic!("the decision was made before")
}

#[test]
fn a_second_decision_answers_as_the_first() {
    block_on(async {
        let store = Arc::new(MemoryStore::new());
        let decisions = decisions(&store);
        let context = context("request-1");
        let first = decisions
            .decide_with(&context, occupant("7"), take("ada"))
            .await
            .unwrap();
        record(&store, vec![taken("7", "ben")]).await;
        let again = decisions
            .decide_with(&context, occupant("7"), never)
            .await
            .unwrap();
        assert_eq!(again.events, first.events);
        let (again, first) = (again.receipt.unwrap(), first.receipt.unwrap());
        assert!(again.is_duplicate() && !first.is_duplicate());
        assert_eq!(again, first.as_duplicate());

        let elsewhere = decisions.with_stream(StreamId::from_static("floor-2"));
        let refused = elsewhere.decide_with(&context, occupant("7"), never).await;
        assert!(
            matches!(refused, Err(CommandError::AppendIdReused(_))),
            "{refused:?}"
        );
    });
}

#[test]
fn the_id_stands_for_the_command_whatever_it_reads() {
    block_on(async {
        let store = Arc::new(MemoryStore::new());
        let decisions = decisions(&store);
        let context = context("request-1");
        let first = decisions
            .decide_with(&context, occupant("8"), take("ada"))
            .await
            .unwrap();
        let other = decisions
            .decide_with(&context, occupant("7"), never)
            .await
            .unwrap();
        assert_eq!(other.events, first.events);
    });
}

#[test]
fn an_answer_that_is_lost_is_asked_for_again() {
    block_on(async {
        let store = Meddled::after_reads([]);
        store.answer([Answer::Lost, Answer::Lost]);
        let decided = decisions(&store)
            .decide(occupant("7"), take("ada"))
            .await
            .unwrap();
        assert!(decided.receipt.unwrap().is_duplicate());
        assert_eq!((decided.attempts, count(&store).await), (1, 1));
        assert_eq!(store.calls().appends.len(), 3);

        store.answer([Answer::Lost]);
        let decided = decisions(&store)
            .with_resends_max(0)
            .decide(occupant("8"), take("ada"))
            .await;
        let Err(CommandError::Unknown { append, .. }) = decided else {
            panic!("{decided:?}");
        };
        assert!(
            annals_core::EventStore::append(&store, append)
                .await
                .unwrap()
                .is_duplicate()
        );
    });
}

/// The futures of decisions can be moved between threads.
#[test]
fn futures_can_be_sent() {
    fn sent<T: Send>(future: T) -> T {
        future
    }

    let store = Arc::new(MemoryStore::new());
    let decisions = decisions(&store);
    block_on(sent(decisions.decide(occupant("7"), take("ada")))).unwrap();
    assert_eq!(
        block_on(sent(decisions.read(occupant("7"))))
            .unwrap()
            .decision
            .guests,
        ["ada"]
    );
}
