//! An aggregate whose state tells every event, and their order.

use std::sync::Arc;

use annals_aggregate::Repository;
use annals_codec::JsonCodec;
use annals_core::{
    Aggregate, EventStoreExt as _, Expected, PolicyAction, PolicyChange, Refusal, StreamId, Version,
};
use annals_macros::Event;
use annals_snapshot::{Fold, Snapshots};
use annals_store_memory::MemoryStore;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "counter")]
pub(crate) enum CounterEvent {
    Counted { number: u64 },
}

/// Another history is another digest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Counter {
    pub(crate) events: u64,
    pub(crate) digest: u64,
}

impl Aggregate for Counter {
    type Event = CounterEvent;

    fn apply(&mut self, event: &CounterEvent) -> Result<(), Refusal> {
        let CounterEvent::Counted { number } = event;
        self.events += 1;
        self.digest = self.digest.wrapping_mul(1_000_003).wrapping_add(*number);
        Ok(())
    }
}

/// The counters in a store, without anything kept.
pub(crate) fn bare(store: &Arc<MemoryStore>) -> Repository<Counter> {
    Repository::new(store.clone(), JsonCodec)
}

/// Snapshots in this store that are taken when they are flushed.
pub(crate) fn snapshots(store: &Arc<MemoryStore>, fold: u32) -> Snapshots<Counter> {
    Snapshots::new(store.clone(), JsonCodec, Fold::version(fold)).with_spawn(drop)
}

pub(crate) async fn count(counters: &Repository<Counter>, key: &str, number: u64) {
    let counted = |_: &Counter| Ok::<_, ()>(CounterEvent::Counted { number });
    counters.execute(key, counted).await.unwrap();
}

pub(crate) fn stream(key: &str) -> StreamId {
    StreamId::new(&annals_core::Category::from_static("counter"), key).unwrap()
}

pub(crate) async fn change(store: &MemoryStore, key: &str, action: PolicyAction) {
    use annals_core::EventStore as _;
    let change = PolicyChange {
        stream: stream(key),
        expected: Expected::Any,
        action,
    };
    store.change_stream_policy(change).await.unwrap();
}

pub(crate) async fn truncate(store: &MemoryStore, key: &str, before: u64) {
    change(
        store,
        key,
        PolicyAction::TruncateBefore(Version::new(before)),
    )
    .await;
}

pub(crate) async fn delete(store: &MemoryStore, key: &str) {
    store.soft_delete(stream(key), Expected::Any).await.unwrap();
}

/// Holds a load against a fold from the beginning.
pub(crate) async fn check_load(
    counters: &Repository<Counter>,
    bare: &Repository<Counter>,
    key: &str,
    at: Version,
) {
    let kept = counters.load_at(key, at).await.unwrap();
    let whole = bare.load_at(key, at).await.unwrap();
    assert_eq!(
        (kept.version(), kept.state()),
        (whole.version(), whole.state()),
        "counter {key} at {at}"
    );
}
