//! Bytes that nobody wrote give an error or another event, never a panic.

use std::ops::Range;
use std::time::Duration;

use annals_core::{
    AppendId, CausationId, ContentType, CorrelationId, EventType, Metadata, NewEvent, StreamId,
    StreamPolicy, StreamState, Tag, Tags, Timestamp, Version,
};
use proptest::collection::vec;
use proptest::prelude::any;
use proptest::proptest;

use super::super::{
    AppendHeader, BadRecord, EventKind, KindCode, Kinds, Note, Part, encode_kind, encode_policy,
};
use super::sample::{Sample, decode, plain, samples};

/// What any bytes must keep: they are an event that can be written again as the same event, or an error.
fn check_event(body: &[u8], sample: &Sample) -> Option<BadRecord> {
    let (event, append) = match decode(body, sample.base, &sample.kinds()) {
        Ok(read) => read,
        Err(bad) => {
            assert!(bad.to_string().starts_with("record "), "{bad}");
            return Some(bad);
        }
    };
    let again = sample.again(&event, append);
    let read = decode(&again.encode(), again.base, &again.kinds()).unwrap();
    assert_eq!(read, (event, append));
    None
}

fn check_note(body: &[u8]) -> Option<BadRecord> {
    let note = match Note::parse(body) {
        Ok(note) => note,
        Err(bad) => return Some(bad),
    };
    let mut again = Vec::new();
    match &note {
        Note::Kind(code, kind) => encode_kind(*code, kind, &mut again),
        Note::Policy(stream, policy) => encode_policy(stream, policy, &mut again),
    }
    assert_eq!(again, body, "{note:?} has one form");
    None
}

/// Gives every prefix of the bytes, and every change of one of the bytes at `places`.
fn for_each_change(body: &[u8], places: Range<usize>, mut check: impl FnMut(&[u8])) {
    for end in 0..body.len() {
        check(&body[..end]);
    }
    let mut changed = body.to_vec();
    for place in places {
        for value in 0..=u8::MAX {
            changed[place] = value;
            check(&changed);
        }
        changed[place] = body[place];
    }
}

/// An event with everything in it.
fn full() -> Sample {
    let sample = plain(b"{}".to_vec());
    let tags = ["course:c1", "student:\u{e9}"].map(|text| Tag::parse(text).unwrap());
    let metadata = Metadata::EMPTY
        .with_correlation_id(CorrelationId::from(sample.id))
        .and_then(|it| it.with_causation_id(CausationId::from_static("command-7")))
        .and_then(|it| it.with_header("user", "erika"))
        .and_then(|it| it.with_header("zone", ""))
        .unwrap();
    let event = sample
        .event
        .with_tags(Tags::new(tags).unwrap())
        .with_metadata(metadata);
    Sample {
        event: event.with_recorded_at(Timestamp::from_seconds(1_699_999_999)),
        append: Some(AppendHeader {
            id: AppendId::parse("order-7/pay").unwrap(),
            events: 300,
        }),
        code: None,
        ..sample
    }
}

fn policy() -> (StreamId, StreamPolicy) {
    let mut policy = StreamPolicy::default();
    policy.max_age = Some(Duration::from_millis(86_400_001));
    policy.max_count = Some(1_000);
    policy.truncate_before = Version::new(77);
    policy.state = StreamState::SoftDeleted;
    (StreamId::from_static("account-42"), policy)
}

#[test]
fn every_cut_and_every_changed_byte_of_an_event_is_an_error_or_another_event() {
    for sample in [full(), plain(b"{}".to_vec())] {
        let body = sample.encode();
        let (mut bad, mut good) = (0, 0);
        for_each_change(&body, 0..body.len(), |changed| {
            match check_event(changed, &sample) {
                Some(_) => bad += 1,
                None => good += 1,
            }
        });
        assert!(bad > 500 && good > 500, "{bad} bad, {good} good");
    }
}

#[test]
fn every_cut_and_every_changed_byte_of_a_note_is_an_error_or_another_note() {
    let (mut kind, mut policy_body) = (Vec::new(), Vec::new());
    let code = KindCode::new(300).unwrap();
    encode_kind(code, &EventKind::of(&full().event), &mut kind);
    let (stream, policy) = policy();
    encode_policy(&stream, &policy, &mut policy_body);
    for body in [kind, policy_body] {
        for_each_change(&body, 0..body.len(), |changed| {
            check_note(changed);
        });
        assert_eq!(
            check_note(&[&body[..], &[0]].concat()),
            Some(BadRecord::Trailing)
        );
    }
}

/// Sets the byte so many places from the beginning of a text in the full event.
fn check_flaw(text: &str, offset: isize, value: u8, expected: BadRecord) {
    let sample = full();
    let mut body = sample.encode();
    let mut texts = body.windows(text.len().max(1));
    let at = texts
        .position(|part| part.starts_with(text.as_bytes()))
        .unwrap();
    body[at.checked_add_signed(offset).unwrap()] = value;
    assert_eq!(
        check_event(&body, &sample),
        Some(expected),
        "{text:?} {offset} {value}"
    );
}

#[test]
fn each_flaw_has_its_reason() {
    check_flaw("", 0, 0x80, BadRecord::Flags(Part::Flags));
    check_flaw("", 2, 1, BadRecord::Range(Part::SchemaVersion));
    check_flaw("order-line", 0, 0, BadRecord::Name(Part::EventType));
    check_flaw(
        "application/json",
        0,
        0xff,
        BadRecord::Text(Part::ContentType),
    );
    check_flaw("order-7/pay", 0, b'\n', BadRecord::Name(Part::AppendId));
    check_flaw("order-7/pay", 11, 1, BadRecord::Range(Part::AppendEvents));
    check_flaw("order-7/pay", 13, 1, BadRecord::Range(Part::Version));
    check_flaw("order-123456", 0, b'-', BadRecord::Name(Part::Stream));
    check_flaw("order-123456", 12, 0, BadRecord::Empty(Part::Tags));
    check_flaw("order-123456", 12, 65, BadRecord::Range(Part::Tags));
    check_flaw("course:c1", 0, b'z', BadRecord::Order(Part::Tags));
    check_flaw("course:c1", 3, 7, BadRecord::Name(Part::Tags));
    check_flaw("command-7", -20, 1, BadRecord::Empty(Part::Metadata));
    check_flaw("command-7", -19, 4, BadRecord::Flags(Part::Metadata));
    check_flaw("command-7", 0, 0, BadRecord::Name(Part::Metadata));
    check_flaw("user", 0, b'z', BadRecord::Order(Part::Metadata));
    check_flaw("erika", 0, 0, BadRecord::Range(Part::Metadata));
    let sample = full();
    assert_eq!(
        check_event(&[], &sample),
        Some(BadRecord::Short(Part::Flags))
    );
}

#[test]
fn a_tag_twice_is_refused() {
    let tags = ["course:c1", "course:c2"].map(|text| Tag::parse(text).unwrap());
    let plain = plain(Vec::new());
    let event = plain.event.clone().with_tags(Tags::new(tags).unwrap());
    let sample = Sample { event, ..plain };
    let mut body = sample.encode();
    assert_eq!(check_event(&body, &sample), None);
    *body.last_mut().unwrap() = b'1';
    assert_eq!(
        check_event(&body, &sample),
        Some(BadRecord::Order(Part::Tags))
    );
}

#[test]
fn a_kind_that_nothing_declares_is_refused() {
    let sample = plain(Vec::new());
    let bad = decode(&sample.encode(), sample.base, &Kinds::default()).unwrap_err();
    assert_eq!(bad, BadRecord::UnknownKind(sample.code.unwrap()));
}

#[test]
fn an_id_that_no_event_has_is_refused() {
    let sample = plain(Vec::new());
    let body = sample.encode();
    let nil = [&[0, 7, 3][..], &[1; 1], &[0; 16], &body[body.len() - 13..]].concat();
    assert_eq!(check_event(&nil, &sample), Some(BadRecord::EventId));
    for base in [i64::MIN, -1_000_000_000_000_000, i64::MAX] {
        let sample = Sample {
            base: Timestamp::from_micros(base),
            ..sample.clone()
        };
        assert_eq!(
            check_event(&body, &sample),
            Some(BadRecord::EventId),
            "{base}"
        );
    }
}

#[test]
fn a_header_is_not_believed_before_it_is_counted() {
    let headers = (0..100_000_u32).flat_map(|n| {
        let name = format!("{n:06}");
        [&[0b1101][..], name.as_bytes(), &[1]].concat()
    });
    let metadata: Vec<u8> = std::iter::once(0).chain(headers).collect();
    let mut body = plain(Vec::new()).encode();
    body[0] |= 1 << 4;
    let length = u32::try_from(metadata.len()).unwrap();
    body.extend_from_slice(&((length << 3) | 0b100).to_le_bytes()[..3]);
    body.extend_from_slice(&metadata);
    let bad = check_event(&body, &plain(Vec::new()));
    assert_eq!(bad, Some(BadRecord::Range(Part::Metadata)));
}

#[test]
fn a_form_that_the_codec_never_wrote_is_kept() {
    let event = NewEvent::new(
        EventType::from_static("e"),
        ContentType::from_static("text/x-a-form-of-more-than-23-bytes"),
        "",
    );
    let sample = Sample {
        event: event.unwrap(),
        code: None,
        ..plain(Vec::new())
    };
    assert_eq!(check_event(&sample.encode(), &sample), None);
}

proptest! {
    #[test]
    fn any_bytes_are_an_event_or_an_error(body in vec(any::<u8>(), 0..200)) {
        check_event(&body, &plain(Vec::new()));
        check_note(&body);
    }

    #[test]
    fn a_changed_event_is_an_event_or_an_error(
        sample in samples(),
        changes in vec((any::<usize>(), any::<u8>()), 1..4),
        end in any::<usize>(),
    ) {
        let mut body = sample.encode();
        for (place, value) in changes {
            let place = place % body.len();
            body[place] = value;
        }
        check_event(&body, &sample);
        body.truncate(end % body.len());
        check_event(&body, &sample);
    }
}
