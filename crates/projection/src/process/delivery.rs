//! An event in the hands of who causes effects.

use std::fmt;
use std::ops::Deref;

use annals_core::{AppendId, CheckpointName, Error, Metadata, RecordedEvent};

use crate::derived;

/// An event in the hands of who causes effects by it. Dereferences to the event.
///
/// It may be delivered again: after a crash, or when an effect failed. Whatever it causes in a log is appended under
/// [`append_id`](Self::append_id), which is the same each time, so that it is there once; an effect outside takes
/// the same text as its idempotency key.
pub struct Delivery<E> {
    pub(crate) event: E,
    pub(crate) recorded: RecordedEvent,
    pub(crate) name: CheckpointName,
    /// Which of the events that the recorded one reads as.
    pub(crate) part: u64,
    pub(crate) attempt: u32,
}

impl<E> Delivery<E> {
    /// The event.
    pub fn event(&self) -> &E {
        &self.event
    }

    /// The event, taken out.
    pub fn into_event(self) -> E {
        self.event
    }

    /// The event as it is recorded: its place, its times, its metadata.
    pub fn recorded(&self) -> &RecordedEvent {
        &self.recorded
    }

    /// How often it was tried, this time included.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The append id, or the idempotency key, of the thing with this number that is done about the event: always
    /// the same for the name of who does it, the event and the number.
    pub fn append_id(&self, number: u32) -> AppendId {
        let name = self.name.as_str();
        derived::append_id("effect", name, self.recorded.id(), self.part, number.into())
    }

    /// The metadata of what the event causes: the event is the cause, and the correlation is its own, or begins with
    /// the event where it has none.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](annals_core::ErrorKind::Invalid) when they grow over their limit.
    pub fn metadata(&self) -> Result<Metadata, Error> {
        derived::caused_by(&self.recorded)
    }
}

impl<E> Deref for Delivery<E> {
    type Target = E;

    fn deref(&self) -> &E {
        &self.event
    }
}

impl<E> fmt::Debug for Delivery<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("recorded", &self.recorded)
            .field("name", &self.name)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}
