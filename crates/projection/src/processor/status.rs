//! What a consumer is doing.

use annals_core::{CheckpointName, Cursor};

use crate::contract::partition::Partition;

/// What a consumer of a processor is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConsumerState {
    /// It handles events that were recorded before it came to them.
    CatchingUp,
    /// It handled everything, and waits for more.
    Live,
    /// It stopped for good, by this error.
    Failed(String),
    /// It was stopped.
    Stopped,
}

/// What a consumer is doing, and how far it got.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConsumerStatus {
    /// Its name.
    pub name: CheckpointName,
    /// Its partition.
    pub partition: Partition,
    /// What it is doing.
    pub state: ConsumerState,
    /// Every event up to here is handled.
    pub cursor: Cursor,
}
