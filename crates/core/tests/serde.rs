//! The serde form of the vocabulary: texts as strings, numbers as numbers, checked as they come in.

#![cfg(feature = "serde")]
#![expect(clippy::unwrap_used, reason = "a helper of tests")]

use std::fmt::Debug;

use annals_core::{
    AppendId, Category, Cursor, EventId, EventType, Position, SchemaVersion, StreamId, Tag,
    Timestamp, Version,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

fn check<T: Serialize + DeserializeOwned + Debug + PartialEq>(value: &T, json: &str) {
    assert_eq!(serde_json::to_string(value).unwrap(), json);
    assert_eq!(serde_json::from_str::<T>(json).unwrap(), *value);
}

#[test]
fn the_vocabulary_has_a_plain_form() {
    check(
        &StreamId::parse("account-4\"2").unwrap(),
        r#""account-4\"2""#,
    );
    check(&Category::from_static("account"), r#""account""#);
    check(&EventType::from_static("opened"), r#""opened""#);
    check(&Tag::from_static("student:42"), r#""student:42""#);
    check(&AppendId::parse("order-1").unwrap(), r#""order-1""#);
    check(&Version::new(7), "7");
    check(&Position::new(u64::MAX), "18446744073709551615");
    check(&SchemaVersion::from_static(3), "3");
    check(&Cursor::at(Position::new(7)), r#""7""#);
    check(&Timestamp::EPOCH, r#""1970-01-01T00:00:00Z""#);
    let id: EventId = "0190a5f0-0000-7000-8000-000000000001".parse().unwrap();
    check(&id, r#""0190a5f0-0000-7000-8000-000000000001""#);
}

#[test]
fn a_bad_value_is_refused_with_its_reason() {
    for (error, message) in [
        (
            serde_json::from_str::<StreamId>(r#""-1""#).map(drop),
            "starts with a dash",
        ),
        (
            serde_json::from_str::<SchemaVersion>("0").map(drop),
            "versions start at 1",
        ),
        (
            serde_json::from_str::<Cursor>(r#""x""#).map(drop),
            "not a cursor",
        ),
        (
            serde_json::from_str::<Version>("-1").map(drop),
            "invalid value",
        ),
    ] {
        let text = error.unwrap_err().to_string();
        assert!(text.contains(message), "{text}");
    }
}
