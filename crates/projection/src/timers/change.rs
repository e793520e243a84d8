//! What becomes of a timer, as its owner says it.

use annals_core::{Error, Metadata, NewEvent, StreamId, Timestamp};

use super::event::{TimerEvent, TimerId};

/// What becomes of a timer: set, moved or cancelled. A process says it with its own events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimerChange {
    name: String,
    due: Option<Timestamp>,
}

impl TimerChange {
    /// The timer of this name is due then; one that is set already is moved there, and one that has fired fires
    /// again. One that is due in the past fires at once.
    pub fn set(name: impl Into<String>, due: Timestamp) -> Self {
        let due = Some(due);
        Self {
            name: name.into(),
            due,
        }
    }

    /// The timer of this name does not fire any more. Without any effect where it fired before, or was never set.
    pub fn cancel(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            due: None,
        }
    }

    /// The change as an event of the timer's stream.
    pub(crate) fn into_event(
        self,
        owner: &str,
        key: &str,
        metadata: Metadata,
    ) -> Result<(StreamId, NewEvent), Error> {
        let id = TimerId::new(owner, key, self.name);
        let stream = id.stream()?;
        let event = match self.due {
            Some(due) => TimerEvent::Set { timer: id, due },
            None => TimerEvent::Cancelled { timer: id },
        };
        Ok((stream, event.encode()?.with_metadata(metadata)))
    }
}
