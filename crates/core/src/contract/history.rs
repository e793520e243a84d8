//! All that a store recorded, to be copied.

use std::fmt;

use async_trait::async_trait;

use crate::{AppendId, Error, Position, RecordedEvent, StreamId, StreamPolicy};

/// Something that a store recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HistoryEntry {
    /// An event.
    Event {
        /// It, at its place.
        event: RecordedEvent,
        /// The append that it is the first event of, if it is the first of one.
        append: Option<RecordedAppend>,
        /// Whether its payload and its metadata were reclaimed, so that it has none here: no read shows it any more.
        is_reclaimed: bool,
    },
    /// A stream has this policy from here on.
    Policy {
        /// The stream.
        stream: StreamId,
        /// All of its policy.
        policy: StreamPolicy,
    },
}

/// An append, as its first event tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordedAppend {
    /// Its identity.
    pub id: AppendId,
    /// How many events it recorded, this one included; they follow each other.
    pub events: u32,
}

/// Reads all that a store recorded, from the beginning: every event, those that policies hide included, where each
/// append begins, and the policies of streams. What copies and exports are made of. Events take constant memory, and
/// [`last_policies`](Self::last_policies) as much as there are streams with one.
///
/// # Ordering
/// Events come in the order of their positions. A policy comes where it was set, or, from a store that does not keep
/// that, when it is asked for.
#[async_trait]
pub trait HistoryReader: fmt::Debug + Send {
    /// The next entries, a few hundred at most; none at the end. Asked again there, it gives what was recorded since.
    ///
    /// An append may be divided between two answers.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt) at damage, which is never passed over.
    async fn next(&mut self) -> Result<Vec<HistoryEntry>, Error>;

    /// The position of the newest event that is known to be there, to tell how far the reader is behind.
    async fn head(&mut self) -> Result<Position, Error>;

    /// Whether the store keeps when policies were set, so that [`next`](Self::next) gives each at its place. Where it
    /// does not, it gives none, and [`last_policies`](Self::last_policies) all.
    fn places_policies(&self) -> bool;

    /// The policies as they are after the last event that was given, from a store that does not keep when they were
    /// set; from another, nothing but an empty list. `None` where there are events that were not given yet: read on, and
    /// ask again.
    ///
    /// A rule that was changed hides by its new form alone: whoever sets them elsewhere before all events are there hides
    /// what this store shows.
    ///
    /// # Errors
    /// As for [`next`](Self::next).
    async fn last_policies(&mut self) -> Result<Option<Vec<HistoryEntry>>, Error>;
}
