//! Names of streams as subjects of NATS, and back.

use annals_core::StreamId;

/// Where the messages of a log stand.
#[derive(Clone, Debug)]
pub(crate) struct Subjects {
    log: String,
}

/// What stands in the place of the rest of a stream id that is all category.
const NOTHING: &str = "_";

impl Subjects {
    pub(crate) fn new(log: &str) -> Self {
        Self {
            log: log.to_owned(),
        }
    }

    /// Everything that the log's stream captures.
    pub(crate) fn captured(&self) -> [String; 2] {
        [self.all_events(), format!("{}.p.>", self.log)]
    }

    /// Events and policies.
    pub(crate) fn everything(&self) -> String {
        format!("{}.>", self.log)
    }

    /// The events of all streams.
    pub(crate) fn all_events(&self) -> String {
        format!("{}.s.>", self.log)
    }

    /// The events of the streams of a category.
    pub(crate) fn category(&self, category: &str) -> String {
        format!("{}.s.{}.*", self.log, token(category))
    }

    /// The events of a stream.
    pub(crate) fn events(&self, stream: &StreamId) -> String {
        format!("{}.s.{}", self.log, tokens(stream))
    }

    /// The policies of a stream.
    pub(crate) fn policies(&self, stream: &StreamId) -> String {
        format!("{}.p.{}", self.log, tokens(stream))
    }

    /// What is rung when there is something new; no stream captures it.
    pub(crate) fn bell(&self) -> String {
        format!("{}.bell", self.log)
    }

    /// The stream whose event or policy has this subject.
    pub(crate) fn stream_of(&self, subject: &str) -> Option<StreamId> {
        let rest = subject.strip_prefix(&self.log)?;
        let tokens = rest
            .strip_prefix(".s.")
            .or_else(|| rest.strip_prefix(".p."))?;
        let (category, key) = tokens.split_once('.')?;
        let mut id = text(category)?;
        if key != NOTHING {
            id.push_str(&text(key)?);
        }
        StreamId::parse(&id).ok()
    }
}

/// The two tokens of a stream id: its category, and what follows it, with the dash.
pub(crate) fn tokens(stream: &StreamId) -> String {
    let category = stream.category_str();
    let rest = stream.as_str().get(category.len()..).unwrap_or_default();
    let rest = if rest.is_empty() {
        NOTHING.to_owned()
    } else {
        token(rest)
    };
    format!("{}.{rest}", token(category))
}

/// A text as one token of a subject: letters and digits of ASCII, `-` and `_` stand for themselves, every other byte for
/// `=` and its two hexadecimal digits. Of a text that is only `_`, it is the digits, so that no other token is [`NOTHING`].
pub(crate) fn token(text: &str) -> String {
    let mut token = String::with_capacity(text.len());
    for byte in text.bytes() {
        let is_plain = byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if is_plain && text != NOTHING {
            token.push(char::from(byte));
        } else {
            push_hex(&mut token, '=', byte);
        }
    }
    token
}

/// The text of a token.
pub(crate) fn text(token: &str) -> Option<String> {
    unescaped(token, '=')
}

pub(crate) fn push_hex(text: &mut String, mark: char, byte: u8) {
    text.push(mark);
    for digit in [byte >> 4, byte & 0xf] {
        text.extend(char::from_digit(digit.into(), 16));
    }
}

/// A text in which a mark and two hexadecimal digits stand for a byte.
pub(crate) fn unescaped(text: &str, mark: char) -> Option<String> {
    if !text.contains(mark) {
        return Some(text.to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut parts = text.split(mark);
    bytes.extend_from_slice(parts.next()?.as_bytes());
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_found_again_in_its_subject() {
        let subjects = Subjects::new("shop");
        for (id, expected) in [
            ("account-42", "shop.s.account.-42"),
            ("account", "shop.s.account._"),
            ("a-_", "shop.s.a.-_"),
            ("a--", "shop.s.a.--"),
            ("_-x", "shop.s.=5f.-x"),
            ("a.b-c.*>", "shop.s.a=2eb.-c=2e=2a=3e"),
            ("a=b- x", "shop.s.a=3db.-=20x"),
            ("\u{e9}-1", "shop.s.=c3=a9.-1"),
        ] {
            let stream = StreamId::parse(id).unwrap();
            assert_eq!(subjects.events(&stream), expected);
            assert_eq!(subjects.stream_of(expected), Some(stream.clone()));
            assert_eq!(
                subjects.stream_of(&subjects.policies(&stream)),
                Some(stream)
            );
        }
        for other in [
            "other.s.a._",
            "shop.x.a._",
            "shop.s.a",
            "shop.s.a.=f",
            "shop.s.=ff._",
        ] {
            assert_eq!(subjects.stream_of(other), None, "{other}");
        }
    }
}
