//! Which stream, and of which category.

use super::name::{Name, borrowed_as_text, check, is_plain, text_traits};
use crate::limits::{NAME_BYTES_MAX, STREAM_ID_BYTES_MAX};
use crate::{Error, ErrorKind};

/// The name of a stream: a category and a key, written `account-42`.
///
/// The category is the text up to the first `-`, the key all that follows; a key may hold further
/// dashes. A stream that is the only one of its category has no key and is written without a dash,
/// as `settings`.
///
/// ```
/// use annals_core::{Category, StreamId};
///
/// let id = StreamId::new(&Category::parse("account")?, "de-42")?;
/// assert_eq!(id, "account-de-42");
/// assert_eq!((id.category_str(), id.key()), ("account", "de-42"));
/// # Ok::<(), annals_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(Name);

/// The kind of a stream, as `account` in `account-42`: the part before the first `-`.
///
/// Categories that start with `$` are annals's own; keep yours elsewhere.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Category(Name);

impl StreamId {
    /// The stream of this category with this key; an empty key gives the single stream of the category.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when the whole is over [`STREAM_ID_BYTES_MAX`] or the key has a control
    /// character.
    pub fn new(category: &Category, key: &str) -> Result<Self, Error> {
        if key.is_empty() {
            return Ok(Self(category.0.clone()));
        }
        Self::parse(&[category.as_str(), key].join("-"))
    }

    /// A stream known when the program is built.
    ///
    /// # Panics
    /// When [`parse`](Self::parse) would refuse the text: at compile time in a constant.
    pub const fn from_static(text: &'static str) -> Self {
        let bytes = text.as_bytes();
        assert!(
            !matches!(bytes, [b'-', ..]),
            "a stream id begins with a category"
        );
        let mut dashes = 0;
        let mut rest = bytes;
        while let [first, tail @ ..] = rest {
            if *first == b'-' {
                dashes += 1;
                assert!(
                    dashes > 1 || !tail.is_empty(),
                    "a dash is followed by a key"
                );
            }
            rest = tail;
        }
        Self(Name::from_static(text, STREAM_ID_BYTES_MAX))
    }

    /// Parses `category-key` or `category`.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for an empty text, an empty category or key beside a dash, a control
    /// character, or more than [`STREAM_ID_BYTES_MAX`] bytes.
    #[inline]
    pub fn parse(text: &str) -> Result<Self, Error> {
        check(
            text,
            "stream id",
            ("STREAM_ID_BYTES_MAX", STREAM_ID_BYTES_MAX),
        )?;
        if text.starts_with('-') {
            return Err(invalid(
                "stream id starts with a dash; put a category before it",
                text,
            ));
        }
        if text.ends_with('-') && text.find('-') == Some(text.len() - 1) {
            return Err(invalid(
                "stream id ends in a dash; put a key after it",
                text,
            ));
        }
        Ok(Self(Name::from_checked(text)))
    }

    /// Checks bytes as [`parse`](Self::parse) does the text that they are.
    ///
    /// # Errors
    /// As for `parse`, and for bytes that are not UTF-8.
    #[inline]
    pub(crate) fn check(bytes: &[u8]) -> Result<(), Error> {
        let is_usual = is_plain(bytes)
            && bytes.len() <= STREAM_ID_BYTES_MAX
            && !matches!(bytes, [] | [b'-', ..] | [.., b'-']);
        if is_usual {
            Ok(())
        } else {
            check_unusual(bytes)
        }
    }

    /// The whole name.
    #[inline]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The category, as a name of its own. May allocate; see [`category_str`](Self::category_str).
    pub fn category(&self) -> Category {
        let category = self.category_str();
        if category.len() == self.as_str().len() {
            return Category(self.0.clone());
        }
        Category(Name::from_checked(category))
    }

    /// The text of the category.
    pub fn category_str(&self) -> &str {
        self.as_str()
            .split_once('-')
            .map_or(self.as_str(), |(category, _)| category)
    }

    /// The text of the key; empty for the single stream of a category.
    pub fn key(&self) -> &str {
        self.as_str().split_once('-').map_or("", |(_, key)| key)
    }

    /// What tells the partition of a partitioned store: streams of one partition key are in the same partition.
    ///
    /// The text between the first `{` of the key and the `}` after it, where there is some, as in `order-{acme}17`;
    /// else the whole name. Streams that must change in one append share it.
    ///
    /// ```
    /// use annals_core::StreamId;
    ///
    /// for (stream, key) in [
    ///     ("order-17", "order-17"),
    ///     ("order-{acme}17", "acme"),
    ///     ("customer-{acme}ada", "acme"),
    ///     ("order-{}17", "order-{}17"),
    /// ] {
    ///     assert_eq!(StreamId::parse(stream)?.partition_key(), key);
    /// }
    /// # Ok::<(), annals_core::Error>(())
    /// ```
    pub fn partition_key(&self) -> &str {
        let braced = self.key().split_once('{');
        let named = braced.and_then(|(_, rest)| rest.split_once('}'));
        named.map_or(self.as_str(), |(key, _)| match key {
            "" => self.as_str(),
            key => key,
        })
    }
}

impl Category {
    /// A category known when the program is built.
    ///
    /// # Panics
    /// When [`parse`](Self::parse) would refuse the text: at compile time in a constant.
    pub const fn from_static(text: &'static str) -> Self {
        let mut rest = text.as_bytes();
        while let [first, tail @ ..] = rest {
            assert!(*first != b'-', "a category has no dash");
            rest = tail;
        }
        Self(Name::from_static(text, NAME_BYTES_MAX))
    }

    /// Parses a category: 1 to [`NAME_BYTES_MAX`] bytes of UTF-8 without `-` and control characters.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for anything else.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.contains('-') {
            return Err(invalid(
                "category has a dash; a dash ends the category of a stream id",
                text,
            ));
        }
        Name::parse(text, "category", ("NAME_BYTES_MAX", NAME_BYTES_MAX)).map(Self)
    }

    /// The text.
    #[inline]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether the stream is of this category.
    pub fn contains(&self, stream: &StreamId) -> bool {
        stream.category_str() == self.as_str()
    }
}

borrowed_as_text!(StreamId);
borrowed_as_text!(Category);
text_traits!(StreamId);
text_traits!(Category);

#[cold]
fn invalid(message: &'static str, text: &str) -> Error {
    Error::new(ErrorKind::Invalid, message).with("text", text)
}

#[cold]
fn check_unusual(bytes: &[u8]) -> Result<(), Error> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let message = "stream id is not UTF-8; encode it";
        Error::new(ErrorKind::Invalid, message).caused_by(error)
    })?;
    StreamId::parse(text).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<(&str, &str), &str>) {
        let parsed = StreamId::parse(text);
        match (&parsed, expected) {
            (Ok(id), Ok((category, key))) => {
                assert_eq!((id.category_str(), id.key()), (category, key));
                assert_eq!(id.category(), category);
                assert_eq!(StreamId::new(&id.category(), id.key()).unwrap(), *id);
            }
            (Err(error), Err(message)) => assert!(error.to_string().contains(message), "{error}"),
            _ => panic!("{text:?} gave {parsed:?}"),
        }
    }

    #[test]
    fn a_stream_id_is_a_category_and_a_key() {
        check("account-42", Ok(("account", "42")));
        check("file-a-b--c-", Ok(("file", "a-b--c-")));
        check("settings", Ok(("settings", "")));
        check("file-src/sp ace \"q\"", Ok(("file", "src/sp ace \"q\"")));
        check("", Err("empty"));
        check("-42", Err("starts with a dash"));
        check("account-", Err("ends in a dash"));
        check("account-\u{0}", Err("control character"));
        check(
            &"x".repeat(1025),
            Err("1025 is over STREAM_ID_BYTES_MAX (1024)"),
        );
    }

    #[test]
    fn a_category_has_no_dash() {
        assert!(Category::parse("a-b").is_err());
        assert!(Category::from_static("account").contains(&StreamId::parse("account-42").unwrap()));
        assert!(!Category::from_static("acc").contains(&StreamId::parse("account-42").unwrap()));
    }
}
