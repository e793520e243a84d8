//! A partitioned store keeps the contract over every kind of store, as far as it goes: of one partition in full, of
//! several in what it offers.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use annals_conformance::{
    Backend, HistorySettings, ManualClock, Stores, check, check_histories, check_model,
};
use annals_core::{CheckpointStore, Error, EventStore, SnapshotStore};
use annals_partitioned::Partitioned;
use annals_store_log::{LogStore, Settings};
use annals_store_memory::MemoryStore;
use async_trait::async_trait;

/// A partitioned store over so many of what is opened.
struct Over<O> {
    partitions: usize,
    open: O,
}

#[async_trait]
impl<S, O> Backend for Over<O>
where
    S: EventStore + SnapshotStore + CheckpointStore + 'static,
    O: Fn(ManualClock) -> S + Send + Sync + 'static,
{
    async fn open(&self, clock: ManualClock) -> Result<Stores, Error> {
        let stores = (0..self.partitions).map(|_| (self.open)(clock.clone()));
        let store = Partitioned::over(stores).open().await?;
        Ok(Stores::complete(store).on_the_clock())
    }
}

fn over_memory(partitions: usize) -> impl Backend {
    let open = |clock| MemoryStore::builder().clock(Arc::new(clock)).build();
    Over { partitions, open }
}

/// Embedded logs of small segments, in fresh directories that live as long as the backend.
fn over_logs(partitions: usize) -> impl Backend {
    let directory = tempfile::tempdir().unwrap();
    let next = AtomicU64::new(0);
    let open = move |clock| {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let mut settings = Settings::default();
        settings.segment_bytes = 64 * 1024;
        LogStore::builder(directory.path().join(number.to_string()))
            .clock(Arc::new(clock))
            .settings(settings)
            .create()
            .unwrap()
    };
    Over { partitions, open }
}

#[test]
fn one_partition_conforms_in_full() {
    let report = check(over_memory(1));
    report.assert_passed();
    assert_eq!(report.skipped().count(), 0, "{report}");
    check(over_logs(1)).assert_passed();
}

#[test]
fn several_partitions_conform() {
    check(over_memory(3)).assert_passed();
    check(over_memory(8)).assert_passed();
}

#[test]
fn several_logs_conform() {
    check(over_logs(3)).assert_passed();
}

#[test]
fn it_agrees_with_the_model() {
    check_model(over_memory(1), 100).assert_passed();
    check_model(over_memory(3), 500).assert_passed();
    check_model(over_logs(3), 50).assert_passed();
}

#[test]
fn its_histories_are_consistent() {
    check_histories(over_memory(1), HistorySettings::default()).assert_passed();
    check_histories(over_logs(1), HistorySettings::default().histories(3)).assert_passed();
}
