//! Snapshots that are taken beside commands, whatever goes wrong with them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use annals_aggregate::Repository;
use annals_codec::JsonCodec;
use annals_core::{
    Aggregate, Error, ErrorKind, Refusal, Snapshot, SnapshotKey, SnapshotRemoval, SnapshotStore,
    Timestamp, Version,
};
use annals_snapshot::{Fold, Folded, SnapshotPolicy, Snapshots};
use annals_store_log::LogStore;
use annals_store_memory::MemoryStore;
use async_trait::async_trait;
use futures_executor::block_on;
use serde::{Deserialize, Serialize};

use crate::counter::{Counter, CounterEvent, bare, check_load, count, snapshots, stream};

/// A store of snapshots that is out of order.
#[derive(Debug)]
struct Broken;

#[async_trait]
impl SnapshotStore for Broken {
    async fn save_snapshot(&self, _: Snapshot) -> Result<(), Error> {
        Err(Error::new(ErrorKind::NoSpace, "full"))
    }

    async fn load_snapshot(&self, _: &SnapshotKey, _: Version) -> Result<Option<Snapshot>, Error> {
        Err(Error::new(ErrorKind::Unavailable, "out of reach"))
    }

    async fn remove_snapshots(&self, _: SnapshotRemoval) -> Result<usize, Error> {
        Err(Error::new(ErrorKind::Unavailable, "out of reach"))
    }
}

fn every(events: u64) -> SnapshotPolicy {
    SnapshotPolicy::every_events(events)
}

#[test]
fn a_failure_never_fails_a_command() {
    block_on(async {
        let store = Arc::new(MemoryStore::new());
        let broken = Snapshots::new(Arc::new(Broken), JsonCodec, Fold::version(1));
        let counters = bare(&store).with_snapshots(broken.with_policy(every(1)));
        for number in 0..3 {
            count(&counters, "1", number).await;
            counters.snapshots().unwrap().flush().await;
        }
        check_load(&counters, &bare(&store), "1", Version::MAX).await;
        let counts = counters.snapshot_counts().unwrap();
        assert_eq!((counts.save_failures, counts.saved), (3, 0));
        assert_eq!(counts.load_failures, 4);
    });
}

/// A state that refuses to be written, loudly or by an error.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
struct Unwritable(u64);

impl Serialize for Unwritable {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        assert!(self.0 != 1, "a bug in the application");
        Err(serde::ser::Error::custom("no"))
    }
}

impl Aggregate for Unwritable {
    type Event = CounterEvent;

    fn apply(&mut self, _: &CounterEvent) -> Result<(), Refusal> {
        self.0 += 1;
        Ok(())
    }
}

#[test]
fn a_state_that_can_not_be_written_harms_nobody() {
    block_on(async {
        let store = Arc::new(MemoryStore::new());
        let kept = Snapshots::new(store.clone(), JsonCodec, Fold::version(1));
        let counters = Repository::<Unwritable>::new(store, JsonCodec)
            .with_snapshots(kept.with_policy(every(1)));
        let counted = |_: &Unwritable| Ok::<_, ()>(CounterEvent::Counted { number: 1 });
        for _ in 0..3 {
            counters.execute("1", counted).await.unwrap();
            counters.snapshots().unwrap().flush().await;
        }
        assert_eq!(counters.snapshot_counts().unwrap().save_failures, 3);
    });
}

#[test]
fn what_waits_is_bounded_and_nobody_waits_for_it() {
    block_on(async {
        let store = Arc::new(MemoryStore::new());
        let kept = snapshots(&store, 1).with_policy(every(1));
        let counters = bare(&store).with_snapshots(kept.with_waiting_max(2));
        for key in ["1", "2", "3", "1"] {
            count(&counters, key, 1).await;
        }
        let counts = || counters.snapshot_counts().unwrap();
        assert_eq!((counts().saved, counts().refused), (0, 1));
        counters.snapshots().unwrap().flush().await;
        assert_eq!(counts().saved, 2, "one of a stream waits at a time");
    });
}

#[test]
fn the_newest_are_kept_and_a_superseded_fold_is_cleaned() {
    block_on(async {
        let store = Arc::new(MemoryStore::new());
        let first = snapshots(&store, 1)
            .with_policy(every(1))
            .with_keep_newest(2);
        let counters = bare(&store).with_snapshots(first.clone());
        for number in 0..5 {
            count(&counters, "1", number).await;
            first.flush().await;
        }
        let kept = async |snapshots: &Snapshots<Counter>, at| {
            let found = snapshots.load(&stream("1"), Version::new(at)).await;
            found.map(|(folded, _)| folded.version.value())
        };
        assert_eq!(kept(&first, 9).await, Some(5));
        assert_eq!(kept(&first, 4).await, Some(4));
        assert_eq!(kept(&first, 3).await, None);

        let second = snapshots(&store, 2).with_policy(every(1));
        assert_eq!(kept(&second, 9).await, None, "of another fold");
        let released = bare(&store).with_snapshots(second.clone());
        count(&released, "1", 6).await;
        second.flush().await;
        assert_eq!(
            (kept(&second, 9).await, kept(&first, 9).await),
            (Some(6), None)
        );

        // The older release still runs: it does not take away what the newer one has.
        count(&counters, "1", 7).await;
        first.flush().await;
        assert_eq!(
            (kept(&first, 9).await, kept(&second, 9).await),
            (Some(7), Some(6))
        );
        count(&released, "1", 8).await;
        second.flush().await;
        assert_eq!(
            (kept(&first, 9).await, kept(&second, 9).await),
            (None, Some(8))
        );
    });
}

#[test]
fn a_worker_that_is_dropped_leaves_its_work() {
    block_on(async {
        let store = Arc::new(MemoryStore::new());
        let spawned = Arc::new(AtomicUsize::new(0));
        let counted = spawned.clone();
        let kept = snapshots(&store, 1)
            .with_policy(every(1))
            .with_spawn(move |task| {
                counted.fetch_add(1, Ordering::Relaxed);
                drop(task);
            });
        let counters = bare(&store).with_snapshots(kept.clone());
        count(&counters, "1", 1).await;
        count(&counters, "2", 1).await;
        assert_eq!(spawned.load(Ordering::Relaxed), 2);
        kept.flush().await;
        assert_eq!(kept.counts().saved, 2);
        kept.flush().await;
    });
}

#[test]
fn a_verification_finds_what_diverges() {
    block_on(async {
        let store = Arc::new(MemoryStore::new());
        let kept = snapshots(&store, 1).with_policy(every(1));
        let counters = bare(&store).with_snapshots(kept.clone());
        for key in ["right", "wrong", "hidden", "without"] {
            count(&counters, key, 1).await;
            count(&counters, key, 2).await;
        }
        kept.flush().await;
        let folded = |events| Folded {
            state: Counter { events, digest: 0 },
            begins_at: Version::FIRST,
            version: Version::new(2),
        };
        let wrong = kept.save(stream("wrong"), folded(2), Timestamp::EPOCH);
        wrong.await.unwrap();
        crate::counter::truncate(&store, "hidden", 2).await;
        let key = SnapshotKey {
            stream: stream("without"),
            fold: kept.fold().clone(),
        };
        let all = SnapshotRemoval::Older {
            key,
            keep_newest: 0,
        };
        store.remove_snapshots(all).await.unwrap();

        let keys = counters.recent_keys(10).await.unwrap();
        assert_eq!(keys, ["without", "hidden", "wrong", "right"]);
        assert_eq!(counters.recent_keys(2).await.unwrap(), keys[..2]);
        let found = counters.verify_snapshots(&keys).await.unwrap();
        assert_eq!((found.right, found.hidden, found.without), (1, 1, 1));
        assert!(!found.is_right());
        assert_eq!(found.divergent[0].stream, stream("wrong"));
        let text = found.to_string();
        assert!(
            text.contains("counter-wrong at version 2 diverges"),
            "{text}"
        );
        let error = bare(&store).verify_snapshots(&keys).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
    });
}

#[test]
fn the_embedded_store_keeps_them_over_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let open = || {
        let store = LogStore::builder(directory.path())
            .open_or_create()
            .unwrap();
        let store = Arc::new(store);
        let kept = Snapshots::new(store.clone(), JsonCodec, Fold::version(1));
        Repository::<Counter>::new(store, JsonCodec).with_snapshots(kept.with_policy(every(10)))
    };
    block_on(async {
        let counters = open();
        for number in 0..25 {
            count(&counters, "1", number).await;
            // Taken on another thread; waited for here so that each is due in turn.
            counters.snapshots().unwrap().flush().await;
        }
        assert_eq!(counters.snapshot_counts().unwrap().saved, 2);
        let before = counters.load("1").await.unwrap().into_state();
        drop(counters);
        let again = open();
        assert_eq!(again.load("1").await.unwrap().state(), &before);
        assert_eq!(again.snapshot_counts().unwrap().used, 1);
        assert!(again.verify_snapshots(["1"]).await.unwrap().is_right());
    });
}
