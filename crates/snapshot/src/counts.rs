//! What snapshots did so far.

use std::sync::atomic::{AtomicU64, Ordering};

/// What the snapshots of a repository did since the process began. Each number only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SnapshotCounts {
    /// Loads that began with a snapshot.
    pub used: u64,
    /// Snapshots that were found and not used: damaged, or of a state that the policy of its stream hides
    /// a part of.
    pub dropped: u64,
    /// Snapshots that could not be read.
    pub load_failures: u64,
    /// Snapshots that were taken and saved.
    pub saved: u64,
    /// Snapshots that could not be encoded or saved.
    pub save_failures: u64,
    /// Snapshots that were due and not taken, as too many waited.
    pub refused: u64,
    /// Old snapshots that were removed: beyond those to keep, and of folds that were superseded.
    pub removed: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) used: Counter,
    pub(crate) dropped: Counter,
    pub(crate) load_failures: Counter,
    pub(crate) saved: Counter,
    pub(crate) save_failures: Counter,
    pub(crate) refused: Counter,
    pub(crate) removed: Counter,
}

#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counters {
    pub(crate) fn counts(&self) -> SnapshotCounts {
        SnapshotCounts {
            used: self.used.value(),
            dropped: self.dropped.value(),
            load_failures: self.load_failures.value(),
            saved: self.saved.value(),
            save_failures: self.save_failures.value(),
            refused: self.refused.value(),
            removed: self.removed.value(),
        }
    }
}
