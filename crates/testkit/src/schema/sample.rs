//! The files of a ledger, as text.

use std::fmt::Write as _;

use annals_core::ContentType;

use super::shape::Shape;

const SAMPLE: &str = "annals schema sample 1";
const MEANING: &str = "annals schema meaning 1";
const HEX_BYTES_A_LINE: usize = 32;

/// A golden sample: what was recorded, and the shape of its fields then.
#[derive(Debug, PartialEq)]
pub(super) struct Sample {
    pub(super) content_type: ContentType,
    pub(super) shape: Shape,
    pub(super) payload: Vec<u8>,
}

/// What a sample means in terms of one present.
#[derive(Debug, PartialEq)]
pub(super) struct Meaning {
    /// The types and versions of the present that it reads as.
    pub(super) schemas: String,
    pub(super) value: String,
}

impl Sample {
    pub(super) fn to_text(&self) -> String {
        let (form, payload) = match plain(&self.payload) {
            Some(text) => ("text", format!("{text}\n")),
            None => ("hex", hex(&self.payload)),
        };
        let (content_type, shape) = (&self.content_type, self.shape.text());
        format!("{SAMPLE}\ncontent-type: {content_type}\nshape:\n{shape}payload: {form}\n{payload}")
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let rest = text
            .strip_prefix(SAMPLE)?
            .strip_prefix("\ncontent-type: ")?;
        let (content_type, rest) = rest.split_once("\nshape:")?;
        // At the start of a line: no line of a shape starts so, as paths begin with a dot.
        let (shape, rest) = rest.split_once("\npayload: ")?;
        let (form, payload) = rest.split_once('\n')?;
        let payload = match form {
            "text" => payload.strip_suffix('\n')?.as_bytes().to_vec(),
            "hex" => unhex(payload)?,
            _ => return None,
        };
        Some(Self {
            content_type: ContentType::parse(content_type).ok()?,
            shape: Shape::parse(shape.trim_start()),
            payload,
        })
    }
}

impl Meaning {
    /// What a sample means that reads as events of these schemas.
    pub(super) fn new(schemas: &[String], value: String) -> Self {
        let schemas = match schemas {
            [] => NOTHING.to_owned(),
            schemas => schemas.join(AND),
        };
        Self { schemas, value }
    }

    /// The schemas, one by one.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.schemas.split(AND).filter(|name| *name != NOTHING)
    }

    pub(super) fn to_text(&self) -> String {
        format!("{MEANING}\nas: {}\n{}", self.schemas, self.value)
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix(MEANING)?.strip_prefix("\nas: ")?;
        let (schemas, value) = rest.split_once('\n')?;
        Some(Self {
            schemas: schemas.to_owned(),
            value: value.to_owned(),
        })
    }
}

/// Between the schemas of a meaning.
const AND: &str = " + ";

/// The schemas of a meaning without any.
const NOTHING: &str = "nothing";

/// The payload as it stands, where it is text of one line that every tool leaves as it is.
fn plain(payload: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(payload).ok()?;
    let is_plain = !text.chars().any(char::is_control);
    is_plain.then_some(text)
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for line in bytes.chunks(HEX_BYTES_A_LINE) {
        for byte in line {
            let _ = write!(text, "{byte:02x}");
        }
        text.push('\n');
    }
    text
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u32> = text
        .chars()
        .filter(|char| !char.is_whitespace())
        .map(|char| char.to_digit(16))
        .collect::<Option<_>>()?;
    let pairs = digits.chunks(2).map(|pair| match pair {
        [high, low] => u8::try_from(high * 16 + low).ok(),
        _ => None,
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_read_as_they_were_written() {
        for shape in [
            "",
            ".: struct\n.a: u8\n",
            ".: struct\n.payload: text\n.shape: list\n.to: text\n",
        ] {
            for payload in [&b"{\"a\":1}"[..], b"", b"a\nb", b"\xff\x00", &[7; 100]] {
                let sample = Sample {
                    content_type: ContentType::JSON,
                    shape: Shape::parse(shape),
                    payload: payload.to_vec(),
                };
                assert_eq!(Sample::parse(&sample.to_text()), Some(sample));
            }
        }
        let meaning = Meaning {
            schemas: "a v1".to_owned(),
            value: "a v1 {\n}\n".to_owned(),
        };
        assert_eq!(Meaning::parse(&meaning.to_text()), Some(meaning));
        for text in [
            "",
            SAMPLE,
            "annals schema sample 2\ncontent-type: a\nshape:\npayload: text\n\n",
        ] {
            assert_eq!(Sample::parse(text), None);
            assert_eq!(Meaning::parse(text), None);
        }
    }
}
