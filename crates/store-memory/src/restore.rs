//! A store made of events that another store recorded.

use std::fmt;
use std::sync::Arc;

use annals_core::{Clock, Error, ErrorKind, Ids, Position, RecordedEvent, StreamHead};

use crate::MemoryStore;
use crate::state::State;

/// A [`MemoryStore`] in the making, of events that another store recorded: each at the position and the version, and
/// with the identity and the times, that it has there.
///
/// Events come in the order of their positions. Places that are left out stay empty, as if a policy hid what stood
/// there.
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
    /// [`ErrorKind::Invalid`] when its position, its version or its time lies not after those before it, its identity
    /// is taken, or its place is beyond what memory holds.
    pub fn event(&mut self, event: RecordedEvent) -> Result<(), Error> {
        self.state
            .restore(event)
            .map_err(|error| error.during("restore"))
    }

    /// Gives a stream this version and this policy; versions after its last event stay empty.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when the version is before that of an event of the stream.
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
