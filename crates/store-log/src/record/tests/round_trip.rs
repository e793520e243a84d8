//! What was written is what is read, for every event, kind and policy.

use annals_core::limits::PAYLOAD_BYTES_MAX;
use annals_core::{AppendId, ContentType, EventType, NewEvent, SchemaVersion, StreamId, Tag};
use proptest::test_runner::TestCaseError;
use proptest::{prop_assert, prop_assert_eq, proptest};

use super::super::{
    AppendHeader, EventKind, EventView, KindCode, Kinds, Note, PageBuilder, encode_kind,
    encode_policy,
};
use super::sample::{POSITION, Sample, decode, kinds, plain, policies, samples, streams};

proptest! {
    #[test]
    fn an_event_is_read_as_it_was_written(sample in samples()) {
        check(&sample)?;
    }

    #[test]
    fn a_kind_is_read_as_it_was_written(kind in kinds(), code in 1..=4095_u64) {
        let code = KindCode::new(code).unwrap();
        let mut body = Vec::new();
        encode_kind(code, &kind, &mut body);
        prop_assert_eq!(Note::parse(&body).unwrap(), Note::Kind(code, kind));
    }

    #[test]
    fn a_policy_is_read_as_it_was_written(stream in streams(), policy in policies()) {
        let mut body = Vec::new();
        encode_policy(&stream, &policy, &mut body);
        prop_assert_eq!(Note::parse(&body).unwrap(), Note::Policy(stream, policy));
    }
}

fn check(sample: &Sample) -> Result<(), TestCaseError> {
    let body = sample.encode();
    prop_assert!(body.len() <= sample.record().bytes_max());
    let kinds = sample.kinds();
    let view = EventView::parse(&body, sample.base).unwrap();
    let expected = sample.recorded();
    prop_assert_eq!(view.stream().unwrap(), expected.stream().as_str());
    prop_assert_eq!(view.version(), expected.version());
    prop_assert_eq!(view.id(), expected.id());
    prop_assert_eq!(view.appended_at(), expected.appended_at());
    prop_assert_eq!(view.recorded_at(), expected.recorded_at());
    prop_assert_eq!(view.append(), sample.append);
    prop_assert_eq!(view.payload(), expected.payload());
    prop_assert_eq!(
        view.event_type(&kinds),
        Some(expected.event_type().as_str())
    );
    prop_assert_eq!(view.tags().len(), expected.tags().len());
    prop_assert!(view.tags().eq(expected.tags().iter().map(Tag::as_str)));
    let (event, append) = decode(&body, sample.base, &kinds).unwrap();
    prop_assert_eq!(&event, &expected);
    prop_assert_eq!(sample.again(&event, append).encode(), body);
    Ok(())
}

#[test]
fn an_event_of_a_large_append_costs_few_bytes() {
    assert_eq!(plain(Vec::new()).encode().len(), 35);
    let header = AppendHeader {
        id: AppendId::parse("018bcfe5-6800-7abc-8def-0123456789ab").unwrap(),
        events: 100,
    };
    let first = Sample {
        append: Some(header),
        ..plain(Vec::new())
    };
    assert_eq!(first.encode().len(), 35 + 18);
}

#[test]
fn the_largest_payload_is_read_as_it_was_written() {
    let sample = plain(vec![7; PAYLOAD_BYTES_MAX]);
    check(&sample).unwrap();
    let mut body = sample.encode();
    body.push(7);
    assert!(EventView::parse(&body, sample.base).is_err());
}

#[test]
fn events_of_a_page_have_their_own_payloads_and_streams() {
    let lengths = [
        0, 1, 4_000, 200, 100_000, 600, 30_000, 30_000, 30_000, 5_000, 0, 9,
    ];
    let streams = [
        "order-1",
        "order-2",
        "order-2",
        "a-stream-whose-name-is-not-short-1",
    ];
    let sample = |(n, length): (u8, usize)| Sample {
        stream: StreamId::from_static(streams[usize::from(n) % streams.len()]),
        ..plain(vec![n; length])
    };
    let samples: Vec<Sample> = (0..).zip(lengths).map(sample).collect();
    let bodies: Vec<Vec<u8>> = samples.iter().map(Sample::encode).collect();
    let kinds = plain(Vec::new()).kinds();
    let mut page = PageBuilder::new(&kinds, lengths.len());
    for (sample, body) in samples.iter().zip(&bodies) {
        page.push(&EventView::parse(body, sample.base).unwrap(), POSITION)
            .unwrap();
    }
    let bytes = samples
        .iter()
        .map(|sample| sample.event.bytes())
        .sum::<usize>();
    assert_eq!((page.bytes(), page.len()), (bytes, lengths.len()));
    let expected: Vec<_> = samples.iter().map(Sample::recorded).collect();
    assert_eq!(page.finish(), expected);
}

#[test]
fn a_dictionary_knows_its_kinds_both_ways_until_it_is_full() {
    let mut kinds = Kinds::default();
    let event = |number: u32| {
        let event_type = EventType::parse(&format!("kind-{}", number / 3)).unwrap();
        let forms = [ContentType::JSON, ContentType::OCTETS, ContentType::JSON];
        let form = forms[number as usize % 3].clone();
        NewEvent::new(event_type, form, "")
            .unwrap()
            .with_schema_version(SchemaVersion::new(1 + number % 3 / 2).unwrap())
    };
    let before = kinds.clone();
    for number in 0..4095 {
        let code = kinds.next_code().unwrap();
        assert_eq!(u32::from(code.value()), number + 1);
        assert_eq!(kinds.code_of(&event(number)), None);
        kinds.insert(code, EventKind::of(&event(number))).unwrap();
    }
    assert_eq!((kinds.next_code(), kinds.iter().count()), (None, 4095));
    assert_eq!(before.iter().count(), 0);
    for (number, (code, kind)) in (0..).zip(kinds.iter()) {
        assert_eq!(*kind, EventKind::of(&event(number)));
        assert_eq!(
            (kinds.code(kind), kinds.kind(code)),
            (Some(code), Some(kind))
        );
        assert_eq!(kinds.code_of(&event(number)), Some(code));
    }
    let first = KindCode::new(1).unwrap();
    assert!(kinds.insert(first, EventKind::of(&event(0))).is_ok());
    assert!(kinds.insert(first, EventKind::of(&event(1))).is_err());
    assert_eq!(kinds.code_of(&event(4095)), None);
}
