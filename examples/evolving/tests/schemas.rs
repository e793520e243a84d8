//! Every event that the parcel service ever recorded stays readable.

#![expect(clippy::expect_used, reason = "a helper of tests")]

use annals::codec::FlawKind;
use annals::codec::{Evolving, EvolvingEvent};
use annals::prelude::*;
use annals::{JsonCodec, SchemaVersion};
use annals_testkit::schema::Ledger;
use evolving::{ParcelEvent, Service, codec, samples};

// ANCHOR: ledger
#[test]
fn every_event_ever_recorded_stays_readable() {
    let ledger = Ledger::at(concat!(env!("CARGO_MANIFEST_DIR"), "/schemas"));
    ledger.check(&codec().unwrap(), &samples());
}
// ANCHOR_END: ledger

#[test]
fn seven_changes_are_undone_for_the_reader() {
    let text = str::to_owned;
    let (service, claimed) = (Service::Standard, |reason| ParcelEvent::Claimed {
        reason: text(reason),
    });
    for (event_type, version, payload, expected) in [
        (
            "registered",
            1,
            r#"{"weight":7}"#,
            vec![ParcelEvent::Registered { grams: 7, service }],
        ),
        (
            "registered",
            2,
            r#"{"grams":7}"#,
            vec![ParcelEvent::Registered { grams: 7, service }],
        ),
        (
            "addressed",
            1,
            r#"{"name":"Ada"}"#,
            vec![ParcelEvent::Addressed {
                first: text(""),
                last: text("Ada"),
            }],
        ),
        (
            "handed-over",
            1,
            r#"{"signature":"A"}"#,
            vec![ParcelEvent::Delivered {}],
        ),
        (
            "delivered",
            1,
            r#"{"signature":"A"}"#,
            vec![ParcelEvent::Delivered {}],
        ),
        (
            "moved",
            1,
            r#"{"from":"Rome","to":"Oslo"}"#,
            vec![
                ParcelEvent::Departed { from: text("Rome") },
                ParcelEvent::Arrived { at: text("Oslo") },
            ],
        ),
        ("lost", 1, "{}", vec![claimed("lost")]),
        (
            "damaged",
            1,
            r#"{"how":"wet"}"#,
            vec![claimed("damaged: wet")],
        ),
        ("viewed", 1, r#"{"by":"Ben"}"#, vec![]),
    ] {
        check(event_type, version, payload, &expected);
    }
}

/// What a recorded event reads as today.
fn check(event_type: &str, version: u32, payload: &'static str, expected: &[ParcelEvent]) {
    let event_type = EventType::parse(event_type).expect("a name");
    let recorded = NewEvent::new(event_type, ContentType::JSON, payload)
        .expect("it is short")
        .with_schema_version(SchemaVersion::new(version).expect("a version"));
    let codec = codec().expect("the upcasters fit");
    let decoded = codec
        .decode_content(recorded.content())
        .expect("it decodes");
    assert_eq!(decoded.as_slice(), expected, "{payload}");
}

// ANCHOR: gap
#[test]
fn a_forgotten_upcaster_is_told_when_the_registry_is_built() {
    let builder = ParcelEvent::evolution().becomes(("lost", 1), ("claimed", 2), |old: u8| old);
    let error = builder.build().unwrap_err();
    assert_eq!(error.flaws()[0].kind(), FlawKind::Gap);
    assert!(
        error
            .to_string()
            .contains("lost v1 -> claimed v2 ends at claimed v2")
    );
    assert!(Evolving::<ParcelEvent, _>::of(JsonCodec).is_ok());
}
// ANCHOR_END: gap
