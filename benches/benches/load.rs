//! What the load of a long-lived aggregate costs in the embedded store: folded from its beginning, from a
//! snapshot on (at most 100 events back), and from the cache on; each at two lengths.

#![expect(clippy::expect_used, reason = "a benchmark stops at the first error")]

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use annals_aggregate::Repository;
use annals_benches::account::{Account, AccountEvent, movements};
use annals_codec::JsonCodec;
use annals_snapshot::{CacheSettings, Fold, SnapshotPolicy, Snapshots};
use annals_store_log::LogStore;
use criterion::{Criterion, criterion_group, criterion_main};
use futures_executor::block_on;
use tempfile::TempDir;

const KEY: &str = "42";
/// How many events a command records while the stream is filled.
const EVENTS_A_COMMAND: usize = 1000;
/// How many events come after the snapshot: the mean of every 100.
const TAIL: u64 = 50;

fn loads(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("load");
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(3));
    for length in [10_000, 100_000] {
        let (_directory, store) = filled(length);
        let bare = Repository::<Account>::new(store.clone(), JsonCodec);
        let snapshots = Snapshots::new(store, JsonCodec, Fold::version(1))
            .with_policy(SnapshotPolicy::every_events(100));
        let snapshotted = bare.clone().with_snapshots(snapshots);
        block_on(snapshotted.take_snapshot_now(KEY)).expect("it is taken");
        block_on(bare.execute(KEY, |_| Ok::<_, Infallible>(movements(TAIL)))).expect("it executes");
        let cached = bare.clone().with_cache(CacheSettings::default());
        for (name, accounts) in [
            ("from the beginning", bare),
            ("from a snapshot, every 100", snapshotted),
            ("from the cache", cached),
        ] {
            group.bench_function(format!("{name}, {length} events"), |bencher| {
                bencher.iter(|| block_on(accounts.load(KEY)).expect("it loads"));
            });
        }
    }
    group.finish();
}

/// A store in which one account has this many events.
fn filled(length: u64) -> (TempDir, Arc<LogStore>) {
    let directory = tempfile::tempdir().expect("a directory");
    let store = LogStore::builder(directory.path())
        .open_or_create()
        .map(Arc::new)
        .expect("a store");
    let accounts = Repository::<Account>::new(store.clone(), JsonCodec);
    // Cached, so that filling does not fold all of it each time.
    let accounts = accounts.with_cache(CacheSettings::default());
    for events in movements(length).chunks(EVENTS_A_COMMAND) {
        let decided = |_: &Account| Ok::<Vec<AccountEvent>, Infallible>(events.to_vec());
        block_on(accounts.execute(KEY, decided)).expect("it executes");
    }
    (directory, store)
}

criterion_group!(benches, loads);
criterion_main!(benches);
