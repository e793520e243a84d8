//! Why bytes are no record.

use std::fmt;

use super::kind::KindCode;

/// Why the body of a record can't be read: the record was written by a faulty or by a newer program, as
/// the log's CRC held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadRecord {
    /// It ends inside this part.
    Short(&'static str),
    /// A number of this part has more than its bits, or a byte more than it needs.
    Number(&'static str),
    /// A text of this part is not UTF-8.
    Text(&'static str),
    /// A text of this part breaks the rules of its kind of name.
    Name(&'static str),
    /// A number or a length of this part is outside its range.
    Range(&'static str),
    /// The flags of this part have a bit that has no meaning.
    Flags(&'static str),
    /// This part stands there with nothing in it.
    Empty(&'static str),
    /// The entries of this part are not in order, or one occurs twice.
    Order(&'static str),
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

impl std::error::Error for BadRecord {}
