//! What can be wrong with a history.

use std::fmt;

use annals_core::{AppendId, Conflict, Cursor, EventId, Expected, Position, StreamId, Version};

/// A promise of the contract that a history shows to be broken.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Violation {
    /// An event of the log does not stand after the one before it.
    OutOfOrder {
        /// Where the event stands.
        position: Position,
    },
    /// The versions of a stream have a gap or a repeat.
    VersionGap {
        /// The stream.
        stream: StreamId,
        /// The version that comes next.
        expected: Version,
        /// The version that stands in the log.
        found: Version,
    },
    /// An event was appended earlier, by the store's time, than the one before it.
    TimeWentBack {
        /// Where the event stands.
        position: Position,
    },
    /// Two events have one id.
    EventIdTwice {
        /// The id.
        id: EventId,
        /// Where the second of them stands.
        position: Position,
    },
    /// The events of an acknowledged append do not stand where its receipt says, or are not those that
    /// were sent.
    Misplaced {
        /// The append.
        append: AppendId,
        /// The first position of the receipt.
        first: Position,
        /// The last position of the receipt.
        last: Position,
    },
    /// An append was recorded more than once.
    RecordedTwice {
        /// The append.
        append: AppendId,
    },
    /// Two receipts of one append differ in more than whether they answer a duplicate.
    ReceiptsDiffer {
        /// The append.
        append: AppendId,
    },
    /// An append was answered as the duplicate of one that had not been sent.
    DuplicateOfNothing {
        /// The append.
        append: AppendId,
    },
    /// An append that was rejected stands in the log.
    RejectedButRecorded {
        /// The append.
        append: AppendId,
        /// Where one of its events stands.
        position: Position,
    },
    /// An append of unknown fate stands in the log in part.
    PartlyRecorded {
        /// The append.
        append: AppendId,
        /// Where one of its events stands.
        position: Position,
    },
    /// Nobody appended an event of the log.
    FromNowhere {
        /// Where the event stands.
        position: Position,
    },
    /// A stream was not in the state that a recorded append expected.
    ExpectationBroken {
        /// The append.
        append: AppendId,
        /// The stream.
        stream: StreamId,
        /// The state that was expected.
        expected: Expected,
        /// The version that the stream had.
        actual: Version,
    },
    /// An event that a condition of a recorded append rules out stands before it.
    ConditionBroken {
        /// The append.
        append: AppendId,
        /// Where the event stands.
        position: Position,
    },
    /// An append that began after another was acknowledged stands before it.
    OutOfRealTime {
        /// The append that was acknowledged first.
        earlier: AppendId,
        /// The append that began after that.
        later: AppendId,
    },
    /// At no moment of its call did exactly the checks fail that a conflict lists.
    UnjustifiedConflict {
        /// The append.
        append: AppendId,
        /// The conflict; `None` when it came without its checks.
        conflict: Option<Conflict>,
    },
    /// An append id was called reused that stood for nothing else.
    UnjustifiedReuse {
        /// The append.
        append: AppendId,
    },
    /// The receipt of an append was told wrong, or not told though the append was acknowledged.
    WrongReceipt {
        /// The append.
        append: AppendId,
    },
    /// A read misses an event that it had to show.
    StaleRead {
        /// The request.
        request: String,
        /// Where the event stands.
        missing: Position,
    },
    /// A read shows an event that is not in the log, is not what was asked for, or was not there yet.
    WrongRead {
        /// The request.
        request: String,
        /// Where the event is said to stand.
        position: Position,
    },
    /// A read shows an append in part.
    TornRead {
        /// The request.
        request: String,
        /// Where the part that is shown ends.
        position: Position,
    },
    /// The cursor of a page passes an event that was not delivered, or lags behind one that was.
    WrongCursor {
        /// The request.
        request: String,
        /// The cursor.
        cursor: Cursor,
    },
    /// A head, or a stream's version, is one that the store did not have during the call.
    WrongHead {
        /// What was asked.
        request: String,
        /// What was told.
        told: String,
    },
    /// A stream policy was changed, so that what is shown can't be judged.
    PolicyChanged,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfOrder { position } => {
                write!(
                    f,
                    "the event at {position} does not stand after the one before it"
                )
            }
            Self::VersionGap {
                stream,
                expected,
                found,
            } => write!(
                f,
                "stream {stream} goes on with version {found}, not {expected}"
            ),
            Self::TimeWentBack { position } => {
                write!(
                    f,
                    "the event at {position} has an earlier time than the one before it"
                )
            }
            Self::EventIdTwice { id, position } => {
                write!(
                    f,
                    "the event at {position} has the id {id} of an earlier one"
                )
            }
            Self::Misplaced {
                append,
                first,
                last,
            } => write!(
                f,
                "append {append} was acknowledged at {first} to {last}, where its events don't stand"
            ),
            Self::RecordedTwice { append } => write!(f, "append {append} was recorded twice"),
            Self::ReceiptsDiffer { append } => write!(f, "append {append} has different receipts"),
            Self::DuplicateOfNothing { append } => write!(
                f,
                "append {append} was answered as a duplicate before any other of its id was sent"
            ),
            Self::RejectedButRecorded { append, position } => {
                write!(f, "append {append} was rejected, but stands at {position}")
            }
            Self::PartlyRecorded { append, position } => {
                write!(f, "append {append} was recorded in part, at {position}")
            }
            Self::FromNowhere { position } => {
                write!(f, "nobody appended the event at {position}")
            }
            Self::ExpectationBroken {
                append,
                stream,
                expected,
                actual,
            } => write!(
                f,
                "append {append} expected {expected} of stream {stream}, which was at version {actual}"
            ),
            Self::ConditionBroken { append, position } => write!(
                f,
                "append {append} was recorded in spite of its condition and the event at {position}"
            ),
            other => other.fmt_answer(f),
        }
    }
}

impl Violation {
    /// What was wrong with an answer or with its time.
    fn fmt_answer(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfRealTime { earlier, later } => write!(
                f,
                "append {later} began after append {earlier} was acknowledged, but stands before it"
            ),
            Self::UnjustifiedConflict { append, conflict } => {
                write!(f, "append {append} was rejected without reason")?;
                match conflict {
                    Some(conflict) => write!(f, ": {conflict}"),
                    None => f.write_str(", and without the failing checks"),
                }
            }
            Self::UnjustifiedReuse { append } => {
                write!(f, "append id {append} was called reused, and was not")
            }
            Self::WrongReceipt { append } => {
                write!(
                    f,
                    "the receipt of append {append} was told wrong, or not at all"
                )
            }
            Self::StaleRead { request, missing } => {
                write!(f, "reading {request} missed the event at {missing}")
            }
            Self::WrongRead { request, position } => {
                write!(
                    f,
                    "reading {request} showed an event at {position} that it must not show"
                )
            }
            Self::TornRead { request, position } => {
                write!(
                    f,
                    "reading {request} showed a part of an append, up to {position}"
                )
            }
            Self::WrongCursor { request, cursor } => write!(
                f,
                "reading {request} gave the cursor {cursor}, which is not where the page ends"
            ),
            Self::WrongHead { request, told } => {
                write!(
                    f,
                    "asking for {request} was answered by {told}, which it was not"
                )
            }
            Self::PolicyChanged => {
                f.write_str("a stream policy was changed; record histories without policies")
            }
            // The others are shown by `Display` itself.
            _ => Ok(()),
        }
    }
}
