//! What `upcast` and `was` declare, run.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use annals_codec::{EventCodec, Evolving, EvolvingEvent, JsonCodec, UpcastError, Value};
use annals_core::{ContentType, EventType, NewEvent, SchemaVersion};
use annals_macros::Event;
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "account")]
enum AccountEvent {
    #[event(version = 3, upcast(2 => |old: Value| old, 1 => in_cents), was("paid-in", "deposit"))]
    Deposited { cents: u64 },
    #[event(was = "ended")]
    Closed,
    #[event(version = 2)]
    Frozen,
}

#[derive(Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "setting", version = 2, upcast(1 => text_of))]
struct Chosen<T>(T);

fn in_cents(mut old: Value) -> Result<Value, UpcastError> {
    let euros = old.take_integer("euros")?;
    old.insert("cents", euros * 100);
    Ok(old)
}

fn text_of(old: u64) -> String {
    old.to_string()
}

fn recorded(event_type: &str, version: u32, payload: &'static str) -> NewEvent {
    NewEvent::new(
        EventType::parse(event_type).unwrap(),
        ContentType::JSON,
        payload,
    )
    .unwrap()
    .with_schema_version(SchemaVersion::new(version).unwrap())
}

#[test]
fn declared_upcasters_and_names_are_used() {
    let error = AccountEvent::evolution().build().unwrap_err();
    assert!(
        error
            .to_string()
            .contains("`frozen` has no upcaster from v1"),
        "{error}"
    );
    let evolution = AccountEvent::evolution()
        .dropped("frozen", 1)
        .build()
        .unwrap();
    let codec = Evolving::new(JsonCodec, evolution).unwrap();
    for (event_type, version, payload, expected) in [
        (
            "deposited",
            1,
            r#"{"euros":5}"#,
            Some(AccountEvent::Deposited { cents: 500 }),
        ),
        (
            "deposit",
            1,
            r#"{"euros":5}"#,
            Some(AccountEvent::Deposited { cents: 500 }),
        ),
        (
            "paid-in",
            2,
            r#"{"cents":5}"#,
            Some(AccountEvent::Deposited { cents: 5 }),
        ),
        (
            "deposited",
            3,
            r#"{"cents":5}"#,
            Some(AccountEvent::Deposited { cents: 5 }),
        ),
        ("ended", 1, "{}", Some(AccountEvent::Closed)),
        ("frozen", 2, "{}", Some(AccountEvent::Frozen)),
        ("frozen", 1, "{}", None),
    ] {
        let decoded = codec.decode_content(recorded(event_type, version, payload).content());
        assert_eq!(
            decoded.unwrap().into_iter().next(),
            expected,
            "{event_type} {version}"
        );
    }
}

#[test]
fn a_generic_struct_evolves_too() {
    let codec = Evolving::<Chosen<String>, _>::of(JsonCodec).unwrap();
    let decoded = codec.decode_content(recorded("chosen", 1, "7").content());
    assert_eq!(decoded.unwrap().one().unwrap(), Chosen("7".to_owned()));
}
