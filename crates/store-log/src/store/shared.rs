//! What readers, the committer and the maintenance share.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use annals_core::{Clock, Ids, Timestamp};
use event_listener::Event as Bell;

use super::snapshot::Snapshot;

/// The published state of the store, and the handles to the world.
pub(crate) struct Shared {
    snapshot: RwLock<Arc<Snapshot>>,
    /// Rises before and after a change of policies, so that who judged meanwhile knows it.
    policy_changes: AtomicU64,
    /// Rings when there is a new snapshot.
    pub(crate) changed: Bell,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
}

impl Shared {
    pub(crate) fn new(snapshot: Snapshot, clock: Arc<dyn Clock>, ids: Arc<dyn Ids>) -> Self {
        Self {
            snapshot: RwLock::new(Arc::new(snapshot)),
            policy_changes: AtomicU64::new(0),
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

    /// The time, never before that of the newest event.
    pub(crate) fn now(&self, snapshot: &Snapshot) -> Timestamp {
        snapshot.not_before_newest(self.clock.now())
    }

    /// How often policies changed or began to change.
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
