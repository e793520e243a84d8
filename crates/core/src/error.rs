//! The error of the contracts, sorted by what the caller does next.

use std::borrow::Cow;
use std::fmt;

use crate::{Conflict, Outcome};

/// What went wrong in a store, a constructor or a fold, and what to do about it.
///
/// Opaque and one pointer wide. Ask [`kind`](Self::kind) for the remedy, [`outcome`](Self::outcome)
/// for the fate of an append, [`conflict`](Self::conflict) and [`limit`](Self::limit) for the details.
///
/// ```
/// use annals_core::{ErrorKind, StreamId};
///
/// let error = StreamId::parse("account-\n").unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Invalid);
/// assert_eq!(error.to_string(), "stream id has a control character at byte 8; remove it");
/// ```
pub struct Error(Box<Inner>);

/// The boxed source of an [`Error`].
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What the caller does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The input breaks a rule or a limit: correct it. Nothing was written.
    Invalid,
    /// A check or a condition of an append failed: load again and decide again. Nothing was written.
    Conflict,
    /// The append id already stands for other content: use a fresh id. Nothing was written.
    AppendIdReused,
    /// The store can't do this (see [`Capabilities`](crate::Capabilities)): do without, or choose another store.
    Unsupported,
    /// The store has too much to do: retry later. Nothing was written.
    Overloaded,
    /// The store is out of space: free some, then retry. Nothing was written.
    NoSpace,
    /// The store can't serve now (closed, poisoned, out of reach, lagging): wait, or see the message.
    /// Nothing was written.
    Unavailable,
    /// It can't be told whether the append was recorded: retry it with the same append id.
    Unknown,
    /// Stored data is damaged: stop, and repair or restore. An append that ends so was not written.
    Corrupt,
    /// The cursor is ahead of the store: it is another store's, or this one lost events. Find out which
    /// before the reader is set back; nothing starts over in silence. Nothing was written.
    CursorAhead,
    /// An event's bytes don't decode: fix the codec or the upcasters; the raw bytes stay readable.
    Undecodable,
    /// An aggregate refused an event: the history, or the code that folds it, is wrong.
    Refused,
}

/// The limit that an input exceeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitExceeded {
    /// The constant in [`limits`](crate::limits).
    pub name: &'static str,
    /// The limit, in the constant's unit.
    pub max: usize,
    /// What was given, in the same unit.
    pub actual: usize,
}

struct Inner {
    kind: ErrorKind,
    message: Message,
    operation: Option<&'static str>,
    context: Vec<(&'static str, String)>,
    limit: Option<LimitExceeded>,
    source: Option<BoxError>,
}

/// What an error says.
enum Message {
    Text(Cow<'static, str>),
    /// Put into words when it is shown: most conflicts are resolved, and nobody reads them.
    Conflict(Conflict),
}

impl ErrorKind {
    /// Its name, as logs and metrics write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Conflict => "conflict",
            Self::AppendIdReused => "append-id-reused",
            Self::Unsupported => "unsupported",
            Self::Overloaded => "overloaded",
            Self::NoSpace => "no-space",
            Self::Unavailable => "unavailable",
            Self::Unknown => "unknown",
            Self::Corrupt => "corrupt",
            Self::CursorAhead => "cursor-ahead",
            Self::Undecodable => "undecodable",
            Self::Refused => "refused",
        }
    }
}

impl Error {
    /// How much of a fact an error shows: hostile input is not repeated whole.
    pub const FACT_CHARS_MAX: usize = 200;

    /// An error of this kind; the message is a lower-case fragment that says what to do.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self::of(kind, Message::Text(message.into()))
    }

    fn of(kind: ErrorKind, message: Message) -> Self {
        Self(Box::new(Inner {
            kind,
            message,
            operation: None,
            context: Vec::new(),
            limit: None,
            source: None,
        }))
    }

    /// An operation that the store's capabilities leave out.
    pub fn unsupported(operation: &'static str) -> Self {
        Self::new(
            ErrorKind::Unsupported,
            "not supported by this store; see its capabilities",
        )
        .during(operation)
    }

    /// An input over a limit of [`limits`](crate::limits).
    pub fn over_limit(what: &str, limit: LimitExceeded) -> Self {
        let LimitExceeded { name, max, actual } = limit;
        let mut error = Self::new(
            ErrorKind::Invalid,
            format!("{what}: {actual} is over {name} ({max})"),
        );
        error.0.limit = Some(limit);
        error
    }

    /// Names the operation that failed, as `append` or `read`.
    #[must_use]
    pub fn during(mut self, operation: &'static str) -> Self {
        self.0.operation = Some(operation);
        self
    }

    /// Adds a fact, as `("stream", "account-42")`; of a long one, the first
    /// [`FACT_CHARS_MAX`](Self::FACT_CHARS_MAX) characters.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl fmt::Display) -> Self {
        self.0
            .context
            .push((key, excerpt(&value.to_string(), Self::FACT_CHARS_MAX)));
        self
    }

    /// Adds the error below this one.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<BoxError>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// What the caller does next.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The fate of the append that this error answers: rejected (certainly not written) or unknown.
    pub fn outcome(&self) -> Outcome {
        match self.0.kind {
            ErrorKind::Unknown => Outcome::Unknown,
            _ => Outcome::Rejected,
        }
    }

    /// Every failing check, when the kind is [`ErrorKind::Conflict`] and it is streams that conflict.
    pub fn conflict(&self) -> Option<&Conflict> {
        match &self.0.message {
            Message::Conflict(conflict) => Some(conflict),
            Message::Text(_) => None,
        }
    }

    /// The same error about this conflict, where it is about one: for layers that name places otherwise than the store
    /// below.
    #[must_use]
    pub fn map_conflict(mut self, change: impl FnOnce(Conflict) -> Conflict) -> Self {
        self.0.message = match self.0.message {
            Message::Conflict(conflict) => Message::Conflict(change(conflict)),
            text @ Message::Text(_) => text,
        };
        self
    }

    /// The limit that was exceeded, when the input was too large.
    pub fn limit(&self) -> Option<LimitExceeded> {
        self.0.limit
    }

    /// The facts around the error, in the order they were added.
    pub fn context(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0
            .context
            .iter()
            .map(|(key, value)| (*key, value.as_str()))
    }
}

impl From<Conflict> for Error {
    fn from(conflict: Conflict) -> Self {
        Self::of(ErrorKind::Conflict, Message::Conflict(conflict))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(operation) = self.0.operation {
            write!(f, "{operation}: ")?;
        }
        match &self.0.message {
            Message::Text(text) => f.write_str(text)?,
            Message::Conflict(conflict) => fmt::Display::fmt(conflict, f)?,
        }
        for (index, (key, value)) in self.0.context.iter().enumerate() {
            let lead = if index == 0 { " (" } else { ", " };
            write!(f, "{lead}{key}: {value}")?;
        }
        if self.0.context.is_empty() {
            Ok(())
        } else {
            f.write_str(")")
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Error");
        debug
            .field("kind", &self.0.kind)
            .field("message", &self.to_string());
        if let Some(source) = &self.0.source {
            debug.field("source", source);
        }
        debug.finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

/// The first `chars_max` characters of a text, and a mark where there are more.
pub(crate) fn excerpt(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
    }
}

/// Refuses a count or a size over the limit of that name.
macro_rules! check_limit {
    ($what:expr, $actual:expr, $limit:ident) => {{
        let actual: usize = $actual;
        if actual > crate::limits::$limit {
            Err(crate::Error::over_limit(
                $what,
                crate::LimitExceeded {
                    name: stringify!($limit),
                    max: crate::limits::$limit,
                    actual,
                },
            ))
        } else {
            Ok(())
        }
    }};
}
pub(crate) use check_limit;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_shows_operation_message_and_facts_but_not_its_source() {
        let error = Error::new(ErrorKind::Unavailable, "the log is closed; open it again")
            .during("read")
            .with("stream", "account-42")
            .with("after", 7)
            .caused_by(std::io::Error::other("gone"));
        assert_eq!(
            error.to_string(),
            "read: the log is closed; open it again (stream: account-42, after: 7)"
        );
        let source = std::error::Error::source(&error).map(ToString::to_string);
        assert_eq!(source.as_deref(), Some("gone"));
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }

    #[test]
    fn a_long_fact_is_cut() {
        let error = Error::new(ErrorKind::Invalid, "no").with("text", "\u{e9}".repeat(201));
        assert_eq!(
            error.to_string(),
            format!("no (text: {}...)", "\u{e9}".repeat(200))
        );
    }

    #[test]
    fn only_an_unknown_append_may_have_been_written() {
        assert_eq!(
            Error::new(ErrorKind::Unknown, "lost").outcome(),
            Outcome::Unknown
        );
        assert_eq!(
            Error::new(ErrorKind::NoSpace, "full").outcome(),
            Outcome::Rejected
        );
    }
}
