//! The law of commuting pairs: that it does not matter which of two came first.

use std::collections::BTreeSet;
use std::fmt::Debug;

use annals_core::{Aggregate, Event, FoldError, fold_from};

use super::fold::{numbered, splits};
use crate::report::Report;

const UNDECLARE: &str =
    "take the pair out of the declaration, or let `apply` refuse what may not happen";

/// Which kinds of event are declared to commute, as places in [`Event::KINDS`], the lower one first.
pub(super) type Pairs = BTreeSet<(usize, usize)>;

/// What the law is about: the pairs, and what holds for every right state.
pub(super) struct Declared<'a, A> {
    pub(super) pairs: &'a Pairs,
    pub(super) invariant: &'a dyn Fn(&A) -> bool,
}

/// A state and its history.
struct Place<'a, E> {
    history: usize,
    before: &'a [E],
}

/// The declared pairs in one order, so that a pair is found whichever way it was stated.
pub(super) fn ordered(pairs: impl IntoIterator<Item = (usize, usize)>) -> Pairs {
    let pairs = pairs.into_iter();
    pairs
        .map(|(one, other)| (one.min(other), one.max(other)))
        .collect()
}

/// Lets each declared pair of the given events happen in both orders, on every state of the given histories.
/// Gives the pairs that could happen.
pub(super) fn commute<A>(
    declared: &Declared<'_, A>,
    histories: &[impl AsRef<[A::Event]>],
) -> Result<Pairs, Report>
where
    A: Aggregate<Event: Debug> + PartialEq + Debug,
{
    let samples: Vec<&A::Event> = histories.iter().flat_map(AsRef::as_ref).collect();
    let mut met = Pairs::new();
    for history in numbered(histories) {
        for split in splits(history.events.len()) {
            let place = Place {
                history: history.number,
                before: history.events.get(..split).unwrap_or_default(),
            };
            for (index, one) in samples.iter().enumerate() {
                for other in samples.iter().skip(index) {
                    met.extend(pair(declared, &place, [one, other])?);
                }
            }
        }
    }
    Ok(met)
}

/// Fails for a declared pair that no sample let happen.
pub(super) fn all_met<E: Event>(declared: &Pairs, met: &Pairs) -> Result<(), Report> {
    let Some((one, other)) = declared.difference(met).next() else {
        return Ok(());
    };
    let name = |index: usize| E::KINDS.get(index).map(|kind| kind.event_type().as_str());
    let (one, other) = (name(*one).unwrap_or("?"), name(*other).unwrap_or("?"));
    let headline =
        format!("no given state lets `{one}` and `{other}` happen; give a history of both");
    Err(Report::new(headline))
}

/// Lets one pair happen in both orders; gives it if it is declared and could happen.
fn pair<A>(
    declared: &Declared<'_, A>,
    place: &Place<'_, A::Event>,
    [one, other]: [&A::Event; 2],
) -> Result<Option<(usize, usize)>, Report>
where
    A: Aggregate<Event: Debug> + PartialEq + Debug,
{
    let (first, second) = (one.kind_index(), other.kind_index());
    let kinds = (first.min(second), first.max(second));
    let after = |events: &[&A::Event]| -> Result<A, FoldError> {
        fold_from(
            A::default(),
            place.before.iter().chain(events.iter().copied()),
        )
    };
    let is_right = |state: &Result<A, FoldError>| state.as_ref().is_ok_and(declared.invariant);
    if !declared.pairs.contains(&kinds)
        || ![one, other].iter().all(|only| is_right(&after(&[only])))
    {
        return Ok(None);
    }
    let about = |report: Report| {
        report
            .value("one", one)
            .value("other", other)
            .events(format!("after, of history {}", place.history), place.before)
            .text("what to do", UNDECLARE)
    };
    let (forward, backward) = (after(&[one, other]), after(&[other, one]));
    for order in [&forward, &backward] {
        if let Err(error) = order {
            let headline = "either event can happen alone, and not both";
            let refused = Report::new(headline).text("refused", &error.refusal.to_string());
            return Err(about(refused));
        }
        if !is_right(order) {
            let headline = "either event alone keeps the invariant, and both together break it";
            return Err(about(Report::new(headline)));
        }
    }
    match (forward, backward) {
        (Ok(forward), Ok(backward)) if forward != backward => {
            let report = Report::new("the order of the two events makes a difference");
            Err(about(report.difference(&forward, &backward)))
        }
        _ => Ok(Some(kinds)),
    }
}
