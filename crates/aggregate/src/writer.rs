//! What repositories and transactions share: the way to the store.

use std::sync::Arc;

use annals_core::{
    Append, AppendBuilder, Clock, Error, ErrorKind, EventStore, Ids, Metadata, NewEvent, Receipt,
    SystemClock, Timestamp, UuidIds,
};

use crate::Context;

/// A store, and where identities and time come from.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    pub(crate) store: Arc<dyn EventStore>,
    pub(crate) ids: Arc<dyn Ids>,
    pub(crate) clock: Arc<dyn Clock>,
    /// How often a command is tried, and an append of unknown outcome sent; at least 1.
    pub(crate) attempts_max: u32,
}

/// What the events of one append have in common.
pub(crate) struct Stamp {
    metadata: Metadata,
    recorded_at: Timestamp,
}

impl Writer {
    const ATTEMPTS_MAX_DEFAULT: u32 = 10;

    pub(crate) fn new(store: Arc<dyn EventStore>) -> Self {
        Self {
            store,
            ids: Arc::new(UuidIds::default()),
            clock: Arc::new(SystemClock),
            attempts_max: Self::ATTEMPTS_MAX_DEFAULT,
        }
    }

    /// Begins an append in this context.
    pub(crate) fn begin(&self, context: &Context) -> (AppendBuilder, Stamp) {
        let id = context.append_id();
        let append = Append::builder(id.unwrap_or_else(|| self.ids.append_id()));
        let stamp = Stamp {
            metadata: context.metadata().clone(),
            recorded_at: context.recorded_at().unwrap_or_else(|| self.clock.now()),
        };
        (append, stamp)
    }

    /// The receipt of the append whose id this context fixes, if it was recorded before.
    pub(crate) async fn recorded(&self, context: &Context) -> Result<Option<Receipt>, Error> {
        match context.append_id() {
            Some(id) => self.store.receipt(&id).await,
            None => Ok(None),
        }
    }

    /// Appends, and sends the same append again while its outcome is unknown: it is recorded once.
    pub(crate) async fn send(&self, append: &Append) -> Result<Receipt, Error> {
        let mut sent = 1;
        loop {
            match self.store.append(append.clone()).await {
                Err(error) if error.kind() == ErrorKind::Unknown && sent < self.attempts_max => {
                    sent += 1;
                }
                Err(error) if error.kind() == ErrorKind::Unknown => {
                    return Err(error.with("append", append.id()).with("sent", sent));
                }
                answer => return answer,
            }
        }
    }
}

impl Stamp {
    pub(crate) fn on(&self, event: NewEvent) -> NewEvent {
        event
            .with_metadata(self.metadata.clone())
            .with_recorded_at(self.recorded_at)
    }
}
