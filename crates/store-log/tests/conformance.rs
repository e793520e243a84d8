//! The embedded store keeps the contract: with the defaults, and with settings that make it busy.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use annals_conformance::{
    HistorySettings, ManualClock, Stores, check, check_histories, check_model,
};
use annals_store_log::{
    CommitterThread, Durability, LogStore, Maintenance, ReadMode, Settings,
};

/// A store in a fresh directory, which lives as long as the tests.
fn store(clock: ManualClock, settings: Settings) -> LogStore {
    static DIRECTORY: std::sync::LazyLock<tempfile::TempDir> =
        std::sync::LazyLock::new(|| tempfile::tempdir().unwrap());
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    LogStore::builder(DIRECTORY.path().join(number.to_string()))
        .clock(Arc::new(clock))
        .settings(settings)
        .create()
        .unwrap()
}

fn with_the_defaults(clock: ManualClock) -> Stores {
    Stores::new(store(clock, Settings::default())).on_the_clock()
}

/// Small segments and a small memory for the index, so that even a short case seals, writes runs and merges them.
fn busy(clock: ManualClock) -> Stores {
    let mut settings = Settings::default();
    settings.segment_bytes = 64 * 1024;
    settings.index_bytes_max = 16 * 1024;
    settings.maintenance = Maintenance::Inline;
    settings.reads = ReadMode::Pread;
    Stores::new(store(clock, settings)).on_the_clock()
}

fn with_a_thread(clock: ManualClock) -> Stores {
    let mut settings = Settings::default();
    settings.committer = CommitterThread::Own;
    settings.index_bytes_max = 16 * 1024;
    settings.durability = Durability::Process;
    Stores::new(store(clock, settings)).on_the_clock()
}

#[test]
fn the_store_conforms() {
    check(with_the_defaults).assert_passed();
}

#[test]
fn a_busy_store_conforms() {
    check(busy).assert_passed();
}

#[test]
fn a_store_with_a_thread_conforms() {
    check(with_a_thread).assert_passed();
}

#[test]
fn the_store_agrees_with_the_model() {
    check_model(with_the_defaults, 200).assert_passed();
}

#[test]
fn a_busy_store_agrees_with_the_model() {
    check_model(busy, 200).assert_passed();
}

#[test]
fn the_store_has_consistent_histories() {
    check_histories(with_the_defaults, HistorySettings::default()).assert_passed();
    check_histories(with_a_thread, HistorySettings::default().clients(8)).assert_passed();
}

#[test]
fn a_busy_store_has_consistent_histories() {
    check_histories(busy, HistorySettings::default()).assert_passed();
}
