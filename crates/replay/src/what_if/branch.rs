//! The altered history, which survives an event that it refuses.

use annals_core::Refusal;

use crate::ReplayFold;

/// How many events are folded before the state is kept again.
const SINCE_MAX: usize = 256;

/// The state of a history that may refuse events.
///
/// A state that refused an event is spoilt, so an older one is kept, with the events since.
pub(super) struct Branch<S, E> {
    fold: ReplayFold<S, E>,
    state: S,
    kept: S,
    since: Vec<E>,
}

impl<S: Clone, E> Branch<S, E> {
    pub(super) fn new(fold: ReplayFold<S, E>, state: S) -> Self {
        Self {
            fold,
            kept: state.clone(),
            state,
            since: Vec::new(),
        }
    }

    pub(super) fn state(&self) -> &S {
        &self.state
    }

    pub(super) fn into_state(self) -> S {
        self.state
    }

    /// Folds an event. When it is refused, all is as before.
    pub(super) fn apply(&mut self, event: E) -> Result<(), Refusal> {
        if let Err(refusal) = self.fold.apply(&mut self.state, &event) {
            self.set_back()?;
            return Err(refusal);
        }
        self.since.push(event);
        if self.since.len() == SINCE_MAX {
            self.keep();
        }
        Ok(())
    }

    /// The state before the event that spoilt it.
    fn set_back(&mut self) -> Result<(), Refusal> {
        let mut state = self.kept.clone();
        for event in &self.since {
            self.fold.apply(&mut state, event)?;
        }
        self.state = state;
        self.keep();
        Ok(())
    }

    fn keep(&mut self) {
        self.kept.clone_from(&self.state);
        self.since.clear();
    }
}
