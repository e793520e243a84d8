//! A store made of events that another store recorded.

use std::fmt;
use std::sync::Arc;

use annals_core::{Clock, Error, ErrorKind, Ids, Position, RecordedEvent, StreamHead};

use crate::MemoryStore;
use crate::state::State;

/// A [`MemoryStore`] in the making, of events that another store recorded: each at the position and the version, and
/// with the identity and the times, that it has there.
///
/// Events come in the order of their positions. Positions that are left out stay empty, and so do the first versions of
/// a stream, as if a policy hid what stood there.
#[must_use = "call `finish` to have a store"]
pub struct MemoryRestore {
    state: State,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
}

impl MemoryRestore {
    pub(crate) fn new(clock: Arc<dyn Clock>, ids: Arc<dyn Ids>) -> Self {
        Self {
            state: State::default(),
            clock,
            ids,
        }
    }

    /// Adds an event at its place.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when its position does not lie after those before it, its version does not follow that of
    /// the stream's event before it, its time lies before that of another, or its identity is taken; and when more than
    /// 16,777,216 places would be left empty at once.
    pub fn event(&mut self, event: RecordedEvent) -> Result<(), Error> {
        self.state
            .restore(event)
            .map_err(|error| error.during("restore"))
    }

    /// Gives a stream its policy, after its events. A stream of which no event is there gets the version too.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when the version is not that of its last event.
    pub fn stream(&mut self, head: StreamHead) -> Result<(), Error> {
        self.state
            .restore_stream(head)
            .map_err(|error| error.during("restore"))
    }

    /// The store, whose next event has the position after this one.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when it lies before that of an event.
    pub fn finish(mut self, head: Position) -> Result<MemoryStore, Error> {
        if head < self.state.head() {
            let message =
                "head lies before an event; give the position of the last one or a later one";
            return Err(Error::new(ErrorKind::Invalid, message)
                .during("restore")
                .with("head", head)
                .with("last", self.state.head()));
        }
        self.state
            .fill(head)
            .map_err(|error| error.during("restore"))?;
        Ok(MemoryStore::with_state(self.state, self.clock, self.ids))
    }
}

impl fmt::Debug for MemoryRestore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryRestore")
            .field("head", &self.state.head())
            .finish_non_exhaustive()
    }
}
