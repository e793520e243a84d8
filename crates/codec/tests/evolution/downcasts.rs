//! Writing for readers that lag.

use annals_codec::{
    ErrorKind, EventCodec, EventCodecExt, Evolution, Evolving, JsonCodec, UpcastError, Value,
};
use annals_core::{SchemaVersion, Tag, Tags};
use annals_macros::Event;
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "account")]
enum AccountEvent {
    #[event(version = 3)]
    Deposited {
        cents: u64,
        #[event(tag)]
        by: String,
    },
    Closed,
}

fn codec(oldest: u32) -> Evolving<AccountEvent, JsonCodec> {
    let evolution = Evolution::builder()
        .upcast("deposited", 1, |mut old: Value| {
            let euros = old.take_integer("euros")?;
            old.insert("cents", euros * 100);
            Ok::<_, UpcastError>(old)
        })
        .upcast("deposited", 2, |mut old: Value| {
            old.insert("by", "unknown");
            old
        })
        .downcast("deposited", 3, |mut new: Value| {
            new.remove("by");
            new
        })
        .downcast("deposited", 2, |mut new: Value| {
            match new.take_integer("cents")? {
                cents if cents % 100 == 0 => {
                    new.insert("euros", cents / 100);
                    Ok(new)
                }
                _ => Err(UpcastError::new("the amount is not of whole euros")),
            }
        })
        .write_as("deposited", oldest);
    Evolving::new(JsonCodec, evolution.build().unwrap()).unwrap()
}

#[test]
fn events_are_written_as_the_oldest_reader_knows_them() {
    let event = AccountEvent::Deposited {
        cents: 500,
        by: "Ada".to_owned(),
    };
    for (oldest, payload, by) in [
        (3, r#"{"cents":500,"by":"Ada"}"#, "Ada"),
        (2, r#"{"cents":500}"#, "unknown"),
        (1, r#"{"euros":5}"#, "unknown"),
    ] {
        let codec = codec(oldest);
        let new = codec.encode(&event).unwrap();
        assert_eq!(new.payload(), payload);
        assert_eq!(new.schema_version(), SchemaVersion::new(oldest).unwrap());
        assert_eq!(
            new.tags(),
            &Tags::new([Tag::parse("by:Ada").unwrap()]).unwrap()
        );
        let read = codec.decode_one(new.content()).unwrap();
        assert_eq!(
            read,
            AccountEvent::Deposited {
                cents: 500,
                by: by.to_owned()
            }
        );
        let closed = codec.encode(&AccountEvent::Closed).unwrap();
        assert_eq!(closed.schema_version(), SchemaVersion::FIRST);
    }
}

#[test]
fn what_an_older_version_can_not_say_is_refused() {
    let event = AccountEvent::Deposited {
        cents: 501,
        by: "Ada".to_owned(),
    };
    let error = codec(1).encode(&event).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Encode);
    let text = error.to_string();
    assert!(text.contains("the amount is not of whole euros"), "{text}");
    assert!(text.contains("deposited v2 -> deposited v1"), "{text}");
}

#[derive(Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "parcel")]
enum ParcelEvent {
    #[event(version = 2)]
    Delivered { to: String, at: u8 },
}

fn renamed() -> annals_codec::EvolutionBuilder<ParcelEvent> {
    Evolution::builder()
        .renamed("handed-over", "delivered")
        .upcast("delivered", 1, |mut old: Value| {
            old.insert("at", 7);
            old
        })
        .downcast("delivered", 2, |mut new: Value| {
            new.remove("at");
            new
        })
}

#[test]
fn a_renamed_event_is_written_under_the_name_that_a_lagging_reader_knows() {
    for (name, version, payload) in [
        ("handed-over", 1, r#"{"to":"Ada"}"#),
        ("handed-over", 2, r#"{"to":"Ada","at":7}"#),
        ("delivered", 1, r#"{"to":"Ada"}"#),
    ] {
        let evolution = renamed().write_as(name, version).build().unwrap();
        let codec = Evolving::new(JsonCodec, evolution).unwrap();
        let event = ParcelEvent::Delivered {
            to: "Ada".to_owned(),
            at: 7,
        };
        let new = codec.encode(&event).unwrap();
        assert_eq!(new.event_type().as_str(), name);
        assert_eq!(new.schema_version().value(), version);
        assert_eq!(new.payload(), payload);
        assert_eq!(codec.decode_one(new.content()).unwrap(), event);
    }
    let twice = renamed()
        .write_as("handed-over", 1)
        .write_as("delivered", 1);
    assert!(twice.build().is_err());
    assert!(renamed().write_as("posted", 1).build().is_err());
}

#[test]
fn an_older_version_that_nobody_can_read_is_not_written() {
    let evolution = Evolution::<ParcelEvent>::builder()
        .upcast("delivered", 1, |old: Value| old)
        .downcast("delivered", 2, |_: Value| Value::Map(Vec::new()))
        .write_as("delivered", 1);
    let codec = Evolving::new(JsonCodec, evolution.build().unwrap()).unwrap();
    let event = ParcelEvent::Delivered {
        to: "Ada".to_owned(),
        at: 7,
    };
    let error = codec.encode(&event).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Encode);
    assert!(
        error.to_string().contains("correct its downcaster"),
        "{error}"
    );
}
