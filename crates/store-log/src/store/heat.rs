//! Whether what reads need is in memory, so that they may run on the caller's task.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::shared::Shared;
use super::snapshot::Snapshot;

/// After how many uses to look again.
const LOOK_EVERY: u32 = 4096;

/// Knows whether the whole store was in memory when it was last looked at.
///
/// A cold store is asked on threads that may block, so that a read that waits for a disk never stalls a
/// runtime; a hot one on the caller's own, without a hop between threads.
#[derive(Debug, Default)]
pub(crate) struct Heat {
    is_hot: AtomicBool,
    looks: AtomicBool,
    uses: AtomicU32,
}

impl Heat {
    /// Whether the store is hot, as of the last look; begins another look now and then.
    pub(crate) fn is_hot(self: &Arc<Self>, shared: &Arc<Shared>) -> bool {
        let uses = self.uses.fetch_add(1, Ordering::Relaxed);
        if uses.is_multiple_of(LOOK_EVERY) && !self.looks.swap(true, Ordering::AcqRel) {
            let (heat, shared) = (Arc::clone(self), Arc::clone(shared));
            let look = move || {
                heat.is_hot
                    .store(is_resident(&shared.snapshot()), Ordering::Relaxed);
                heat.looks.store(false, Ordering::Release);
            };
            blocking::unblock(look).detach();
        }
        self.is_hot.load(Ordering::Relaxed)
    }
}

fn is_resident(snapshot: &Snapshot) -> bool {
    snapshot.older.iter().all(|part| part.is_resident()) && snapshot.view.is_resident()
}
