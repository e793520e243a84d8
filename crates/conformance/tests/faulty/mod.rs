//! A memory store that tells one lie.

mod appends;
mod auxiliary;
mod bug;
mod policies;
mod reads;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use annals_conformance::ManualClock;
use annals_core::{
    Append, AppendId, Capabilities, CheckpointName, ConsistencyLevel, Cursor, Error, EventStore,
    Page, PolicyChange, Position, ReadRequest, Receipt, StreamHead, StreamId,
};
use annals_store_memory::MemoryStore;
use async_trait::async_trait;

pub(crate) use bug::Bug;

/// The store, its bug, and what the bug needs to remember.
#[derive(Debug)]
pub(crate) struct Faulty {
    store: MemoryStore,
    bug: Option<Bug>,
    count: AtomicU64,
    in_flight: AtomicUsize,
    armed: AtomicBool,
    rejected: Mutex<BTreeSet<AppendId>>,
    waiting: Mutex<Option<Append>>,
    /// The revision that a checkpoint had when it was removed.
    removed: Mutex<BTreeMap<CheckpointName, u64>>,
}

impl Faulty {
    pub(crate) fn new(clock: ManualClock, bug: Option<Bug>) -> Self {
        Self {
            store: MemoryStore::builder().clock(Arc::new(clock)).build(),
            bug,
            count: AtomicU64::new(0),
            in_flight: AtomicUsize::new(0),
            armed: AtomicBool::new(false),
            rejected: Mutex::default(),
            waiting: Mutex::default(),
            removed: Mutex::default(),
        }
    }

    fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    /// The position of the newest event.
    async fn head_position(&self) -> Result<Position, Error> {
        let head = self.store.head(ConsistencyLevel::Strong).await?;
        Ok(head.position().unwrap_or_default())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl EventStore for Faulty {
    fn capabilities(&self) -> Capabilities {
        if self.has(Bug::OffersLessThanItDoes) {
            return Capabilities::MINIMAL;
        }
        self.store.capabilities()
    }

    async fn append(&self, append: Append) -> Result<Receipt, Error> {
        self.faulty_append(append).await
    }

    async fn receipt(&self, id: &AppendId) -> Result<Option<Receipt>, Error> {
        if self.has(Bug::ReceiptForgotten) {
            return Ok(None);
        }
        self.store.receipt(id).await
    }

    async fn read(&self, request: ReadRequest) -> Result<Page, Error> {
        self.record_waiting().await?;
        self.faulty_read(request).await
    }

    async fn head(&self, consistency: ConsistencyLevel) -> Result<Cursor, Error> {
        self.record_waiting().await?;
        let head = self.store.head(consistency).await?;
        if self.has(Bug::HeadLags) {
            let before = head.position().unwrap_or_default().previous();
            return Ok(Cursor::at(before));
        }
        Ok(head)
    }

    async fn stream_head(&self, stream: &StreamId) -> Result<StreamHead, Error> {
        self.record_waiting().await?;
        let mut head = self.store.stream_head(stream).await?;
        if self.has(Bug::GapInVersions) {
            head.version = reads::gapped(head.version);
        }
        Ok(head)
    }

    async fn change_stream_policy(&self, change: PolicyChange) -> Result<StreamHead, Error> {
        self.faulty_policy(change).await
    }

    async fn changed_since(&self, cursor: &Cursor) -> Result<Cursor, Error> {
        self.record_waiting().await?;
        let head = self.store.head(ConsistencyLevel::Strong).await?;
        let waits = head == *cursor;
        if waits && self.has(Bug::WakesTooEarly) {
            return Ok(head);
        }
        if waits && self.has(Bug::NeverWakes) {
            return std::future::pending().await;
        }
        let woken = self.store.changed_since(cursor).await;
        if waits {
            self.armed.store(true, Ordering::SeqCst);
        }
        woken
    }
}
