//! An event on its way to a reaction.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use annals_codec::Decoded;
use annals_core::{
    AppendId, CausationId, CheckpointName, CorrelationId, Error, Event, Metadata, RecordedEvent,
};

use super::append_id::caused_by;
use crate::decoder::Column;

/// An event that a [`Reaction`](crate::Reaction) is to react to. Dereferences to the application's event.
///
/// It may be delivered again, after a failure or a crash. What it causes in the log is there once all the same where
/// it is appended with an [`append_id`](Self::append_id) of the delivery; what it causes elsewhere should be made
/// idempotent by the same id.
pub struct Delivery<E> {
    pub(super) read: Read<E>,
    /// Which of the events that the recorded one reads as.
    pub(super) part: usize,
    pub(super) recorded: RecordedEvent,
    pub(super) attempt: u32,
    pub(super) name: CheckpointName,
}

/// What a recorded event reads as, shared.
pub(super) enum Read<E> {
    /// In a page, at this index.
    InPage(Arc<Column<E>>, usize),
    Alone(Arc<Decoded<E>>),
}

impl<E: Event> Delivery<E> {
    /// The event.
    ///
    /// # Panics
    /// Never: a delivery is made of an event that was read.
    #[expect(
        clippy::expect_used,
        reason = "a delivery is made of an event that was read"
    )]
    pub fn event(&self) -> &E {
        let events = self.read.events(&self.recorded);
        events.get(self.part).expect("the event was read")
    }

    /// The event as it is recorded.
    pub fn recorded(&self) -> &RecordedEvent {
        &self.recorded
    }

    /// How often it was delivered since the processor began, this time included.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The id for the append of this number that the event causes, from 0: the same at every delivery, for ever. It
    /// is made of the reaction's name and the event's id, so a reaction that is renamed causes anew.
    ///
    /// It is the text `caused-` and 32 hexadecimal digits: the first 16 bytes of the SHA-256 hash of
    ///
    /// | bytes | what |
    /// |---|---|
    /// | 22 | `annals caused append 1`, in ASCII |
    /// | 8 | how many bytes the name has, the most significant first, as in all numbers here |
    /// | n | the reaction's name, in UTF-8 |
    /// | 16 | the event id |
    /// | 4 | which of the events that the recorded one reads as, from 0 |
    /// | 4 | the number |
    pub fn append_id(&self, number: u32) -> AppendId {
        let part = u32::try_from(self.part).unwrap_or(u32::MAX);
        caused_by(self.name.as_str(), self.recorded.id(), part, number)
    }

    /// The metadata for what the event causes: caused by it, in its conversation, which begins with it where it is in
    /// none.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](annals_core::ErrorKind::Invalid) when a correlation id is too long for both to fit.
    pub fn metadata(&self) -> Result<Metadata, Error> {
        let id = self.recorded.id();
        let conversation = self.recorded.metadata().correlation_id();
        let conversation = conversation.unwrap_or_else(|| CorrelationId::from(id));
        Metadata::EMPTY
            .with_correlation_id(conversation)?
            .with_causation_id(CausationId::from(id))
    }
}

impl<E> Read<E> {
    /// The events that the recorded one reads as.
    pub(super) fn events(&self, recorded: &RecordedEvent) -> &[E] {
        match self {
            Self::InPage(column, index) => match column.get(*index, recorded) {
                Some(Ok(decoded)) => decoded.as_slice(),
                Some(Err(_)) | None => &[],
            },
            Self::Alone(decoded) => decoded.as_slice(),
        }
    }
}

impl<E> Clone for Read<E> {
    fn clone(&self) -> Self {
        match self {
            Self::InPage(column, index) => Self::InPage(Arc::clone(column), *index),
            Self::Alone(decoded) => Self::Alone(Arc::clone(decoded)),
        }
    }
}

impl<E: Event> Deref for Delivery<E> {
    type Target = E;

    fn deref(&self) -> &E {
        self.event()
    }
}

impl<E> fmt::Debug for Delivery<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("recorded", &self.recorded)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}
