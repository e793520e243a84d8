//! Whether what reads need is in memory, so that they may run on the caller's task.

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

/// Knows whether the whole store was in memory when it was last looked at.
///
/// A cold store is asked on threads that may block, so that a read that waits for a disk never stalls a
/// runtime; a hot one on the caller's own, without a hop between threads. The system takes a little of
/// every store back when it is short of memory; what little is missing is read again, so that a store does
/// not turn cold for it.
#[derive(Debug, Default)]
pub(crate) struct Heat {
    is_hot: AtomicBool,
    looks: AtomicBool,
    uses: AtomicU32,
    looked_at_micros: AtomicI64,
}

impl Heat {
    /// Whether the store is hot, as of the last look; begins another look now and then.
    pub(crate) fn is_hot(self: &Arc<Self>, shared: &Arc<Shared>) -> bool {
        let uses = self.uses.fetch_add(1, Ordering::Relaxed);
        if uses.is_multiple_of(USES) {
            self.look_again(uses == 0, shared);
        }
        self.is_hot.load(Ordering::Relaxed)
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
            let is_hot = heat_up(&shared.snapshot());
            heat.is_hot.store(is_hot, Ordering::Relaxed);
            heat.looks.store(false, Ordering::Release);
        };
        blocking::unblock(look).detach();
    }
}

/// Whether all is in memory, or little enough was missing that it is now.
fn heat_up(snapshot: &Snapshot) -> bool {
    let parts = snapshot.older.iter().map(|part| part.missing_bytes());
    let missing = parts.fold(snapshot.view.missing_bytes(), usize::saturating_add);
    if missing > LOAD_BYTES_MAX {
        return false;
    }
    if missing > 0 {
        snapshot.older.iter().for_each(|part| part.load());
        snapshot.view.load();
    }
    true
}
