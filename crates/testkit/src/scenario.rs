//! Given a history, when a command comes, then these events, or this refusal.

use std::fmt::Debug;

use annals_aggregate::{Decided, Decider, IntoEvents};
use annals_core::{Aggregate, fold, fold_from};

use crate::Then;
use crate::report::Report;

/// An aggregate with a history, to which commands come: a test of an aggregate without any store.
///
/// ```
/// # use annals_core::{Aggregate, Category, Error, Event, EventKind, EventType, Refusal, SchemaVersion, Tags};
/// # #[derive(Debug, PartialEq)]
/// # enum Light { SwitchedOn, SwitchedOff }
/// # impl Event for Light {
/// #     const CATEGORY: Category = Category::from_static("light");
/// #     const KINDS: &'static [EventKind] = &[
/// #         EventKind::new(EventType::from_static("switched-on"), SchemaVersion::FIRST),
/// #         EventKind::new(EventType::from_static("switched-off"), SchemaVersion::FIRST),
/// #     ];
/// #     fn kind_index(&self) -> usize { if *self == Self::SwitchedOn { 0 } else { 1 } }
/// #     fn tags(&self) -> Result<Tags, Error> { Ok(Tags::EMPTY) }
/// # }
/// # #[derive(Debug, Default)]
/// # struct Lamp { on: bool }
/// # impl Aggregate for Lamp {
/// #     type Event = Light;
/// #     fn apply(&mut self, event: &Light) -> Result<(), Refusal> {
/// #         self.on = *event == Light::SwitchedOn;
/// #         Ok(())
/// #     }
/// # }
/// # #[derive(Debug, PartialEq)]
/// # struct AlreadyOn;
/// # impl Lamp {
/// #     fn switch_on(&self) -> Result<Light, AlreadyOn> {
/// #         if self.on { Err(AlreadyOn) } else { Ok(Light::SwitchedOn) }
/// #     }
/// # }
/// use annals_testkit::Scenario;
///
/// Scenario::<Lamp>::given([Light::SwitchedOff])
///     .when(|lamp| lamp.switch_on())
///     .then([Light::SwitchedOn])
///     .then_state(|lamp| assert!(lamp.on))
///     .when(|lamp| lamp.switch_on())
///     .then_error(AlreadyOn);
/// ```
///
/// Every method panics, at the line that called it, where an expectation fails: with what was given,
/// what was expected and what came of it.
#[derive(Debug)]
pub struct Scenario<A: Aggregate> {
    history: Vec<A::Event>,
    state: A,
}

#[expect(
    clippy::return_self_not_must_use,
    clippy::needless_pass_by_value,
    reason = "an expectation is a statement about a value, and often the last one"
)]
impl<A> Scenario<A>
where
    A: Aggregate<Event: Debug> + Debug,
{
    /// The aggregate to which these events happened; `[]` for one to which nothing happened.
    ///
    /// # Panics
    /// When the aggregate refuses one of them.
    #[must_use = "let a command come with `when`, or look at the state with `then_state`"]
    #[track_caller]
    pub fn given(events: impl IntoIterator<Item = A::Event>) -> Self {
        let history: Vec<A::Event> = events.into_iter().collect();
        match fold(&history) {
            Ok(state) => Self { history, state },
            Err(error) => {
                let number = error.applied + 1;
                let advice = "correct the history, or let `apply` accept it";
                Report::new(format!(
                    "the aggregate refuses event {number} of the given history"
                ))
                .text("why", &error.refusal.to_string())
                .events("given", &history)
                .text("what to do", advice)
                .fail()
            }
        }
    }

    /// Lets a command come to the aggregate: a method of it, as for
    /// [`Repository::execute`](annals_aggregate::Repository::execute).
    ///
    /// # Panics
    /// When the command decides an event that the aggregate refuses.
    #[must_use = "say with `then` or `then_error` what is to come of it"]
    #[track_caller]
    pub fn when<I, X>(self, decide: impl FnOnce(&A) -> Result<I, X>) -> Then<A, X>
    where
        I: IntoEvents<A::Event>,
        X: Debug,
    {
        let decided = decide(&self.state).map(IntoEvents::into_events);
        self.decided(None, decided)
    }

    /// Lets this look at the state and assert.
    pub fn then_state(self, look: impl FnOnce(&A)) -> Self {
        look(&self.state);
        self
    }

    /// Expects this state.
    ///
    /// # Panics
    /// When the state is another.
    #[track_caller]
    pub fn then_state_is(self, expected: A) -> Self
    where
        A: PartialEq,
    {
        if self.state == expected {
            return self;
        }
        Report::new("the state is another than expected")
            .events("given", &self.history)
            .difference(&expected, &self.state)
            .text("what to do", "correct `apply`, or the expectation")
            .fail()
    }

    /// The scenario after a history that is known to give this state.
    pub(crate) fn at(history: Vec<A::Event>, state: A) -> Self {
        Self { history, state }
    }

    #[track_caller]
    fn decided<X: Debug>(
        self,
        command: Option<String>,
        decided: Result<Vec<A::Event>, X>,
    ) -> Then<A, X> {
        let Self { history, state } = self;
        let events = match &decided {
            Ok(events) => events.as_slice(),
            Err(_) => &[],
        };
        let refused = match fold_from(state, events) {
            Ok(state) => return Then::new(history, command, decided, state),
            Err(refused) => refused,
        };
        let number = refused.applied + 1;
        let advice = "let the command refuse before it comes to this, or let `apply` accept it";
        Report::new(format!(
            "the aggregate refuses event {number} of what its command decided"
        ))
        .text("why", &refused.refusal.to_string())
        .before::<A>(&history, command.as_deref())
        .events("decided", events)
        .text("what to do", advice)
        .fail()
    }
}

impl<D> Scenario<Decided<D>>
where
    D: Decider<Command: Debug, Event: Debug, State: Debug, Error: Debug>,
{
    /// Lets this command come to the decider.
    #[must_use = "say with `then` or `then_error` what is to come of it"]
    #[track_caller]
    pub fn when_command(self, command: D::Command) -> Then<Decided<D>, D::Error> {
        let decided = self.state.decide(&command);
        self.decided(Some(format!("{command:#?}")), decided)
    }
}
