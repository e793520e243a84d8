//! What the attributes of serde do to an event: right, or a clear error.

#![cfg(feature = "json")]
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};

use annals_codec::{
    ContentError, Error, ErrorKind, EventCodec, EventCodecExt, FormatExt, JsonCodec, TypeFlaw,
    deserialize_content, serialize_content,
};
use annals_core::{EventType, NewEvent};
use annals_macros::Event;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use support::forms;

/// An event that survives in every form, with these bytes in JSON.
fn check<E>(event: &E, payload: &str)
where
    E: annals_core::Event + Serialize + DeserializeOwned + PartialEq + std::fmt::Debug,
{
    check_by_name(event, payload);
    for form in forms::<E>() {
        let content = form.codec.encode(event).unwrap();
        let decoded = form.codec.decode_one(content.content()).unwrap();
        assert_eq!(&decoded, event);
    }
}

/// An event that survives in every form that describes itself, and is refused by the others.
fn check_by_name_only<E>(event: &E, payload: &str)
where
    E: annals_core::Event + Serialize + DeserializeOwned + PartialEq + std::fmt::Debug,
{
    check_by_name(event, payload);
    for form in forms::<E>() {
        match form.codec.encode(event) {
            Ok(content) => {
                assert!(form.format.describes_itself(), "{form:?}");
                let decoded = form.codec.decode_one(content.content()).unwrap();
                assert_eq!(&decoded, event);
            }
            Err(error) => {
                assert!(!form.format.describes_itself(), "{error}");
                assert_eq!(error.kind(), ErrorKind::Encode);
            }
        }
    }
}

fn check_by_name<E>(event: &E, payload: &str)
where
    E: annals_core::Event + Serialize + DeserializeOwned + PartialEq + std::fmt::Debug,
{
    let content = JsonCodec.encode(event).unwrap();
    assert_eq!(std::str::from_utf8(content.payload()).unwrap(), payload);
    let decoded: E = JsonCodec.decode_one(content.content()).unwrap();
    assert_eq!(&decoded, event);
}

/// An event that is refused before anything is written.
fn check_refused<E>(event: &E, flaw: TypeFlaw)
where
    E: annals_core::Event + Serialize + DeserializeOwned,
{
    let mut bytes = Vec::new();
    let written = serialize_content(event, &mut serde_json::Serializer::new(&mut bytes));
    assert!(
        matches!(written, Err(ContentError::Type(found)) if found == flaw),
        "{written:?}"
    );
    assert!(bytes.is_empty());
    for form in forms() {
        let error = form.codec.encode(event).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Encode);
        assert!(error.to_string().starts_with(&flaw.to_string()), "{error}");
    }
}

/// Bytes that are an error of this kind.
fn check_unread<E>(event_type: &str, payload: &str, kind: ErrorKind)
where
    E: annals_core::Event + Serialize + DeserializeOwned + std::fmt::Debug,
{
    let value: serde_json::Value = serde_json::from_str(payload).unwrap();
    let forms = forms::<E>().into_iter();
    for form in forms.filter(|form| form.format.describes_itself()) {
        let event_type = EventType::parse(event_type).unwrap();
        let bytes = form.format.to_bytes(&value).unwrap();
        let content = NewEvent::new(event_type, form.format.content_type(), bytes).unwrap();
        let decoded: Result<E, Error> = form.codec.decode_one(content.content());
        assert_eq!(decoded.unwrap_err().kind(), kind, "{}", form.name());
    }
}

#[derive(Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "a")]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Renamed {
    #[serde(alias = "x", alias = "y")]
    First { a: u8 },
    #[serde(rename(serialize = "out", deserialize = "in"))]
    Second {
        #[serde(rename = "B", default, skip_serializing_if = "Option::is_none")]
        b: Option<u8>,
    },
}

#[test]
fn the_serde_names_of_variants_do_not_matter() {
    check(&Renamed::First { a: 1 }, r#"{"a":1}"#);
    check(&Renamed::Second { b: Some(2) }, r#"{"B":2}"#);
    check_by_name_only(&Renamed::Second { b: None }, "{}");
}

#[derive(Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "a")]
enum Skipping {
    First,
    #[serde(skip)]
    Hidden,
    Last(u8),
}

#[derive(Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "a")]
enum SkippingTheLast {
    #[serde(alias = "a", alias = "b")]
    First,
    #[serde(skip_deserializing)]
    Last(u8),
}

#[test]
fn a_skipped_variant_is_refused_before_it_shifts_the_others() {
    check_refused(&Skipping::First, TypeFlaw::SkippedVariant);
    check_refused(&Skipping::Hidden, TypeFlaw::SkippedVariant);
    check_refused(&Skipping::Last(1), TypeFlaw::SkippedVariant);
    check_refused(&SkippingTheLast::First, TypeFlaw::SkippedVariant);
    check_refused(&SkippingTheLast::Last(1), TypeFlaw::SkippedVariant);
    check_unread::<Skipping>("last", "1", ErrorKind::WrongKind);
    check_unread::<SkippingTheLast>("last", "1", ErrorKind::WrongKind);
}

#[derive(Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "a")]
enum WithFieldsSkipped {
    Newtype(#[serde(skip)] u8),
    Tuple(u8, #[serde(skip)] u8, u8),
    Struct {
        #[serde(skip)]
        a: u8,
        b: u8,
    },
}

#[test]
fn skipped_fields_take_their_default() {
    check(&WithFieldsSkipped::Newtype(0), "{}");
    check(&WithFieldsSkipped::Tuple(1, 0, 2), "[1,2]");
    check(&WithFieldsSkipped::Struct { a: 0, b: 1 }, r#"{"b":1}"#);
}

#[derive(Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "a")]
enum WithOther {
    First {
        a: u8,
    },
    #[serde(other)]
    Unknown,
}

#[test]
fn an_unknown_type_is_never_the_other_variant() {
    check(&WithOther::First { a: 1 }, r#"{"a":1}"#);
    check(&WithOther::Unknown, "{}");
    check_unread::<WithOther>("new", "{}", ErrorKind::UnknownType);
}

#[derive(Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "a")]
#[serde(tag = "type")]
enum InternallyTagged {
    First { a: u8 },
    Second { a: u8 },
    Third,
}

#[derive(Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "a")]
#[serde(tag = "t", content = "c")]
enum AdjacentlyTagged {
    First(u8),
    Second,
}

#[test]
fn a_tag_of_serde_stands_in_the_payload_and_must_agree() {
    check_by_name_only(
        &InternallyTagged::First { a: 1 },
        r#"{"type":"First","a":1}"#,
    );
    check_by_name_only(&InternallyTagged::Third, r#"{"type":"Third"}"#);
    check_by_name_only(&AdjacentlyTagged::First(1), r#"{"t":"First","c":1}"#);
    check_by_name_only(&AdjacentlyTagged::Second, r#"{"t":"Second"}"#);
    check_unread::<InternallyTagged>("second", r#"{"type":"First","a":1}"#, ErrorKind::WrongKind);
    check_unread::<InternallyTagged>("first", r#"{"a":1}"#, ErrorKind::BadBytes);
}

#[derive(Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "a")]
#[serde(untagged)]
enum Untagged {
    First { a: u8 },
    Second { b: u8 },
    Same { a: u8 },
}

#[derive(Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "a")]
enum UntaggedVariant {
    First {
        a: u8,
    },
    #[serde(untagged)]
    Second {
        b: u8,
    },
}

#[test]
fn an_untagged_event_is_never_taken_for_another_kind() {
    check_by_name_only(&Untagged::First { a: 1 }, r#"{"a":1}"#);
    check_by_name_only(&Untagged::Second { b: 1 }, r#"{"b":1}"#);
    check_unread::<Untagged>("same", r#"{"a":1}"#, ErrorKind::WrongKind);
    check_by_name_only(&UntaggedVariant::Second { b: 1 }, r#"{"b":1}"#);
    check_refused(&UntaggedVariant::First { a: 1 }, TypeFlaw::OneSided);
}

#[derive(Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "a")]
#[serde(transparent)]
struct Transparent(Renamed);

#[derive(Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "a")]
struct Newtype(Renamed);

#[test]
fn an_enum_inside_a_struct_event_is_not_the_event() {
    check(&Newtype(Renamed::First { a: 1 }), r#"{"FIRST":{"a":1}}"#);
    check_refused(
        &Transparent(Renamed::Second { b: None }),
        TypeFlaw::OtherVariant,
    );
}

#[derive(Debug, Clone, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "a")]
#[serde(from = "Wire", into = "Wire")]
enum Converted {
    First(u8),
    Second(u8),
}

#[derive(Serialize, Deserialize)]
struct Wire {
    second: bool,
    value: u8,
}

impl From<Wire> for Converted {
    fn from(wire: Wire) -> Self {
        if wire.second {
            Self::Second(wire.value)
        } else {
            Self::First(wire.value)
        }
    }
}

impl From<Converted> for Wire {
    fn from(event: Converted) -> Self {
        match event {
            Converted::First(value) => Self {
                second: false,
                value,
            },
            Converted::Second(value) => Self {
                second: true,
                value,
            },
        }
    }
}

#[test]
fn a_converted_event_has_the_form_of_its_stand_in() {
    check(&Converted::First(1), r#"{"second":false,"value":1}"#);
    check(&Converted::Second(1), r#"{"second":true,"value":1}"#);
}

#[derive(Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "a")]
#[serde(deny_unknown_fields)]
enum Strict {
    First { a: u8 },
    Second,
}

#[test]
fn unknown_fields_can_be_denied() {
    check(&Strict::First { a: 1 }, r#"{"a":1}"#);
    check(&Strict::Second, "{}");
    check_unread::<Strict>("first", r#"{"a":1,"b":2}"#, ErrorKind::BadBytes);
}

#[test]
fn content_is_read_by_the_index_of_its_kind() {
    for (index, expected) in [(0, Ok(Some(1))), (1, Ok(None)), (2, Err(()))] {
        let mut json = serde_json::Deserializer::from_str(r#"{"a":1}"#);
        let read: Result<Renamed, _> = deserialize_content(index, &mut json);
        let found = match read {
            Ok(Renamed::First { a }) => Ok(Some(a)),
            Ok(Renamed::Second { b }) => Ok(b),
            Err(_) => Err(()),
        };
        assert_eq!(found, expected, "{index}");
    }
}

/// In each form, an event is either refused or kept, as the form's name says.
fn check_kept_in<E>(event: &E, kept: &[&str])
where
    E: annals_core::Event + Serialize + DeserializeOwned + PartialEq + std::fmt::Debug,
{
    for form in forms::<E>() {
        let name = form.name();
        match form.codec.encode(event) {
            Ok(content) => {
                let decoded = form.codec.decode_one(content.content());
                assert_eq!(decoded.ok().as_ref(), Some(event), "{name}");
                assert!(kept.contains(&name.as_str()), "{name} keeps {event:?}");
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Encode);
                assert!(error.to_string().contains("back"), "{error}");
                assert!(!kept.contains(&name.as_str()), "{name}: {error}");
            }
        }
    }
}

#[derive(Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "a")]
enum Doubtful {
    OneSided {
        #[serde(skip_serializing, default)]
        cache: u8,
        list: Vec<u8>,
    },
    FlatOption {
        id: u8,
        #[serde(flatten)]
        extra: Option<Extra>,
    },
    FlatNumber {
        #[serde(flatten)]
        number: Number,
    },
    FlatMap {
        id: u8,
        #[serde(flatten)]
        rest: HashMap<String, u8>,
    },
    Tagged(Tagged),
    Unnamed {
        #[serde(skip_serializing_if = "Vec::is_empty")]
        list: Vec<u8>,
    },
    Unordered {
        set: HashSet<String>,
        map: HashMap<u64, u8>,
    },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Extra {
    note: Option<String>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Number {
    big: u128,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "t")]
enum Tagged {
    Number { big: u128 },
    Keys { keys: BTreeMap<u8, u8> },
    Address { address: IpAddr },
    Plain { list: Vec<u8> },
}

const BY_NAME: &[&str] = &["json", "vnd.msgpack", "cbor"];

#[test]
fn what_reads_back_as_another_event_or_not_at_all_is_refused() {
    // The cache takes the length of the list, in bytes that tell no fields.
    let (cache, list) = (0, vec![1, 9]);
    check_kept_in(&Doubtful::OneSided { cache, list }, BY_NAME);
    for form in forms() {
        let event = Doubtful::FlatOption { id: 1, extra: None };
        assert!(form.codec.encode(&event).is_err(), "{form:?}");
    }
    let big = 5;
    let number = Number { big };
    for event in [
        Doubtful::FlatNumber { number },
        Doubtful::Tagged(Tagged::Number { big }),
        Doubtful::Unnamed { list: Vec::new() },
    ] {
        for form in forms() {
            if let Ok(content) = form.codec.encode(&event) {
                let decoded: Result<Doubtful, Error> = form.codec.decode_one(content.content());
                assert_eq!(decoded.ok().as_ref(), Some(&event), "{form:?}");
            }
        }
        assert!(JsonCodec.encode(&event).is_err(), "{event:?}");
    }
    let keys = [(1, 2)].into();
    check_kept_in(
        &Doubtful::Tagged(Tagged::Keys { keys }),
        &["vnd.msgpack", "cbor"],
    );
    let address = Ipv4Addr::LOCALHOST.into();
    check_kept_in(&Doubtful::Tagged(Tagged::Address { address }), &["json"]);
    let list = vec![1];
    check_kept_in(&Doubtful::Tagged(Tagged::Plain { list }), BY_NAME);
}

#[test]
fn what_has_no_order_is_kept_whatever_order_it_reads_back_in() {
    for _ in 0..20 {
        let texts = (0..20_u8).map(|number| number.to_string());
        let rest = texts.clone().zip(0..).collect();
        let event = Doubtful::FlatMap { id: 1, rest };
        for form in forms()
            .into_iter()
            .filter(|form| form.format.describes_itself())
        {
            let content = form.codec.encode(&event).unwrap();
            assert_eq!(form.codec.decode_one(content.content()).unwrap(), event);
        }
        let set = texts.collect();
        let map = (0..20).zip(0..).collect();
        check_kept_in(
            &Doubtful::Unordered { set, map },
            &[BY_NAME, &["vnd.annals.bincode", "vnd.annals.postcard"]].concat(),
        );
    }
}
