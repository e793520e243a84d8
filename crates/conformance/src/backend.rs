//! What a backend gives the suite.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use annals_core::{CheckpointStore, Error, EventStore, ManualClock, SnapshotStore};
use async_trait::async_trait;
use futures_util::future::BoxFuture;

/// A kind of store that the suite can open, as often as it likes.
///
/// A function from a clock to [`Stores`] is a backend already. Implement the trait where opening can
/// fail or has to wait, or where the store's futures need a runtime of their own.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// Opens a store with nothing in it. Every case asks for one of its own, and drops it at its end.
    ///
    /// A store that asks this clock for the time says so by [`Stores::on_the_clock`]; the others ignore
    /// it, and the cases that set the time are skipped.
    async fn open(&self, clock: ManualClock) -> Result<Stores, Error>;

    /// Runs a future to its end on the calling thread. The suite calls it from many threads at once, one
    /// for each concurrent client. A backend over a runtime enters the runtime here.
    fn block_on(&self, future: BoxFuture<'_, ()>) {
        futures_executor::block_on(future);
    }

    /// After how long a case that has not ended counts as hanging: 30 seconds unless overridden. A history
    /// and a run of generated steps are a case each.
    fn case_timeout(&self) -> Duration {
        Duration::from_secs(30)
    }

    /// How many cases run at the same time, each on a store of its own: one unless overridden. More of them end sooner
    /// where a store mostly waits for others, as for a server; histories and runs of generated steps take part.
    fn cases_at_once(&self) -> usize {
        1
    }
}

/// What a backend offers: an event store, and perhaps the auxiliary stores beside it.
#[derive(Clone)]
pub struct Stores {
    events: Arc<dyn EventStore>,
    snapshots: Option<Arc<dyn SnapshotStore>>,
    checkpoints: Option<Arc<dyn CheckpointStore>>,
    time: TimeSource,
}

/// Where the store under test gets the time from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimeSource {
    Given,
    Own,
}

impl Stores {
    /// An event store alone, on a clock of its own.
    pub fn new(events: impl EventStore + 'static) -> Self {
        Self {
            events: Arc::new(events),
            snapshots: None,
            checkpoints: None,
            time: TimeSource::Own,
        }
    }

    /// A store that implements all three contracts, on a clock of its own.
    pub fn complete<S>(store: S) -> Self
    where
        S: EventStore + SnapshotStore + CheckpointStore + 'static,
    {
        let store = Arc::new(store);
        Self::new(Arc::clone(&store))
            .with_snapshots(Arc::clone(&store))
            .with_checkpoints(store)
    }

    /// The same with a store of snapshots.
    #[must_use]
    pub fn with_snapshots(mut self, snapshots: impl SnapshotStore + 'static) -> Self {
        self.snapshots = Some(Arc::new(snapshots));
        self
    }

    /// The same with a store of checkpoints.
    #[must_use]
    pub fn with_checkpoints(mut self, checkpoints: impl CheckpointStore + 'static) -> Self {
        self.checkpoints = Some(Arc::new(checkpoints));
        self
    }

    /// The same, saying that the event store asks the clock that the backend was given.
    #[must_use]
    pub fn on_the_clock(mut self) -> Self {
        self.time = TimeSource::Given;
        self
    }

    pub(crate) fn events(&self) -> &Arc<dyn EventStore> {
        &self.events
    }

    pub(crate) fn snapshots(&self) -> Option<&dyn SnapshotStore> {
        self.snapshots.as_deref()
    }

    pub(crate) fn checkpoints(&self) -> Option<&Arc<dyn CheckpointStore>> {
        self.checkpoints.as_ref()
    }

    pub(crate) fn time(&self) -> TimeSource {
        self.time
    }
}

impl fmt::Debug for Stores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stores")
            .field("events", &self.events)
            .field("snapshots", &self.snapshots.is_some())
            .field("checkpoints", &self.checkpoints.is_some())
            .field("time", &self.time)
            .finish()
    }
}

#[async_trait]
impl<F> Backend for F
where
    F: Fn(ManualClock) -> Stores + Send + Sync + 'static,
{
    async fn open(&self, clock: ManualClock) -> Result<Stores, Error> {
        Ok(self(clock))
    }
}
