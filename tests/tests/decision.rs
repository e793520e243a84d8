//! A composed read gives each model of a decision what a fold of the whole log through its own criteria
//! gives, and an append is a conflict exactly when one of them selects an event that it missed.

#![expect(clippy::expect_used, reason = "helpers of tests")]

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use annals_aggregate::{CommandError, DecisionModel, Decisions};
use annals_codec::{Decoded, EventCodec, EventCodecExt, JsonCodec};
use annals_core::{
    Criteria, CriteriaItem, Error, Event, EventStoreExt, EventType, ReadRequest, Refusal, Tag, Tags,
};
use annals_macros::Event;
use annals_store_memory::MemoryStore;
use futures_executor::block_on;
use proptest::collection::vec;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

/// One event type, with up to two tags.
#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "left")]
enum Left {
    A {
        #[event(tag)]
        x: u8,
        number: u64,
    },
    B {
        #[event(tag)]
        x: u8,
        #[event(tag)]
        y: u8,
        number: u64,
    },
}

/// Another one, with tags of the same keys.
#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "right")]
enum Right {
    C {
        #[event(tag)]
        y: u8,
        number: u64,
    },
    D {
        number: u64,
    },
}

#[derive(Clone, Debug)]
enum Either {
    Left(Left),
    Right(Right),
}

/// All that its criteria select, in order.
#[derive(Clone, Debug)]
struct All<E> {
    criteria: Criteria,
    events: Vec<E>,
}

macro_rules! model {
    ($event:ident) => {
        impl DecisionModel for All<$event> {
            type Event = $event;

            fn criteria(&self) -> Result<Criteria, Error> {
                Ok(self.criteria.clone())
            }

            fn apply(&mut self, event: &$event) -> Result<(), Refusal> {
                self.events.push(event.clone());
                Ok(())
            }
        }
    };
}

model!(Left);
model!(Right);

/// Criteria of an event type: items of some of its kinds, and some tags.
fn criteria(kinds: &'static [&'static str]) -> impl Strategy<Value = Criteria> {
    let kinds = prop::sample::subsequence(kinds, 1..=kinds.len());
    let tags = vec(
        prop::sample::select(&["x:0", "x:1", "y:0", "y:1"][..]),
        0..3,
    );
    let item = (kinds, tags).prop_map(|(kinds, tags)| {
        let kinds = kinds.into_iter().map(EventType::from_static);
        let tags = Tags::new(tags.into_iter().map(Tag::from_static)).expect("few tags");
        CriteriaItem::new(kinds, tags).expect("few kinds")
    });
    vec(item, 1..4).prop_map(|items| Criteria::any_of(items).expect("few items"))
}

fn left() -> impl Strategy<Value = All<Left>> {
    criteria(&["a", "b"]).prop_map(|criteria| All {
        criteria,
        events: Vec::new(),
    })
}

fn right() -> impl Strategy<Value = All<Right>> {
    criteria(&["c", "d"]).prop_map(|criteria| All {
        criteria,
        events: Vec::new(),
    })
}

fn event() -> impl Strategy<Value = Either> {
    let (x, y, number) = (0..2_u8, 0..2_u8, any::<u64>());
    (x, y, number, 0..4_u8).prop_map(|(x, y, number, kind)| match kind {
        0 => Either::Left(Left::A { x, number }),
        1 => Either::Left(Left::B { x, y, number }),
        2 => Either::Right(Right::C { y, number }),
        _ => Either::Right(Right::D { number }),
    })
}

fn record(decisions: &Decisions<JsonCodec>, event: &Either) {
    match event {
        Either::Left(event) => record_one(decisions, event),
        Either::Right(event) => record_one(decisions, event),
    }
}

fn record_one<E: Event + Clone>(decisions: &Decisions<JsonCodec>, event: &E)
where
    JsonCodec: EventCodec<E>,
{
    let made = decisions.decide((), |()| Ok::<_, Infallible>(event.clone()));
    block_on(made).expect("it is recorded");
}

/// An executor does not run inside another one.
fn in_another_thread(work: impl FnOnce() + Send) {
    let joined = std::thread::scope(|scope| scope.spawn(work).join());
    joined.expect("nobody panics");
}

/// What the criteria of a model select of the whole log.
fn folded<E>(store: &MemoryStore, model: &All<E>) -> Vec<E>
where
    JsonCodec: EventCodec<E>,
{
    let log = block_on(store.collect(ReadRequest::all())).expect("it is read");
    let selected = log.iter().filter(|event| model.criteria.matches(event));
    let decoded = selected.map(|event| JsonCodec.decode(event).and_then(Decoded::one));
    decoded.collect::<Result<_, _>>().expect("it decodes")
}

type Composed = (All<Left>, (All<Right>, Vec<All<Left>>), All<Right>);

fn composed() -> impl Strategy<Value = Composed> {
    (left(), (right(), vec(left(), 0..4)), right())
}

fn selects((one, (two, three), four): &Composed, event: &Either) -> bool {
    let selected = |criteria: &Criteria| match event {
        Either::Left(event) => is_selected(criteria, event),
        Either::Right(event) => is_selected(criteria, event),
    };
    selected(&one.criteria)
        || selected(&two.criteria)
        || three.iter().any(|three| selected(&three.criteria))
        || selected(&four.criteria)
}

fn is_selected<E: Event>(criteria: &Criteria, event: &E) -> bool {
    criteria.selects(event.kind().event_type(), &event.tags().expect("few tags"))
}

proptest! {
    #[test]
    fn a_composed_read_is_a_fold_of_the_whole_log_for_each_model(
        log in vec(event(), 0..40),
        decision in composed(),
        page_events_max in 1..5_usize,
    ) {
        let store = Arc::new(MemoryStore::new());
        let decisions = Decisions::new(store.clone(), JsonCodec).with_page_events_max(page_events_max);
        for event in &log {
            record(&decisions, event);
        }
        let informed = block_on(decisions.read(decision)).expect("it is read");
        let (one, (two, three), four) = informed.decision;
        prop_assert_eq!(&one.events, &folded(&store, &one));
        prop_assert_eq!(&two.events, &folded(&store, &two));
        for three in &three {
            prop_assert_eq!(&three.events, &folded(&store, three));
        }
        prop_assert_eq!(&four.events, &folded(&store, &four));
    }

    /// Others record an event after the decision is made and before it is appended.
    #[test]
    fn an_append_is_a_conflict_exactly_when_something_selected_was_missed(
        log in vec(event(), 0..20),
        decision in composed(),
        missed in event(),
    ) {
        let store = Arc::new(MemoryStore::new());
        let decisions = Decisions::new(store, JsonCodec).with_attempts_max(1);
        for event in &log {
            record(&decisions, event);
        }
        let is_in_the_way = selects(&decision, &missed);
        let others = Mutex::new(Some(missed));
        let made = block_on(decisions.decide(decision, |_| {
            if let Some(missed) = others.lock().expect("nobody panics").take() {
                in_another_thread(|| record(&decisions, &missed));
            }
            Ok::<_, Infallible>(Right::D { number: 0 })
        }));
        match made {
            Ok(_) => prop_assert!(!is_in_the_way, "what was missed is in the way"),
            Err(CommandError::Contended { .. }) => prop_assert!(is_in_the_way),
            Err(error) => prop_assert!(false, "{error:?}"),
        }
    }
}
