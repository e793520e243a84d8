//! Paths as git keeps them, bytes, and their reversible text form.

use std::fmt;
use std::fmt::Write as _;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// What parts the readable start of a shortened text from its hash. `encode_path` writes two hex digits
/// after every `%`, so that no path encodes to a text with this in it.
const SHORTENED: &str = "%sha256:";

/// A path in a git tree: bytes with `/` between the names, relative to the top of the tree.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GitPath(Vec<u8>);

impl GitPath {
    /// The path of these bytes, as git writes them.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes, as git writes them.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text form, see [`encode_path`].
    pub fn encoded(&self) -> String {
        encode_path(&self.0)
    }

    /// The same without a slash at its end, by which a person may mark a folder.
    #[must_use]
    pub fn without_slash(&self) -> Self {
        Self::new(self.0.strip_suffix(b"/").unwrap_or(&self.0))
    }

    /// Reads the text form back.
    ///
    /// # Errors
    /// [`MalformedPath`] where a `%` is not followed by two hex digits.
    pub fn from_encoded(text: &str) -> Result<Self, MalformedPath> {
        decode_path(text).map(Self)
    }
}

impl Serialize for GitPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for GitPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_encoded(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl fmt::Display for GitPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.encoded())
    }
}

impl fmt::Debug for GitPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GitPath({:?})", self.encoded())
    }
}

/// A text that [`encode_path`] does not write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MalformedPath {
    /// Where the bad `%` stands, in bytes.
    pub at: usize,
}

impl fmt::Display for MalformedPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`%` at byte {} is not followed by two hex digits; write a plain `%` as `%25`",
            self.at
        )
    }
}

impl std::error::Error for MalformedPath {}

/// The text form of bytes that are mostly text: UTF-8 stays as it is, but `%`, control characters and
/// bytes that are not UTF-8 become `%` and two upper-case hex digits each.
///
/// ```
/// use git_history::git::encode_path;
///
/// assert_eq!(encode_path("docs/caf\u{e9} notes.txt".as_bytes()), "docs/caf\u{e9} notes.txt");
/// assert_eq!(encode_path(b"100%\n\xFF"), "100%25%0A%FF");
/// ```
pub fn encode_path(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character == '%' || character.is_control() {
                escape(&mut text, character.encode_utf8(&mut [0; 4]).as_bytes());
            } else {
                text.push(character);
            }
        }
        escape(&mut text, chunk.invalid());
    }
    text
}

/// The bytes that [`encode_path`] was given.
///
/// # Errors
/// [`MalformedPath`] where a `%` is not followed by two hex digits.
pub fn decode_path(text: &str) -> Result<Vec<u8>, MalformedPath> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut parts = text.split('%');
    bytes.extend(parts.next().unwrap_or_default().bytes());
    let mut at = bytes.len();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2).ok_or(MalformedPath { at })?;
        bytes.push(hex_byte(digits).ok_or(MalformedPath { at })?);
        bytes.extend(rest.bytes());
        at += 1 + part.len();
    }
    Ok(bytes)
}

/// The text, which [`encode_path`] wrote, in at most this many bytes: where it is longer, its start and
/// the SHA-256 of all of it. Two texts never come out the same.
pub fn shorten(mut text: String, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text;
    }
    let hash = sha256_hex(text.as_bytes());
    let room = bytes_max.saturating_sub(SHORTENED.len() + hash.len());
    text.truncate(text.floor_char_boundary(room));
    text + SHORTENED + &hash
}

fn escape(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // Writing to a `String` can't fail.
        let _ = write!(text, "%{byte:02X}");
    }
}

fn hex_byte(digits: &str) -> Option<u8> {
    digits
        .bytes()
        .all(|byte| byte.is_ascii_hexdigit())
        .then_some(())?;
    u8::from_str_radix(digits, 16).ok()
}

#[expect(
    clippy::expect_used,
    reason = "only SHA-1 looks for collisions; SHA-256 always has a result"
)]
fn sha256_hex(bytes: &[u8]) -> String {
    let mut hasher = gix::hash::hasher(gix::hash::Kind::Sha256);
    hasher.update(bytes);
    hasher
        .try_finalize()
        .expect("SHA-256 has a result")
        .to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn encodes_as_the_table_says() {
        let cases: &[(&[u8], &str)] = &[
            (b"src/lib.rs", "src/lib.rs"),
            (b" a b-c 'd' \"e\" \\ $", " a b-c 'd' \"e\" \\ $"),
            ("gr\u{fc}n/\u{6587}".as_bytes(), "gr\u{fc}n/\u{6587}"),
            (b"50%", "50%25"),
            (b"%41", "%2541"),
            (b"a\nb\tc\x7f", "a%0Ab%09c%7F"),
            ("\u{85}".as_bytes(), "%C2%85"),
            (b"latin-\xE9.txt", "latin-%E9.txt"),
            (b"\xF0\x9F\x98", "%F0%9F%98"),
            (b"", ""),
        ];
        for (bytes, text) in cases {
            assert_eq!(encode_path(bytes), *text);
            assert_eq!(decode_path(text).as_deref(), Ok(*bytes));
        }
    }

    #[test]
    fn refuses_a_percent_sign_without_digits() {
        for (text, at) in [
            ("%", 0),
            ("ab%2", 2),
            ("a%41%+1", 4),
            ("%\u{e9}", 0),
            ("%4\u{e9}", 0),
        ] {
            assert_eq!(decode_path(text), Err(MalformedPath { at }), "{text:?}");
        }
    }

    #[test]
    fn a_long_text_is_shortened_to_one_of_its_own() {
        let long = |end: &str| "\u{e9}/".repeat(2000) + end;
        let (one, other) = (shorten(long("one"), 1000), shorten(long("other"), 1000));
        assert!((998..=1000).contains(&one.len()), "{one}");
        assert!(one.starts_with("\u{e9}/\u{e9}/"), "{one}");
        assert_ne!(one, other);
        assert_eq!(one, shorten(long("one"), 1000));
        assert_eq!(shorten("x".repeat(1000), 1000), "x".repeat(1000));
    }

    proptest! {
        #[test]
        fn decoding_undoes_encoding(bytes: Vec<u8>) {
            let text = encode_path(&bytes);
            prop_assert!(!text.chars().any(char::is_control));
            prop_assert_eq!(decode_path(&text), Ok(bytes));
        }

        #[test]
        fn a_shortened_text_is_that_of_no_path(bytes: Vec<u8>, bytes_max in 80_usize..160) {
            let text = shorten(encode_path(&bytes), bytes_max);
            prop_assert!(text.len() <= bytes_max);
            prop_assert_eq!(decode_path(&text).is_err(), text.contains(SHORTENED));
        }
    }
}
