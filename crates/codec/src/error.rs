//! The error of the codecs, sorted by what the caller does next.

use std::borrow::Cow;
use std::fmt;

use annals_core::{BoxError, EventType};

/// Why an event did not become bytes, or bytes did not become an event, and what to do about it.
///
/// Opaque and one pointer wide. It converts into [`annals_core::Error`], whose source it then is:
/// what the caller gave wrong (as [`ErrorKind::Encode`]) as [`annals_core::ErrorKind::Invalid`], the state of
/// a key store as [`annals_core::ErrorKind::Unavailable`] or [`annals_core::ErrorKind::Corrupt`], every other
/// kind as [`annals_core::ErrorKind::Undecodable`]. The raw bytes of an event that does not decode stay
/// readable.
///
/// No codec of annals repeats any of the payload in an error, in its facts or its source: errors are
/// logged, and payloads may be secret.
pub struct Error(Box<Inner>);

/// What the caller does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The event type is none of those that the code knows, which the error lists: add it to the code,
    /// or read another category.
    UnknownType,
    /// The bytes are in another form than this codec's: decode them with the codec of that form.
    UnknownContentType,
    /// The bytes are compressed with a dictionary that the codec does not know: give it to the codec.
    UnknownDictionary,
    /// The bytes would decompress to more than a limit, and no memory was taken for that: they are a
    /// decompression bomb, or the limit is too low for them.
    TooLarge,
    /// The bytes are no dictionary, or the samples make none: take those that were trained, or other
    /// samples.
    BadDictionary,
    /// The event follows a newer schema than the code: update the code.
    FutureVersion,
    /// The event follows an older schema than the code: upcast it first, with [`Evolving`](crate::Evolving).
    OldVersion,
    /// The bytes are not this event, from the place on that the error names: they are damaged, or the
    /// code's fields changed without a new schema version.
    BadBytes,
    /// More bytes follow the event: they are damaged, or not of this form.
    TrailingBytes,
    /// The bytes decode as another kind than the recorded one: correct the serde attributes of the type.
    WrongKind,
    /// An upcaster refused an old event, or gave what it may not: correct the upcaster, which the error names.
    Upcast,
    /// The event reads as several events or as none, where one was asked for: take all of them.
    NotOne,
    /// The event has no bytes in this form: correct the value, or the serde attributes of its type.
    Encode,
    /// Personal data was to be written or read without a codec that encrypts: put `EncryptedFields` around the
    /// codec, or keep the value out of what is written.
    PersonalInPlain,
    /// It is not known whose personal data is, or the text for that is empty or too long: correct the event.
    BadSubject,
    /// The whole event was a person's who has been erased: go on without it.
    Erased,
    /// The personal data in the event was changed, or is of another event or key: it does not authenticate, and
    /// nothing of it is shown. Repair or restore it.
    EnvelopeDamaged,
    /// The key that the event names is neither there nor erased: give the key store that it was made in, or
    /// restore that.
    KeyMissing,
    /// The key store was opened with another master key than its keys are wrapped with: give that one. Nothing was
    /// changed.
    WrongMasterKey,
    /// The key store can't serve now: see the source, and try again.
    KeysUnavailable,
    /// A file of the key store is not what was written: restore it.
    KeysDamaged,
}

struct Inner {
    kind: ErrorKind,
    message: Cow<'static, str>,
    context: Vec<(&'static str, String)>,
    source: Option<BoxError>,
}

impl Error {
    /// An error of this kind; the message is a lower-case fragment that says what to do.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            context: Vec::new(),
            source: None,
        }))
    }

    /// Adds a fact, as `("event type", "deposited")`; of a long one, the first
    /// [`FACT_CHARS_MAX`](annals_core::Error::FACT_CHARS_MAX) characters. Never text of a payload.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl fmt::Display) -> Self {
        let mut text = value.to_string();
        let chars_max = annals_core::Error::FACT_CHARS_MAX;
        if let Some((end, _)) = text.char_indices().nth(chars_max) {
            text.truncate(end);
            text.push_str("...");
        }
        self.0.context.push((key, text));
        self
    }

    /// Adds the error below this one; not an error of a parser, which repeats text of the payload.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<BoxError>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The same as an error of encoding an event of this type.
    pub(crate) fn of_encoding(mut self, event_type: &EventType) -> Self {
        self.0.kind = ErrorKind::Encode;
        self.with("event type", event_type)
    }

    /// What the caller does next.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The facts around the error, in the order they were added.
    pub fn context(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0
            .context
            .iter()
            .map(|(key, value)| (*key, value.as_str()))
    }
}

impl From<Error> for annals_core::Error {
    fn from(mut error: Error) -> Self {
        let (kind, operation) = match error.kind() {
            ErrorKind::Encode => (annals_core::ErrorKind::Invalid, "encode"),
            ErrorKind::BadDictionary => (annals_core::ErrorKind::Invalid, "take a dictionary"),
            ErrorKind::PersonalInPlain | ErrorKind::BadSubject => {
                (annals_core::ErrorKind::Invalid, "protect personal data")
            }
            ErrorKind::WrongMasterKey => (annals_core::ErrorKind::Invalid, "open keys"),
            ErrorKind::KeysUnavailable => (annals_core::ErrorKind::Unavailable, "use keys"),
            ErrorKind::KeysDamaged => (annals_core::ErrorKind::Corrupt, "use keys"),
            _ => (annals_core::ErrorKind::Undecodable, "decode"),
        };
        // Where the core refused a tag or a size, its own error says more, such as the limit.
        let core = error.0.source.take_if(|source| source.is::<Self>());
        let core = core.and_then(|source| source.downcast::<Self>().ok());
        let bare = core.as_deref().is_none();
        let converted = core.map_or_else(|| Self::new(kind, error.0.message.clone()), |core| *core);
        let facts = error.context();
        let converted = facts.fold(converted.during(operation), |converted, (key, value)| {
            converted.with(key, value)
        });
        if bare {
            converted.caused_by(error)
        } else {
            converted
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        for (index, (key, value)) in self.context().enumerate() {
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

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn an_error_keeps_its_facts_on_the_way_to_the_core() {
        for (kind, expected, text) in [
            (
                ErrorKind::Encode,
                annals_core::ErrorKind::Invalid,
                "encode: no form (at: 7)",
            ),
            (
                ErrorKind::BadBytes,
                annals_core::ErrorKind::Undecodable,
                "decode: no form (at: 7)",
            ),
        ] {
            let error = Error::new(kind, "no form").with("at", 7);
            assert_eq!(error.to_string(), "no form (at: 7)");
            let converted = annals_core::Error::from(error);
            assert_eq!(
                (converted.kind(), converted.to_string().as_str()),
                (expected, text)
            );
            let source = converted
                .source()
                .and_then(|source| source.downcast_ref::<Error>());
            assert_eq!(source.map(Error::kind), Some(kind));
        }
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }

    #[test]
    fn a_long_fact_is_cut_where_the_core_cuts_it() {
        for (chars, expected) in [
            (200, "\u{e9}".repeat(200)),
            (201, "\u{e9}".repeat(200) + "..."),
        ] {
            let fact = "\u{e9}".repeat(chars);
            let error = Error::new(ErrorKind::BadBytes, "no").with("text", &fact);
            assert_eq!(error.to_string(), format!("no (text: {expected})"));
            let core = annals_core::Error::new(annals_core::ErrorKind::Invalid, "no");
            assert_eq!(core.with("text", &fact).to_string(), error.to_string());
        }
    }
}
