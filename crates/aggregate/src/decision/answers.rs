//! What comes of a decision.

use annals_core::{Cursor, Receipt};

use crate::Skipped;

/// A decision that was made, and recorded where there was something to record.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DecisionMade<E> {
    /// The events that were decided, in order; by the first execution, where the decision was made before.
    pub events: Vec<E>,
    /// The proof that they were recorded; `None` when no event was decided: nothing was appended then, and
    /// nothing was checked. A [duplicate](Receipt::is_duplicate) says that an earlier append of the same id
    /// recorded them.
    pub receipt: Option<Receipt>,
    /// The events that were selected and that the codec's policy passed over: the decision was made without
    /// them.
    pub skipped: Skipped,
    /// How often this call decided: 1, and one more for each conflict.
    pub attempts: u32,
}

/// A decision that has read what it selects, to be looked at.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Informed<D> {
    /// The state of every model.
    pub decision: D,
    /// The events that were selected and that the codec's policy passed over.
    pub skipped: Skipped,
    /// Up to where it has read: the cursor of the last page, or the start for a decision that reads nothing.
    pub cursor: Cursor,
}

impl<E> DecisionMade<E> {
    /// Whether there was something to record.
    pub fn is_recorded(&self) -> bool {
        self.receipt.is_some()
    }
}
