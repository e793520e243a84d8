//! Why an append was rejected: every check that failed.

use std::fmt;

use super::criteria::Criteria;
use super::cursor::Cursor;
use super::expected::Expected;
use super::ids::EventId;
use super::number::{Position, Version};
use super::policy::StreamState;
use super::stream_id::StreamId;
use crate::Error;
use crate::error::excerpt;

/// Every failing check of one append, in the order of writes, checks, conditions and event ids.
///
/// ```
/// use annals_core::{Conflict, Expected, FailedCheck, StreamId, StreamState, Version};
///
/// let conflict = Conflict::of(vec![FailedCheck::Stream {
///     stream: StreamId::parse("account-42")?,
///     expected: Expected::Exactly(Version::new(2)),
///     actual: Version::new(3),
///     state: StreamState::Open,
///     positions: vec![17.into()],
/// }]);
/// assert_eq!(
///     conflict.map(|conflict| conflict.to_string()).as_deref(),
///     Some("stream account-42 is at version 3, expected version 2 (event at 17)"),
/// );
/// # Ok::<(), annals_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    failures: Vec<FailedCheck>,
}

/// One check that an append failed.
///
/// Positions are those of the offending events, oldest first, at most
/// [`limits::CONFLICT_POSITIONS_MAX`](crate::limits::CONFLICT_POSITIONS_MAX).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FailedCheck {
    /// A stream, written or checked, is not in the expected state.
    Stream {
        /// The stream.
        stream: StreamId,
        /// The state that the append expected.
        expected: Expected,
        /// The version that the stream has.
        actual: Version,
        /// Whether the stream is open or soft-deleted.
        state: StreamState,
        /// The visible events after the expected version; every visible one where no stream was
        /// expected.
        positions: Vec<Position>,
    },
    /// A stream is tombstoned: it takes no event any more, whatever is expected.
    Closed {
        /// The stream.
        stream: StreamId,
    },
    /// Events that a condition rules out were recorded.
    Condition {
        /// The place of the condition in the append, from 0.
        index: usize,
        /// What must not have happened.
        unless: Criteria,
        /// Up to where the caller had read.
        after: Cursor,
        /// The events that match.
        positions: Vec<Position>,
    },
    /// The store holds an event of this id already.
    EventId {
        /// The id.
        id: EventId,
        /// Where the event stands that has it.
        position: Position,
    },
}

impl Conflict {
    /// The conflict of these failures; `None` when nothing failed.
    pub fn of(failures: Vec<FailedCheck>) -> Option<Self> {
        if failures.is_empty() {
            None
        } else {
            Some(Self { failures })
        }
    }

    /// The same conflict with each failure as `change` makes it.
    #[must_use]
    pub fn map(mut self, change: impl FnMut(&mut FailedCheck)) -> Self {
        self.failures.iter_mut().for_each(change);
        self
    }

    /// Every check that failed; at least one.
    pub fn failures(&self) -> &[FailedCheck] {
        &self.failures
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, failure) in self.failures.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{failure}")?;
        }
        Ok(())
    }
}

impl fmt::Display for FailedCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream {
                stream,
                expected,
                actual,
                state,
                positions,
            } => {
                let how = match state {
                    StreamState::SoftDeleted => "soft-deleted at",
                    _ => "at",
                };
                write!(
                    f,
                    "stream {stream} is {how} version {actual}, expected {expected}"
                )?;
                write_positions(f, positions)
            }
            Self::Closed { stream } => write!(f, "stream {stream} is closed for good"),
            Self::Condition {
                unless,
                after,
                positions,
                ..
            } => {
                let unless = excerpt(&unless.to_string(), Error::FACT_CHARS_MAX);
                write!(f, "{unless} was recorded after {after}")?;
                write_positions(f, positions)
            }
            Self::EventId { id, position } => write!(f, "event {id} exists at {position}"),
        }
    }
}

fn write_positions(f: &mut fmt::Formatter<'_>, positions: &[Position]) -> fmt::Result {
    let Some((first, others)) = positions.split_first() else {
        return Ok(());
    };
    let noun = if others.is_empty() { "event" } else { "events" };
    write!(f, " ({noun} at {first}")?;
    for position in others {
        write!(f, ", {position}")?;
    }
    f.write_str(")")
}
