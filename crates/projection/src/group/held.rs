//! A partition that a member holds.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use annals_concurrency::{Fence, FencingToken, Retrier};
use annals_core::{CheckpointStore, Clock, Error, ErrorKind, EventStore, Ids, Timestamp};

use super::checkpoints::FencedCheckpoints;
use crate::contract::partition::Partition;

/// A partition of a group that this process holds for the time being: what a consumer of it is made with. Cheap to
/// clone.
#[derive(Clone)]
pub struct HeldPartition {
    partition: Partition,
    fence: Fence,
    term: Arc<Term>,
    checkpoints: Arc<dyn CheckpointStore>,
}

/// How long a partition is held.
pub(super) struct Term {
    clock: Arc<dyn Clock>,
    until: AtomicI64,
}

impl HeldPartition {
    pub(super) fn new(
        partition: Partition,
        fence: Fence,
        term: Arc<Term>,
        store: Arc<dyn EventStore>,
        ids: Arc<dyn Ids>,
        retrier: Retrier,
    ) -> Self {
        let checkpoints = FencedCheckpoints {
            store,
            ids,
            retrier,
            fence: fence.clone(),
        };
        Self {
            partition,
            fence,
            term,
            checkpoints: Arc::new(checkpoints),
        }
    }

    /// Which partition.
    pub fn partition(&self) -> Partition {
        self.partition
    }

    /// Keeps checkpoints in the event store, under the fence: a member that lost the partition does not move them.
    pub fn checkpoints(&self) -> Arc<dyn CheckpointStore> {
        Arc::clone(&self.checkpoints)
    }

    /// The check by which the store refuses an append once the partition is lost: for what the handlers append
    /// ([`Fence::guard`]).
    pub fn fence(&self) -> &Fence {
        &self.fence
    }

    /// The number of this grant, for what is written outside the store.
    pub fn token(&self) -> FencingToken {
        self.fence.token()
    }

    /// Whether the partition is held, by the clock of this process. Only the fence is proof.
    pub fn is_held(&self) -> bool {
        self.term.lasts()
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        if self.is_held() {
            return Ok(());
        }
        let message = "partition is not held any more, or not for now; another member may have it";
        let error = Error::new(ErrorKind::Unavailable, message).during("handle events of a group");
        Err(error.with("partition", self.partition))
    }
}

impl Term {
    pub(super) fn new(clock: Arc<dyn Clock>, until: Timestamp) -> Self {
        Self {
            clock,
            until: AtomicI64::new(until.as_micros()),
        }
    }

    pub(super) fn extend(&self, until: Timestamp) {
        self.until.store(until.as_micros(), Ordering::SeqCst);
    }

    pub(super) fn end(&self) {
        self.until.store(i64::MIN, Ordering::SeqCst);
    }

    pub(super) fn lasts(&self) -> bool {
        self.clock.now().as_micros() < self.until.load(Ordering::SeqCst)
    }
}

impl fmt::Debug for HeldPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldPartition")
            .field("partition", &self.partition)
            .field("token", &self.token())
            .field("is_held", &self.is_held())
            .finish_non_exhaustive()
    }
}
