//! The laws on generated histories: what breaks one is shrunk to the smallest that still does.
//!
//! Each law runs `PROPTEST_CASES` cases (256 by default). A failure shows the seed of its run; with
//! `PROPTEST_RNG_SEED` set to it the same cases come again.
//!
//! ```
//! # use annals_core::{Aggregate, Category, Error, Event, EventKind, EventType, Refusal, SchemaVersion, Tags};
//! # #[derive(Clone, Debug)]
//! # struct Changed(i64);
//! # impl Event for Changed {
//! #     const CATEGORY: Category = Category::from_static("count");
//! #     const KINDS: &'static [EventKind] =
//! #         &[EventKind::new(EventType::from_static("changed"), SchemaVersion::FIRST)];
//! #     fn kind_index(&self) -> usize { 0 }
//! #     fn tags(&self) -> Result<Tags, Error> { Ok(Tags::EMPTY) }
//! # }
//! # #[derive(Debug, Default, PartialEq)]
//! # struct Count(i64);
//! # impl Aggregate for Count {
//! #     type Event = Changed;
//! #     fn apply(&mut self, event: &Changed) -> Result<(), Refusal> {
//! #         self.0 += event.0;
//! #         if self.0 < 0 { Err(Refusal::new("below zero")) } else { Ok(()) }
//! #     }
//! # }
//! use annals_testkit::laws::generated;
//! use proptest::prelude::*;
//!
//! let changes = (-100_i64..100).prop_map(Changed);
//! let histories = generated::any_history::<Count>(changes, 50);
//! generated::replay_is_deterministic::<Count>(&histories);
//! generated::folding_in_two_parts_is_folding_in_one::<Count>(&histories);
//! ```

use std::any::Any;
use std::cell::Cell;
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};

use annals_codec::EventCodec;
use annals_core::{Aggregate, CommutingEvent, Event, fold};
use proptest::arbitrary::any;
use proptest::collection::vec;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner};

use super::{COMMUTING, DETERMINISM, SURVIVAL, TWO_PARTS, codec, commute, fold as fold_laws};
use crate::report::Report;

/// Histories of up to this many of these events that the aggregate accepts: an event that it refuses
/// where it stands is left out, so a strategy need not know the order of a life.
///
/// The events should come in the proportions of a life; what only opens it may be rare, as long as it
/// comes. A history may be empty.
pub fn any_history<A>(
    events: impl Strategy<Value = A::Event>,
    events_max: usize,
) -> impl Strategy<Value = Vec<A::Event>>
where
    A: Aggregate<Event: Debug>,
{
    vec(events, 0..=events_max).prop_map(accepted::<A>)
}

/// Holds an aggregate and its codec to every law that needs histories alone:
/// [`replay_is_deterministic`], [`folding_in_two_parts_is_folding_in_one`] and
/// [`every_event_survives_its_codec`].
///
/// # Panics
/// Where a law is broken, with the smallest history found that breaks it.
#[track_caller]
pub fn check_all<A>(
    codec: &(impl EventCodec<A::Event> + ?Sized),
    histories: &impl Strategy<Value = Vec<A::Event>>,
) where
    A: Aggregate<Event: PartialEq + Debug> + PartialEq + Debug,
{
    replay_is_deterministic::<A>(histories);
    folding_in_two_parts_is_folding_in_one::<A>(histories);
    run_histories(SURVIVAL, histories, |history| {
        codec::survival(codec, history.iter())
    });
}

/// [`replay_is_deterministic`](super::replay_is_deterministic) for generated histories.
///
/// # Panics
/// Where the law is broken, with the smallest history found that breaks it.
#[track_caller]
pub fn replay_is_deterministic<A>(histories: &impl Strategy<Value = Vec<A::Event>>)
where
    A: Aggregate<Event: Debug> + PartialEq + Debug,
{
    run_histories(DETERMINISM, histories, |history| {
        fold_laws::determinism::<A>(&[history], &fold_laws::same)
    });
}

/// [`folding_in_two_parts_is_folding_in_one`](super::folding_in_two_parts_is_folding_in_one) for
/// generated histories.
///
/// # Panics
/// Where the law is broken, with the smallest history found that breaks it.
#[track_caller]
pub fn folding_in_two_parts_is_folding_in_one<A>(histories: &impl Strategy<Value = Vec<A::Event>>)
where
    A: Aggregate<Event: Debug> + PartialEq + Debug,
{
    run_histories(TWO_PARTS, histories, |history| {
        fold_laws::two_parts::<A>(&[history], &fold_laws::same)
    });
}

/// [`every_event_survives_its_codec`](super::every_event_survives_its_codec) for generated events. A kind
/// that is never generated is not missed.
///
/// # Panics
/// Where the law is broken, with the smallest event found that breaks it.
#[track_caller]
pub fn every_event_survives_its_codec<E: Event + PartialEq + Debug>(
    codec: &(impl EventCodec<E> + ?Sized),
    events: &impl Strategy<Value = E>,
) {
    run(SURVIVAL, events, |event| codec::survives(codec, event));
}

/// [`commuting_pairs_commute`](super::commuting_pairs_commute) for generated histories, which should be short: each
/// pair of events of a history is tried on each of its states. A pair that can never happen is not missed.
///
/// # Panics
/// Where the law is broken, with the smallest history found that breaks it.
#[track_caller]
pub fn commuting_pairs_commute<A>(histories: &impl Strategy<Value = Vec<A::Event>>)
where
    A: Aggregate<Event: CommutingEvent + Debug> + PartialEq + Debug,
{
    let pairs = commute::ordered(A::Event::COMMUTING.iter().copied());
    run_histories(COMMUTING, histories, |history| {
        let declared = commute::Declared {
            pairs: &pairs,
            invariant: &|_: &A| true,
        };
        commute::commute(&declared, &[history]).map(drop)
    });
}

/// The events without those that the aggregate refuses.
fn accepted<A: Aggregate>(events: Vec<A::Event>) -> Vec<A::Event> {
    let mut history = Vec::with_capacity(events.len());
    let mut state = A::default();
    for event in events {
        if state.apply(&event).is_ok() {
            history.push(event);
            continue;
        }
        // The state that refused is spoilt.
        let Ok(again) = fold(&history) else { break };
        state = again;
    }
    history
}

/// Holds a law for generated histories, not all of which may be empty.
#[track_caller]
fn run_histories<E: Debug>(
    law: &str,
    histories: &impl Strategy<Value = Vec<E>>,
    hold: impl Fn(&[E]) -> Result<(), Report>,
) {
    let events = Cell::new(0_usize);
    run(law, histories, |history| {
        events.set(events.get().saturating_add(history.len()));
        hold(history)
    });
    if events.get() == 0 {
        let headline = "every generated history is empty; generate events that can come first";
        Report::new(headline).of_samples(law).fail();
    }
}

/// Holds a law for generated values, and fails with the smallest that breaks it and the seed.
#[track_caller]
fn run<V: Debug>(
    law: &str,
    values: &impl Strategy<Value = V>,
    hold: impl Fn(&V) -> Result<(), Report>,
) {
    let mut config = Config {
        failure_persistence: None,
        ..Config::default()
    };
    let seed = match config.rng_seed {
        RngSeed::Fixed(seed) => seed,
        RngSeed::Random => fresh_seed(config.clone()),
    };
    config.rng_seed = RngSeed::Fixed(seed);
    let outcome = TestRunner::new(config).run(values, |value| {
        catch_unwind(AssertUnwindSafe(|| hold(&value)))
            .unwrap_or_else(|panic| Err(panicked(&*panic, &value)))
            .map_err(|report| TestCaseError::fail(report.to_string()))
    });
    let report = match outcome {
        Ok(()) => return,
        Err(TestError::Fail(reason, _)) => Report::new(reason.message().trim_end()),
        Err(TestError::Abort(reason)) => Report::new(format!("gave up: {reason}")),
    };
    report
        .of_law(law)
        .text("run it again with", &format!("PROPTEST_RNG_SEED={seed}"))
        .fail();
}

fn fresh_seed(config: Config) -> u64 {
    let seed = any::<u64>().new_tree(&mut TestRunner::new(config));
    seed.map(|tree| tree.current()).unwrap_or_default()
}

fn panicked(panic: &(dyn Any + Send), value: &impl Debug) -> Report {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Report::new("a panic")
        .text("message", text.unwrap_or("of no text"))
        .value("of", value)
}

#[cfg(test)]
mod tests {
    use annals_core::{Category, Error, EventKind, EventType, Refusal, SchemaVersion, Tags};

    use super::*;

    #[derive(Debug, PartialEq)]
    struct Changed(i64);

    impl Event for Changed {
        const CATEGORY: Category = Category::from_static("count");
        const KINDS: &'static [EventKind] = &[EventKind::new(
            EventType::from_static("changed"),
            SchemaVersion::FIRST,
        )];

        fn kind_index(&self) -> usize {
            0
        }

        fn tags(&self) -> Result<Tags, Error> {
            Ok(Tags::EMPTY)
        }
    }

    /// A count that has changed by the time it refuses.
    #[derive(Default)]
    struct Count(i64);

    impl Aggregate for Count {
        type Event = Changed;

        fn apply(&mut self, event: &Changed) -> Result<(), Refusal> {
            self.0 += event.0;
            let accepted = (self.0 >= 0).then_some(());
            accepted.ok_or(Refusal::new("below zero"))
        }
    }

    #[test]
    fn events_after_a_refused_one_meet_the_state_before_it() {
        let events = [-1, 2, -5, 3, -4, -2].map(Changed);
        let history = accepted::<Count>(events.into());
        assert_eq!(history, [2, 3, -4].map(Changed));
    }
}
