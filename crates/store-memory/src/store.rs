//! The store: one state behind a lock, and a bell for those who wait.

use std::fmt;
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};

use annals_core::{
    Append, AppendId, Capabilities, Clock, ConsistencyLevel, Cursor, Error, ErrorKind, EventStore,
    Ids, Page, PolicyChange, ReadRequest, Receipt, StreamHead, StreamId, SystemClock, UuidIds,
};
use async_trait::async_trait;
use event_listener::Event as Bell;

use crate::MemoryRestore;
use crate::read::read;
use crate::state::State;

/// An event store in memory. Share it as `Arc<MemoryStore>` or `Arc<dyn EventStore>`.
pub struct MemoryStore {
    state: RwLock<State>,
    appended: Bell,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
}

/// Chooses where a [`MemoryStore`] gets time and identities from.
#[derive(Clone, Debug)]
#[must_use = "call `build` to have a store"]
pub struct MemoryStoreBuilder {
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
}

impl MemoryStore {
    /// An empty store with the machine's clock and random identities.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Begins a store with a clock or identities of one's own.
    pub fn builder() -> MemoryStoreBuilder {
        MemoryStoreBuilder {
            clock: Arc::new(SystemClock),
            ids: Arc::new(UuidIds::default()),
        }
    }

    pub(crate) fn with_state(state: State, clock: Arc<dyn Clock>, ids: Arc<dyn Ids>) -> Self {
        Self {
            state: RwLock::new(state),
            appended: Bell::new(),
            clock,
            ids,
        }
    }

    /// The state to look at.
    pub(crate) fn look(&self) -> Result<RwLockReadGuard<'_, State>, Error> {
        self.state.read().map_err(|_| in_doubt())
    }

    /// The state to change.
    pub(crate) fn change(&self) -> Result<RwLockWriteGuard<'_, State>, Error> {
        self.state.write().map_err(|_| in_doubt())
    }
}

impl MemoryStoreBuilder {
    /// With this clock: for `appended_at`, and for the age of events under a policy.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// With identities from here, for events that come without.
    pub fn ids(mut self, ids: Arc<dyn Ids>) -> Self {
        self.ids = ids;
        self
    }

    /// The store, empty.
    pub fn build(self) -> MemoryStore {
        let Self { clock, ids } = self;
        MemoryStore::with_state(State::default(), clock, ids)
    }

    /// Begins a store that holds what another store recorded.
    pub fn restoring(self) -> MemoryRestore {
        let Self { clock, ids } = self;
        MemoryRestore::new(clock, ids)
    }
}

#[async_trait]
impl EventStore for MemoryStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities::COMPLETE
    }

    async fn append(&self, append: Append) -> Result<Receipt, Error> {
        let recorded = self
            .change()?
            .append(&append, self.clock.now(), self.ids.as_ref());
        let receipt = recorded.map_err(|error| error.during("append"))?;
        self.appended.notify(usize::MAX);
        Ok(receipt)
    }

    async fn receipt(&self, id: &AppendId) -> Result<Option<Receipt>, Error> {
        Ok(self.look()?.receipt(id).map(Receipt::as_duplicate))
    }

    async fn read(&self, request: ReadRequest) -> Result<Page, Error> {
        request.validate()?;
        read(&*self.look()?, &request, self.clock.now()).map_err(|error| error.during("read"))
    }

    async fn head(&self, consistency: ConsistencyLevel) -> Result<Cursor, Error> {
        let state = self.look()?;
        state.check_consistency(&consistency)?;
        Ok(Cursor::at(state.head()))
    }

    async fn stream_head(&self, stream: &StreamId) -> Result<StreamHead, Error> {
        Ok(self.look()?.stream_head(stream))
    }

    async fn change_stream_policy(&self, change: PolicyChange) -> Result<StreamHead, Error> {
        let changed = self.change()?.change_policy(&change, self.clock.now());
        changed.map_err(|error| error.during("change stream policy"))
    }

    async fn changed_since(&self, cursor: &Cursor) -> Result<Cursor, Error> {
        loop {
            // Listen before looking: an append in between rings this bell.
            let bell = self.appended.listen();
            let head = {
                let state = self.look()?;
                state.check_not_ahead(cursor)?;
                Cursor::at(state.head())
            };
            if head > *cursor {
                return Ok(head);
            }
            bell.await;
        }
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("MemoryStore");
        if let Ok(state) = self.state.try_read() {
            debug.field("head", &state.head());
        }
        debug.finish_non_exhaustive()
    }
}

fn in_doubt() -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "a panic left the store in doubt; open a new one",
    )
}
