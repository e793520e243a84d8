//! Settings of a store.

use annals_core::{Error, ErrorKind};
pub use annals_log::{Durability, ReadMode};

use super::ahead::PAGES_MAX;
use crate::auxiliary::CACHE_BYTES_DEFAULT;

/// The least `index_bytes_max`: with less, most batches would be a file of their own.
const INDEX_BYTES_MIN: usize = 16 * 1024;

/// Settings of a store: data, checked when the store is opened. Every bound of memory stands here.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// What an acknowledged append survives. Default: power loss.
    pub durability: Durability,
    /// How recorded data is read. Default: through a memory map.
    pub reads: ReadMode,
    /// What reads do where a repair gave events up. Default: they fail.
    pub lost_events: LostEvents,
    /// Who writes what waits. Default: the task that finds the store free.
    pub committer: CommitterThread,
    /// Who builds index files. Default: a thread of the store's own.
    pub maintenance: Maintenance,
    /// How many pages are made ahead for who reads page after page, while the page before is used: 0, for none, to 8.
    /// Only pages of 250 events or more and up to 8 MiB, and not for [`ConsistencyLevel::Session`]. At most 8 pages
    /// are made or stand ready for all readers together; those of a reader that stopped stay until others need the
    /// room or the store is closed. Default: 2.
    ///
    /// [`ConsistencyLevel::Session`]: annals_core::ConsistencyLevel::Session
    pub read_ahead_pages: usize,
    /// The size of a segment file, in bytes. Default: 64 MiB.
    pub segment_bytes: u32,
    /// The most appends that wait; one more is refused as overloaded. Default: 65,536.
    pub queue_appends_max: usize,
    /// The most bytes of appends that wait; beyond it they are refused as overloaded, a single append apart. An append
    /// counts what its records take in the log, and no less than 512 bytes and 256 for each event more than their
    /// contents; what was sent is held beside it. Default: 256 MiB.
    pub queue_bytes_max: usize,
    /// The most bytes that are written and synced together, a single append apart. They are counted as those that
    /// wait, which is no less than what is written. Default: 8 MiB.
    pub batch_bytes_max: usize,
    /// The memory of the index of the newest events, in bytes, after which it goes to a file. Up to three times as much
    /// is held while files are built. At least 16 KiB; default: 16 MiB.
    pub index_bytes_max: usize,
    /// The memory in which snapshots and checkpoints are cached, in bytes. Default: 8 MiB.
    pub auxiliary_bytes_max: usize,
    /// The memory in which blocks of compressed segments are kept for the next reader, in bytes; 0 for none.
    /// Default: 32 MiB.
    pub block_cache_bytes_max: usize,
}

/// What reads do at events that a [repair](crate::LogStoreBuilder::repair) gave up.
///
/// Conditions of an append always fail at them: that nothing was recorded there can't be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LostEvents {
    /// Fail as [`Corrupt`](annals_core::ErrorKind::Corrupt), for which [`is_lost`](crate::is_lost) is true: nobody
    /// takes what is left for all that there was.
    Fail,
    /// Go on behind them, as if they had never been: for who knows what is missing
    /// ([`LogStoreBuilder::losses`](crate::LogStoreBuilder::losses)). States are folds of what is left then, and so are the
    /// snapshots and read models that are made of it, whoever reads them later.
    Skip,
}

/// Who writes and syncs what waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CommitterThread {
    /// The task that finds the store free, on its own thread: fastest, and it blocks that thread for the
    /// time of a sync.
    Caller,
    /// A thread of the store's own: some ten microseconds slower, and it never blocks a runtime.
    Own,
}

/// Who builds index files from memory, and merges them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Maintenance {
    /// A thread of the store's own.
    Background,
    /// The append that fills the memory does it before it is answered; for simulations, which must be
    /// repeatable.
    Inline,
}

impl Default for Settings {
    fn default() -> Self {
        const MIB: usize = 1024 * 1024;
        Self {
            durability: Durability::Sync,
            reads: ReadMode::Map,
            lost_events: LostEvents::Fail,
            committer: CommitterThread::Caller,
            maintenance: Maintenance::Background,
            read_ahead_pages: 2,
            segment_bytes: 64 * 1024 * 1024,
            queue_appends_max: 65_536,
            queue_bytes_max: 256 * MIB,
            batch_bytes_max: 8 * MIB,
            index_bytes_max: 16 * MIB,
            auxiliary_bytes_max: CACHE_BYTES_DEFAULT,
            block_cache_bytes_max: 32 * MIB,
        }
    }
}

impl Settings {
    /// Refuses settings with which no store works.
    pub(crate) fn validate(&self) -> Result<(), Error> {
        for (name, value, least) in [
            ("queue_appends_max", self.queue_appends_max, 1),
            ("queue_bytes_max", self.queue_bytes_max, 1),
            ("batch_bytes_max", self.batch_bytes_max, 1),
            ("index_bytes_max", self.index_bytes_max, INDEX_BYTES_MIN),
        ] {
            if value < least {
                let message = format!("{name} is {value}; give it at least {least}");
                return Err(Error::new(ErrorKind::Invalid, message).during("open"));
            }
        }
        if self.read_ahead_pages > PAGES_MAX {
            let message = format!(
                "read_ahead_pages is {}; give it at most {PAGES_MAX}",
                self.read_ahead_pages
            );
            return Err(Error::new(ErrorKind::Invalid, message).during("open"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_values_are_good_and_less_is_refused() {
        let mut settings = Settings {
            queue_appends_max: 1,
            queue_bytes_max: 1,
            batch_bytes_max: 1,
            index_bytes_max: 16 * 1024,
            ..Settings::default()
        };
        assert!(settings.validate().is_ok());
        settings.index_bytes_max -= 1;
        let refused = settings.validate().unwrap_err().to_string();
        assert!(
            refused.contains("index_bytes_max is 16383; give it at least 16384"),
            "{refused}"
        );
    }
}
