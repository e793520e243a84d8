//! What stands where: from streams, versions, types, categories, tags and ids to positions, and from
//! positions to records.
//!
//! The index of a store is a row of *parts*, each of which knows a contiguous range of positions: immutable
//! [`Run`]s in files, and after them the [`Memtable`]s that take what is new. All of it is derived from the
//! log: a run that is damaged or missing is built again by reading the log. Runs know nothing of records,
//! and the log nothing of runs.

mod bounds;
mod error;
mod hash;
mod matching;
mod memtable;
mod ordinals;
mod policy;
mod run;
mod runs;
#[cfg(test)]
mod tests;
mod varint;
mod versions;

use std::fmt;
use std::ops::RangeInclusive;

use annals_core::{Direction, StreamPolicy};
use annals_log::RecordAt;

pub(crate) use error::{Result, RunError, RunErrorKind};
pub(crate) use hash::{Hashed, Hasher};
pub(crate) use matching::matches;
pub(crate) use memtable::{Memtable, NewEntry};
pub(crate) use ordinals::Ordinals;
pub(crate) use run::{Run, RunReads};
pub(crate) use runs::{RunDirectory, Runs};

/// A contiguous range of positions and what is known of it.
///
/// Methods that gather positions append to `out`. A [`Memtable`] never fails; a [`Run`] fails when its file
/// can't be read or is damaged, and is of no more use then.
pub(crate) trait Part: Send + Sync + fmt::Debug {
    /// The first position of the part.
    fn first(&self) -> u64;

    /// The last position of the part; `first - 1` while it has none.
    fn last(&self) -> u64;

    /// The stream's last event in this part.
    fn stream_head(&self, stream: &str) -> Result<Option<StreamEnd>>;

    /// The positions of the stream's events of these versions, at most `limit` of them, in this direction.
    fn stream_positions(
        &self,
        stream: &str,
        versions: RangeInclusive<u64>,
        direction: Direction,
        limit: usize,
        out: &mut Vec<u64>,
    ) -> Result<()>;

    /// The policy that was last set for the stream in this part.
    fn policy(&self, stream: &str) -> Result<Option<StreamPolicy>>;

    /// Whether any stream had its policy set in this part.
    fn has_policies(&self) -> bool;

    /// The events with this term, as ordinals: positions counted from [`first`](Self::first).
    fn ordinals(&self, term: Term<'_>) -> Result<Ordinals<'_>>;

    /// The position of the newest event with this term.
    fn newest(&self, term: Term<'_>) -> Result<Option<u64>>;

    /// Positions of events that may have this id. Events that have it are among them; others are so rarely,
    /// and the caller looks at the record.
    fn event_id(&self, id: u128, out: &mut Vec<u64>) -> Result<()>;

    /// The highest id of its events; zero while it has none.
    fn highest_event_id(&self) -> u128;

    /// First positions of appends that may have this id, as for [`event_id`](Self::event_id).
    fn append_id(&self, id: &str, out: &mut Vec<u64>) -> Result<()>;

    /// Where the record of the event at this position is; `None` outside the part, and where the log has
    /// lost the event.
    fn record_at(&self, position: u64) -> Result<Option<RecordAt>>;

    /// Appends what [`record_at`](Self::record_at) says of each of these positions.
    fn records_at(&self, positions: &[u64], out: &mut Vec<Option<RecordAt>>) -> Result<()>;

    /// About how many bytes of it are not in memory, so that a question may wait for a disk.
    fn missing_bytes(&self) -> usize;

    /// Reads what is not in memory, so that it is then.
    fn load(&self);
}

/// The last event of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StreamEnd {
    /// Its version in the stream.
    pub(crate) version: u64,
    /// Its position.
    pub(crate) position: u64,
}

/// What the index has to know of one event, except its tags.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    /// Its stream.
    pub(crate) stream: &'a str,
    /// Its version in the stream.
    pub(crate) version: u64,
    /// Its type.
    pub(crate) event_type: &'a str,
    /// Its id.
    pub(crate) event_id: u128,
    /// The id of the append of which it is the first event.
    pub(crate) append_id: Option<&'a str>,
    /// Where its record is.
    pub(crate) at: RecordAt,
}

/// What many events can have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Term<'a> {
    /// The category of their streams.
    Category(&'a str),
    /// Their type.
    Type(&'a str),
    /// A tag.
    Tag(&'a str),
}

impl<'a> Term<'a> {
    /// A byte that tells the kinds of terms apart, on disk too, and the text.
    const fn key(self) -> (u8, &'a str) {
        match self {
            Self::Category(text) => (1, text),
            Self::Type(text) => (2, text),
            Self::Tag(text) => (3, text),
        }
    }
}

/// The kind of text that a stream's name is, beside those of terms.
const STREAM: u8 = 0;
/// The kind of text that an append's id is.
const APPEND_ID: u8 = 4;
/// The bits of a place where no record is: segments are numbered from 1.
const LOST: u64 = 0;

/// The category of a stream: its text up to the first dash.
fn category_of(stream: &str) -> &str {
    stream
        .split_once('-')
        .map_or(stream, |(category, _)| category)
}
