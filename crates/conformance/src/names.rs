//! Short ways to the vocabulary, for names that the suite itself chose.
#![expect(
    clippy::expect_used,
    reason = "the suite's own names and payloads are within every limit"
)]

use annals_core::{
    AppendId, Category, ContentType, Criteria, CriteriaItem, EventId, EventType, NewEvent,
    RecordedEvent, StreamId, Tag, Tags,
};
use uuid::Uuid;

pub(crate) fn stream(text: &str) -> StreamId {
    StreamId::parse(text).expect("a stream id")
}

pub(crate) fn category(text: &str) -> Category {
    Category::parse(text).expect("a category")
}

pub(crate) fn append_id(text: &str) -> AppendId {
    AppendId::parse(text).expect("an append id")
}

/// An event id that is the same for the same number.
pub(crate) fn event_id(number: u64) -> EventId {
    let uuid = Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_0000_0000 | u128::from(number));
    EventId::new(uuid).expect("not nil")
}

pub(crate) fn event_type(text: &str) -> EventType {
    EventType::parse(text).expect("an event type")
}

pub(crate) fn tags(texts: &[&str]) -> Tags {
    let tags = texts.iter().map(|text| Tag::parse(text).expect("a tag"));
    Tags::new(tags).expect("few tags")
}

/// An event of type `noted` without tags, told from others by its payload.
pub(crate) fn event(label: &str) -> NewEvent {
    typed("noted", &[], label)
}

/// An event told from others by its payload.
pub(crate) fn typed(of: &str, tagged: &[&str], label: &str) -> NewEvent {
    NewEvent::new(
        event_type(of),
        ContentType::from_static("text/plain"),
        label.to_owned(),
    )
    .expect("a small payload")
    .with_tags(tags(tagged))
}

/// Criteria of these items, each with its types and its tags.
pub(crate) fn criteria(items: &[(&[&str], &[&str])]) -> Criteria {
    let items = items.iter().map(|(types, tagged)| {
        let types = types.iter().map(|text| event_type(text));
        CriteriaItem::new(types, tags(tagged)).expect("few types")
    });
    Criteria::any_of(items).expect("few items")
}

/// The payloads of events as text.
pub(crate) fn labels(events: &[RecordedEvent]) -> Vec<String> {
    events
        .iter()
        .map(|event| String::from_utf8_lossy(event.payload()).into_owned())
        .collect()
}
