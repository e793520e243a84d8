//! Payloads as JSON, where their form describes itself; compressed ones without their compression.

mod plain;

use annals_codec::{CborCodec, FormatExt as _, MessagePackCodec, Value};
use annals_core::{ContentType, RecordedEvent};
use base64ct::{Base64, Encoding as _};
use serde_json::value::RawValue;
use serde_json::{Map, Number};

/// What a payload holds, as far as it can be shown.
#[derive(Debug)]
pub(crate) enum Payload {
    /// JSON, byte for byte.
    Json(Box<RawValue>),
    /// Another form that describes itself, as JSON.
    Decoded(serde_json::Value),
    /// Bytes of a form that does not, or that are not what their form says.
    Opaque(Vec<u8>),
}

/// How payloads of a content type are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    form: Form,
    /// Whether each is a frame of zstd, as the wrapper `Compressed` writes it without a dictionary.
    is_compressed: bool,
}

/// How the payload itself is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Json,
    MessagePack,
    Cbor,
    /// Only code that knows the type reads it.
    Opaque,
}

impl Reading {
    pub(crate) fn of(content_type: &ContentType) -> Self {
        let text = content_type.as_str();
        let inner = text.strip_suffix(plain::SUFFIX);
        Self {
            form: Form::of(inner.unwrap_or(text)),
            is_compressed: inner.is_some(),
        }
    }

    /// Whether the bytes are JSON as they are.
    pub(crate) fn is_json(self) -> bool {
        self.form == Form::Json && !self.is_compressed
    }

    /// Whether only code that knows the type reads it.
    pub(crate) fn is_opaque(self) -> bool {
        self.form == Form::Opaque
    }

    /// Whether the bytes are of this form; its error where they are not.
    pub(crate) fn check(self, bytes: &[u8]) -> Result<(), String> {
        // The application may mean by the name of an unknown form what it likes.
        if self.is_compressed && !self.is_opaque() {
            return self.form.check(&plain::decompress(bytes)?);
        }
        self.form.check(bytes)
    }
}

impl Form {
    fn of(content_type: &str) -> Self {
        match content_type {
            "application/json" => Self::Json,
            "application/cbor" => Self::Cbor,
            "application/vnd.msgpack" | "application/msgpack" => Self::MessagePack,
            other if other.ends_with("+json") => Self::Json,
            _ => Self::Opaque,
        }
    }

    fn check(self, bytes: &[u8]) -> Result<(), String> {
        match self {
            Self::Json => serde_json::from_slice::<&RawValue>(bytes)
                .map(drop)
                .map_err(|error| error.to_string()),
            Self::MessagePack => value(MessagePackCodec.from_bytes(bytes)).map(drop),
            Self::Cbor => value(CborCodec.from_bytes(bytes)).map(drop),
            Self::Opaque => Ok(()),
        }
    }
}

impl Payload {
    pub(crate) fn of(event: &RecordedEvent) -> Self {
        let reading = Reading::of(event.content_type());
        let recorded = || Self::Opaque(event.payload().to_vec());
        if !reading.is_compressed {
            return Self::plain(reading.form, event.payload()).unwrap_or_else(recorded);
        }
        let plain = plain::decompress(event.payload()).ok();
        let shown = plain.and_then(|bytes| Self::plain(reading.form, &bytes));
        shown.unwrap_or_else(recorded)
    }

    /// `None` for bytes that can't be shown.
    fn plain(form: Form, bytes: &[u8]) -> Option<Self> {
        let decoded = match form {
            Form::Json => match Self::of_json(bytes) {
                Self::Opaque(_) => return None,
                json => return Some(json),
            },
            Form::MessagePack => value(MessagePackCodec.from_bytes(bytes)),
            Form::Cbor => value(CborCodec.from_bytes(bytes)),
            Form::Opaque => return None,
        };
        decoded.ok().map(|value| Self::Decoded(to_json(value)))
    }

    /// JSON that stays byte for byte what it is on a line of JSON; other bytes otherwise.
    pub(crate) fn of_json(bytes: &[u8]) -> Self {
        let text = std::str::from_utf8(bytes).ok();
        let on_a_line = text.filter(|text| !text.contains(['\n', '\r']) && text.trim() == *text);
        let raw = on_a_line.and_then(|text| RawValue::from_string(text.to_owned()).ok());
        match raw {
            Some(raw) => Self::Json(raw),
            None => match serde_json::from_slice(bytes) {
                Ok(value) => Self::Decoded(value),
                Err(_) => Self::Opaque(bytes.to_vec()),
            },
        }
    }

    /// Whether all of it can be shown.
    pub(crate) fn value(&self) -> Option<serde_json::Value> {
        match self {
            Self::Json(raw) => serde_json::from_str(raw.get()).ok(),
            Self::Decoded(value) => Some(value.clone()),
            Self::Opaque(_) => None,
        }
    }

    /// On a line.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Json(raw) => raw.get().to_owned(),
            Self::Decoded(value) => value.to_string(),
            Self::Opaque(bytes) => {
                const SHOWN_MAX: usize = 24;
                let shown = bytes.get(..SHOWN_MAX.min(bytes.len())).unwrap_or_default();
                let hex: Vec<String> = shown.iter().map(|byte| format!("{byte:02x}")).collect();
                let hex = hex.concat();
                let more = if bytes.len() > SHOWN_MAX { "..." } else { "" };
                format!("<{} bytes> {hex}{more}", bytes.len())
            }
        }
    }
}

fn value(read: Result<Value, annals_codec::Error>) -> Result<Value, String> {
    read.map_err(|error| error.to_string())
}

fn to_json(value: Value) -> serde_json::Value {
    match value {
        Value::Bool(value) => value.into(),
        Value::Integer(number) => integer(number),
        Value::Float(number) => {
            Number::from_f64(number).map_or(serde_json::Value::Null, Into::into)
        }
        Value::Text(text) => text.into(),
        Value::Bytes(bytes) => Base64::encode_string(&bytes).into(),
        Value::List(items) => items.into_iter().map(to_json).collect(),
        Value::Map(fields) => {
            let fields = fields.into_iter();
            let fields = fields.map(|(key, value)| (key_text(key), to_json(value)));
            serde_json::Value::Object(fields.collect::<Map<_, _>>())
        }
        Value::Null => serde_json::Value::Null,
    }
}

/// As a number where JSON has it, else as text.
fn integer(number: i128) -> serde_json::Value {
    if let Ok(small) = i64::try_from(number) {
        return small.into();
    }
    u64::try_from(number).map_or_else(|_| number.to_string().into(), Into::into)
}

fn key_text(key: Value) -> String {
    match key {
        Value::Text(text) => text,
        other => to_json(other).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_keeps_its_bytes_and_anything_else_is_told_apart() {
        let text = r#"{ "b": 1.0, "a":1e2 }"#;
        assert_eq!(Payload::of_json(text.as_bytes()).text(), text);
        assert!(matches!(Payload::of_json(b"{\n}"), Payload::Decoded(_)));
        assert!(matches!(Payload::of_json(b"{\"a\":"), Payload::Opaque(_)));
        assert_eq!(
            Payload::Opaque(vec![0xab; 30]).text(),
            format!("<30 bytes> {}...", "ab".repeat(24))
        );
    }

    #[test]
    fn forms_that_describe_themselves_are_json() {
        let value = Value::Map(vec![
            (Value::Text("amount".into()), Value::Integer(5)),
            (Value::Text("key".into()), Value::Bytes(vec![1, 2])),
        ]);
        for read in [
            MessagePackCodec.from_bytes(&MessagePackCodec.to_bytes(&value).unwrap()),
            CborCodec.from_bytes(&CborCodec.to_bytes(&value).unwrap()),
        ] {
            let json = to_json(read.unwrap()).to_string();
            assert_eq!(json, r#"{"amount":5,"key":"AQI="}"#);
        }
        assert!(Form::Cbor.check(&[0xff]).is_err());
    }
}
