//! The bodies of the fuzz targets: each takes any bytes, and panics when a promise is broken.
//!
//! The shells in `fuzz/` feed them from libFuzzer, `tests/tests/fuzz.rs` from a seeded generator.

#![expect(
    clippy::missing_panics_doc,
    reason = "a panic is how a fuzz body tells"
)]

use std::fmt::{Debug, Display};
use std::str::FromStr;

use annals_codec::{EventCodec, JsonCodec};
use annals_core::{
    AppendId, Category, ContentType, Cursor, Event, EventId, EventType, NewEvent, StreamId, Tag,
    Timestamp, limits,
};

use crate::ledger::LedgerEvent;

/// A fuzz target: its name, its body, and inputs that reach deep to begin with.
#[derive(Debug)]
pub struct Target {
    /// The name of the shell in `fuzz/fuzz_targets`.
    pub name: &'static str,
    /// What runs on every input.
    pub body: fn(&[u8]),
    /// Valid inputs, to mutate.
    pub seeds: &'static [&'static str],
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target {
        name: "names",
        body: names,
        seeds: &[
            "account-42",
            "file-src/a b-c\"d",
            "settings",
            "student:42",
            "a\u{9f}",
            "-",
            "a-",
        ],
    },
    Target {
        name: "cursor",
        body: cursor,
        seeds: &["0", "7", "1.2.3", "18446744073709551615"],
    },
    Target {
        name: "times",
        body: times,
        seeds: &[
            "1970-01-01T00:00:00Z",
            "2026-11-23T08:00:00.000001+02:00",
            "-12us",
        ],
    },
    Target {
        name: "json_event",
        body: json_event,
        seeds: &[
            r#"0{"owner":"Ada","alias":null}"#,
            "1-7",
            r#"2[5,"rounding"]"#,
            r#"3{"notes":[["n",1]],"reference":{"Invoice":7}}"#,
            "4{}",
        ],
    },
];

/// A name that parses keeps its text and its limit, and a stream id is its category and its key.
pub fn names(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let names = [
        kept::<EventType>(text),
        kept::<Tag>(text),
        kept::<ContentType>(text),
        kept::<Category>(text),
        kept::<StreamId>(text),
    ];
    assert!(text.len() <= limits::NAME_BYTES_MAX || !names.contains(&true));
    assert!(!kept::<AppendId>(text) || text.len() <= limits::APPEND_ID_BYTES_MAX);
    if let Ok(id) = StreamId::parse(text) {
        assert!(id.category().contains(&id));
        assert_eq!(StreamId::new(&id.category(), id.key()).ok(), Some(id));
    }
}

/// A cursor that parses can be written and read again, and covers itself and the start.
pub fn cursor(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    if let Some(cursor) = survives::<Cursor>(text) {
        assert!(cursor.covers(&cursor) && cursor.covers(&Cursor::START));
    }
}

/// A time or an id that parses can be written and read again.
pub fn times(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    survives::<Timestamp>(text);
    survives::<EventId>(text);
}

/// Hostile payloads of every event type: an error, or an event that survives its codec. The first byte
/// chooses the type.
pub fn json_event(input: &[u8]) {
    let Some((choice, payload)) = input.split_first() else {
        return;
    };
    let kinds = LedgerEvent::KINDS;
    let Some(kind) = kinds.get(usize::from(*choice) % 16 % kinds.len()) else {
        return;
    };
    let event_type = kind.event_type().clone();
    let Ok(content) = NewEvent::new(event_type, ContentType::JSON, payload.to_vec()) else {
        return;
    };
    let content = content.with_schema_version(kind.schema_version());
    let codec: &dyn EventCodec<LedgerEvent> = &JsonCodec;
    let Ok(event) = codec.decode_content(&content) else {
        return;
    };
    let again = codec
        .encode(&event)
        .and_then(|again| codec.decode_content(&again));
    assert_eq!(again.ok(), Some(event));
}

fn kept<T: FromStr + AsRef<str>>(text: &str) -> bool {
    text.parse::<T>().is_ok_and(|name| {
        assert_eq!(name.as_ref(), text);
        true
    })
}

fn survives<T: FromStr + Display + Debug + PartialEq>(text: &str) -> Option<T> {
    let value = text.parse::<T>().ok()?;
    let again = value.to_string().parse::<T>().ok();
    assert_eq!(
        again.as_ref(),
        Some(&value),
        "{text:?} was written as {value}"
    );
    Some(value)
}
