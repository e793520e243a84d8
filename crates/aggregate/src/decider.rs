//! Aggregates as pure functions.

use std::fmt;
use std::ops::Deref;

use annals_core::{Aggregate, Event, Refusal};

use crate::{CommandError, Context, Executed, Repository};

/// An aggregate as three pure functions: where it begins, what a command gives, what an event changes.
///
/// The other way to write what [`Aggregate`] is: there is no method that takes a mutable state, and
/// commands are values. [`Decided`] turns it into an aggregate, so that a repository, a transaction, a
/// snapshot and a test take both.
///
/// ```
/// use annals_aggregate::{Decider, Decided};
/// use annals_core::fold;
/// # use annals_macros::Event;
///
/// # #[derive(Debug, PartialEq, Event)]
/// # #[event(category = "light")]
/// enum LightEvent { SwitchedOn, SwitchedOff }
/// enum Switch { On, Off }
/// struct Light;
///
/// impl Decider for Light {
///     type Command = Switch;
///     type Event = LightEvent;
///     type State = bool;
///     type Error = std::convert::Infallible;
///
///     fn initial() -> bool {
///         false
///     }
///
///     fn decide(command: &Switch, on: &bool) -> Result<Vec<LightEvent>, Self::Error> {
///         Ok(match (command, on) {
///             (Switch::On, false) => vec![LightEvent::SwitchedOn],
///             (Switch::Off, true) => vec![LightEvent::SwitchedOff],
///             _ => vec![],
///         })
///     }
///
///     fn evolve(_: bool, event: &LightEvent) -> bool {
///         matches!(event, LightEvent::SwitchedOn)
///     }
/// }
///
/// assert_eq!(Light::decide(&Switch::On, &false).unwrap(), [LightEvent::SwitchedOn]);
/// let light: Decided<Light> = fold(&[LightEvent::SwitchedOn]).unwrap();
/// assert!(*light);
/// ```
pub trait Decider: 'static {
    /// What can be asked of it.
    type Command: Send + Sync;

    /// What can happen to it.
    type Event: Event;

    /// What it is, as far as decisions need to know.
    type State: Send + Sync + 'static;

    /// Why it refuses a command.
    type Error;

    /// The state before the first event.
    fn initial() -> Self::State;

    /// The events that the command gives in this state; none when there is nothing to do.
    ///
    /// # Errors
    /// The rule of the application that the command breaks.
    fn decide(
        command: &Self::Command,
        state: &Self::State,
    ) -> Result<Vec<Self::Event>, Self::Error>;

    /// The state after the event.
    fn evolve(state: Self::State, event: &Self::Event) -> Self::State;
}

/// The state of a [`Decider`], as an [`Aggregate`]; it refuses no event.
pub struct Decided<D: Decider> {
    /// There but for the time that `evolve` has it.
    state: Option<D::State>,
}

impl<D: Decider> Decided<D> {
    /// The state.
    ///
    /// # Panics
    /// When an `evolve` panicked on this state before.
    #[expect(
        clippy::expect_used,
        reason = "only a panic in `evolve` takes the state away"
    )]
    pub fn state(&self) -> &D::State {
        self.state.as_ref().expect("`evolve` gives a state back")
    }

    /// The events that the command gives in this state.
    ///
    /// # Errors
    /// As [`Decider::decide`] has it.
    pub fn decide(&self, command: &D::Command) -> Result<Vec<D::Event>, D::Error> {
        D::decide(command, self.state())
    }
}

impl<D: Decider> Aggregate for Decided<D> {
    type Event = D::Event;

    fn apply(&mut self, event: &D::Event) -> Result<(), Refusal> {
        self.state = self.state.take().map(|state| D::evolve(state, event));
        Ok(())
    }
}

impl<D: Decider> Repository<Decided<D>> {
    /// Executes a command of a decider, as [`execute`](Self::execute) does: `decide` may run several
    /// times, the last one on the state that its events are appended to.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn decide(
        &self,
        key: &str,
        command: &D::Command,
    ) -> Result<Executed<Decided<D>>, CommandError<D::Error>> {
        self.decide_with(&Context::new(), key, command).await
    }

    /// Like [`decide`](Self::decide), with what the command carries to its events; see
    /// [`execute_with`](Self::execute_with).
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn decide_with(
        &self,
        context: &Context,
        key: &str,
        command: &D::Command,
    ) -> Result<Executed<Decided<D>>, CommandError<D::Error>> {
        self.execute_with(context, key, |decided: &Decided<D>| decided.decide(command))
            .await
    }
}

impl<D: Decider> Default for Decided<D> {
    fn default() -> Self {
        Self {
            state: Some(D::initial()),
        }
    }
}

impl<D: Decider> Deref for Decided<D> {
    type Target = D::State;

    fn deref(&self) -> &D::State {
        self.state()
    }
}

impl<D: Decider<State: Clone>> Clone for Decided<D> {
    fn clone(&self) -> Self {
        Self {
            state: self.state.clone(),
        }
    }
}

impl<D: Decider<State: PartialEq>> PartialEq for Decided<D> {
    fn eq(&self, other: &Self) -> bool {
        self.state == other.state
    }
}

impl<D: Decider<State: Eq>> Eq for Decided<D> {}

impl<D: Decider<State: fmt::Debug>> fmt::Debug for Decided<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Decided").field(self.state()).finish()
    }
}
