//! Which events may change places in a history.

use crate::Event;

/// An event type that declares which of its kinds commute.
///
/// Two events commute when, on every state on which either alone can happen, both can happen in both
/// orders, and give the same state. `#[event(commutes_with("deposited"))]` declares it beside a variant;
/// the law `commuting_pairs_commute` of `annals-testkit` holds an aggregate to it.
///
/// ```
/// use annals_core::{
///     Category, CommutingEvent, Error, Event, EventKind, EventType, SchemaVersion, Tags,
/// };
///
/// struct Counted(i64);
/// # impl Event for Counted {
/// #     const CATEGORY: Category = Category::from_static("count");
/// #     const KINDS: &'static [EventKind] =
/// #         &[EventKind::new(EventType::from_static("counted"), SchemaVersion::FIRST)];
/// #     fn kind_index(&self) -> usize { 0 }
/// #     fn tags(&self) -> Result<Tags, Error> { Ok(Tags::EMPTY) }
/// # }
///
/// impl CommutingEvent for Counted {
///     const COMMUTING: &'static [(usize, usize)] = &[(0, 0)];
/// }
///
/// assert!(Counted(2).commutes_with(&Counted(3)));
/// ```
pub trait CommutingEvent: Event {
    /// Pairs of places in [`Event::KINDS`]; a pair holds in both directions.
    const COMMUTING: &'static [(usize, usize)];

    /// Whether the kinds of both are declared to commute.
    fn commutes_with(&self, other: &Self) -> bool {
        let (this, other) = (self.kind_index(), other.kind_index());
        let mut pairs = Self::COMMUTING.iter();
        pairs.any(|pair| *pair == (this, other) || *pair == (other, this))
    }
}
