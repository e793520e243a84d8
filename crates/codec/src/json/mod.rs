//! Events as JSON text.

mod guard;

use annals_core::{ContentRef, ContentType, Event, NewEvent};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::variant::{deserialize_content, serialize_content};
use crate::{ContentError, Decoded, Error, ErrorKind, EventCodec, label, recognize};
use guard::{Guard, REASONS};
use serde_json::error::Category;

/// How deep lists, maps and structs may lie in each other in an event as JSON.
pub const JSON_DEPTH_MAX: usize = 127;

/// Room for most events, so that the buffer does not grow step by step.
const PAYLOAD_BYTES_EXPECTED: usize = 128;

/// Events as JSON text: one value of the fields, without the name of the variant.
///
/// Readable without annals, and open to change: a field that is `#[serde(default)]` may be added, and a
/// field that the code does not know is passed over.
///
/// JSON has no form for some values of Rust, and they are refused when they are encoded rather than
/// changed in silence: a float that is not finite, `Some(None)` and the like (it would read back as
/// `None`), a map whose keys are neither texts, numbers nor chars, nesting over [`JSON_DEPTH_MAX`].
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

impl<E: Event + Serialize + DeserializeOwned> EventCodec<E> for JsonCodec {
    fn content_type(&self) -> ContentType {
        ContentType::JSON
    }

    fn encode(&self, event: &E) -> Result<NewEvent, Error> {
        let mut payload = Vec::with_capacity(PAYLOAD_BYTES_EXPECTED);
        let mut serializer = serde_json::Serializer::new(&mut payload);
        serialize_content(event, Guard::new(&mut serializer))
            .map_err(|error| not_encoded(event, error))?;
        label(event, ContentType::JSON, payload)
    }

    fn decode_content(&self, content: ContentRef<'_>) -> Result<Decoded<E>, Error> {
        let kind_index = recognize::<E>(content, &ContentType::JSON)?;
        let mut deserializer = serde_json::Deserializer::from_slice(content.payload);
        let event = deserialize_content(kind_index, &mut deserializer)
            .map_err(|error| not_decoded(content, error))?;
        deserializer.end().map_err(|error| {
            let message = "more bytes follow the event; the payload is not one JSON value";
            located(ErrorKind::TrailingBytes, message, content, &error)
        })?;
        Ok(Decoded::One(event))
    }
}

fn not_encoded<E: Event>(event: &E, error: ContentError<serde_json::Error>) -> Error {
    let encode = |message| {
        Error::new(ErrorKind::Encode, message).with("event type", event.kind().event_type())
    };
    match error {
        ContentError::Type(flaw) => encode(flaw.to_string()),
        ContentError::Format(error) => {
            let message = "event has no form in JSON; correct its values";
            encode(message.to_owned()).with("reason", reason(&error))
        }
    }
}

fn not_decoded(content: ContentRef<'_>, error: ContentError<serde_json::Error>) -> Error {
    match error {
        ContentError::Type(flaw) => Error::new(ErrorKind::WrongKind, flaw.to_string())
            .with("event type", content.event_type),
        ContentError::Format(error) => {
            let message =
                "payload is not this event; repair it, or give changed fields a new schema version";
            located(ErrorKind::BadBytes, message, content, &error)
        }
    }
}

/// Why a value was not written. The text of the error is shown where it is one of the known ones only: any
/// other is by the application's `Serialize` and may hold the value.
fn reason(error: &serde_json::Error) -> &'static str {
    let text = error.to_string();
    let known = REASONS.into_iter().find(|reason| *reason == text);
    known.unwrap_or("a value refuses to be serialized")
}

/// An error at the place of the payload that the parser had reached. The parser's own error stays behind,
/// as its text repeats what stands there.
fn located(
    kind: ErrorKind,
    message: &'static str,
    content: ContentRef<'_>,
    error: &serde_json::Error,
) -> Error {
    let category = match error.classify() {
        Category::Data => "data",
        Category::Syntax => "syntax",
        Category::Eof => "end of input",
        Category::Io => "io",
    };
    let located = Error::new(kind, message)
        .with("event type", content.event_type)
        .with("category", category);
    match byte_at(content.payload, error.line(), error.column()) {
        None => located,
        Some(byte) => located
            .with("line", error.line())
            .with("column", error.column())
            .with("byte", byte),
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
