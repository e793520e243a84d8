//! Upcasters on values, in every form that describes itself: what they don't touch stays as it was, or is told.

use annals_codec::{
    Error, ErrorKind, EventCodec, EventCodecExt, Evolution, Evolving, Format, FormatExt, JsonCodec,
    Value,
};
use annals_core::{EventType, NewEvent};
use annals_macros::Event;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "weather")]
enum WeatherEvent {
    #[event(version = 2)]
    Measured(Measured),
}

/// A field of every kind of scalar, and what holds some.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Measured {
    celsius: f32,
    rate: f64,
    small: i8,
    long: u64,
    signed: i128,
    unsigned: u128,
    mark: char,
    sky: Sky,
    place: Place,
    note: Option<String>,
    extremes: (f32, Option<f64>),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Sky {
    Clear,
    Cloudy { oktas: u8 },
    Falling(f32, String),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Place {
    name: String,
    degrees: [f32; 2],
}

fn measured() -> Measured {
    Measured {
        celsius: 36.6,
        rate: 0.1,
        small: -7,
        long: u64::MAX,
        signed: -5,
        unsigned: 5,
        mark: '\u{e9}',
        sky: Sky::Falling(1.5, "snow".to_owned()),
        place: Place {
            name: "Rome".to_owned(),
            degrees: [41.9, 12.5],
        },
        note: None,
        extremes: (f32::MAX, Some(f64::MIN_POSITIVE)),
    }
}

fn evolving<C>(codec: C) -> Evolving<WeatherEvent, C>
where
    C: EventCodec<WeatherEvent> + Format,
{
    let evolution = Evolution::builder().upcast("measured", 1, |mut old: Value| {
        old.rename("temp", "celsius");
        if old.get("rate") == Some(&Value::Null) {
            old.insert("rate", 2);
        }
        old
    });
    Evolving::new(codec, evolution.build().unwrap()).unwrap()
}

/// What an event of version 1 reads as whose fields are these, but for `temp` in place of `celsius`.
fn read<C>(codec: C, old: &Measured, without_rate: bool) -> Result<WeatherEvent, Error>
where
    C: EventCodec<WeatherEvent> + Format,
{
    #[derive(Serialize)]
    struct Old<'a> {
        temp: f32,
        rate: Option<f64>,
        small: i8,
        long: u64,
        signed: i128,
        unsigned: u128,
        mark: char,
        sky: &'a Sky,
        place: &'a Place,
        note: &'a Option<String>,
        extremes: (f32, Option<f64>),
    }
    let payload = codec.to_bytes(&Old {
        temp: old.celsius,
        rate: (!without_rate).then_some(old.rate),
        small: old.small,
        long: old.long,
        signed: old.signed,
        unsigned: old.unsigned,
        mark: old.mark,
        sky: &old.sky,
        place: &old.place,
        note: &old.note,
        extremes: old.extremes,
    });
    let event_type = EventType::from_static("measured");
    let recorded = NewEvent::new(event_type, Format::content_type(&codec), payload.unwrap());
    evolving(codec).decode_one(recorded.unwrap().content())
}

fn check<C: EventCodec<WeatherEvent> + Format + Copy>(codec: C, holds_128_bits: bool) {
    let mut old = measured();
    for sky in [Sky::Clear, Sky::Cloudy { oktas: 3 }, old.sky.clone()] {
        old.sky = sky;
        assert_eq!(
            read(codec, &old, false).unwrap(),
            WeatherEvent::Measured(old.clone()),
            "{codec:?}"
        );
    }
    // A whole number that an upcaster puts where a float stands.
    old.rate = 2.0;
    let read_with_rate = read(codec, &old, true).unwrap();
    assert_eq!(read_with_rate, WeatherEvent::Measured(old), "{codec:?}");
    for (signed, unsigned) in [(i128::MIN, 1 << 100), (-1 << 64, 1 << 64)] {
        let old = Measured {
            signed,
            unsigned,
            ..measured()
        };
        match read(codec, &old, false) {
            Ok(event) => {
                assert!(holds_128_bits, "{codec:?}");
                assert_eq!(event, WeatherEvent::Measured(old));
            }
            Err(error) => {
                assert!(!holds_128_bits, "{codec:?}: {error}");
                check_told(&error);
            }
        }
    }
}

fn check_told(error: &Error) {
    assert_eq!(error.kind(), ErrorKind::BadBytes);
    assert!(
        error
            .to_string()
            .contains("read a struct of the old fields"),
        "{error}"
    );
}

#[test]
fn what_an_upcaster_does_not_touch_stays_as_it_was() {
    check(JsonCodec, false);
    #[cfg(feature = "messagepack")]
    check(annals_codec::MessagePackCodec, true);
    #[cfg(feature = "cbor")]
    {
        check(annals_codec::CborCodec, true);
        let old = Measured {
            unsigned: u128::MAX,
            ..measured()
        };
        check_told(&read(annals_codec::CborCodec, &old, false).unwrap_err());
    }
}

#[test]
fn a_json_number_is_read_exactly_or_not_at_all() {
    for (text, is_read) in [
        ("18446744073709551615", true),
        ("18446744073709551616", false),
        ("-9223372036854775809", false),
        ("118059162071741130342", false),
        (r#"[1,{"a":-118059162071741130342}]"#, false),
        ("1.5e300", true),
        (r#"["118059162071741130342",1e300]"#, true),
    ] {
        match JsonCodec.from_bytes::<Value>(text.as_bytes()) {
            Ok(value) => {
                assert!(is_read, "{text}");
                let again: Value = JsonCodec
                    .from_bytes(&JsonCodec.to_bytes(&value).unwrap())
                    .unwrap();
                assert_eq!(again, value);
            }
            Err(error) => {
                assert!(!is_read, "{text}");
                check_told(&error);
            }
        }
    }
    // A struct takes the same number as it is.
    let number: u128 = JsonCodec.from_bytes(b"118059162071741130342").unwrap();
    assert_eq!(number, 118_059_162_071_741_130_342);
}

#[cfg(feature = "postcard")]
#[test]
fn a_form_without_fields_takes_no_value() {
    use annals_codec::{Events, FlawKind, PostcardCodec, UpcastError};
    type Builder = annals_codec::EvolutionBuilder<WeatherEvent>;
    let value = |()| Value::Null;
    let refused: [fn(Builder) -> Builder; 3] = [
        |builder| builder.upcast("measured", 1, |()| Value::Null),
        |builder| builder.upcast("measured", 1, |()| Ok::<_, UpcastError>(Value::Null)),
        |builder| builder.upcast("measured", 1, |old: Value| old),
    ];
    for upcast in refused {
        let evolution = upcast(Evolution::builder()).build().unwrap();
        let error = Evolving::new(PostcardCodec, evolution).unwrap_err();
        assert_eq!(error.flaws().first().unwrap().kind(), FlawKind::NeedsFields);
    }
    let evolution = Evolution::<WeatherEvent>::builder()
        .upcast("measured", 1, |old: ()| old)
        .split(("gusted", 1), &[("measured", 2)], move |old: ()| {
            Events::new().and("measured", 2, value(old))
        });
    let evolving = Evolving::new(PostcardCodec, evolution.build().unwrap()).unwrap();
    let event_type = EventType::from_static("gusted");
    let recorded = NewEvent::new(event_type, Format::content_type(&PostcardCodec), "").unwrap();
    let error = evolving.decode_one(recorded.content()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Upcast);
}
