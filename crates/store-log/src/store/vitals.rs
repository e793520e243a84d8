//! What the store tells of its own state.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use annals_core::{StoreVitals, Timestamp};

use super::log_store::LogStore;

/// What the writer notes of its syncs.
#[derive(Debug, Default)]
pub(crate) struct Syncs(Mutex<Noted>);

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Noted {
    count: u64,
    time: Duration,
    last_took: Option<Duration>,
    last_at: Option<Timestamp>,
    unsynced_bytes: u64,
}

impl Syncs {
    /// Notes that a batch was written and made durable, all but so many bytes.
    pub(crate) fn note(&self, began: Timestamp, ended: Timestamp, unsynced_bytes: u64) {
        let took = ended.since(began);
        let mut noted = self.lock();
        noted.unsynced_bytes = unsynced_bytes;
        if unsynced_bytes > 0 {
            return;
        }
        noted.count = noted.count.saturating_add(1);
        noted.time = noted.time.saturating_add(took);
        noted.last_took = Some(took);
        noted.last_at = Some(ended);
    }

    fn lock(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LogStore {
    /// What the store tells of its own state: whether it takes appends, how many wait, what its syncs cost. Reads no
    /// file, and never waits for one.
    ///
    /// ```
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let directory = directory.path().join("store");
    /// use annals_core::WriterState;
    /// use annals_store_log::LogStore;
    ///
    /// let store = LogStore::builder(directory).create()?;
    /// assert_eq!(store.vitals().writer, WriterState::Open);
    /// store.close()?;
    /// assert_eq!(store.vitals().writer, WriterState::Closed);
    /// # Ok::<(), annals_core::Error>(())
    /// ```
    pub fn vitals(&self) -> StoreVitals {
        let backlog = self.commits.backlog();
        let noted = *self.shared.syncs.lock();
        let count = |size: usize| u64::try_from(size).unwrap_or(u64::MAX);
        let mut vitals = StoreVitals::default();
        vitals.writer = self.shared.writer_state();
        vitals.queued_appends = Some(count(backlog.requests));
        vitals.queued_bytes = Some(count(backlog.bytes));
        vitals.unsynced_bytes = Some(noted.unsynced_bytes);
        vitals.syncs = noted.count;
        vitals.sync_time = noted.time;
        vitals.last_sync_took = noted.last_took;
        vitals.last_sync_at = noted.last_at;
        vitals
    }
}
