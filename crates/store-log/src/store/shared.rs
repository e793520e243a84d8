//! What readers, the committer and the maintenance share.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use annals_core::{Clock, Error, ErrorKind, Ids, Timestamp, WriterState};
use event_listener::Event as Bell;

use super::doubt::Doubt;
use super::snapshot::Snapshot;
use super::vitals::Syncs;

/// The published state of the store, and the handles to the world.
pub(crate) struct Shared {
    snapshot: RwLock<Arc<Snapshot>>,
    /// Rises before and after a change of policies, so that who judged meanwhile knows it; odd during one.
    policy_changes: AtomicU64,
    /// What the writer had in hand when it failed.
    pub(crate) doubt: Doubt,
    is_closed: AtomicBool,
    /// What its syncs cost.
    pub(crate) syncs: Syncs,
    /// Rings when there is a new snapshot, and when there will be none any more.
    pub(crate) changed: Bell,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
}

impl Shared {
    pub(crate) fn new(snapshot: Snapshot, clock: Arc<dyn Clock>, ids: Arc<dyn Ids>) -> Self {
        Self {
            snapshot: RwLock::new(Arc::new(snapshot)),
            policy_changes: AtomicU64::new(0),
            doubt: Doubt::default(),
            is_closed: AtomicBool::new(false),
            syncs: Syncs::default(),
            changed: Bell::new(),
            clock,
            ids,
        }
    }

    /// The newest published state.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        let snapshot = self.snapshot.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&snapshot)
    }

    /// Publishes what `change` makes of the newest state.
    pub(crate) fn publish(&self, change: impl FnOnce(&mut Snapshot)) {
        let mut published = self
            .snapshot
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        // Readers hold the old one, so this is a copy of a few pointers.
        change(Arc::make_mut(&mut published));
    }

    /// Notes that there will be no more appends, and tells those who wait for some.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.changed.notify(usize::MAX);
    }

    /// Refuses to wait for appends that will not come.
    pub(crate) fn check_open(&self) -> Result<(), Error> {
        let message = if self.is_closed.load(Ordering::Acquire) {
            "store is closed; open it again"
        } else if self.doubt.has_failed() {
            "store takes no more appends since its writer failed; open it again"
        } else {
            return Ok(());
        };
        Err(Error::new(ErrorKind::Unavailable, message))
    }

    /// Whether there will be more appends.
    pub(crate) fn writer_state(&self) -> WriterState {
        if self.doubt.has_failed() {
            WriterState::Failed
        } else if self.is_closed.load(Ordering::Acquire) {
            WriterState::Closed
        } else {
            WriterState::Open
        }
    }

    /// The time, never before that of the newest event.
    pub(crate) fn now(&self, snapshot: &Snapshot) -> Timestamp {
        snapshot.not_before_newest(self.clock.now())
    }

    /// How often policies changed or began to change: odd while they change.
    pub(crate) fn policy_changes(&self) -> u64 {
        self.policy_changes.load(Ordering::Acquire)
    }

    /// Notes that policies change, or changed.
    pub(crate) fn policies_change(&self) {
        self.policy_changes.fetch_add(1, Ordering::AcqRel);
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("head", &self.snapshot().head)
            .finish_non_exhaustive()
    }
}
