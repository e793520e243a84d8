//! The laws of a fold: that a state follows from its history, and from nothing else.

use std::fmt::Debug;
use std::panic::resume_unwind;
use std::thread;

use annals_core::{Aggregate, FoldError, fold, fold_from};

use crate::report::Report;

/// How many places of a longer history it is split at.
const SPLITS_MAX: usize = 64;

const IMPURE: &str = "let `apply` depend on the state and the event alone: not on time, chance,
statics or the thread, nor on the order in which a `HashMap` gives its entries";

/// Holds two states of one history against each other.
pub(super) type Compare<'a, A> = &'a dyn Fn(&A, &A) -> Result<(), Report>;

/// A history as a law is given it, and its place among the others.
pub(super) struct History<'a, E> {
    pub(super) number: usize,
    pub(super) events: &'a [E],
}

/// Replays every history in the same order, in another, and on another thread.
pub(super) fn determinism<A: Aggregate<Event: Debug>>(
    histories: &[impl AsRef<[A::Event]>],
    compare: Compare<'_, A>,
) -> Result<(), Report> {
    let histories = numbered(histories);
    let references = replay::<A>(histories.iter());
    for (history, reference) in histories.iter().zip(&references) {
        accepted(history, reference)?;
    }
    let again = replay::<A>(histories.iter());
    let mut backward = replay::<A>(histories.iter().rev());
    backward.reverse();
    let elsewhere = elsewhere(|| replay::<A>(histories.iter()));
    for states in [again, backward, elsewhere] {
        for ((history, reference), state) in histories.iter().zip(&references).zip(&states) {
            if let Err(report) = agree(reference, state, compare) {
                return Err(diverging_event(history, compare)
                    .unwrap_or(report)
                    .about(history)
                    .text("what to do", IMPURE));
            }
        }
    }
    Ok(())
}

/// Folds every history in two parts, with a fold of another history between them, the second part on
/// another thread.
pub(super) fn two_parts<A: Aggregate<Event: Debug>>(
    histories: &[impl AsRef<[A::Event]>],
    compare: Compare<'_, A>,
) -> Result<(), Report> {
    let histories = numbered(histories);
    for (index, history) in histories.iter().enumerate() {
        let whole = fold::<A>(history.events);
        accepted(history, &whole)?;
        let other = histories.get(index + 1).or(histories.first());
        let between = other.map_or(history.events, |other| other.events);
        for split in splits(history.events.len()) {
            let (first, second) = history.events.split_at(split);
            let state = fold::<A>(first);
            let _ = fold::<A>(between);
            let parts = match state {
                Ok(state) => elsewhere(|| fold_from(state, second)),
                refused => refused,
            };
            agree(&whole, &parts, compare).map_err(|report| {
                report
                    .text("the first part", &format!("its first {split} events"))
                    .about(history)
                    .text("what to do", IMPURE)
            })?;
        }
    }
    Ok(())
}

/// Holds two values against each other that are to be equal.
pub(super) fn same<T: PartialEq + Debug>(expected: &T, actual: &T) -> Result<(), Report> {
    if expected == actual {
        return Ok(());
    }
    Err(Report::new("the same history gives different states").difference(expected, actual))
}

/// Holds two states against each other by what this shows of them.
pub(super) fn by<A, P: PartialEq + Debug>(
    projection: impl Fn(&A) -> P,
) -> impl Fn(&A, &A) -> Result<(), Report> {
    move |expected, actual| same(&projection(expected), &projection(actual))
}

impl Report {
    pub(super) fn about<E: Debug>(self, history: &History<'_, E>) -> Self {
        self.events(format!("history {}", history.number), history.events)
    }
}

/// Refuses histories in which nothing happens: a law that is given no event says nothing.
pub(super) fn some_event<E>(histories: &[impl AsRef<[E]>]) -> Result<(), Report> {
    if histories.iter().any(|history| !history.as_ref().is_empty()) {
        return Ok(());
    }
    let headline = "no event to hold the law against; give at least one history that has one";
    Err(Report::new(headline))
}

pub(super) fn numbered<E>(histories: &[impl AsRef<[E]>]) -> Vec<History<'_, E>> {
    histories
        .iter()
        .enumerate()
        .map(|(index, history)| History {
            number: index + 1,
            events: history.as_ref(),
        })
        .collect()
}

fn replay<'a, A: Aggregate>(
    histories: impl Iterator<Item = &'a History<'a, A::Event>>,
) -> Vec<Result<A, FoldError>> {
    histories.map(|history| fold(history.events)).collect()
}

pub(super) fn accepted<A, E: Debug>(
    history: &History<'_, E>,
    folded: &Result<A, FoldError>,
) -> Result<(), Report> {
    let Err(error) = folded else { return Ok(()) };
    let headline = format!(
        "history {} is refused at event {}: {}",
        history.number,
        error.applied + 1,
        error.refusal
    );
    let advice = "correct the history or `apply`; a law is about histories that can be";
    Err(Report::new(headline)
        .about(history)
        .text("what to do", advice))
}

/// Holds the outcome of a fold against that of another of the same history, which was accepted.
fn agree<A>(
    expected: &Result<A, FoldError>,
    actual: &Result<A, FoldError>,
    compare: Compare<'_, A>,
) -> Result<(), Report> {
    match (expected, actual) {
        (Ok(expected), Ok(actual)) => compare(expected, actual),
        (_, Err(error)) | (Err(error), _) => {
            let text = format!("event {}: {}", error.applied + 1, error.refusal);
            Err(
                Report::new("the same history is accepted once and refused once")
                    .text("refused", &text),
            )
        }
    }
}

/// The first event after which two folds of one history, taken event by event in turn, differ.
fn diverging_event<A: Aggregate<Event: Debug>>(
    history: &History<'_, A::Event>,
    compare: Compare<'_, A>,
) -> Option<Report> {
    let (mut one, mut other) = (A::default(), A::default());
    for (index, event) in history.events.iter().enumerate() {
        one.apply(event).ok()?;
        other.apply(event).ok()?;
        if let Err(report) = compare(&one, &other) {
            return Some(report.value(format!("since event {}", index + 1), event));
        }
    }
    None
}

/// The places at which a history of this many events is split: all of them, or some over its length.
pub(super) fn splits(events: usize) -> impl Iterator<Item = usize> {
    let step = events.div_ceil(SPLITS_MAX).max(1);
    (0..=events).step_by(step)
}

/// Runs it on a thread of its own, and passes on its panic.
fn elsewhere<T: Send>(run: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| scope.spawn(run).join()).unwrap_or_else(|panic| resume_unwind(panic))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_history_is_split_everywhere_and_a_long_one_at_some_places() {
        assert_eq!(splits(0).collect::<Vec<_>>(), [0]);
        assert_eq!(splits(3).collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert!((0..1000).all(|events| splits(events).count() <= SPLITS_MAX + 1));
    }
}
