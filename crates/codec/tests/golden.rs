//! The bytes of events, which are for good.

#![cfg(feature = "json")]
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[cfg(all(
    feature = "bincode",
    feature = "cbor",
    feature = "messagepack",
    feature = "postcard",
    feature = "zstd"
))]
#[path = "golden/bytes.rs"]
mod bytes;

use annals_codec::{EventCodec, EventCodecExt, JsonCodec};
use annals_macros::Event;
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "account")]
enum AccountEvent {
    Opened {
        #[event(tag = "customer")]
        owner: String,
        limit: Option<u64>,
    },
    #[event(version = 2)]
    #[serde(rename = "put-in")]
    MoneyDeposited {
        amount: u64,
    },
    Renamed(String),
    Moved(i32, f64),
    Rated(Rating),
    #[event(name = "account-closed")]
    Closed,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Rating {
    Good,
    Bad { reason: String },
}

#[derive(Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "clock")]
struct Ticked {
    at: u64,
}

#[derive(Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "clock")]
struct Stopped;

fn check<E>(event: &E, (event_type, version): (&str, u32), tags: &[&str], payload: &str)
where
    E: annals_core::Event + Serialize + for<'de> Deserialize<'de>,
    E: PartialEq + std::fmt::Debug,
{
    let content = JsonCodec.encode(event).unwrap();
    let text = std::str::from_utf8(content.payload()).unwrap();
    assert_eq!(text, payload);
    assert_eq!(content.event_type(), &event_type);
    assert_eq!(content.schema_version().value(), version);
    assert_eq!(content.content_type(), &"application/json");
    let found: Vec<&str> = content
        .tags()
        .iter()
        .map(annals_core::Tag::as_str)
        .collect();
    assert_eq!(found, tags);
    let decoded: E = JsonCodec.decode_one(content.content()).unwrap();
    assert_eq!(&decoded, event);
}

#[test]
fn events_have_these_bytes() {
    check(
        &AccountEvent::Opened {
            owner: "Ada".to_owned(),
            limit: Some(7),
        },
        ("opened", 1),
        &["customer:Ada"],
        r#"{"owner":"Ada","limit":7}"#,
    );
    check(
        &AccountEvent::MoneyDeposited { amount: u64::MAX },
        ("money-deposited", 2),
        &[],
        r#"{"amount":18446744073709551615}"#,
    );
    check(
        &AccountEvent::Renamed("a \"b\"\n\u{e9}\u{0}".to_owned()),
        ("renamed", 1),
        &[],
        "\"a \\\"b\\\"\\n\u{e9}\\u0000\"",
    );
    check(&AccountEvent::Moved(-1, 0.1), ("moved", 1), &[], "[-1,0.1]");
    check(
        &AccountEvent::Rated(Rating::Good),
        ("rated", 1),
        &[],
        "\"Good\"",
    );
    let bad = Rating::Bad {
        reason: "slow".to_owned(),
    };
    check(
        &AccountEvent::Rated(bad),
        ("rated", 1),
        &[],
        r#"{"Bad":{"reason":"slow"}}"#,
    );
    check(&AccountEvent::Closed, ("account-closed", 1), &[], "{}");
    check(&Ticked { at: 3 }, ("ticked", 1), &[], r#"{"at":3}"#);
    check(&Stopped, ("stopped", 1), &[], "{}");
}
