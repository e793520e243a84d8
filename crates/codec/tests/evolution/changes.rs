//! Each kind of change, as a worked example.

use annals_codec::{
    Decoded, EventCodec, EventCodecExt, Events, Evolution, EvolutionBuilder, Evolving, JsonCodec,
    Plan, RawPayload, Schema, UpcastError, Value,
};
use annals_core::{EventType, SchemaVersion};
use annals_macros::Event;
use serde::{Deserialize, Serialize};

use crate::{decode, recorded};

#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "order")]
enum OrderEvent {
    /// Version 1 held an amount in whole euros; version 2 renamed it; version 3 has cents and a currency.
    #[event(version = 3)]
    Paid {
        cents: u64,
        currency: String,
    },
    /// Recorded as `address-set` before, with the name in one field in version 1.
    #[event(version = 2)]
    Addressed {
        first: String,
        last: String,
    },
    /// Since the type `moved` was split.
    Left {
        from: String,
    },
    Arrived {
        at: String,
    },
    #[event(version = 2)]
    Closed {},
}

#[derive(Clone, Copy, Serialize, Deserialize)]
struct PaidV2 {
    euros: u64,
}

#[derive(Serialize, Deserialize)]
struct PaidV3 {
    cents: u64,
    currency: String,
}

#[derive(Deserialize)]
struct Moved {
    from: String,
    at: String,
}

#[derive(Serialize)]
struct LeftV1 {
    from: String,
}

#[derive(Serialize)]
struct ArrivedV1 {
    at: String,
}

/// A struct to a struct: fields change their types, and one is added.
fn paid_in_cents(old: PaidV2) -> Result<PaidV3, UpcastError> {
    let cents = old.euros.checked_mul(100);
    let cents = cents.ok_or(UpcastError::new("the amount is too large"))?;
    Ok(PaidV3 {
        cents,
        currency: "EUR".to_owned(),
    })
}

/// One field into two.
fn split_name(mut old: Value) -> Result<Value, UpcastError> {
    let name = old.take_text("name")?;
    let (first, last) = name.split_once(' ').unwrap_or(("", &name));
    old.insert("first", first);
    old.insert("last", last);
    Ok(old)
}

fn split_move(old: Moved) -> Events {
    let left = LeftV1 { from: old.from };
    Events::new()
        .and("left", 1, left)
        .and("arrived", 1, ArrivedV1 { at: old.at })
}

/// All changes.
fn builder() -> EvolutionBuilder<OrderEvent> {
    Evolution::builder()
        // A field is renamed, on a value.
        .upcast("paid", 1, |mut old: Value| {
            old.rename("amount", "euros");
            old
        })
        .upcast("paid", 2, paid_in_cents)
        .upcast("addressed", 1, split_name)
        .renamed("address-set", "addressed")
        .split(("moved", 1), &[("left", 1), ("arrived", 1)], split_move)
        // Two types become one: `cash-paid` was merged with `paid`.
        .becomes(("cash-paid", 1), ("paid", 2), |mut old: Value| {
            old.remove("till");
            old
        })
        .dropped("viewed", 1)
        // All fields are dropped, on bytes.
        .upcast("closed", 1, |old: RawPayload| old.with_bytes("{}"))
}

fn paid(cents: u64) -> OrderEvent {
    OrderEvent::Paid {
        cents,
        currency: "EUR".to_owned(),
    }
}

#[test]
fn every_change_is_undone_for_the_reader() {
    let addressed = || OrderEvent::Addressed {
        first: "Ada".to_owned(),
        last: "Lovelace".to_owned(),
    };
    for (event_type, version, payload, expected) in [
        ("paid", 1, r#"{"amount":5}"#, vec![paid(500)]),
        ("paid", 2, r#"{"euros":5}"#, vec![paid(500)]),
        ("paid", 3, r#"{"cents":5,"currency":"EUR"}"#, vec![paid(5)]),
        ("cash-paid", 1, r#"{"euros":7,"till":3}"#, vec![paid(700)]),
        (
            "addressed",
            1,
            r#"{"name":"Ada Lovelace"}"#,
            vec![addressed()],
        ),
        (
            "address-set",
            1,
            r#"{"name":"Ada Lovelace"}"#,
            vec![addressed()],
        ),
        (
            "address-set",
            2,
            r#"{"first":"Ada","last":"Lovelace"}"#,
            vec![addressed()],
        ),
        (
            "moved",
            1,
            r#"{"from":"Rome","at":"Oslo"}"#,
            vec![
                OrderEvent::Left {
                    from: "Rome".to_owned(),
                },
                OrderEvent::Arrived {
                    at: "Oslo".to_owned(),
                },
            ],
        ),
        ("viewed", 1, "anything", vec![]),
        ("closed", 1, "[1,2", vec![OrderEvent::Closed {}]),
    ] {
        let decoded = decode(builder().build().unwrap(), event_type, version, payload).unwrap();
        let is_one = matches!(decoded, Decoded::One(_));
        assert_eq!(is_one, expected.len() == 1, "{event_type} {version}");
        assert_eq!(
            decoded.into_iter().collect::<Vec<_>>(),
            expected,
            "{event_type} {version}"
        );
    }
}

#[test]
fn a_plan_tells_what_would_run() {
    let evolution = builder().build().unwrap();
    for (event_type, version, expected) in [
        ("paid", 3, Ok(vec![])),
        (
            "paid",
            1,
            Ok(vec!["paid v1 -> paid v2", "paid v2 -> paid v3"]),
        ),
        ("address-set", 2, Ok(vec!["address-set v2 -> addressed v2"])),
        (
            "address-set",
            1,
            Ok(vec![
                "address-set v1 -> addressed v1",
                "addressed v1 -> addressed v2",
            ]),
        ),
        (
            "cash-paid",
            1,
            Ok(vec!["cash-paid v1 -> paid v2", "paid v2 -> paid v3"]),
        ),
        ("moved", 1, Ok(vec!["moved v1 -> left v1 + arrived v1"])),
        ("viewed", 1, Ok(vec!["viewed v1 -> nothing"])),
        ("paid", 4, Err(Plan::Future)),
        ("moved", 2, Err(Plan::Future)),
        ("frozen", 1, Err(Plan::UnknownType)),
    ] {
        let schema = Schema::new(
            EventType::parse(event_type).unwrap(),
            SchemaVersion::new(version).unwrap(),
        );
        let plan = match evolution.plan(&schema) {
            Plan::Current => Ok(vec![]),
            Plan::Steps(steps) => Ok(steps.iter().map(ToString::to_string).collect()),
            plan => Err(plan),
        };
        let expected = expected.map(|steps| steps.into_iter().map(str::to_owned).collect());
        assert_eq!(plan, expected, "{schema}");
    }
}

#[test]
fn what_is_written_is_of_the_present() {
    let codec = Evolving::new(JsonCodec, builder().build().unwrap()).unwrap();
    let event = paid(5);
    let new = codec.encode(&event).unwrap();
    assert_eq!(new, JsonCodec.encode(&event).unwrap());
    assert_eq!(codec.decode_one(new.content()).unwrap(), event);
}

#[test]
fn an_upcaster_that_refuses_is_named() {
    let too_much = format!(r#"{{"amount":{}}}"#, u64::MAX);
    for (event_type, payload, kind, text) in [
        (
            "paid",
            too_much.as_str(),
            annals_codec::ErrorKind::Upcast,
            "upcaster refuses an old event; correct it, or mend what it reads \
             (reason: the amount is too large, upcaster: paid v2 -> paid v3, \
             recorded event type: paid, recorded schema version: 1)",
        ),
        (
            "addressed",
            r#"{"name":5}"#,
            annals_codec::ErrorKind::Upcast,
            "upcaster refuses an old event; correct it, or mend what it reads \
             (reason: a field is no text, upcaster: addressed v1 -> addressed v2, \
             recorded event type: addressed, recorded schema version: 1)",
        ),
        (
            "moved",
            r#"{"from":"Rome"}"#,
            annals_codec::ErrorKind::BadBytes,
            "bytes are not this value; repair them, or read them as another type \
             (category: data, line: 1, column: 15, byte: 15, upcaster: moved v1 -> left v1 + arrived v1, \
             recorded event type: moved, recorded schema version: 1)",
        ),
        (
            "paid",
            r#"{"euros":1,"amount":true}"#,
            annals_codec::ErrorKind::BadBytes,
            "bytes are not this value; repair them, or read them as another type \
             (category: data, line: 1, column: 13, byte: 13, upcaster: paid v2 -> paid v3, \
             recorded event type: paid, recorded schema version: 1)",
        ),
    ] {
        let error = decode(builder().build().unwrap(), event_type, 1, payload).unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (kind, text));
    }
}

#[test]
fn a_split_gives_what_it_declares() {
    let wrong = Evolution::<OrderEvent>::builder()
        .split(("moved", 1), &[("left", 1)], |_: Value| {
            Events::new().and("arrived", 1, ArrivedV1 { at: String::new() })
        })
        .upcast("paid", 1, |old: Value| old)
        .upcast("paid", 2, paid_in_cents)
        .upcast("addressed", 1, split_name)
        .dropped("closed", 1)
        .build()
        .unwrap();
    let error = decode(wrong, "moved", 1, "{}").unwrap_err();
    assert_eq!(error.kind(), annals_codec::ErrorKind::Upcast);
    assert!(
        error.to_string().contains("that it does not declare"),
        "{error}"
    );
}

#[test]
fn a_payload_in_another_form_is_told_as_such() {
    let codec = Evolving::new(JsonCodec, builder().build().unwrap()).unwrap();
    let other = recorded("paid", 1, "{}");
    let other = annals_core::NewEvent::new(
        other.event_type().clone(),
        annals_core::ContentType::OCTETS,
        "{}",
    );
    let error = codec.decode_content(other.unwrap().content()).unwrap_err();
    assert_eq!(error.kind(), annals_codec::ErrorKind::UnknownContentType);
}
