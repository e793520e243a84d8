//! How reads of several partitions are merged, and what they cost.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use annals_core::{
    Append, AppendId, Capabilities, Checkpoint, CheckpointName, CheckpointSave, CheckpointStore,
    ConsistencyLevel, Cursor, Error, EventStore, EventStoreExt, ManualClock, Page, PolicyChange,
    ReadRequest, Receipt, StreamHead, StreamId,
};
use annals_partitioned::Partitioned;
use annals_store_memory::MemoryStore;
use async_trait::async_trait;
use futures_executor::block_on;
use futures_util::{FutureExt, StreamExt};

use crate::support::{all, labels, name_in, open, stream, write};

fn on_a_clock(partitions: usize, clock: &ManualClock) -> Vec<Arc<MemoryStore>> {
    let store = || {
        MemoryStore::builder()
            .clock(Arc::new(clock.clone()))
            .build()
    };
    (0..partitions).map(|_| Arc::new(store())).collect()
}

/// Wherever the events are, in pages of any size they come as they happened.
#[test]
fn events_come_as_they_happened() {
    // Evenly; all of one before the other; a few among many.
    let patterns = [
        "abcabcabcabc",
        "aaaaaaaabbbbbbbbcccccccc",
        "aaaabaaaaaacaaaaaaabaaa",
    ];
    for pattern in patterns {
        let clock = ManualClock::default();
        let store = open(&on_a_clock(3, &clock));
        let names = [0, 1, 2].map(|partition| name_in(&store, partition));
        let mut expected = Vec::new();
        for (number, letter) in pattern.bytes().enumerate() {
            clock.advance(Duration::from_millis(1));
            let label = number.to_string();
            write(&store, &names[usize::from(letter - b'a')], &label);
            expected.push(label);
        }
        let mut reverse = expected.clone();
        reverse.reverse();
        for size in [1, 2, 3, 5, 8, 1000] {
            let forward = block_on(store.collect(all().events_max(size))).unwrap();
            assert_eq!(labels(&forward), expected, "{pattern} by {size}");
            let backward = all().backward().events_max(size);
            let backward = block_on(store.collect(backward)).unwrap();
            assert_eq!(labels(&backward), reverse, "{pattern} backward by {size}");
        }
        // By few bytes too, of which each event has more.
        let bytes = block_on(store.collect(all().bytes_max(7))).unwrap();
        assert_eq!(labels(&bytes), expected, "{pattern}");
    }
}

/// A page is full where there are events, in whichever partition they are.
#[test]
fn a_page_is_full_where_there_are_events() {
    let clock = ManualClock::default();
    let store = open(&on_a_clock(3, &clock));
    let name = name_in(&store, 1);
    for number in 0..100 {
        write(&store, &name, &number.to_string());
    }
    let page = block_on(store.read(all().events_max(60))).unwrap();
    assert_eq!(page.events.len(), 60);
    let page = block_on(store.read(page.next.unwrap())).unwrap();
    assert_eq!((page.events.len(), page.next.is_none()), (40, true));
}

/// A store that counts what it is asked.
#[derive(Debug, Default)]
struct Counted {
    inner: MemoryStore,
    calls: AtomicUsize,
    events: AtomicUsize,
}

impl Counted {
    fn called(&self) -> &MemoryStore {
        self.calls.fetch_add(1, Ordering::Relaxed);
        &self.inner
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl EventStore for Counted {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn append(&self, append: Append) -> Result<Receipt, Error> {
        self.called().append(append).await
    }

    async fn receipt(&self, id: &AppendId) -> Result<Option<Receipt>, Error> {
        self.called().receipt(id).await
    }

    async fn read(&self, request: ReadRequest) -> Result<Page, Error> {
        let page = self.called().read(request).await?;
        self.events.fetch_add(page.events.len(), Ordering::Relaxed);
        Ok(page)
    }

    async fn head(&self, consistency: ConsistencyLevel) -> Result<Cursor, Error> {
        self.called().head(consistency).await
    }

    async fn stream_head(&self, stream: &StreamId) -> Result<StreamHead, Error> {
        self.called().stream_head(stream).await
    }

    async fn change_stream_policy(&self, change: PolicyChange) -> Result<StreamHead, Error> {
        self.called().change_stream_policy(change).await
    }

    async fn changed_since(&self, cursor: &Cursor) -> Result<Cursor, Error> {
        self.called().changed_since(cursor).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl CheckpointStore for Counted {
    async fn load_checkpoint(&self, name: &CheckpointName) -> Result<Option<Checkpoint>, Error> {
        self.inner.load_checkpoint(name).await
    }

    async fn save_checkpoint(&self, save: CheckpointSave) -> Result<Checkpoint, Error> {
        self.inner.save_checkpoint(save).await
    }

    async fn remove_checkpoint(&self, name: &CheckpointName, revision: u64) -> Result<(), Error> {
        self.inner.remove_checkpoint(name, revision).await
    }
}

type CountedStore = Partitioned<Counted>;

fn counted(partitions: usize) -> CountedStore {
    let stores = (0..partitions).map(|_| Counted::default());
    block_on(Partitioned::over(stores).open()).unwrap()
}

fn sum(store: &CountedStore, of: impl Fn(&Counted) -> &AtomicUsize) -> usize {
    let all = store.partitions().iter();
    all.map(|partition| of(partition).swap(0, Ordering::Relaxed))
        .sum()
}

/// What is done to a stream is done to its partition: more partitions cost it nothing.
#[test]
fn a_stream_asks_its_partition_alone() {
    let store = counted(8);
    sum(&store, |partition| &partition.calls);
    for number in 0..64 {
        write(&store, &format!("thing-{number}"), "x");
    }
    assert_eq!(sum(&store, |partition| &partition.calls), 64);
    let head = block_on(store.head(ConsistencyLevel::Strong)).unwrap();
    sum(&store, |partition| &partition.calls);
    let name = stream("thing-7");
    let request = ReadRequest::stream(name.clone());
    for request in [
        request.clone(),
        request.clone().backward(),
        request.clone().after(head.clone()),
        request.consistency(ConsistencyLevel::Session(head)),
    ] {
        block_on(store.read(request)).unwrap();
        assert_eq!(sum(&store, |partition| &partition.calls), 1);
    }
    block_on(store.stream_head(&name)).unwrap();
    write(&store, "thing-7", "y");
    assert_eq!(sum(&store, |partition| &partition.calls), 2);
}

/// What is read ahead of its turn is read again, but never more than a page.
#[test]
fn a_page_reads_no_more_than_twice_its_events() {
    for (partitions, spread) in [(2, 1), (4, 7), (8, 1), (8, 64)] {
        let store = counted(partitions);
        for number in 0..400 {
            let name = format!("thing-{}", number % spread);
            write(&store, &name, &number.to_string());
        }
        sum(&store, |partition| &partition.events);
        let count = block_on(store.collect(all().events_max(40))).unwrap().len();
        assert_eq!(count, 400);
        let read = sum(&store, |partition| &partition.events);
        assert!(
            read <= 800 + 80,
            "{read} events of {partitions} partitions, {spread} streams"
        );
    }
}

/// A reader of one stream is not woken for ever by what happens in other partitions.
#[test]
fn a_subscription_to_a_stream_rests() {
    let store = counted(3);
    let streams: Vec<String> = (0..12).map(|number| format!("thing-{number}")).collect();
    write(&store, "thing-0", "first");
    let request = ReadRequest::stream(stream("thing-0"));
    let mut pages = store.subscribe_pages(request);
    for name in &streams {
        let mut pages_given = 0;
        while pages.next().now_or_never().is_some() {
            pages_given += 1;
            assert!(pages_given < 10, "it spins");
        }
        write(&store, name, "x");
    }
}
