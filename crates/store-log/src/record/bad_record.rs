//! Why bytes are no record.

use std::fmt;

use super::kind::KindCode;

/// Why the body of a record can't be read: the record was written by a faulty or by a newer program, as
/// the log's CRC held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadRecord {
    /// It ends inside this part.
    Short(Part),
    /// A number of this part has more bytes than it needs.
    Number(Part),
    /// A text of this part is not UTF-8.
    Text(Part),
    /// A text of this part breaks the rules of its kind of name.
    Name(Part),
    /// A number or a length of this part is outside its range.
    Range(Part),
    /// The flags of this part have a bit that has no meaning.
    Flags(Part),
    /// This part stands there with nothing in it.
    Empty(Part),
    /// The entries of this part are not in order, or one occurs twice.
    Order(Part),
    /// The identity of the event is no UUID that an event may have.
    EventId,
    /// The kind of the event has a code that nothing declares.
    UnknownKind(KindCode),
    /// The code of a kind is declared again for another kind.
    KindTwice(KindCode),
    /// A note of a kind that this program doesn't know.
    UnknownNote(u8),
    /// Bytes follow where the record should end.
    Trailing,
}

/// A part of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The first byte of an event.
    Flags,
    /// The code of a kind.
    Kind,
    /// Of a kind spelled out.
    SchemaVersion,
    /// Of a kind spelled out.
    EventType,
    /// Of a kind spelled out.
    ContentType,
    /// Of the header of an append.
    AppendId,
    /// The count of events in the header of an append.
    AppendEvents,
    /// The event's place in its stream.
    Version,
    /// The store's time.
    AppendedAt,
    /// The identity of the event.
    EventId,
    /// The application's time.
    RecordedAt,
    /// The name of the stream.
    Stream,
    /// All tags.
    Tags,
    /// All metadata.
    Metadata,
    /// What the application gave.
    Payload,
    /// The first byte of a note.
    Note,
    /// What of a stream is shown.
    Policy,
}

impl fmt::Display for BadRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short(part) => write!(f, "record ends inside its {part}"),
            Self::Number(part) => write!(f, "record has a malformed number in its {part}"),
            Self::Text(part) => write!(f, "record has a text that is not utf-8 in its {part}"),
            Self::Name(part) => write!(f, "record has an invalid name in its {part}"),
            Self::Range(part) => write!(f, "record has a number out of range in its {part}"),
            Self::Flags(part) => write!(f, "record has unknown flags in its {part}"),
            Self::Empty(part) => write!(f, "record has an empty {part}, which is never written"),
            Self::Order(part) => write!(f, "record has entries out of order in its {part}"),
            Self::EventId => f.write_str("record has an impossible event id"),
            Self::UnknownKind(code) => {
                write!(
                    f,
                    "record has the kind {}, which nothing declares",
                    code.value()
                )
            }
            Self::KindTwice(code) => {
                write!(
                    f,
                    "record declares the kind {} again, as another one",
                    code.value()
                )
            }
            Self::UnknownNote(tag) => write!(f, "record is a note of the unknown kind {tag}"),
            Self::Trailing => f.write_str("record goes on past its end"),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flags => "flags",
            Self::Kind => "kind",
            Self::SchemaVersion => "schema version",
            Self::EventType => "event type",
            Self::ContentType => "content type",
            Self::AppendId => "append id",
            Self::AppendEvents => "count of events",
            Self::Version => "version",
            Self::AppendedAt => "time",
            Self::EventId => "event id",
            Self::RecordedAt => "application's time",
            Self::Stream => "stream id",
            Self::Tags => "tags",
            Self::Metadata => "metadata",
            Self::Payload => "payload",
            Self::Note => "kind of note",
            Self::Policy => "policy",
        })
    }
}

impl std::error::Error for BadRecord {}
