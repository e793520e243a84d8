//! The memory store keeps the contract: as itself, behind a pointer and behind a wrapper.

use std::sync::Arc;

use annals_conformance::{ManualClock, Stores, check};
use annals_core::{
    Append, Capabilities, ConsistencyLevel, Cursor, Error, EventStore, Page, PolicyChange,
    ReadRequest, Receipt, StreamHead, StreamId,
};
use annals_store_memory::MemoryStore;
use async_trait::async_trait;

fn memory_store(clock: ManualClock) -> MemoryStore {
    MemoryStore::builder().clock(Arc::new(clock)).build()
}

#[test]
fn as_its_model() {
    annals_conformance::check_model(
        |clock| Stores::complete(memory_store(clock)).on_the_clock(),
        1000,
    )
    .assert_passed();
}
#[test]
fn as_histories() {
    annals_conformance::check_histories(
        |clock| Stores::complete(memory_store(clock)).on_the_clock(),
        annals_conformance::HistorySettings::default(),
    )
    .assert_passed();
}
#[test]
fn as_itself() {
    check(|clock| Stores::complete(memory_store(clock)).on_the_clock()).assert_passed();
}
