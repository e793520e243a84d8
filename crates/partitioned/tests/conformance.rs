//! A partitioned store keeps the contract over every kind of store, as far as it goes: of one partition in full, of
//! several in what it offers.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::sync::Arc;

use annals_conformance::{
    HistorySettings, ManualClock, Stores, check, check_histories, check_model,
};
use annals_core::{CheckpointStore, EventStore, SnapshotStore};
use annals_partitioned::Partitioned;
use annals_store_log::{LogStore, Settings};
use annals_store_memory::MemoryStore;
use futures_executor::block_on;

/// A partitioned store over as many stores as `open` is called for.
fn over<S>(partitions: usize, open: impl Fn() -> S) -> Stores
where
    S: EventStore + SnapshotStore + CheckpointStore + 'static,
{
    let stores = (0..partitions).map(|_| open());
    let store = block_on(Partitioned::over(stores).open()).unwrap();
    Stores::complete(store).on_the_clock()
}

fn over_memory(partitions: usize) -> impl Fn(ManualClock) -> Stores + Send + Sync + 'static {
    move |clock| {
        let clock = Arc::new(clock);
        over(partitions, || {
            MemoryStore::builder().clock(clock.clone()).build()
        })
    }
}

/// Embedded logs in fresh directories, which live as long as the tests.
fn over_logs(partitions: usize) -> impl Fn(ManualClock) -> Stores + Send + Sync + 'static {
    let directory = tempfile::tempdir().unwrap();
    let number = std::sync::atomic::AtomicU64::new(0);
    move |clock| {
        let clock = Arc::new(clock);
        over(partitions, || {
            let number = number.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let mut settings = Settings::default();
            settings.segment_bytes = 64 * 1024;
            LogStore::builder(directory.path().join(number.to_string()))
                .clock(clock.clone())
                .settings(settings)
                .create()
                .unwrap()
        })
    }
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
    check_histories(over_memory(3), HistorySettings::default()).assert_passed();
}
