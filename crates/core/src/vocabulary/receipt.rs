//! What a store answers to an append.

use super::cursor::Cursor;
use super::ids::AppendId;
use super::number::{Position, Version};
use super::stream_id::StreamId;
use super::time::Timestamp;

/// The fate of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Recorded, all of it, as durably as the store's [`Durability`](crate::Durability) says.
    Recorded,
    /// Certainly not written, none of it.
    Rejected,
    /// Written whole or not at all, and it can't be told which: retry with the same append id.
    Unknown,
}

/// Whether a receipt is of the append itself or of an earlier one with the same id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// This append recorded the events.
    First,
    /// An earlier append of this id did; nothing was recorded now.
    Duplicate,
}

/// The proof that an append was recorded: where its events stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The identity of the append.
    pub append_id: AppendId,
    /// The position of its first event.
    pub first_position: Position,
    /// The position of its last event. No event of another append stands between the two.
    pub last_position: Position,
    /// The streams that it wrote, in the order of the append.
    pub streams: Vec<StreamReceipt>,
    /// The least cursor of a reader who has seen the append: what to wait for, or the cursor of a session.
    /// It says nothing of other events, so it is no place to read on from.
    pub cursor: Cursor,
    /// When the store recorded it.
    pub appended_at: Timestamp,
    /// Whether this append or an earlier one of the same id recorded the events.
    pub answer: Answer,
}

/// The versions that an append gave to its events in one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamReceipt {
    /// The stream.
    pub stream: StreamId,
    /// The version of its first event in the append.
    pub first_version: Version,
    /// The version of its last event in the append, which is the stream's version after it.
    pub last_version: Version,
}

impl Receipt {
    /// The version of this stream after the append; `None` when the append did not write it.
    pub fn version_of(&self, stream: &StreamId) -> Option<Version> {
        self.streams
            .iter()
            .find(|written| written.stream == *stream)
            .map(|written| written.last_version)
    }

    /// The same receipt as the answer to a retry.
    #[must_use]
    pub fn as_duplicate(&self) -> Self {
        Self {
            answer: Answer::Duplicate,
            ..self.clone()
        }
    }

    /// Whether an earlier append of the same id recorded the events.
    pub fn is_duplicate(&self) -> bool {
        self.answer == Answer::Duplicate
    }
}
