//! S and delta: a state, and how an event changes it.

use std::borrow::Cow;
use std::fmt;

use crate::Event;

/// A state that is a fold over its events: `Default` is the state before the first event, `apply` is
/// the transition delta.
///
/// ```
/// use annals_core::{Aggregate, Refusal, fold};
/// # use annals_core::{Category, Error, Event, EventKind, EventType, SchemaVersion, Tags};
/// # struct Counted(i64);
/// # impl Event for Counted {
/// #     const CATEGORY: Category = Category::from_static("count");
/// #     const KINDS: &'static [EventKind] =
/// #         &[EventKind::new(EventType::from_static("counted"), SchemaVersion::FIRST)];
/// #     fn kind_index(&self) -> usize { 0 }
/// #     fn tags(&self) -> Result<Tags, Error> { Ok(Tags::EMPTY) }
/// # }
/// #[derive(Default)]
/// struct Count(i64);
///
/// impl Aggregate for Count {
///     type Event = Counted;
///
///     fn apply(&mut self, event: &Counted) -> Result<(), Refusal> {
///         self.0 = self.0.checked_add(event.0).ok_or(Refusal::new("the count overflows"))?;
///         Ok(())
///     }
/// }
///
/// let count: Count = fold(&[Counted(2), Counted(3)]).unwrap();
/// assert_eq!(count.0, 5);
/// assert!(fold::<Count>(&[Counted(i64::MAX), Counted(1)]).is_err());
/// ```
pub trait Aggregate: Default + Send + Sync + 'static {
    /// What can happen to it.
    type Event: Event;

    /// Changes the state by an event that has happened. Pure: the same state and event give the same
    /// state, without time, chance or the outside world.
    ///
    /// # Errors
    /// A [`Refusal`] when no history can hold this event at this place: a defect, not a business rule.
    /// Business rules belong in commands, before there is an event. A state that refused an event is
    /// not used further.
    fn apply(&mut self, event: &Self::Event) -> Result<(), Refusal>;
}

/// Why an aggregate refuses an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal(Cow<'static, str>);

impl Refusal {
    /// A refusal for this reason: a lower-case fragment.
    pub fn new(reason: impl Into<Cow<'static, str>>) -> Self {
        Self(reason.into())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refusal {}
