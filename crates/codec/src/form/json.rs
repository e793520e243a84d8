//! Events as JSON text.

use std::str::{self, Utf8Error};

use annals_core::ContentType;
use serde::Serialize;
use serde::de::DeserializeSeed;
use serde_json::error::Category;

use super::{Damage, Form, Rules, codec};

/// Room for most events, so that the buffer does not grow step by step.
const PAYLOAD_BYTES_EXPECTED: usize = 128;

/// What the serializer of JSON itself refuses, in its own words.
const REASONS: [&str; 2] = [
    "key must be a string",
    "float key must be finite (got NaN or +/-inf)",
];

/// Events as JSON text: one value of the fields, without the name of the variant.
///
/// Readable without annals, and open to change: a field that is `#[serde(default)]` may be added, and a
/// field that the code does not know is passed over. Bytes that are not UTF-8 are refused even there.
///
/// JSON has no form for some values of Rust, and they are refused when they are encoded rather than
/// changed in silence: a float that is not finite, `Some(None)` and the like (it would read back as
/// `None`), a map whose keys are neither texts, numbers, bools nor chars, nesting over
/// [`DEPTH_MAX`](crate::DEPTH_MAX).
///
/// An error names the place in the payload and what is wrong there: `syntax`, `end of input`, or `data`
/// where the JSON is well formed but a field is missing, unknown or of another type. It repeats nothing of
/// the payload, and none of the text that a `Serialize` or `Deserialize` of the application adds.
///
/// ```
/// use annals_codec::{EventCodec, EventCodecExt, JsonCodec};
/// use annals_macros::Event;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, PartialEq, Event, Serialize, Deserialize)]
/// #[event(category = "account")]
/// enum AccountEvent {
///     Opened { owner: String },
///     MoneyDeposited { amount: u64 },
/// }
///
/// let deposited = AccountEvent::MoneyDeposited { amount: 5 };
/// let named = JsonCodec.encode(&deposited)?;
/// assert_eq!(named.event_type().as_str(), "money-deposited");
/// assert_eq!(named.payload(), r#"{"amount":5}"#);
/// let decoded: AccountEvent = JsonCodec.decode_one(named.content())?;
/// assert_eq!(decoded, deposited);
/// # Ok::<(), annals_codec::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct JsonCodec;

codec!(JsonCodec);

impl Form for JsonCodec {
    const NAME: &'static str = "JSON";
    const CONTENT_TYPE: ContentType = ContentType::JSON;
    const RULES: &'static Rules = &Rules {
        describes_itself: true,
        finite_only: true,
        floats_by_width: false,
        rounds: Some(has_long_integer),
    };

    fn write<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Option<&'static str>> {
        let mut payload = Vec::with_capacity(PAYLOAD_BYTES_EXPECTED);
        let mut serializer = serde_json::Serializer::new(&mut payload);
        value
            .serialize(&mut serializer)
            .map_err(|error| reason(&error))?;
        Ok(payload)
    }

    fn read<'de, S: DeserializeSeed<'de>>(bytes: &'de [u8], seed: S) -> Result<S::Value, Damage> {
        // Checked at once: the parser would check text by text, which takes several times as long.
        let text = str::from_utf8(bytes).map_err(|error| not_text(error, bytes))?;
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let value = seed
            .deserialize(&mut deserializer)
            .map_err(|error| located(Damage::bad(), bytes, &error))?;
        deserializer
            .end()
            .map_err(|error| located(Damage::trailing(), bytes, &error))?;
        Ok(value)
    }
}

/// Why a value was not written. The text of the error is shown where it is one of the known ones only: any
/// other is by the application's `Serialize` and may hold the value.
fn reason(error: &serde_json::Error) -> Option<&'static str> {
    let text = error.to_string();
    REASONS.into_iter().find(|reason| *reason == text)
}

/// JSON is UTF-8, also in what the code passes over. Up to the first byte that is not, it is told as the parser
/// tells it.
fn not_text(error: Utf8Error, payload: &[u8]) -> Damage {
    let text = payload.get(..error.valid_up_to()).unwrap_or_default();
    let category = match error.error_len() {
        Some(_) => "syntax",
        None => "end of input",
    };
    let is_end = |byte: &u8| *byte == b'\n';
    let before = text.rsplit(is_end).next().map_or(0, <[u8]>::len);
    Damage::bad()
        .with("category", &category)
        .with("line", &text.split(is_end).count())
        .with("column", &(before + 1))
        .with("byte", &(text.len() + 1))
}

/// The damage at the place of the payload that the parser had reached. The parser's own error stays behind,
/// as its text repeats what stands there.
fn located(damage: Damage, payload: &[u8], error: &serde_json::Error) -> Damage {
    let category = match error.classify() {
        Category::Data => "data",
        Category::Syntax => "syntax",
        Category::Eof => "end of input",
        Category::Io => "io",
    };
    let damage = damage.with("category", &category);
    match byte_at(payload, error.line(), error.column()) {
        None => damage,
        Some(byte) => damage
            .with("line", &error.line())
            .with("column", &error.column())
            .with("byte", &byte),
    }
}

/// How many bytes come up to a place; `None` when the payload has no such place: the parser takes lines
/// and columns from the end of an application's message too, which may be any numbers.
fn byte_at(payload: &[u8], line: usize, column: usize) -> Option<usize> {
    let mut lines = payload.split(|byte| *byte == b'\n');
    let before = lines.by_ref().take(line.checked_sub(1)?);
    let start: usize = before.map(|line| line.len() + 1).sum();
    let is_within = column <= lines.next()?.len();
    is_within.then(|| start + column)
}

/// Whether a JSON text holds, outside its strings, a whole number that no type of 64 bits has: without a type
/// it reads as a float.
fn has_long_integer(json: &[u8]) -> bool {
    let (mut is_text, mut is_escaped) = (false, false);
    let mut number = String::new();
    for byte in json.iter().chain(b" ") {
        if is_text {
            is_text = is_escaped || *byte != b'"';
            is_escaped = !is_escaped && *byte == b'\\';
        } else if matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E') {
            number.push(char::from(*byte));
        } else {
            if is_long(&number) {
                return true;
            }
            number.clear();
            is_text = *byte == b'"';
        }
    }
    false
}

fn is_long(number: &str) -> bool {
    let is_whole = !number.is_empty() && !number.contains(['.', 'e', 'E']);
    is_whole && number.parse::<u64>().is_err() && number.parse::<i64>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_integers_are_found_outside_of_texts() {
        for (json, expected) in [
            ("18446744073709551615", false),
            ("18446744073709551616", true),
            ("-9223372036854775808", false),
            ("[1,-9223372036854775809]", true),
            (r#"{"a":true,"b":1e300,"c":118059162071741130342.5}"#, false),
            (r#"{"a":"118059162071741130342","b":null}"#, false),
            (r#"{"\\":"\"118059162071741130342"}"#, false),
            (r#"{"\\":118059162071741130342}"#, true),
            ("", false),
        ] {
            assert_eq!(has_long_integer(json.as_bytes()), expected, "{json}");
        }
    }
}
