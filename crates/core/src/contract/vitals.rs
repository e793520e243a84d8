//! What a store tells of its own state.

use std::time::Duration;

use crate::Timestamp;

/// What a store tells of its own state, to be watched: what it does not know, or has no like of, is `None`.
///
/// All since the store was opened in this process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreVitals {
    /// Whether it takes appends.
    pub writer: WriterState,
    /// How many appends wait to be written.
    pub queued_appends: Option<u64>,
    /// How many bytes of appends wait to be written.
    pub queued_bytes: Option<u64>,
    /// How many bytes are acknowledged that a loss of power could take: 0 in a store that syncs before it
    /// acknowledges.
    pub unsynced_bytes: Option<u64>,
    /// How often it made its data durable.
    pub syncs: u64,
    /// How long that took in all: the write to the files included.
    pub sync_time: Duration,
    /// How long the last time took.
    pub last_sync_took: Option<Duration>,
    /// When the last time ended, by the store's clock.
    pub last_sync_at: Option<Timestamp>,
}

/// Whether a store takes appends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WriterState {
    /// It does.
    #[default]
    Open,
    /// It was closed.
    Closed,
    /// Its writer failed: it takes none until it is opened again; reads go on.
    Failed,
}
