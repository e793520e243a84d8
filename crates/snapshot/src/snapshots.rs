//! The snapshots of one fold.

use std::fmt;
use std::sync::Arc;

use annals_codec::Format;
use annals_core::{Error, FoldId, SnapshotStore, StreamId, Timestamp, Version};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::keeper::{Job, Keeper};
use crate::queue::{HandedOver, Queue};
use crate::{
    BlockingThreads, Fold, Folded, Occasion, SnapshotCounts, SnapshotMark, SnapshotPolicy, Spawn,
};

/// The snapshots of one fold in a store: when they are taken, how many are kept, and where the work is done.
///
/// Given to a repository, it is used by itself. Cheap to clone; clones share the queue and the counts.
pub struct Snapshots<S> {
    policy: SnapshotPolicy,
    keep_newest: usize,
    waiting_max: usize,
    spawn: Arc<dyn Spawn>,
    keeper: Arc<Keeper<S>>,
    queue: Arc<Queue<S>>,
}

impl<S: Send + Sync + 'static> Snapshots<S> {
    /// How many snapshots of a stream are kept unless said otherwise.
    pub const KEEP_NEWEST_DEFAULT: usize = 2;
    /// How many snapshots wait to be taken at most unless said otherwise.
    pub const WAITING_MAX_DEFAULT: usize = 64;

    /// The snapshots of this fold in this store, their states in this form: every 100 events, the 2 newest
    /// kept, taken on the threads of the crate `blocking`.
    pub fn new(store: Arc<dyn SnapshotStore>, form: impl Format + 'static, fold: Fold) -> Self
    where
        S: Serialize + DeserializeOwned,
    {
        Self {
            policy: SnapshotPolicy::default(),
            keep_newest: Self::KEEP_NEWEST_DEFAULT,
            waiting_max: Self::WAITING_MAX_DEFAULT,
            spawn: Arc::new(BlockingThreads),
            keeper: Arc::new(Keeper::new(store, Arc::new(form), fold)),
            queue: Arc::new(Queue::new()),
        }
    }

    /// The same, taken when this policy says so.
    #[must_use]
    pub fn with_policy(mut self, policy: SnapshotPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// The same with this many snapshots of each stream kept; 0 counts as 1.
    #[must_use]
    pub fn with_keep_newest(mut self, keep_newest: usize) -> Self {
        self.keep_newest = keep_newest.max(1);
        self
    }

    /// The same with at most this many snapshots that wait to be taken, each with a copy of its state. One
    /// more is not taken, and counted.
    #[must_use]
    pub fn with_waiting_max(mut self, waiting_max: usize) -> Self {
        self.waiting_max = waiting_max;
        self
    }

    /// The same with the work done there.
    #[must_use]
    pub fn with_spawn(mut self, spawn: impl Spawn + 'static) -> Self {
        self.spawn = Arc::new(spawn);
        self
    }

    /// The fingerprint of the fold.
    pub fn fold(&self) -> &FoldId {
        self.keeper.fold()
    }

    /// What was done so far.
    pub fn counts(&self) -> SnapshotCounts {
        self.keeper.counters.counts()
    }

    /// The newest snapshot of a stream whose version is at most this one, and of this fold. Never fails:
    /// one that can't be read or used is counted, logged and passed over.
    pub async fn load(
        &self,
        stream: &StreamId,
        at_most: Version,
    ) -> Option<(Folded<S>, SnapshotMark)> {
        self.keeper.load(stream, at_most).await
    }

    /// Counts what became of a snapshot that [`load`](Self::load) gave.
    pub fn count_use(&self, is_used: bool) {
        let counters = &self.keeper.counters;
        let counter = if is_used {
            &counters.used
        } else {
            &counters.dropped
        };
        counter.add(1);
    }

    /// Whether a snapshot is to be taken on this occasion. Not while one of the stream waits.
    pub fn is_due(&self, occasion: &Occasion<'_>) -> bool {
        self.policy.is_due(occasion) && !self.queue.holds(occasion.stream)
    }

    /// Hands a state over to be taken, and returns at once; `false` where too many wait.
    pub fn take(&self, stream: StreamId, folded: Folded<S>, taken_at: Timestamp) -> bool {
        let job = self.job(stream, folded, taken_at);
        let spawn = &*self.spawn;
        let handed = self
            .queue
            .hand_over(job, self.waiting_max, &self.keeper, spawn);
        if handed == HandedOver::Refused {
            self.keeper.counters.refused.add(1);
        }
        handed == HandedOver::Waits
    }

    /// Takes a snapshot now, and returns when it is saved.
    ///
    /// # Errors
    /// As encoding the state and the store have it. Old snapshots that can't be removed are no error.
    pub async fn save(
        &self,
        stream: StreamId,
        folded: Folded<S>,
        taken_at: Timestamp,
    ) -> Result<(), Error> {
        let job = self.job(stream, folded, taken_at);
        self.keeper.save(&job).await
    }

    /// Returns when every snapshot that was handed over before is taken, or has failed. Takes them itself
    /// where nobody does, so it ends whatever became of the threads or the runtime. For tests, and for the
    /// end of a program.
    pub async fn flush(&self) {
        self.queue.flush(&self.keeper).await;
    }

    fn job(&self, stream: StreamId, folded: Folded<S>, taken_at: Timestamp) -> Job<S> {
        Job {
            stream,
            folded,
            taken_at,
            keep_newest: self.keep_newest,
        }
    }
}

impl<S> Clone for Snapshots<S> {
    fn clone(&self) -> Self {
        Self {
            policy: self.policy.clone(),
            keep_newest: self.keep_newest,
            waiting_max: self.waiting_max,
            spawn: self.spawn.clone(),
            keeper: self.keeper.clone(),
            queue: self.queue.clone(),
        }
    }
}

impl<S> fmt::Debug for Snapshots<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshots")
            .field("fold", self.keeper.fold())
            .field("policy", &self.policy)
            .field("keep_newest", &self.keep_newest)
            .field("waiting_max", &self.waiting_max)
            .finish_non_exhaustive()
    }
}
