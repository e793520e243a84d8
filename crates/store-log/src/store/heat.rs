//! Whether what is asked for is in memory, so that it may be asked on the caller's task.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};

use super::shared::Shared;
use super::snapshot::Snapshot;

/// After how many uses to look at the clock, which tells whether to look again.
const USES: u32 = 1024;

/// How long a look holds, in microseconds.
const INTERVAL_MICROS: u64 = 1_000_000;

/// How much is read back into memory, at most, when a look finds it missing, in bytes.
const LOAD_BYTES_MAX: usize = 32 * 1024 * 1024;

/// What a question to the store may look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    /// The index, and hardly ever an event.
    Index,
    /// Anything.
    Events,
}

/// Knows whether the whole store, or its index, was in memory when it was last looked at.
///
/// A cold store is asked on threads that may block, so that a read that waits for a disk never stalls a
/// runtime; a hot one on the caller's own, without a hop between threads. The system takes a little of
/// every store back when it is short of memory; what little is missing is read again, so that a store does
/// not turn cold for it. A store that has anything in an archive is cold.
#[derive(Debug, Default)]
pub(crate) struct Heat {
    is_hot: AtomicBool,
    is_index_hot: AtomicBool,
    is_far: AtomicBool,
    looks: AtomicBool,
    uses: AtomicU32,
    looked_at_micros: AtomicI64,
}

impl Heat {
    /// Whether what is needed is in memory, as of the last look; begins another look now and then.
    pub(crate) fn is_hot(self: &Arc<Self>, shared: &Arc<Shared>, needs: Needs) -> bool {
        let uses = self.uses.fetch_add(1, Ordering::Relaxed);
        if uses.is_multiple_of(USES) {
            self.look_again(uses == 0, shared);
        }
        if self.is_far.load(Ordering::Relaxed) {
            return false;
        }
        match needs {
            Needs::Index => self.is_index_hot.load(Ordering::Relaxed),
            Needs::Events => self.is_hot.load(Ordering::Relaxed),
        }
    }

    /// Tells whether any event is read from an archive, which may take long: nothing is hot then.
    pub(crate) fn read_far(&self, is_far: bool) {
        self.is_far.store(is_far, Ordering::Relaxed);
    }

    #[cold]
    fn look_again(self: &Arc<Self>, is_first: bool, shared: &Arc<Shared>) {
        let now = shared.clock.now().as_micros();
        let before = self.looked_at_micros.load(Ordering::Relaxed);
        let is_due = is_first || now.abs_diff(before) >= INTERVAL_MICROS;
        if !is_due || self.looks.swap(true, Ordering::AcqRel) {
            return;
        }
        self.looked_at_micros.store(now, Ordering::Relaxed);
        let (heat, shared) = (Arc::clone(self), Arc::clone(shared));
        let look = move || {
            let snapshot = shared.snapshot();
            let is_index_hot = heat_up_index(&snapshot);
            heat.is_index_hot.store(is_index_hot, Ordering::Relaxed);
            let is_hot = is_index_hot && heat_up_events(&snapshot);
            heat.is_hot.store(is_hot, Ordering::Relaxed);
            heat.looks.store(false, Ordering::Release);
        };
        blocking::unblock(look).detach();
    }
}

/// Whether the index is in memory, or little enough of it was missing that it is now.
fn heat_up_index(snapshot: &Snapshot) -> bool {
    let parts = snapshot.older.iter().map(|part| part.missing_bytes());
    let missing = parts.fold(0, usize::saturating_add);
    if missing > 0 && missing <= LOAD_BYTES_MAX {
        snapshot.older.iter().for_each(|part| part.load());
    }
    missing <= LOAD_BYTES_MAX
}

/// Whether the events are in memory, or few enough were missing that they are now.
fn heat_up_events(snapshot: &Snapshot) -> bool {
    let missing = snapshot.view.missing_bytes();
    if missing > 0 && missing <= LOAD_BYTES_MAX {
        snapshot.view.load();
    }
    missing <= LOAD_BYTES_MAX
}
