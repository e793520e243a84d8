//! Blocks and their events.

use uuid::Uuid;

use super::builder::numbers;
use super::*;
use crate::{Error, ErrorKind, Metadata, NewEvent, RecordedEvent, Tag};

const TYPES: [EventType; 2] = [
    EventType::from_static("opened"),
    EventType::from_static("paid"),
];

fn placement(number: u64) -> Placement {
    let stream = format!("account-{}", number / 2 % 3);
    Placement {
        id: EventId::new(Uuid::from_u128(u128::from(number) + 1)).unwrap(),
        stream: StreamId::parse(&stream).unwrap(),
        version: Version::new(number + 1),
        position: Position::new(number + 7),
        recorded_at: Timestamp::from_micros(1),
        appended_at: Timestamp::from_micros(2),
    }
}

/// The event of this number, by itself.
fn whole(number: u64) -> RecordedEvent {
    let kind = TYPES[usize::try_from(number % 3 / 2).unwrap()].clone();
    let payload = vec![b'x'; usize::try_from(number % 5).unwrap()];
    let mut event = NewEvent::new(kind, ContentType::JSON, payload).unwrap();
    if number.is_multiple_of(2) {
        let tag = Tag::from_parts("number", number).unwrap();
        event = event.with_tags(Tags::new([tag]).unwrap());
    }
    if number.is_multiple_of(3) {
        let metadata = Metadata::EMPTY.with_header("n", &number.to_string());
        event = event.with_metadata(metadata.unwrap());
    }
    RecordedEvent::new(event, placement(number))
}

/// A form of contexts for tests: the name of a part, `=`, its value, and a line's end.
fn lines(bytes: &[u8], context: &mut MetadataWriter<'_>) -> Result<(), Error> {
    for line in std::str::from_utf8(bytes).unwrap().lines() {
        match line.split_once('=').unwrap() {
            ("correlation", id) => context.correlation_id(id),
            ("causation", id) => context.causation_id(id),
            (name, value) => context.header(name.as_bytes(), value.as_bytes()),
        }?;
    }
    Ok(())
}

fn block() -> EventBlockBuilder {
    EventBlockBuilder::with_capacity(1, 0).with_metadata_form(lines)
}

/// Adds an event of this stream, of the kind of this number, with these bytes as context and payload.
fn push_parts(
    block: &mut EventBlockBuilder,
    (kind, stream): (BlockKind, &[u8]),
    context: &str,
    payload: &[u8],
) -> Result<usize, Error> {
    let bytes = [stream, b"anything", context.as_bytes(), payload].concat();
    block.push(BlockEvent {
        bytes: &bytes,
        stream_bytes: stream.len(),
        metadata_bytes: context.len(),
        payload_bytes: payload.len(),
        ..event(kind)
    })
}

/// An event without bytes but for its stream's name.
fn event(kind: BlockKind) -> BlockEvent<'static> {
    let placement = placement(0);
    BlockEvent {
        kind,
        id: placement.id,
        version: placement.version,
        position: placement.position,
        recorded_at: placement.recorded_at,
        appended_at: placement.appended_at,
        tags: Tags::EMPTY,
        bytes: b"account-0",
        stream_bytes: 9,
        metadata_bytes: 0,
        payload_bytes: 0,
    }
}

fn first_kind(block: &mut EventBlockBuilder) -> BlockKind {
    block.kind(&TYPES[0], SchemaVersion::FIRST, &ContentType::JSON)
}

fn push(block: &mut EventBlockBuilder, event: &RecordedEvent) {
    let metadata = event.metadata();
    let headers = metadata.headers();
    let lines: Vec<_> = headers
        .map(|(name, value)| [name, "=", value, "\n"].concat())
        .collect();
    let packed = lines.concat();
    let content = event.content();
    let kind = block.kind(
        content.event_type,
        content.schema_version,
        content.content_type,
    );
    let stream = event.stream().as_str();
    let bytes = [stream.as_bytes(), b"-", packed.as_bytes(), content.payload].concat();
    let size = block.push(BlockEvent {
        kind,
        id: event.id(),
        version: event.version(),
        position: event.position(),
        recorded_at: event.recorded_at(),
        appended_at: event.appended_at(),
        tags: content.tags.clone(),
        bytes: &bytes,
        stream_bytes: stream.len(),
        metadata_bytes: packed.len(),
        payload_bytes: content.payload.len(),
    });
    assert_eq!(size.unwrap() + metadata.bytes(), event.bytes());
}

#[test]
fn an_event_of_a_block_is_the_event_itself() {
    let pool = Arc::default();
    for _ in 0..3 {
        let mut blocks = [
            block(),
            EventBlockBuilder::in_pool(&pool).with_metadata_form(lines),
        ];
        for block in &mut blocks {
            (0..20).for_each(|number| push(block, &whole(number)));
        }
        let mut events = Vec::new();
        for block in blocks {
            block.finish(&mut events);
        }
        for (index, event) in (0..).zip(&events) {
            let expected = whole(index % 20);
            assert_eq!(*event, expected);
            assert_eq!(event.to_new_event(), expected.to_new_event());
            assert_eq!(event.payload_bytes(), expected.payload_bytes());
        }
        let last = events.pop().unwrap().payload_bytes();
        drop(events);
        assert_eq!(last, whole(19).payload());
    }
    assert_eq!(pool.kept().len(), 1);
}

/// Gives these parts of a context, in this order.
fn give(parts: &[(&str, &str)]) -> Result<(), Error> {
    let mut bytes = Vec::new();
    let mut writer = MetadataWriter::new(&mut bytes);
    for (name, value) in parts {
        match *name {
            "correlation" => writer.correlation_id(value),
            "causation" => writer.causation_id(value),
            name => writer.header(name.as_bytes(), value.as_bytes()),
        }?;
    }
    Ok(())
}

#[test]
fn a_context_that_breaks_the_rules_is_refused() {
    for part in [
        ("", "1"),
        ("a\n", "1"),
        ("a", "\0"),
        ("correlation", ""),
        ("causation", "a\n"),
    ] {
        assert!(give(&[part]).is_err(), "{part:?}");
    }
    for (name, value) in [(&b"a"[..], &b"\xff"[..]), (b"\xff", b"1")] {
        let checked = Metadata::check_header(name, value);
        assert!(checked.is_err(), "{name:?} {value:?}");
    }
    give(&[("b", "caf\u{e9}")]).unwrap();
}

#[test]
fn a_context_out_of_order_is_refused() {
    let (correlation, causation) = ("correlation", "causation");
    let given = |parts: &[&str]| {
        let parts: Vec<_> = parts.iter().map(|name| (*name, "1")).collect();
        give(&parts)
    };
    for parts in [
        &[correlation, causation, "a", "b"][..],
        &[correlation, "a"],
        &[causation, "a"],
        &[correlation],
        &[],
    ] {
        given(parts).unwrap();
        let mut block = block();
        let kind = first_kind(&mut block);
        let lines: Vec<_> = parts.iter().map(|name| [name, "=1\n"].concat()).collect();
        let context = lines.concat();
        for context in ["", &context, ""] {
            push_parts(&mut block, (kind, b"account-1"), context, b"x").unwrap();
        }
        let mut events = Vec::new();
        block.finish(&mut events);
        let metadata = events[1].metadata();
        let ids = [
            metadata.correlation_id().map(|_| correlation),
            metadata.causation_id().map(|_| causation),
        ];
        let headers = metadata.headers().map(|(name, _)| name);
        let found: Vec<_> = ids.into_iter().flatten().chain(headers).collect();
        assert_eq!(found, parts);
        assert!(events[0].metadata().is_empty() && events[2].metadata().is_empty());
    }
    for parts in [
        &[correlation, correlation][..],
        &[causation, causation],
        &[correlation, causation, causation],
        &[causation, correlation],
        &["a", correlation],
        &["a", causation],
        &[correlation, "a", causation],
        &["a", "a"],
        &["b", "a"],
    ] {
        let error = given(parts).err().unwrap_or_else(|| panic!("{parts:?}"));
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    }
}

#[test]
fn a_name_is_taken_as_it_is_parsed() {
    for name in [
        &b"account-1"[..],
        b"settings",
        b"account-1-",
        "caf\u{e9}-1".as_bytes(),
        b"",
        b"-1",
        b"account-",
        b"account-\n",
        b"account-\xff",
        &[b'x'; 1025],
        &[b'x'; 1024],
    ] {
        let mut block = block();
        let kind = first_kind(&mut block);
        let text = std::str::from_utf8(name).ok();
        let stream = text.and_then(|text| StreamId::parse(text).ok());
        let pushed = push_parts(&mut block, (kind, name), "", b"x");
        assert_eq!(pushed.is_ok(), stream.is_some(), "{name:?}");
        let mut events = Vec::new();
        block.finish(&mut events);
        let found = events.first().map(|event| event.stream().clone());
        assert_eq!(found, stream);
    }
}

#[test]
fn parts_of_more_bytes_than_there_are_are_refused() {
    let mut block = block();
    let kind = first_kind(&mut block);
    for (stream_bytes, metadata_bytes, payload_bytes) in
        [(10, 0, 0), (9, 1, 0), (9, 0, 1), (8, 1, 1)]
    {
        let pushed = block.push(BlockEvent {
            stream_bytes,
            metadata_bytes,
            payload_bytes,
            ..event(kind)
        });
        assert_eq!(pushed.unwrap_err().kind(), ErrorKind::Invalid);
    }
    assert!(block.is_empty());
}

#[test]
fn a_kind_of_another_block_is_refused() {
    let pool = Arc::default();
    let mut first = EventBlockBuilder::in_pool(&pool);
    let [_, second] = TYPES.map(|it| first.kind(&it, SchemaVersion::FIRST, &ContentType::JSON));
    first.push(event(second)).unwrap();
    first.finish(&mut Vec::new());
    let mut next = EventBlockBuilder::in_pool(&pool);
    for _ in 0..2 {
        let error = next.push(event(second)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(next.is_empty());
        next.kind(&TYPES[0], SchemaVersion::FIRST, &ContentType::JSON);
    }
}

/// The zeros are never touched, so they take no memory.
#[cfg(target_pointer_width = "64")]
#[test]
fn an_event_beyond_4_gib_is_refused() {
    let mut block = block();
    let kind = first_kind(&mut block);
    block.storage.bytes = vec![0; u32::MAX as usize - 9];
    block.push(event(kind)).unwrap();
    let error = block.push(event(kind)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("begin another"), "{error}");
    let mut events = Vec::new();
    block.finish(&mut events);
    assert_eq!((events.len(), events[0].payload()), (1, &b""[..]));
    assert_eq!(numbers([u32::MAX as usize, 0]).unwrap(), [u32::MAX, 0]);
}

#[test]
fn a_block_is_full_by_its_bytes_unless_it_is_empty() {
    let mut block = block();
    assert!(!block.is_full_for(usize::MAX));
    let kind = first_kind(&mut block);
    block.push(event(kind)).unwrap();
    assert!(!block.is_full_for(EventBlock::BYTES_MAX - 9));
    assert!(block.is_full_for(EventBlock::BYTES_MAX - 8) && block.is_full_for(usize::MAX));
}

#[test]
fn a_payload_keeps_its_block_until_it_is_gone() {
    let pool = Arc::default();
    let mut block = EventBlockBuilder::in_pool(&pool);
    (0..5).for_each(|number| push(&mut block, &whole(number)));
    let mut events = Vec::new();
    block.finish(&mut events);
    let payload = events[4].payload_bytes();
    assert_eq!(payload.as_ptr(), events[4].payload().as_ptr());
    let part = payload.slice(1..3);
    drop((events, payload));
    assert!(pool.kept().is_empty());
    assert_eq!(part, &b"xx"[..]);
    drop(part);
    assert_eq!(pool.kept().len(), 1);
}
