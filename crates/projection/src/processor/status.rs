//! What a consumer is doing.

use std::fmt;
use std::time::Duration;

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
    /// It handled everything but so many events that are parked, or wait behind one, and waits for more.
    Parked(usize),
    /// It was paused.
    Paused,
    /// Something failed, and is tried again after a pause.
    Retrying {
        /// How often it was tried.
        attempts: u32,
        /// The last error.
        error: String,
    },
    /// It stopped by this error, until it is resumed.
    Failed(String),
    /// It was stopped for good.
    Stopped,
}

/// What a consumer is doing, and how far it got.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ConsumerStatus {
    /// Its name.
    pub name: CheckpointName,
    /// Its partition.
    pub partition: Partition,
    /// What it is doing.
    pub state: ConsumerState,
    /// Every event up to here is handled, parked or skipped.
    pub cursor: Cursor,
    /// How many events it took since the processor began.
    pub handled: u64,
    /// How many events are parked, or wait behind one.
    pub parked: usize,
    /// How many events were ever skipped.
    pub skipped: u64,
    /// How far it is behind; `None` where the store did not say.
    pub lag: Option<Lag>,
    /// Events a second that it took lately: since about a minute before, or since it began.
    pub rate: f64,
}

/// How far a consumer is behind its store.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Lag {
    /// How many positions are between its cursor and the head of the store, those of events that it does not take
    /// included.
    pub events: u64,
    /// How long the first event that it has yet to take has been recorded.
    pub time: Duration,
    /// By how many events a second the lag grew lately; negative where it shrinks. Measured from one look to
    /// the next, a minute apart at most; 0 at the first.
    pub trend: f64,
}

impl fmt::Display for ConsumerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CatchingUp => f.write_str("catching up"),
            Self::Live => f.write_str("live"),
            Self::Parked(count) => write!(f, "live, {count} parked"),
            Self::Paused => f.write_str("paused"),
            Self::Retrying { attempts, error } => write!(f, "retrying after {attempts}: {error}"),
            Self::Failed(error) => write!(f, "failed: {error}"),
            Self::Stopped => f.write_str("stopped"),
        }
    }
}
