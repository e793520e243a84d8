//! The text behind every name: checked once, cheap to clone, free for literals.

use std::fmt;

use smol_str::SmolStr;

use crate::{Error, ErrorKind, LimitExceeded};

/// A checked text: static, in place up to 23 bytes, or shared.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Name(SmolStr);

/// Why a text is no name.
#[derive(Clone, Copy)]
enum Flaw {
    Empty,
    TooLong,
    Control(usize),
}

impl Name {
    /// Checks a literal, at compile time when called in a constant.
    ///
    /// # Panics
    /// When the text is empty, longer than `bytes_max` or has a control character.
    #[expect(
        clippy::panic,
        reason = "a bad literal fails the build, which is the point"
    )]
    pub(crate) const fn from_static(text: &'static str, bytes_max: usize) -> Self {
        match flaw(text, bytes_max) {
            None => Self(SmolStr::new_static(text)),
            Some(Flaw::Empty) => panic!("a name is not empty"),
            Some(Flaw::TooLong) => panic!("a name stays within its limit of bytes"),
            Some(Flaw::Control(_)) => panic!("a name has no control character"),
        }
    }

    /// Checks a text of the running program.
    #[inline]
    pub(crate) fn parse(
        text: &str,
        what: &str,
        limit: (&'static str, usize),
    ) -> Result<Self, Error> {
        check(text, what, limit)?;
        Ok(Self::from_checked(text))
    }

    /// Takes a text that the caller has checked, or a part of a name that is one itself.
    #[inline]
    pub(crate) fn from_checked(text: &str) -> Self {
        Self(SmolStr::new(text))
    }

    #[inline]
    pub(crate) fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// Refuses an empty or too long text and one with a control character.
#[inline]
pub(crate) fn check(text: &str, what: &str, limit: (&'static str, usize)) -> Result<(), Error> {
    match flaw(text, limit.1) {
        None => Ok(()),
        Some(flaw) => Err(refusal(flaw, text, what, limit)),
    }
}

#[cold]
fn refusal(flaw: Flaw, text: &str, what: &str, limit: (&'static str, usize)) -> Error {
    let (name, max) = limit;
    match flaw {
        Flaw::Empty => Error::new(
            ErrorKind::Invalid,
            format!("{what} is empty; give it at least one byte"),
        ),
        Flaw::TooLong => {
            let actual = text.len();
            let limit = LimitExceeded { name, max, actual };
            Error::over_limit(&format!("{what} of too many bytes"), limit)
        }
        Flaw::Control(at) => Error::new(
            ErrorKind::Invalid,
            format!("{what} has a control character at byte {at}; remove it"),
        ),
    }
}

/// The text's flaw, if it has one. Control characters are U+0000..=U+001F and U+007F..=U+009F.
#[inline]
const fn flaw(text: &str, bytes_max: usize) -> Option<Flaw> {
    let bytes = text.as_bytes();
    if bytes.is_empty() {
        Some(Flaw::Empty)
    } else if bytes.len() > bytes_max {
        Some(Flaw::TooLong)
    } else if is_plain(bytes) {
        None
    } else {
        control(bytes)
    }
}

/// Whether all bytes are printable ASCII, as in most names; eight at a time, as stores check every name
/// that they read.
#[inline]
pub(crate) const fn is_plain(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some((word, tail)) = rest.split_first_chunk() {
        if !is_plain_word(*word) {
            return false;
        }
        rest = tail;
    }
    if let Some((_, last)) = bytes.split_last_chunk() {
        return is_plain_word(*last);
    }
    while let [first, tail @ ..] = rest {
        if *first < 0x20 || *first > 0x7e {
            return false;
        }
        rest = tail;
    }
    true
}

/// Whether each of eight bytes is in 0x20..=0x7e: below 0x20 the subtraction sets the byte's high bit, at
/// 0x7f the addition does, and from 0x80 it is set. A borrow or a carry comes from such a byte alone.
#[inline]
const fn is_plain_word(bytes: [u8; 8]) -> bool {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    let word = u64::from_le_bytes(bytes);
    let marked = word | word.wrapping_sub(0x20 * ONES) | word.wrapping_add(ONES);
    marked & (0x80 * ONES) == 0
}

/// The first control character; of those past ASCII, UTF-8 writes U+0080..=U+009F as 0xC2 0x80..=0x9F.
const fn control(bytes: &[u8]) -> Option<Flaw> {
    let mut rest = bytes;
    let mut at = 0;
    while let [first, tail @ ..] = rest {
        let control = *first < 0x20
            || *first == 0x7f
            || (*first == 0xc2 && matches!(tail.first(), Some(0x80..=0x9f)));
        if control {
            return Some(Flaw::Control(at));
        }
        rest = tail;
        at += 1;
    }
    None
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// Declares a public newtype over [`Name`] with everything a text type owes its users.
macro_rules! name_type {
    ($(#[$meta:meta])* $type:ident, $what:literal) => {
        $(#[$meta])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(crate::vocabulary::name::Name);

        impl $type {
            #[doc = concat!("A ", $what, " known when the program is built; costs nothing to make or clone.")]
            ///
            /// # Panics
            /// When the text is empty, over [`limits::NAME_BYTES_MAX`](crate::limits::NAME_BYTES_MAX)
            /// or has a control character: at compile time in a constant.
            pub const fn from_static(text: &'static str) -> Self {
                Self(crate::vocabulary::name::Name::from_static(text, crate::limits::NAME_BYTES_MAX))
            }

            #[doc = concat!("Parses a ", $what, ": 1 to [`limits::NAME_BYTES_MAX`](crate::limits::NAME_BYTES_MAX)")]
            /// bytes of UTF-8 without control characters; anything else is
            /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid).
            #[inline]
            pub fn parse(text: &str) -> Result<Self, crate::Error> {
                let limit = ("NAME_BYTES_MAX", crate::limits::NAME_BYTES_MAX);
                crate::vocabulary::name::Name::parse(text, $what, limit).map(Self)
            }

            /// The text.
            #[inline]
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }
        }

        crate::vocabulary::name::borrowed_as_text!($type);
        crate::vocabulary::name::text_traits!($type);
    };
}
pub(crate) use name_type;

/// Lets maps be asked by plain text; for types that compare and hash as their text.
macro_rules! borrowed_as_text {
    ($type:ident) => {
        impl std::borrow::Borrow<str> for $type {
            fn borrow(&self) -> &str {
                self.as_str()
            }
        }
    };
}
pub(crate) use borrowed_as_text;

/// The traits of a type that is a text with an `as_str` and a fallible `parse`.
macro_rules! text_traits {
    ($type:ident) => {
        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($type), "({:?})"), self.as_str())
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl std::str::FromStr for $type {
            type Err = crate::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::parse(text)
            }
        }

        impl TryFrom<&str> for $type {
            type Error = crate::Error;

            fn try_from(text: &str) -> Result<Self, Self::Error> {
                Self::parse(text)
            }
        }

        impl TryFrom<String> for $type {
            type Error = crate::Error;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                Self::parse(&text)
            }
        }

        impl PartialEq<str> for $type {
            fn eq(&self, other: &str) -> bool {
                self.as_str() == other
            }
        }

        impl PartialEq<&str> for $type {
            fn eq(&self, other: &&str) -> bool {
                self.as_str() == *other
            }
        }

        crate::vocabulary::serial::serde_as_text!($type);
    };
}
pub(crate) use text_traits;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        let limit = ("NAME_BYTES_MAX", 4);
        for (text, expected) in [
            ("abcd", None),
            ("\u{e9}\u{e9}", None),
            ("", Some("it is empty; give it at least one byte")),
            (
                "abcde",
                Some("it of too many bytes: 5 is over NAME_BYTES_MAX (4)"),
            ),
            (
                "a\tb",
                Some("it has a control character at byte 1; remove it"),
            ),
            (
                "a\u{9f}",
                Some("it has a control character at byte 1; remove it"),
            ),
            (
                "\u{7f}",
                Some("it has a control character at byte 0; remove it"),
            ),
        ] {
            let error = check(text, "it", limit)
                .err()
                .map(|error| error.to_string());
            assert_eq!(error.as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn a_control_character_is_found_wherever_it_stands() {
        for length in 1..=20 {
            for at in 0..length {
                for byte in 0..=0x7f_u8 {
                    let mut text = vec![b'a'; length];
                    text[at] = byte;
                    let text = String::from_utf8(text).unwrap();
                    let found = check(&text, "it", ("NAME_BYTES_MAX", 20)).is_err();
                    assert_eq!(found, text.chars().any(char::is_control), "{text:?}");
                }
            }
        }
    }

    #[test]
    fn names_are_one_however_they_are_kept() {
        for text in [
            "a",
            "of 23 bytes, at the edge",
            "a text that is too long to be kept in place",
        ] {
            let parsed = Name::parse(text, "it", ("NAME_BYTES_MAX", 99)).unwrap();
            let fixed = Name::from_static(text, 99);
            assert_eq!((fixed.clone(), fixed.as_str()), (parsed.clone(), text));
            assert_eq!(hash(&fixed), hash(&parsed));
            assert_eq!(hash(&fixed), hash(text));
        }
    }

    fn hash(value: &(impl std::hash::Hash + ?Sized)) -> u64 {
        use std::hash::BuildHasher;
        std::hash::BuildHasherDefault::<std::hash::DefaultHasher>::default().hash_one(value)
    }
}
