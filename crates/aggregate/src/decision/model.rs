//! One question that a decision asks of the history.

use annals_core::{Criteria, Error, Event, Refusal};

/// One question that a decision asks of the history, and the state that answers it: which events tell,
/// and what each of them changes.
///
/// The value is the state before the first event; what the question is about (this course, that name) stands
/// in its fields. Keep it small, and select the kinds that matter and no more: whoever records an event
/// that a decision selects is in its way, and nobody else is.
///
/// Models are put together as tuples, and handed to [`Decisions::decide`](crate::Decisions::decide):
///
/// ```
/// use annals_aggregate::DecisionModel;
/// use annals_core::{Criteria, Error, Refusal, Tag};
/// # use annals_macros::Event;
///
/// # #[derive(Event)]
/// # #[event(category = "user")]
/// enum UserEvent {
///     NameClaimed {
/// #       #[event(tag)]
///         name: String,
///     },
///     NameReleased {
/// #       #[event(tag)]
///         name: String,
///     },
/// }
///
/// /// Whether a name is taken.
/// struct NameTaken { name: String, is_taken: bool }
///
/// impl DecisionModel for NameTaken {
///     type Event = UserEvent;
///
///     fn criteria(&self) -> Result<Criteria, Error> {
///         Criteria::of_event::<UserEvent>()?.tagged([Tag::from_parts("name", &self.name)?])
///     }
///
///     fn apply(&mut self, event: &UserEvent) -> Result<(), Refusal> {
///         self.is_taken = matches!(event, UserEvent::NameClaimed { .. });
///         Ok(())
///     }
/// }
/// ```
pub trait DecisionModel: Send {
    /// What it folds. Models with different event types can be parts of one decision.
    type Event: Event;

    /// Which events it folds, and so which ones must not be recorded between the read and the append.
    /// Asked once, before the first event.
    ///
    /// An event is selected by its name and tags as recorded. Every selected one has to read as an
    /// [`Event`](Self::Event), so where tags are shared between event types, name the kinds:
    /// [`Criteria::of_kinds`].
    ///
    /// # Errors
    /// As making the criteria has it: a value that makes no tag, too many items.
    fn criteria(&self) -> Result<Criteria, Error>;

    /// Changes the state by an event that its criteria select. Pure, as
    /// [`Aggregate::apply`](annals_core::Aggregate::apply) is.
    ///
    /// # Errors
    /// A [`Refusal`] when no history can hold this event at this place: a defect, not a business rule.
    fn apply(&mut self, event: &Self::Event) -> Result<(), Refusal>;
}
