//! Another store with the beginning of one.

use std::path::PathBuf;

use annals_core::{Error, Position, Timestamp};
use annals_log::Progress;

use super::error::from_log;
use super::open::LogStoreBuilder;
use crate::record::EventView;

/// What a fork of a store consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreFork {
    /// The position of its last event: the one that was asked for, the last of the store, or the one before the append
    /// that lies on both sides of it.
    pub position: Position,
    /// How many segments it shares with the store, without a copy.
    pub segments_shared: usize,
    /// How many sealed segments were copied, as the file system gives them no second name.
    pub segments_copied: usize,
}

impl LogStoreBuilder {
    /// Makes another store in `directory`, of the events up to and with a position: for experiments on real data.
    ///
    /// Segments that are sealed are shared by hard links, so that a fork of a large store takes little time and
    /// room; the last one is copied. The two go on apart, and nothing that is done to the fork is seen in the store.
    /// Events keep positions, versions, identities and times; append ids and policies are those of then, just
    /// before the next event. Snapshots and
    /// checkpoints are not in it, and the index is built when it is opened. An append is in it whole or not at all.
    ///
    /// The store may be open meanwhile, in this process or another: the fork is of what is durable. It is durable
    /// itself when this returns. It is *no backup*: damage to a shared file is damage to both.
    ///
    /// # Errors
    /// `Unavailable` when there is no store, or one in `directory` already; `Corrupt` when what would be copied is
    /// damaged. What was made of the fork by then stays in `directory`.
    pub fn fork(
        &self,
        directory: impl Into<PathBuf>,
        until: Position,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<StoreFork, Error> {
        let (from, to) = (self.log_directory(), Self::log_of(&directory.into()));
        let forked = annals_log::fork(
            &self.parts,
            &from,
            &to,
            &self.log_settings(),
            until.value(),
            &begins_append,
            progress,
        );
        let forked = forked.map_err(|error| from_log(error).during("fork"))?;
        Ok(StoreFork {
            position: Position::new(forked.last_number),
            segments_shared: forked.segments_shared,
            segments_copied: forked.segments_copied,
        })
    }
}

/// Whether an event is the first of its append. What does not read is copied as it is, to be told when it is read.
fn begins_append(body: &[u8]) -> bool {
    let event = EventView::parse(body, Timestamp::EPOCH);
    event.is_ok_and(|event| event.append().is_some())
}
