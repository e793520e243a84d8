//! What the tests have in common.

use std::sync::Arc;

use annals_core::{
    Append, ContentType, EventOrdering, EventStore, EventType, Expected, Ids, NewEvent,
    ReadRequest, Receipt, RecordedEvent, StreamId, UuidIds,
};
use annals_partitioned::Partitioned;
use annals_store_memory::MemoryStore;
use futures_executor::block_on;

pub(crate) type Store = Partitioned<Arc<MemoryStore>>;

pub(crate) fn memories(count: usize) -> Vec<Arc<MemoryStore>> {
    (0..count).map(|_| Arc::default()).collect()
}

pub(crate) fn open(stores: &[Arc<MemoryStore>]) -> Store {
    block_on(Partitioned::over(stores.iter().cloned()).open()).unwrap()
}

pub(crate) fn stream(name: &str) -> StreamId {
    StreamId::parse(name).unwrap()
}

pub(crate) fn event(label: &str) -> NewEvent {
    let kind = EventType::from_static("noted");
    NewEvent::new(kind, ContentType::OCTETS, label.to_owned()).unwrap()
}

pub(crate) fn write(store: &dyn EventStore, name: &str, label: &str) -> Receipt {
    let append = Append::builder(UuidIds::default().append_id())
        .write(stream(name), Expected::Any, [event(label)])
        .build();
    block_on(store.append(append.unwrap())).unwrap()
}

/// All events, in any order that keeps that of streams.
pub(crate) fn all() -> ReadRequest {
    ReadRequest::all().ordering(EventOrdering::PerStream)
}

pub(crate) fn labels(events: &[RecordedEvent]) -> Vec<String> {
    let payloads = events.iter().map(RecordedEvent::payload);
    payloads
        .map(|payload| String::from_utf8_lossy(payload).into_owned())
        .collect()
}

/// The name of a stream of this partition.
pub(crate) fn name_in(store: &Store, partition: usize) -> String {
    let mut names = (0..).map(|number| format!("thing-{number}"));
    names
        .find(|name| store.partition_of(&stream(name)) == partition)
        .unwrap()
}
