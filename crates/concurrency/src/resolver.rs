//! What becomes of a decision when other events came first.

use std::collections::BTreeSet;
use std::fmt;
use std::marker::PhantomData;

use annals_core::{CommutingEvent, Error, ErrorKind, Event};

/// What to do with events that were decided on a state which is not the newest any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Resolution {
    /// Append them as they are after the events that came between: all of them commute.
    Rebase,
    /// Load again and decide again.
    Decide,
    /// Refuse the command: what came between rules it out.
    Reject,
}

/// Looks at a conflict and says what to do.
///
/// A closure over two slices of events is one.
pub trait ConflictResolver<E>: Send + Sync {
    /// What to do with the new events, given those that came between, both in order. None came between
    /// where upcasters drop all that did.
    fn resolve(&self, between: &[E], new: &[E]) -> Resolution;
}

/// Pairs of event types that commute: a conflict between any others is decided again.
///
/// New events are rebased when each commutes with each of those that came between. A false pair loses what
/// the decision looked at: a law of `annals-testkit`, `laws::commuting_pairs_commute`, holds the aggregate to
/// every pair.
///
/// ```
/// use annals_concurrency::{CommutingPairs, ConflictResolver, Resolution};
/// # use annals_core::{Category, Error, Event, EventKind, EventType, SchemaVersion, Tags};
/// # enum AccountEvent { Deposited(u64), Withdrawn(u64) }
/// # impl Event for AccountEvent {
/// #     const CATEGORY: Category = Category::from_static("account");
/// #     const KINDS: &'static [EventKind] = &[
/// #         EventKind::new(EventType::from_static("deposited"), SchemaVersion::FIRST),
/// #         EventKind::new(EventType::from_static("withdrawn"), SchemaVersion::FIRST),
/// #     ];
/// #     fn kind_index(&self) -> usize {
/// #         match self { Self::Deposited(_) => 0, Self::Withdrawn(_) => 1 }
/// #     }
/// #     fn tags(&self) -> Result<Tags, Error> { Ok(Tags::EMPTY) }
/// # }
/// # use AccountEvent::{Deposited, Withdrawn};
///
/// let pairs = CommutingPairs::none()
///     .with("deposited", "deposited")?
///     .with("deposited", "withdrawn")?;
/// assert_eq!(pairs.resolve(&[Deposited(1)], &[Withdrawn(2)]), Resolution::Rebase);
/// assert_eq!(pairs.resolve(&[Withdrawn(1)], &[Withdrawn(2)]), Resolution::Decide);
/// assert!(CommutingPairs::<AccountEvent>::none().with("deposited", "opened").is_err());
/// # Ok::<(), Error>(())
/// ```
pub struct CommutingPairs<E> {
    /// Places in [`Event::KINDS`], the lower one first.
    pairs: BTreeSet<(usize, usize)>,
    others: Resolution,
    events: PhantomData<fn(E)>,
}

impl<E: Event> CommutingPairs<E> {
    /// No two events commute.
    pub fn none() -> Self {
        Self {
            pairs: BTreeSet::new(),
            others: Resolution::Decide,
            events: PhantomData,
        }
    }

    /// Those that the event type declares, as by `#[event(commutes_with(...))]`.
    pub fn declared() -> Self
    where
        E: CommutingEvent,
    {
        let pairs = E::COMMUTING.iter().map(|pair| ordered(*pair)).collect();
        Self {
            pairs,
            ..Self::none()
        }
    }

    /// The same with this pair of recorded names, in both orders.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when the event type has no kind of such a name.
    pub fn with(mut self, one: &str, other: &str) -> Result<Self, Error> {
        let pair = (kind_index::<E>(one)?, kind_index::<E>(other)?);
        self.pairs.insert(ordered(pair));
        Ok(self)
    }

    /// The same where a conflict between others refuses the command: nothing is decided again.
    #[must_use]
    pub fn rejecting_others(mut self) -> Self {
        self.others = Resolution::Reject;
        self
    }

    /// Whether the kinds of two events commute.
    pub fn commute(&self, one: &E, other: &E) -> bool {
        let pair = ordered((one.kind_index(), other.kind_index()));
        self.pairs.contains(&pair)
    }

    /// The pairs, as places in [`Event::KINDS`].
    pub fn pairs(&self) -> impl Iterator<Item = (usize, usize)> {
        self.pairs.iter().copied()
    }
}

impl<E: Event> ConflictResolver<E> for CommutingPairs<E> {
    fn resolve(&self, between: &[E], new: &[E]) -> Resolution {
        let mut pairs = between
            .iter()
            .flat_map(|before| new.iter().map(move |after| (before, after)));
        if pairs.all(|(before, after)| self.commute(before, after)) {
            Resolution::Rebase
        } else {
            self.others
        }
    }
}

impl<E, F> ConflictResolver<E> for F
where
    F: Fn(&[E], &[E]) -> Resolution + Send + Sync,
{
    fn resolve(&self, between: &[E], new: &[E]) -> Resolution {
        self(between, new)
    }
}

impl<E> Clone for CommutingPairs<E> {
    fn clone(&self) -> Self {
        Self {
            pairs: self.pairs.clone(),
            others: self.others,
            events: PhantomData,
        }
    }
}

impl<E: Event> fmt::Debug for CommutingPairs<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |index: usize| E::KINDS.get(index).map(|kind| kind.event_type().as_str());
        let pairs = self.pairs().map(|(one, other)| (name(one), name(other)));
        f.debug_set().entries(pairs).finish()
    }
}

fn ordered((one, other): (usize, usize)) -> (usize, usize) {
    (one.min(other), one.max(other))
}

fn kind_index<E: Event>(name: &str) -> Result<usize, Error> {
    let mut kinds = E::KINDS.iter();
    let found = kinds.position(|kind| kind.event_type().as_str() == name);
    found.ok_or_else(|| {
        let message = "no kind of event has this name; write a recorded name";
        Error::new(ErrorKind::Invalid, message)
            .during("declare a commuting pair")
            .with("name", name)
            .with("category", E::CATEGORY)
    })
}
