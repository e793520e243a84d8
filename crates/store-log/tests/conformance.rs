//! The embedded store keeps the contract: with the defaults, and with settings that make it busy.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use annals_conformance::{
    HistorySettings, ManualClock, Stores, check, check_histories, check_model,
};
use annals_core::{
    Append, AppendId, Capabilities, ConsistencyLevel, Cursor, Error, EventStore, Page,
    PolicyChange, ReadRequest, Receipt, StreamHead, StreamId,
};
use annals_store_log::{
    CommitterThread, Durability, LogFollower, LogStore, Maintenance, ReadMode, Settings,
};
use async_trait::async_trait;

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
    Stores::complete(store(clock, Settings::default())).on_the_clock()
}

/// Small segments and a small memory for the index, so that even a short case seals, writes runs and merges them.
fn busy(clock: ManualClock) -> Stores {
    let mut settings = Settings::default();
    settings.segment_bytes = 64 * 1024;
    settings.index_bytes_max = 16 * 1024;
    settings.maintenance = Maintenance::Inline;
    settings.reads = ReadMode::Pread;
    Stores::complete(store(clock, settings)).on_the_clock()
}

fn with_a_thread(clock: ManualClock) -> Stores {
    let mut settings = Settings::default();
    settings.committer = CommitterThread::Own;
    settings.index_bytes_max = 16 * 1024;
    settings.durability = Durability::Process;
    Stores::complete(store(clock, settings)).on_the_clock()
}

#[test]
fn the_store_conforms() {
    let report = check(with_the_defaults);
    report.assert_passed();
    assert_eq!(report.skipped().count(), 0, "{report}");
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

/// Appends go to the writer, all else is asked of a follower.
#[derive(Debug)]
struct Pair {
    writer: LogStore,
    follower: LogFollower,
}

fn a_pair(clock: ManualClock) -> Stores {
    let mut settings = Settings::default();
    settings.segment_bytes = 64 * 1024;
    settings.index_bytes_max = 16 * 1024;
    let writer = store(clock.clone(), settings.clone());
    let follower = LogStore::builder(writer.directory())
        .clock(Arc::new(clock))
        .settings(settings);
    let follower = follower.follow().unwrap();
    Stores::new(Pair { writer, follower }).on_the_clock()
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl EventStore for Pair {
    fn capabilities(&self) -> Capabilities {
        self.writer.capabilities()
    }

    async fn append(&self, append: Append) -> Result<Receipt, Error> {
        self.writer.append(append).await
    }

    async fn receipt(&self, id: &AppendId) -> Result<Option<Receipt>, Error> {
        self.follower.receipt(id).await
    }

    async fn read(&self, request: ReadRequest) -> Result<Page, Error> {
        self.follower.read(request).await
    }

    async fn head(&self, consistency: ConsistencyLevel) -> Result<Cursor, Error> {
        self.follower.head(consistency).await
    }

    async fn stream_head(&self, stream: &StreamId) -> Result<StreamHead, Error> {
        self.follower.stream_head(stream).await
    }

    async fn change_stream_policy(&self, change: PolicyChange) -> Result<StreamHead, Error> {
        self.writer.change_stream_policy(change).await
    }

    async fn changed_since(&self, cursor: &Cursor) -> Result<Cursor, Error> {
        self.follower.changed_since(cursor).await
    }
}

#[test]
fn a_follower_conforms() {
    check(a_pair).assert_passed();
}

#[test]
fn a_follower_agrees_with_the_model() {
    check_model(a_pair, 100).assert_passed();
}
