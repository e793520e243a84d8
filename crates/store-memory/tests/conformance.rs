//! The memory store keeps the contract: as itself, behind a pointer and behind a wrapper.

use std::sync::Arc;

use annals_conformance::{
    HistorySettings, ManualClock, Stores, check, check_histories, check_model,
};
use annals_core::{
    Append, AppendId, Capabilities, ConsistencyLevel, Cursor, Error, EventStore, Page,
    PolicyChange, ReadRequest, Receipt, StreamHead, StreamId,
};
use annals_store_memory::MemoryStore;
use async_trait::async_trait;

fn memory_store(clock: ManualClock) -> MemoryStore {
    MemoryStore::builder().clock(Arc::new(clock)).build()
}

fn as_itself(clock: ManualClock) -> Stores {
    Stores::complete(memory_store(clock)).on_the_clock()
}

fn as_object(clock: ManualClock) -> Stores {
    let store: Arc<dyn EventStore> = Arc::new(memory_store(clock));
    Stores::new(store).on_the_clock()
}

fn behind_a_wrapper(clock: ManualClock) -> Stores {
    Stores::new(Wrapper(memory_store(clock))).on_the_clock()
}

#[test]
fn the_store_conforms() {
    let report = check(as_itself);
    report.assert_passed();
    assert_eq!(report.skipped().count(), 0, "{report}");
}

#[test]
fn the_store_conforms_as_an_object() {
    check(as_object).assert_passed();
}

#[test]
fn the_store_conforms_behind_a_wrapper() {
    check(behind_a_wrapper).assert_passed();
}

#[test]
fn the_store_agrees_with_the_model() {
    check_model(as_itself, 1000).assert_passed();
}

#[test]
fn the_store_agrees_with_the_model_behind_a_wrapper() {
    check_model(behind_a_wrapper, 200).assert_passed();
}

#[test]
fn the_store_has_consistent_histories() {
    check_histories(as_itself, HistorySettings::default()).assert_passed();
    check_histories(as_object, HistorySettings::default().clients(8)).assert_passed();
}

/// What a layer around a store looks like: it forwards every method.
#[derive(Debug)]
struct Wrapper(MemoryStore);

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl EventStore for Wrapper {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    async fn append(&self, append: Append) -> Result<Receipt, Error> {
        self.0.append(append).await
    }

    async fn receipt(&self, id: &AppendId) -> Result<Option<Receipt>, Error> {
        self.0.receipt(id).await
    }

    async fn read(&self, request: ReadRequest) -> Result<Page, Error> {
        self.0.read(request).await
    }

    async fn head(&self, consistency: ConsistencyLevel) -> Result<Cursor, Error> {
        self.0.head(consistency).await
    }

    async fn stream_head(&self, stream: &StreamId) -> Result<StreamHead, Error> {
        self.0.stream_head(stream).await
    }

    async fn change_stream_policy(&self, change: PolicyChange) -> Result<StreamHead, Error> {
        self.0.change_stream_policy(change).await
    }

    async fn changed_since(&self, cursor: &Cursor) -> Result<Cursor, Error> {
        self.0.changed_since(cursor).await
    }
}
