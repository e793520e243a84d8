//! An aggregate over chosen events.

use std::ops::Deref;

use annals_core::{Aggregate, Criteria, Error, Refusal};

use super::DecisionModel;

/// An [`Aggregate`] whose events are chosen by criteria in place of a stream: the classic pattern as a part
/// of any decision.
///
/// ```
/// use annals_aggregate::Selected;
/// use annals_core::{Aggregate, Criteria, Error, Refusal, Tag};
/// # use annals_macros::Event;
/// # #[derive(Event)]
/// # #[event(category = "course")]
/// # enum CourseEvent { Opened { #[event(tag)] course: String } }
/// # #[derive(Default)]
/// # struct Course { is_open: bool }
/// # impl Aggregate for Course {
/// #     type Event = CourseEvent;
/// #     fn apply(&mut self, _: &CourseEvent) -> Result<(), Refusal> {
/// #         self.is_open = true;
/// #         Ok(())
/// #     }
/// # }
///
/// fn course(id: &str) -> Result<Selected<Course>, Error> {
///     let course = Tag::from_parts("course", id)?;
///     Ok(Selected::new(Criteria::of_event::<CourseEvent>()?.tagged([course])?))
/// }
/// # assert!(course("rust").is_ok_and(|course| !course.is_open));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selected<A> {
    criteria: Criteria,
    state: A,
}

impl<A: Aggregate> Selected<A> {
    /// The aggregate over these events, before the first of them.
    pub fn new(criteria: Criteria) -> Self {
        Self {
            criteria,
            state: A::default(),
        }
    }

    /// The state.
    pub fn state(&self) -> &A {
        &self.state
    }
}

impl<A: Aggregate> DecisionModel for Selected<A> {
    type Event = A::Event;

    fn criteria(&self) -> Result<Criteria, Error> {
        Ok(self.criteria.clone())
    }

    fn apply(&mut self, event: &A::Event) -> Result<(), Refusal> {
        self.state.apply(event)
    }
}

impl<A: Aggregate> Deref for Selected<A> {
    type Target = A;

    fn deref(&self) -> &A {
        &self.state
    }
}
