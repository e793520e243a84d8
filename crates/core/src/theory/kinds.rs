//! Criteria by the kinds of an event type, so that a misspelt name is an error and not a hole.

use super::event::Event;
use crate::{Criteria, Error, ErrorKind, EventKind, EventType};

impl Criteria {
    /// Events of every kind of `E`, by the names of the present.
    ///
    /// Criteria match names as they were recorded: where a kind had another name once, add that one with
    /// [`or`](Self::or) and [`of_types`](Self::of_types).
    ///
    /// # Errors
    /// As for [`of_types`](Self::of_types).
    pub fn of_event<E: Event>() -> Result<Self, Error> {
        Self::of_types(E::KINDS.iter().map(|kind| kind.event_type().clone()))
    }

    /// Events of these kinds of `E`. Criteria that select nothing by mistake are a boundary that guards
    /// nothing, so a name that `E` does not have is refused; for the rest as [`of_event`](Self::of_event).
    ///
    /// ```
    /// # use annals_core::{Category, Error, Event, EventKind, EventType, SchemaVersion, Tags};
    /// use annals_core::Criteria;
    /// # struct Light;
    /// # impl Event for Light {
    /// #     const CATEGORY: Category = Category::from_static("light");
    /// #     const KINDS: &'static [EventKind] =
    /// #         &[EventKind::new(EventType::from_static("switched"), SchemaVersion::FIRST)];
    /// #     fn kind_index(&self) -> usize { 0 }
    /// #     fn tags(&self) -> Result<Tags, Error> { Ok(Tags::EMPTY) }
    /// # }
    /// assert_eq!(Criteria::of_kinds::<Light>(["switched"])?.to_string(), "(switched)");
    /// assert!(Criteria::of_kinds::<Light>(["swiched"]).is_err());
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a name that no kind of `E` has, and for no name.
    pub fn of_kinds<'a, E: Event>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, Error> {
        let types: Result<Vec<EventType>, Error> = names.into_iter().map(kind_named::<E>).collect();
        Self::of_types(types?)
    }
}

fn kind_named<E: Event>(name: &str) -> Result<EventType, Error> {
    let mut types = E::KINDS.iter().map(EventKind::event_type);
    if let Some(found) = types.find(|event_type| event_type.as_str() == name) {
        return Ok(found.clone());
    }
    let known = E::KINDS.iter().map(EventKind::event_type);
    let known: Vec<&str> = known.map(EventType::as_str).collect();
    let message = "event type has no kind of this name; take one of its kinds";
    Err(Error::new(ErrorKind::Invalid, message)
        .with("name", name)
        .with("category", E::CATEGORY)
        .with("kinds", known.join(" ")))
}
