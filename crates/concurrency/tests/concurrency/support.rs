//! What the tests share.

use annals_core::{
    Append, AppendBuilder, ContentType, CorrelationId, EventType, Ids, Metadata, NewEvent,
    StreamId, UuidIds,
};

pub(crate) fn stream(text: &str) -> StreamId {
    StreamId::parse(text).unwrap()
}

pub(crate) fn event(name: &'static str) -> NewEvent {
    NewEvent::new(EventType::from_static(name), ContentType::JSON, "{}").unwrap()
}

/// The event of a conversation.
pub(crate) fn correlated(name: &'static str, correlation: &str) -> NewEvent {
    let correlation = CorrelationId::parse(correlation).unwrap();
    let metadata = Metadata::EMPTY.with_correlation_id(correlation).unwrap();
    event(name).with_metadata(metadata)
}

pub(crate) fn append() -> AppendBuilder {
    Append::builder(UuidIds::default().append_id())
}
