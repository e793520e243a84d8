//! A history that went otherwise, compared with the one that is.

mod alteration;
mod branch;
mod comparison;
mod run;

use std::sync::Arc;

use annals_core::{BoxError, Error, RecordedEvent};
use serde::Serialize;

use self::alteration::{Alteration, At};
pub use self::alteration::{AlteredEvents, OnRefusal};
pub use self::comparison::{Comparison, FirstDivergence, Refused, RefusedKind};
use self::run::Run;
use crate::{Replay, ReplayFold};

/// What is otherwise: the alterations of a history, or another fold of it.
///
/// A plain value; it can be used for any number of histories. Alterations of one event are made in the order in which
/// they are given.
///
/// ```
/// use annals_core::Position;
/// use annals_replay::{AlteredEvents, OnRefusal, WhatIf};
/// # struct Account { cents: u64 }
/// # enum AccountEvent { Deposited { cents: u64 }, Withdrawn { cents: u64 } }
///
/// let march = AlteredEvents::matching(|event| event.event_type().as_str() == "withdrawn");
/// let what_if = WhatIf::<Account, AccountEvent>::new()
///     .without(AlteredEvents::Position(Position::new(17)))
///     .changing(march, |_| vec![AccountEvent::Withdrawn { cents: 1 }])
///     .deciding_at_the_end(|account| match account.cents {
///         0 => Err("there is nothing to withdraw".into()),
///         cents => Ok(vec![AccountEvent::Withdrawn { cents }]),
///     })
///     .on_refusal(OnRefusal::LeaveOut);
/// # let _ = what_if;
/// ```
#[derive(Debug)]
pub struct WhatIf<S, E> {
    alterations: Vec<Alteration<S, E>>,
    fold: Option<ReplayFold<S, E>>,
    on_refusal: OnRefusal,
}

impl<S: 'static, E: 'static> WhatIf<S, E> {
    /// Nothing is otherwise.
    pub fn new() -> Self {
        Self {
            alterations: Vec::new(),
            fold: None,
            on_refusal: OnRefusal::default(),
        }
    }

    /// These events did not happen.
    #[must_use]
    pub fn without(self, choice: AlteredEvents) -> Self {
        self.altering(Alteration::LeaveOut(choice))
    }

    /// In place of these events happened what the function makes of each: one, several or none.
    #[must_use]
    pub fn changing(
        self,
        choice: AlteredEvents,
        change: impl Fn(&E) -> Vec<E> + Send + Sync + 'static,
    ) -> Self {
        self.altering(Alteration::Change(choice, Arc::new(change)))
    }

    /// Before each of these events happened what a command decides on the state there: its events, or why it is
    /// refused.
    #[must_use]
    pub fn deciding_before(
        self,
        choice: AlteredEvents,
        decide: impl Fn(&S) -> Result<Vec<E>, BoxError> + Send + Sync + 'static,
    ) -> Self {
        self.altering(Alteration::Decide(At::Before(choice), Arc::new(decide)))
    }

    /// After each of these events happened what a command decides on the state there.
    #[must_use]
    pub fn deciding_after(
        self,
        choice: AlteredEvents,
        decide: impl Fn(&S) -> Result<Vec<E>, BoxError> + Send + Sync + 'static,
    ) -> Self {
        self.altering(Alteration::Decide(At::After(choice), Arc::new(decide)))
    }

    /// After all events happened what a command decides on the state there. For events that are known, take a
    /// function that gives them whatever the state.
    #[must_use]
    pub fn deciding_at_the_end(
        self,
        decide: impl Fn(&S) -> Result<Vec<E>, BoxError> + Send + Sync + 'static,
    ) -> Self {
        self.altering(Alteration::Decide(At::End, Arc::new(decide)))
    }

    /// The events are folded by another fold, as by code that is to be released.
    #[must_use]
    pub fn folding(mut self, fold: ReplayFold<S, E>) -> Self {
        self.fold = Some(fold);
        self
    }

    /// What becomes of an event that the altered history can't have, as an account that was never opened can't be
    /// closed: [`OnRefusal::Stop`] unless said otherwise.
    #[must_use]
    pub fn on_refusal(mut self, on_refusal: OnRefusal) -> Self {
        self.on_refusal = on_refusal;
        self
    }

    fn altering(mut self, alteration: Alteration<S, E>) -> Self {
        self.alterations.push(alteration);
        self
    }

    /// Whether the histories part at this event, if not before.
    fn touches(&self, recorded: &RecordedEvent) -> bool {
        let mut choices = self.alterations.iter().filter_map(Alteration::choice);
        choices.any(|choice| choice.chooses(recorded))
    }
}

impl<S, E> Replay<S, E>
where
    S: Clone + PartialEq + Serialize + Send + Sync + 'static,
    E: Send + Sync + 'static,
{
    /// Folds the history as it is and as it would be, in one pass, and compares. Nothing is written.
    ///
    /// Up to the first alteration both are one, so that a late one costs little. From there on the states are compared
    /// after each event until they differ, which costs the size of the state.
    ///
    /// # Errors
    /// As for [`as_of`](Self::as_of), of the history as it is; and
    /// [`ErrorKind::Invalid`](annals_core::ErrorKind::Invalid) for a state that serde does not write. What the altered
    /// history refuses is no error, but part of the [`Comparison`].
    pub async fn what_if(&self, what_if: &WhatIf<S, E>) -> Result<Comparison<S>, Error> {
        let mut reading = self.reading(self.whole().await?);
        let mut run = Run::begin(&self.fold, what_if);
        while let Some(recorded) = reading.next().await? {
            run.take(&recorded)?;
        }
        run.finish()
    }
}

impl<S: 'static, E: 'static> Default for WhatIf<S, E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S, E> Clone for WhatIf<S, E> {
    fn clone(&self) -> Self {
        Self {
            alterations: self.alterations.clone(),
            fold: self.fold.clone(),
            on_refusal: self.on_refusal,
        }
    }
}
