//! No error repeats anything of a payload.

#![cfg(feature = "json")]
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::collections::BTreeMap;

use annals_codec::{Error, ErrorKind, EventCodec, EventCodecExt, FormatExt, JsonCodec};
use annals_core::{ContentType, Event, EventType, NewEvent};
use annals_macros::Event;
use serde::de::{DeserializeOwned, Error as _};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use support::{Form, forms};

const SECRET: &str = "canary-8842";
const SECRET_NUMBER: u64 = 884_288_428_842;

#[derive(Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "patient")]
enum PatientEvent {
    Weighed { grams: u16 },
    Named(String),
    Moved(u8, u8),
    Rated { grade: Grade },
    Counted(BTreeMap<u8, u8>),
    Marked { mark: char },
    Checked { check: Check },
    Flattened(Flat),
    Strict(Strict),
    Either(Either),
    Tagged(Tagged),
    Left,
    Labelled(#[event(tag = "label")] String),
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Grade {
    Good,
    Bad { why: u8 },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Flat {
    id: u8,
    #[serde(flatten)]
    rest: Strict,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Strict {
    age: u8,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Either {
    Number(u8),
    Flag(bool),
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
enum Tagged {
    First { age: u8 },
    Second,
}

/// A field whose errors repeat the value, as an application's may.
#[derive(Debug, PartialEq)]
struct Check(String);

impl Serialize for Check {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(S::Error::custom(&self.0))
    }
}

impl<'de> Deserialize<'de> for Check {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Err(D::Error::custom(String::deserialize(deserializer)?))
    }
}

#[derive(Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "tagged_patient")]
#[serde(tag = "kind")]
enum TaggedPatientEvent {
    Weighed { grams: u16 },
}

#[derive(Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "untagged_patient")]
#[serde(untagged)]
enum UntaggedPatientEvent {
    Weighed { grams: u16 },
}

/// All that can be seen of an error and of those below it, there and in the core.
fn seen(error: Error) -> String {
    let mut texts = vec![format!("{error} {error:?} {error:#?}")];
    let facts = error.context();
    texts.extend(facts.map(|(key, value)| format!("{key} {value}")));
    let core = annals_core::Error::from(error);
    let mut next: Option<&dyn std::error::Error> = Some(&core);
    while let Some(error) = next {
        texts.push(format!("{error} {error:?} {error:#?}"));
        next = error.source();
    }
    texts.join("\n")
}

fn check(error: Error, kind: ErrorKind, origin: &str) {
    assert_eq!(error.kind(), kind, "{error}");
    let text = seen(error);
    for secret in [SECRET, &SECRET_NUMBER.to_string()] {
        assert!(!text.contains(secret), "{origin}: {text}");
    }
}

/// Decodes a payload in which `SECRET` and `NUMBER` stand for the secrets.
fn check_decode<E>(event_type: &'static str, template: &str, kind: ErrorKind)
where
    E: Event + Serialize + DeserializeOwned,
{
    let payload = template
        .replace("SECRET", SECRET)
        .replace("NUMBER", &SECRET_NUMBER.to_string());
    assert_ne!(payload, template, "a case without a secret shows nothing");
    let event_type = EventType::from_static(event_type);
    let content = NewEvent::new(event_type.clone(), ContentType::JSON, payload.clone()).unwrap();
    let decoded: Result<E, Error> = JsonCodec.decode_one(content.content());
    check(decoded.err().unwrap(), kind, template);
    if let Ok(value) = serde_json::from_str::<serde_json::Value>(&payload) {
        for form in forms::<E>() {
            check_decode_in(&form, &event_type, &value);
        }
    }
}

/// The same in another form, whole and cut short. What reads as an event is no error that tells anything.
fn check_decode_in<E: Event>(form: &Form<E>, event_type: &EventType, value: &serde_json::Value) {
    let bytes = form.format.to_bytes(value).unwrap();
    let read = |bytes: &[u8]| {
        let content_type = form.format.content_type();
        let content = NewEvent::new(event_type.clone(), content_type, bytes.to_vec()).unwrap();
        form.codec.decode_one(content.content())
    };
    for end in [bytes.len(), bytes.len() - 1, bytes.len() / 2] {
        match read(bytes.get(..end).unwrap()) {
            Ok(_) => {}
            Err(error) => {
                let kind = error.kind();
                assert!(matches!(
                    kind,
                    ErrorKind::BadBytes | ErrorKind::TrailingBytes
                ));
                check(error, kind, &form.name());
            }
        }
    }
    let mut longer = bytes;
    longer.extend(SECRET.as_bytes());
    if let Err(error) = read(&longer) {
        let kind = error.kind();
        check(error, kind, &form.name());
    }
}

#[test]
fn what_does_not_decode_stays_out_of_the_error() {
    for (event_type, payload) in [
        ("weighed", r#""SECRET""#),
        ("weighed", "NUMBER"),
        ("weighed", r#"["SECRET"]"#),
        ("weighed", r#"{"SECRET":1}"#),
        ("weighed", r#"{"grams":"SECRET"}"#),
        ("weighed", r#"{"grams":NUMBER}"#),
        ("weighed", r#"{"grams":NUMBER.5}"#),
        ("weighed", r#"{"grams":{"SECRET":1}}"#),
        ("weighed", r#"{"SECRET":0,"grams":1,"grams":2}"#),
        ("weighed", r#"{"grams":SECRET}"#),
        ("weighed", r#"{"grams":1,"SECRET"#),
        ("weighed", r#"{"grams":1,"SECRET\x"}"#),
        ("weighed", r#"{"grams":1,"SECRET":}"#),
        ("weighed", "{\"SECRET\n\":1}"),
        ("named", "NUMBER"),
        ("named", r#"{"SECRET":1}"#),
        ("moved", r#"[1]  "SECRET""#),
        ("moved", r#"[1,"SECRET"]"#),
        ("moved", r#"[1,2,"SECRET"]"#),
        ("rated", r#"{"grade":"SECRET"}"#),
        ("rated", r#"{"grade":{"SECRET":1}}"#),
        ("rated", r#"{"grade":{"Bad":"SECRET"}}"#),
        ("rated", r#"{"grade":{"Bad":{"why":"SECRET"}}}"#),
        ("rated", r#"{"grade":NUMBER}"#),
        ("counted", r#"{"SECRET":1}"#),
        ("counted", r#"{"NUMBER":1}"#),
        ("counted", r#"{"1":"SECRET"}"#),
        ("marked", r#"{"mark":"SECRET"}"#),
        ("checked", r#"{"check":"SECRET"}"#),
        ("checked", r#"{"check":"SECRET at line 1 column 2"}"#),
        ("checked", r#"{"check":"no at line 1 column NUMBER"}"#),
        ("checked", r#"{"check":"no at line NUMBER column 1"}"#),
        (
            "checked",
            r#"{"check":"SECRET at line 18446744073709551615 column 18446744073709551615"}"#,
        ),
        ("flattened", r#"{"id":1,"age":"SECRET"}"#),
        ("flattened", r#"{"id":1,"SECRET":1}"#),
        ("strict", r#"{"age":1,"SECRET":1}"#),
        ("either", r#""SECRET""#),
        ("tagged", r#"{"type":"SECRET"}"#),
        ("tagged", r#"{"SECRET":1}"#),
        ("tagged", r#"{"type":"First","age":"SECRET"}"#),
        ("left", r#""SECRET""#),
        ("left", "NUMBER"),
    ] {
        check_decode::<PatientEvent>(event_type, payload, ErrorKind::BadBytes);
    }
    for payload in [r#"{"grams":1} SECRET"#, r#"{"grams":1}"SECRET""#] {
        check_decode::<PatientEvent>("weighed", payload, ErrorKind::TrailingBytes);
    }
}

#[test]
fn tags_and_untagged_events_stay_out_of_the_error() {
    for payload in [
        r#"{"kind":"SECRET"}"#,
        r#"{"SECRET":1}"#,
        r#"{"kind":"Weighed","grams":"SECRET"}"#,
        r#"{"kind":"Weighed","grams":1,"grams":NUMBER}"#,
    ] {
        check_decode::<TaggedPatientEvent>("weighed", payload, ErrorKind::BadBytes);
    }
    for payload in [r#""SECRET""#, r#"{"grams":"SECRET"}"#, r#"{"SECRET":1}"#] {
        check_decode::<UntaggedPatientEvent>("weighed", payload, ErrorKind::BadBytes);
    }
}

#[test]
fn names_and_versions_that_do_not_fit_say_nothing_of_the_payload() {
    for (event_type, content_type, kind) in [
        ("frozen", ContentType::JSON, ErrorKind::UnknownType),
        ("named", ContentType::OCTETS, ErrorKind::UnknownContentType),
    ] {
        let event_type = EventType::from_static(event_type);
        let content = NewEvent::new(event_type, content_type, SECRET).unwrap();
        let decoded: Result<PatientEvent, Error> = JsonCodec.decode_one(content.content());
        check(decoded.unwrap_err(), kind, "names");
    }
}

#[test]
fn what_does_not_encode_stays_out_of_the_error() {
    for event in [
        PatientEvent::Checked {
            check: Check(SECRET.to_owned()),
        },
        PatientEvent::Labelled(format!("{SECRET}\n")),
        PatientEvent::Labelled(SECRET.repeat(1_000)),
        PatientEvent::Named(SECRET.repeat(2 << 20)),
    ] {
        for form in forms() {
            let error = form.codec.encode(&event).unwrap_err();
            check(error, ErrorKind::Encode, &form.name());
        }
    }
}
