//! Hostile payloads of old events: an error, within limits, that repeats nothing of them.

use annals_codec::{
    DEPTH_MAX, Error, Events, Evolution, FormatExt, JsonCodec, RawPayload, VALUE_NODES_MAX, Value,
};
use annals_macros::Event;
use serde::{Deserialize, Serialize};

use crate::decode;

const SECRET: &str = "canary-8842";

#[derive(Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "patient")]
enum PatientEvent {
    #[event(version = 2)]
    Weighed { grams: u16 },
    #[event(version = 2)]
    Named { name: String },
}

#[derive(Debug, Serialize, Deserialize)]
struct Grams {
    grams: u16,
}

fn evolution() -> Evolution<PatientEvent> {
    Evolution::builder()
        .upcast("weighed", 1, |old: Grams| old)
        .upcast("named", 1, |old: Value| old)
        .split(("many", 1), &[("many", 2)], |count: usize| {
            (0..count).fold(Events::new(), |events, _| events.and("many", 2, ()))
        })
        .dropped("many", 2)
        .build()
        .unwrap()
}

#[test]
fn no_error_repeats_anything_of_an_old_payload() {
    for (event_type, template) in [
        ("weighed", r#"{"grams":"SECRET"}"#),
        ("weighed", r#"{"SECRET":1}"#),
        ("weighed", r#""SECRET""#),
        ("named", r#"{"name":["SECRET"]}"#),
        ("named", r#"{"SECRET":1,"SECRET":2}"#),
        ("named", r#"{"name":SECRET}"#),
        ("many", r#""SECRET""#),
    ] {
        let payload = template.replace("SECRET", SECRET);
        let error: Error = decode(evolution(), event_type, 1, &payload).unwrap_err();
        let core = annals_core::Error::from(error);
        let mut next: Option<&dyn std::error::Error> = Some(&core);
        while let Some(error) = next {
            let text = format!("{error} {error:?} {error:#?}");
            assert!(!text.contains(SECRET), "{template}: {text}");
            next = error.source();
        }
    }
    let raw = Evolution::<PatientEvent>::builder()
        .upcast("weighed", 1, |old: Grams| old)
        .upcast("named", 1, |old: RawPayload| {
            assert!(!format!("{old:?}").contains("canary"), "{old:?}");
            old
        });
    let payload = format!(r#"{{"name":"{SECRET}"}}"#);
    assert!(decode(raw.build().unwrap(), "named", 1, &payload).is_ok());
}

#[test]
fn a_value_reads_within_limits() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let read = |text: &str| JsonCodec.from_bytes::<Value>(text.as_bytes());
    assert!(read(&nested(DEPTH_MAX)).is_ok());
    assert!(read(&nested(DEPTH_MAX + 1)).is_err());
    let list = |count: usize| format!("[{}]", vec!["0"; count].join(","));
    assert!(read(&list(VALUE_NODES_MAX - 1)).is_ok());
    assert!(read(&list(VALUE_NODES_MAX)).is_err());
    assert!(read(r#"{"a":1,"a":2}"#).is_err());
}

#[test]
fn numbers_of_64_bits_survive_a_value() {
    for text in [
        "0",
        "-1",
        "255",
        "18446744073709551615",
        "-9223372036854775808",
        "1.5",
        "true",
        "null",
        r#""""#,
    ] {
        let value: Value = JsonCodec.from_bytes(text.as_bytes()).unwrap();
        let written = JsonCodec.to_bytes(&value).unwrap();
        assert_eq!(String::from_utf8(written).unwrap(), text);
    }
}

#[test]
fn upcasters_make_a_limited_number_of_events() {
    let max = annals_codec::UPCAST_PAYLOADS_MAX - 1;
    assert!(
        decode(evolution(), "many", 1, &max.to_string())
            .unwrap()
            .as_slice()
            .is_empty()
    );
    let error = decode(evolution(), "many", 1, &(max + 1).to_string()).unwrap_err();
    assert!(
        error.to_string().contains("UPCAST_PAYLOADS_MAX: 65536"),
        "{error}"
    );
}
