//! What a load with a cache asks the store for, and how fresh its answers are.

use std::sync::{Arc, Mutex};

use annals_aggregate::{Context, LoadChoice, Repository};
use annals_codec::JsonCodec;
use annals_core::{
    Append, AppendId, Capabilities, ConsistencyLevel, Cursor, Error, EventStore, Page,
    PolicyChange, ReadRequest, Receipt, StreamHead, StreamId, Version,
};
use annals_snapshot::CacheSettings;
use annals_store_memory::MemoryStore;
use async_trait::async_trait;
use futures_executor::block_on;

use crate::counter::{Counter, CounterEvent, bare, check_load, count, snapshots, truncate};

/// A store that notes after which version each page of a stream was asked for, and how fresh.
#[derive(Debug)]
struct Noted {
    inner: Arc<MemoryStore>,
    reads: Mutex<Vec<(u64, ConsistencyLevel)>>,
}

impl Noted {
    fn reads(&self) -> Vec<u64> {
        let reads = std::mem::take(&mut *self.reads.lock().unwrap());
        reads.into_iter().map(|(after, _)| after).collect()
    }
}

#[async_trait]
impl EventStore for Noted {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn append(&self, append: Append) -> Result<Receipt, Error> {
        self.inner.append(append).await
    }

    async fn receipt(&self, id: &AppendId) -> Result<Option<Receipt>, Error> {
        self.inner.receipt(id).await
    }

    async fn read(&self, request: ReadRequest) -> Result<Page, Error> {
        let read = (request.after_version.value(), request.consistency.clone());
        self.reads.lock().unwrap().push(read);
        self.inner.read(request).await
    }

    async fn head(&self, consistency: ConsistencyLevel) -> Result<Cursor, Error> {
        self.inner.head(consistency).await
    }

    async fn stream_head(&self, stream: &StreamId) -> Result<StreamHead, Error> {
        self.inner.stream_head(stream).await
    }

    async fn change_stream_policy(&self, change: PolicyChange) -> Result<StreamHead, Error> {
        self.inner.change_stream_policy(change).await
    }

    async fn changed_since(&self, cursor: &Cursor) -> Result<Cursor, Error> {
        self.inner.changed_since(cursor).await
    }
}

fn noted() -> (Arc<Noted>, Arc<MemoryStore>, Repository<Counter>) {
    let inner = Arc::new(MemoryStore::new());
    let store = Arc::new(Noted {
        inner: inner.clone(),
        reads: Mutex::default(),
    });
    let counters = Repository::new(store.clone(), JsonCodec).with_cache(CacheSettings::default());
    (store, inner, counters)
}

#[test]
fn a_load_reads_the_tail_alone() {
    block_on(async {
        let (store, inner, counters) = noted();
        for number in 0..5 {
            count(&counters, "1", number).await;
        }
        assert_eq!(store.reads(), [0, 1, 2, 3, 4]);
        count(&bare(&inner), "1", 9).await;
        count(&bare(&inner), "1", 9).await;
        let loaded = counters.load("1").await.unwrap();
        assert_eq!(
            (store.reads(), loaded.version()),
            (vec![5], Version::new(7))
        );
        count(&counters, "1", 9).await;
        assert_eq!(store.reads(), [7]);
        check_load(&counters, &bare(&inner), "1", Version::MAX).await;
        counters.load_at("1", Version::new(2)).await.unwrap();
        assert_eq!(store.reads(), [8, 0], "the past is read from the beginning");
        let clone = counters.clone();
        clone.load("1").await.unwrap();
        assert_eq!(store.reads(), [8], "clones share the cache");
    });
}

#[test]
fn a_truncated_stream_is_folded_anew_once() {
    block_on(async {
        let (store, inner, counters) = noted();
        for number in 0..5 {
            count(&counters, "1", number).await;
        }
        truncate(&inner, "1", 3).await;
        store.reads();
        let loaded = counters.load("1").await.unwrap();
        assert_eq!((loaded.state().events, store.reads()), (3, vec![5, 0]));
        check_load(&counters, &bare(&inner), "1", Version::MAX).await;
        assert_eq!(store.reads(), [5]);
    });
}

#[test]
fn each_choice_is_as_fresh_as_it_says() {
    block_on(async {
        let (store, inner, counters) = noted();
        let load = async |choice: &LoadChoice| {
            let loaded = counters.load_with("1", choice).await.unwrap();
            (loaded.version().value(), store.reads())
        };
        count(&bare(&inner), "1", 1).await;
        assert_eq!(
            load(&LoadChoice::AnyCached).await,
            (1, vec![0]),
            "none is cached"
        );
        let elsewhere = |_: &Counter| Ok::<_, ()>(CounterEvent::Counted { number: 2 });
        let executed = bare(&inner).execute("1", elsewhere).await.unwrap();
        let receipt = executed.receipt.unwrap();
        assert_eq!(load(&LoadChoice::AnyCached).await, (1, vec![]));
        let at_least = LoadChoice::AtLeast(receipt.clone());
        let loaded = counters.load_with("1", &at_least).await.unwrap();
        assert_eq!(loaded.version().value(), 2);
        let session = ConsistencyLevel::Session(receipt.cursor);
        assert_eq!(
            std::mem::take(&mut *store.reads.lock().unwrap()),
            [(1, session)]
        );
        assert_eq!(load(&at_least).await, (2, vec![]));
        count(&bare(&inner), "1", 3).await;
        assert_eq!(load(&at_least).await, (2, vec![]));
        assert_eq!(load(&LoadChoice::Latest).await, (3, vec![2]));
        counters.forget("1").unwrap();
        assert_eq!(load(&LoadChoice::AnyCached).await, (3, vec![0]));
        counters.forget_all();
        assert_eq!(counters.cache_counts().unwrap().entries, 0);
    });
}

#[test]
fn a_receipt_of_another_aggregate_is_waited_for_at_the_store() {
    block_on(async {
        let (store, inner, counters) = noted();
        count(&counters, "1", 1).await;
        let counted = |_: &Counter| Ok::<_, ()>(CounterEvent::Counted { number: 2 });
        let other = bare(&inner).execute("2", counted).await.unwrap();
        store.reads();
        let at_least = LoadChoice::AtLeast(other.receipt.unwrap());
        counters.load_with("1", &at_least).await.unwrap();
        assert_eq!(store.reads(), [1]);
    });
}

#[test]
fn what_was_decided_on_an_old_state_is_a_conflict() {
    block_on(async {
        let (_, inner, counters) = noted();
        count(&counters, "1", 1).await;
        count(&bare(&inner), "1", 2).await;
        let old = counters.load_with("1", &LoadChoice::AnyCached).await;
        let mut old = old.unwrap();
        old.record(CounterEvent::Counted { number: 3 }).unwrap();
        let error = counters.save(&mut old, &Context::new()).await.unwrap_err();
        assert_eq!(error.kind(), annals_core::ErrorKind::Conflict);
        check_load(&counters, &bare(&inner), "1", Version::MAX).await;
    });
}

#[test]
fn a_snapshot_is_where_a_cold_load_begins() {
    block_on(async {
        let (store, inner, _) = noted();
        let cold = || {
            let kept = snapshots(&inner, 1);
            Repository::<Counter>::new(store.clone(), JsonCodec).with_snapshots(kept)
        };
        for number in 0..5 {
            count(&bare(&inner), "1", number).await;
        }
        let counters = cold();
        assert_eq!(
            counters.take_snapshot_now("1").await.unwrap(),
            Some(Version::new(5))
        );
        count(&bare(&inner), "1", 9).await;
        store.reads();
        let loaded = cold().load("1").await.unwrap();
        assert_eq!((loaded.version().value(), store.reads()), (6, vec![5]));
        cold().load_at("1", Version::new(4)).await.unwrap();
        assert_eq!(store.reads(), [0]);
    });
}
