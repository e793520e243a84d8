//! Each way in which an event is no bytes, or bytes are no event, is an error of its own.

#![cfg(feature = "json")]
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::collections::BTreeMap;

use annals_codec::{DEPTH_MAX, Decoded, Error, ErrorKind, EventCodec, EventCodecExt, JsonCodec};
use annals_core::{
    ContentType, EventId, EventType, NewEvent, Placement, Position, RecordedEvent, SchemaVersion,
    StreamId, Timestamp, Version,
};
use annals_macros::Event;
use serde::{Deserialize, Serialize};

use support::forms;

#[derive(Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "account")]
enum AccountEvent {
    #[event(version = 2)]
    Opened {
        owner: String,
    },
    Closed,
}

#[derive(Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "value")]
enum Value {
    Single(f32),
    Double(Vec<f64>),
    #[expect(clippy::option_option, reason = "what JSON can't tell apart")]
    Twice(Option<Option<u8>>),
    Empty {
        unit: Option<()>,
    },
    Wrapped(Option<Wrapper>),
    ByPair(BTreeMap<(u8, u8), u8>),
    Nested(Nest),
    Chained(Chain),
    Tagged(#[event(tag = "text")] String),
    Bytes(String),
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Wrapper(Option<u8>);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Nest(Vec<Nest>);

/// An enum takes two levels of brackets for a variant with fields, one for a newtype.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Chain {
    End,
    Link(Box<Chain>),
    Pair(Box<Chain>, u8),
    Named { next: Box<Chain> },
}

impl Chain {
    fn of(links: usize, link: fn(Box<Self>) -> Self) -> Self {
        (0..links).fold(Self::End, |next, _| link(Box::new(next)))
    }
}

impl Nest {
    /// Lists in lists, this many in all.
    fn of(depth: usize) -> Self {
        (1..depth).fold(Self(Vec::new()), |inner, _| Self(vec![inner]))
    }
}

fn content(event_type: &str, version: u32, content_type: &ContentType, bytes: &[u8]) -> NewEvent {
    let event_type = EventType::parse(event_type).unwrap();
    NewEvent::new(event_type, content_type.clone(), bytes.to_vec())
        .unwrap()
        .with_schema_version(SchemaVersion::new(version).unwrap())
}

fn check_decode(content: &NewEvent, kind: ErrorKind, text: &str) {
    let decoded: Result<AccountEvent, Error> = JsonCodec.decode_one(content.content());
    let error = decoded.unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    assert_eq!(error.to_string(), text);
    let core = annals_core::Error::from(error);
    assert_eq!(core.kind(), annals_core::ErrorKind::Undecodable);
}

#[test]
fn names_that_do_not_fit_are_told_apart() {
    let json = &ContentType::JSON;
    check_decode(
        &content("frozen", 1, json, b"{}"),
        ErrorKind::UnknownType,
        "event type is none that the code knows; add it, or read another category \
         (event type: frozen, category: account, known types: opened, closed)",
    );
    check_decode(
        &content("closed", 1, &ContentType::OCTETS, b"{}"),
        ErrorKind::UnknownContentType,
        "payload is in another form; decode it with the codec of that form \
         (event type: closed, content type: application/octet-stream, codec: application/json)",
    );
    check_decode(
        &content("opened", 3, json, b"{}"),
        ErrorKind::FutureVersion,
        "event follows a newer schema than the code; update the code \
         (event type: opened, schema version: 3, current version: 2)",
    );
    check_decode(
        &content("opened", 1, json, b"{}"),
        ErrorKind::OldVersion,
        "event follows an older schema than the code; upcast it first \
         (event type: opened, schema version: 1, current version: 2)",
    );
}

#[test]
fn bytes_that_do_not_fit_are_told_apart() {
    use ErrorKind::{BadBytes, TrailingBytes};
    for (bytes, kind, category, [line, column, byte]) in [
        (&b""[..], BadBytes, "end of input", ["1", "0", "0"]),
        (b"{\"own", BadBytes, "end of input", ["1", "5", "5"]),
        (b"{}", BadBytes, "data", ["1", "2", "2"]),
        (b"7", BadBytes, "data", ["1", "1", "1"]),
        (
            b"{\"owner\":\"\xff\"}",
            BadBytes,
            "syntax",
            ["1", "11", "11"],
        ),
        (
            b"{\"other\":1,\n\"\xff\":2}",
            BadBytes,
            "syntax",
            ["2", "2", "14"],
        ),
        (
            b"{\"owner\":\"Ad\xc3",
            BadBytes,
            "end of input",
            ["1", "13", "13"],
        ),
        (b"{\n\"owner\":\n1}", BadBytes, "data", ["3", "1", "12"]),
        (
            b"{\"owner\":\"Ada\"\n,}",
            BadBytes,
            "syntax",
            ["2", "2", "17"],
        ),
        (
            b"{\"owner\":\"Ada\"}x",
            TrailingBytes,
            "syntax",
            ["1", "16", "16"],
        ),
        (
            b"{\"owner\":\"Ada\"}{}",
            TrailingBytes,
            "syntax",
            ["1", "16", "16"],
        ),
        (
            b"{\"owner\":\"Ada\"}\n\nx",
            TrailingBytes,
            "syntax",
            ["3", "1", "18"],
        ),
    ] {
        let event = content("opened", 2, &ContentType::JSON, bytes);
        let decoded: Result<AccountEvent, Error> = JsonCodec.decode_one(event.content());
        let error = decoded.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        let facts: Vec<(&str, &str)> = error.context().collect();
        let expected = [
            ("event type", "opened"),
            ("category", category),
            ("line", line),
            ("column", column),
            ("byte", byte),
        ];
        assert_eq!(facts, expected);
    }
}

type Damaged = (
    &'static str,
    &'static [u8],
    Option<&'static str>,
    Option<&'static str>,
);

/// Bytes in a form, and what is wrong with them: `None` for a byte too many, and where that is told.
const DAMAGED: &[Damaged] = &[
    ("vnd.msgpack", b"", Some("end of input"), None),
    ("vnd.msgpack", b"\x81\xa5own", Some("end of input"), None),
    ("vnd.msgpack", b"\x80", Some("data"), None),
    ("vnd.msgpack", b"\x07", Some("data"), None),
    ("vnd.msgpack", b"\xc1", Some("data"), None),
    (
        "vnd.msgpack",
        b"\x81\xa5owner\xa1\xff",
        Some("syntax"),
        None,
    ),
    ("vnd.msgpack", b"\x81\xa5owner\xa1AA", None, None),
    ("cbor", b"", Some("end of input"), Some("0")),
    ("cbor", b"\xa1", Some("end of input"), Some("1")),
    ("cbor", b"\xa0", Some("data"), Some("1")),
    ("cbor", b"\x07", Some("data"), Some("1")),
    ("cbor", b"\xa1\x65owner\x61\xff", Some("syntax"), Some("9")),
    ("cbor", b"\xa1\x65owner\x61AA", None, Some("9")),
    ("vnd.annals.bincode", b"", Some("end of input"), None),
    ("vnd.annals.bincode", b"\x02A", Some("end of input"), None),
    ("vnd.annals.bincode", b"\x01\xff", Some("syntax"), None),
    ("vnd.annals.bincode", b"\x01AA", None, Some("2")),
    ("vnd.annals.postcard", b"", Some("end of input"), None),
    ("vnd.annals.postcard", b"\x02A", Some("end of input"), None),
    ("vnd.annals.postcard", b"\x01\xff", Some("syntax"), None),
    ("vnd.annals.postcard", b"\x01AA", None, Some("2")),
];

/// The kinds of damage, in the forms that are no text.
#[test]
fn bytes_that_do_not_fit_are_told_apart_in_every_form() {
    for form in forms::<AccountEvent>() {
        for (_, bytes, category, byte) in DAMAGED.iter().filter(|case| case.0 == form.name()) {
            let event = content("opened", 2, &form.format.content_type(), bytes);
            let error = form.codec.decode_one(event.content()).unwrap_err();
            let kind = category.map_or(ErrorKind::TrailingBytes, |_| ErrorKind::BadBytes);
            assert_eq!(error.kind(), kind, "{error}");
            let found: Vec<(&str, &str)> = error.context().collect();
            let category = category.map(|category| ("category", category));
            let byte = byte.map(|byte| ("byte", byte));
            let expected = [Some(("event type", "opened")), category, byte];
            let expected: Vec<(&str, &str)> = expected.into_iter().flatten().collect();
            assert_eq!(found, expected, "{} {bytes:02x?}", form.name());
        }
    }
}

/// What an event is recorded as is looked at before its bytes, in every form alike.
#[test]
fn names_are_looked_at_first_in_every_form() {
    for form in forms::<AccountEvent>() {
        let own = form.format.content_type();
        for (event_type, version, content_type, kind) in [
            ("frozen", 1, &own, ErrorKind::UnknownType),
            (
                "closed",
                1,
                &ContentType::OCTETS,
                ErrorKind::UnknownContentType,
            ),
            ("opened", 3, &own, ErrorKind::FutureVersion),
            ("opened", 1, &own, ErrorKind::OldVersion),
        ] {
            let event = content(event_type, version, content_type, b"\xff");
            let error = form.codec.decode_one(event.content()).unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
        }
    }
}

#[test]
fn space_around_and_fields_beside_an_event_are_passed_over() {
    for (event_type, version, bytes) in [
        ("opened", 2, &b" {\"owner\":\"Ada\",\"age\":7}\n"[..]),
        ("closed", 1, b"{\"reason\":[1,{\"deep\":null}]}"),
        ("closed", 1, b"{}\n"),
        ("closed", 1, b"[]"),
    ] {
        let event = content(event_type, version, &ContentType::JSON, bytes);
        let decoded: Result<AccountEvent, Error> = JsonCodec.decode_one(event.content());
        assert!(decoded.is_ok(), "{decoded:?}");
    }
}

#[test]
fn an_undecodable_recorded_event_is_named_by_its_place() {
    let placement = Placement {
        id: "01890000-0000-7000-8000-000000000001"
            .parse::<EventId>()
            .unwrap(),
        stream: StreamId::parse("account-42").unwrap(),
        version: Version::new(3),
        position: Position::new(17),
        recorded_at: Timestamp::EPOCH,
        appended_at: Timestamp::EPOCH,
    };
    let frozen = content("closed", 1, &ContentType::JSON, b"{}}");
    let recorded = RecordedEvent::new(frozen, placement);
    let decoded: Result<Decoded<AccountEvent>, Error> = JsonCodec.decode(&recorded);
    let error = annals_core::Error::from(decoded.unwrap_err());
    assert_eq!(
        error.to_string(),
        "decode: more bytes follow the event; the payload is not one JSON value \
         (event type: closed, category: syntax, line: 1, column: 3, byte: 3, \
         stream: account-42, version: 3, position: 17)"
    );
}

/// Refused by JSON, and by the other forms or not: a refusal is never for another reason.
fn check_encode(value: &Value, reason: &str) {
    let error = JsonCodec.encode(value).unwrap_err();
    check_reason(error, reason);
    for form in forms::<Value>() {
        match form.codec.encode(value) {
            Ok(content) => {
                let decoded = form.codec.decode_one(content.content()).unwrap();
                // Not a number is no equal of itself.
                assert_eq!(format!("{decoded:?}"), format!("{value:?}"));
            }
            Err(error) => check_reason(error, reason),
        }
    }
}

fn check_reason(error: Error, reason: &str) {
    assert_eq!(error.kind(), ErrorKind::Encode, "{error}");
    let facts: BTreeMap<&str, &str> = error.context().collect();
    assert!(facts.get("reason").unwrap().contains(reason), "{error}");
    let core = annals_core::Error::from(error);
    assert_eq!(core.kind(), annals_core::ErrorKind::Invalid);
}

#[test]
fn a_value_without_a_form_in_json_is_refused_when_it_is_encoded() {
    let not_none = "would read back as none";
    let too_deep = "DEPTH_MAX";
    for (value, reason) in [
        (Value::Single(f32::NAN), "number is not finite"),
        (
            Value::Double(vec![0.0, f64::INFINITY]),
            "number is not finite",
        ),
        (
            Value::Double(vec![f64::NEG_INFINITY]),
            "number is not finite",
        ),
        (Value::Twice(Some(None)), not_none),
        (Value::Empty { unit: Some(()) }, not_none),
        (Value::Wrapped(Some(Wrapper(None))), not_none),
        (
            Value::ByPair(BTreeMap::from([((1, 2), 3)])),
            "key must be a string",
        ),
        (Value::Nested(Nest::of(DEPTH_MAX + 1)), too_deep),
        (Value::Chained(Chain::of(128, Chain::Link)), too_deep),
        (
            Value::Chained(Chain::of(64, |next| Chain::Pair(next, 0))),
            too_deep,
        ),
        (
            Value::Chained(Chain::of(64, |next| Chain::Named { next })),
            too_deep,
        ),
    ] {
        check_encode(&value, reason);
    }
}

#[test]
fn what_is_just_within_the_limits_survives() {
    for value in [
        Value::Single(f32::MAX),
        Value::Double(vec![f64::MIN_POSITIVE, -0.0, 5e-324]),
        Value::Twice(None),
        Value::Twice(Some(Some(1))),
        Value::Empty { unit: None },
        Value::Wrapped(Some(Wrapper(Some(1)))),
        Value::ByPair(BTreeMap::new()),
        Value::Nested(Nest::of(DEPTH_MAX)),
        Value::Chained(Chain::of(127, Chain::Link)),
        Value::Chained(Chain::of(63, |next| Chain::Pair(next, 0))),
        Value::Chained(Chain::of(63, |next| Chain::Named { next })),
    ] {
        for form in forms::<Value>() {
            let content = form.codec.encode(&value).unwrap();
            let decoded = form.codec.decode_one(content.content());
            assert_eq!(decoded.ok().as_ref(), Some(&value));
        }
    }
}

#[test]
fn the_limits_of_the_core_are_told_as_the_core_tells_them() {
    for (value, limit) in [
        (
            Value::Bytes("x".repeat(16 << 20)),
            Some("PAYLOAD_BYTES_MAX"),
        ),
        (Value::Tagged("a\nb".to_owned()), None),
    ] {
        for form in forms::<Value>() {
            let error = form.codec.encode(&value).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Encode);
            let core = annals_core::Error::from(error);
            assert_eq!(core.kind(), annals_core::ErrorKind::Invalid);
            assert_eq!(core.limit().map(|limit| limit.name), limit, "{core}");
            assert!(core.to_string().starts_with("encode: "), "{core}");
            assert!(core.to_string().contains("event type: "), "{core}");
        }
    }
}
