//! The parts that an optimizer works with.

use std::fmt;
use std::sync::Arc;

use annals_core::{
    Clock, Error, EventStore, FoldId, Ids, Optimizable, SnapshotStore, StreamId, SystemClock,
    UuidIds,
};

/// Takes a snapshot of a stream; an application that has folds gives one.
pub trait TakeSnapshot: fmt::Debug + Send + Sync {
    /// Folds the stream and saves its snapshot. Blocks until it is saved.
    fn take_snapshot(&self, stream: &StreamId, fold: &FoldId) -> Result<(), Error>;
}

/// Makes a store smaller while it is read and written.
///
/// [`plan`](Self::plan) says what would be done, [`apply`](Self::apply) and
/// [`begin`](Self::begin) do it. One at a time works on a store.
#[derive(Clone, Debug)]
pub struct Optimizer {
    pub(crate) store: Arc<dyn EventStore>,
    pub(crate) files: Option<Arc<dyn Optimizable>>,
    pub(crate) snapshots: Option<Arc<dyn SnapshotStore>>,
    pub(crate) snapshotter: Option<Arc<dyn TakeSnapshot>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
}

impl Optimizer {
    /// Works on a store of events alone: on the policies of its streams.
    pub fn new(store: Arc<dyn EventStore>) -> Self {
        Self {
            store,
            files: None,
            snapshots: None,
            snapshotter: None,
            clock: Arc::new(SystemClock),
            ids: Arc::new(UuidIds::default()),
        }
    }

    /// Works on a store and on its files.
    pub fn of<S: EventStore + Optimizable + 'static>(store: Arc<S>) -> Self {
        let files: Arc<dyn Optimizable> = store.clone();
        Self {
            files: Some(files),
            ..Self::new(store)
        }
    }

    /// With the snapshots of this store.
    #[must_use]
    pub fn snapshots(mut self, snapshots: Arc<dyn SnapshotStore>) -> Self {
        self.snapshots = Some(snapshots);
        self
    }

    /// With somebody who takes snapshots; without, steps that take one are passed over.
    #[must_use]
    pub fn snapshotter(mut self, snapshotter: Arc<dyn TakeSnapshot>) -> Self {
        self.snapshotter = Some(snapshotter);
        self
    }

    /// With this clock: for the age of events, and for the rate of the work.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// With identities from here, for the events of the journal.
    #[must_use]
    pub fn ids(mut self, ids: Arc<dyn Ids>) -> Self {
        self.ids = ids;
        self
    }
}
