//! What is kept of a process between its inputs.

use annals_core::Position;
use serde::{Deserialize, Serialize};

/// What a snapshot of a process holds: its state, and how far its inputs are decided in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessState<A> {
    /// The state, as its own events make it.
    pub state: A,
    /// The newest input about which something was decided.
    pub last_input: Position,
}
