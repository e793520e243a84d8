//! The bytes of some records, pinned: what a store has written once is read for ever.
//!
//! docs/format/event.md explains the first ones byte by byte.

use std::time::Duration;

use annals_core::{
    AppendId, CausationId, ContentType, CorrelationId, EventId, EventType, Metadata, NewEvent,
    SchemaVersion, StreamId, StreamPolicy, StreamState, Tag, Tags, Timestamp, Version,
};
use uuid::Uuid;

use super::super::{AppendHeader, EventKind, KindCode, Note, encode_kind, encode_policy};
use super::sample::{Sample, decode, plain};

/// The event is written as these bytes, and these bytes are read as the event.
fn check(sample: &Sample, expected: &str) {
    let expected = bytes(expected);
    assert_eq!(hex(&sample.encode()), hex(&expected));
    let (event, append) = decode(&expected, sample.base, &sample.kinds()).unwrap();
    assert_eq!((event, append), (sample.recorded(), sample.append));
}

fn check_note(note: &Note, expected: &str) {
    let expected = bytes(expected);
    let mut body = Vec::new();
    match note {
        Note::Kind(code, kind) => encode_kind(*code, kind, &mut body),
        Note::Policy(stream, policy) => encode_policy(stream, policy, &mut body),
    }
    assert_eq!(hex(&body), hex(&expected));
    assert_eq!(Note::parse(&expected).unwrap(), *note);
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<char> = hex.chars().filter(|digit| !digit.is_whitespace()).collect();
    let byte = |pair: &[char]| u8::from_str_radix(&String::from_iter(pair), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

#[test]
fn a_plain_event() {
    check(
        &plain(b"{}".to_vec()),
        "02070f1000e9a435f8cfdd067abc8def0123456789ab196f726465722d3132333435367b7d",
    );
}

#[test]
fn an_event_of_before_1970() {
    let sample = Sample {
        id: EventId::new(Uuid::from_u128(0x7abc_8def_0123_4567_89ab)).unwrap(),
        base: Timestamp::from_micros(0),
        appended_at: Timestamp::from_micros(-1),
        ..plain(Vec::new())
    };
    check(
        &sample,
        "02070f03057abc8def0123456789ab196f726465722d313233343536",
    );
}

#[test]
fn the_first_event_of_an_append() {
    let id = AppendId::parse("018bcfe5-6800-7abc-8def-0123456789ab").unwrap();
    check(
        &Sample {
            append: Some(AppendHeader { id, events: 100 }),
            ..plain(Vec::new())
        },
        "030701018bcfe568007abc8def0123456789abc90f1000e9a435f8cfdd067abc8def0123456789ab196f726465722d313233343536",
    );
    let id = AppendId::parse("order-7/pay").unwrap();
    check(
        &Sample {
            append: Some(AppendHeader { id, events: 65_536 }),
            ..plain(Vec::new())
        },
        "0307176f726465722d372f7061790400080f1000e9a435f8cfdd067abc8def0123456789ab196f726465722d313233343536",
    );
}

#[test]
fn an_event_with_everything() {
    let event = NewEvent::new(
        EventType::from_static("e"),
        ContentType::from_static("text/plain"),
        "payload",
    );
    let tags = ["course:c1", "student:\u{e9}"].map(|text| Tag::parse(text).unwrap());
    let correlation = CorrelationId::parse("00112233-4455-6677-8899-aabbccddeeff").unwrap();
    let metadata = Metadata::EMPTY
        .with_correlation_id(correlation)
        .and_then(|it| it.with_causation_id(CausationId::from_static("command-7")))
        .and_then(|it| it.with_header("user", "erika"))
        .and_then(|it| it.with_header("zone", ""))
        .unwrap();
    let event = event
        .unwrap()
        .with_schema_version(SchemaVersion::from_static(300))
        .with_tags(Tags::new(tags).unwrap())
        .with_metadata(metadata)
        .with_recorded_at(Timestamp::from_micros(i64::MIN));
    let sample = Sample {
        event,
        id: EventId::new(Uuid::from_u128(0x0011_2233_4455_4677_8899_aabb_ccdd_eeff)).unwrap(),
        stream: StreamId::from_static("\u{e9}t\u{e9}"),
        version: Version::MAX,
        base: Timestamp::from_micros(i64::MAX),
        appended_at: Timestamp::from_micros(0),
        code: None,
        append: None,
    };
    check(
        &sample,
        "1c01b204036515746578742f706c61696e00ffffffffffffffff00fdffffffffffffff00112233445546778899aabbccddeeff00ffffffffffffffff0bc3a974c3a9021315636f757273653a633173747564656e743ac3a95b030100112233445566778899aabbccddeeff13636f6d6d616e642d3709757365720b6572696b61097a6f6e65017061796c6f6164",
    );
}

#[test]
fn a_kind() {
    let kind = EventKind::of(&plain(Vec::new()).event);
    check_note(
        &Note::Kind(KindCode::new(3).unwrap(), kind.clone()),
        "010703216f726465722d6c696e652d6164646564216170706c69636174696f6e2f6a736f6e",
    );
    check_note(
        &Note::Kind(KindCode::MAX, kind),
        "01fe3f03216f726465722d6c696e652d6164646564216170706c69636174696f6e2f6a736f6e",
    );
}

#[test]
fn a_policy() {
    let stream = StreamId::from_static("account-42");
    check_note(
        &Note::Policy(stream.clone(), StreamPolicy::default()),
        "02156163636f756e742d34320001",
    );
    let mut policy = StreamPolicy::default();
    policy.max_age = Some(Duration::new(86_400, 1));
    policy.max_count = Some(1_000);
    policy.truncate_before = Version::new(77);
    policy.state = StreamState::SoftDeleted;
    check_note(
        &Note::Policy(stream.clone(), policy.clone()),
        "02156163636f756e742d3432079b048c0a03a20f",
    );
    policy.state = StreamState::Tombstoned;
    policy.max_age = None;
    policy.max_count = None;
    check_note(
        &Note::Policy(stream, policy),
        "02156163636f756e742d3432089b",
    );
}
