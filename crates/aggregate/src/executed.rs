//! The answer to a command.

use annals_core::{Aggregate, Receipt, StreamId, Version};

use crate::Skipped;

/// What a command did to one aggregate.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Executed<A: Aggregate> {
    /// The stream of the aggregate.
    pub stream: StreamId,
    /// The events that were decided, in order; by the first execution, where the command was executed
    /// before.
    pub events: Vec<A::Event>,
    /// The proof that they were recorded; `None` when no event was decided: nothing was appended then,
    /// and nothing was checked. A [duplicate](Receipt::is_duplicate) says that an earlier append of the
    /// same id recorded them: the command was executed before, or an answer of the store was lost.
    pub receipt: Option<Receipt>,
    /// The state after the events.
    pub state: A,
    /// The earlier events that the codec's policy passed over: they are not in the state. Empty unless the
    /// repository [allows](crate::Repository::deciding_despite_skipped) decisions on such a state, or the command
    /// was executed before.
    pub skipped: Skipped,
    /// The version of the stream after the events.
    pub version: Version,
    /// How often this call tried the command: 1, and one more for each conflict.
    pub attempts: u32,
    /// How many of these tries appended the same events at a newer version, without a new decision.
    pub rebases: u32,
}

impl<A: Aggregate> Executed<A> {
    /// Whether there was something to record.
    pub fn is_recorded(&self) -> bool {
        self.receipt.is_some()
    }
}
