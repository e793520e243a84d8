//! A store that is closed, killed or cut off the power between the calls to it: nobody may notice (T9).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use annals_conformance::{Stores, check, check_model};
use annals_core::{
    Append, AppendId, Capabilities, ConsistencyLevel, Cursor, Error, EventStore, ManualClock, Page,
    PolicyChange, ReadRequest, Receipt, StreamHead, StreamId,
};
use annals_log::vfs::SeededRng;
use annals_log::vfs::sim::SimFs;
use annals_store_log::{Durability, LogStore};
use async_trait::async_trait;

use crate::scale;
use crate::world::{builder, open};

/// A store that is opened again before one in four calls.
#[derive(Debug)]
struct Reopening {
    clock: ManualClock,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    disk: SimFs,
    rng: SeededRng,
    store: Option<Arc<LogStore>>,
}

impl Reopening {
    fn create(clock: ManualClock) -> Self {
        let disk = SimFs::new();
        let store = builder(Arc::new(disk.clone()), 1, &clock).create().unwrap();
        Self {
            clock,
            state: Mutex::new(State {
                disk,
                rng: SeededRng::new(7),
                store: Some(Arc::new(store)),
            }),
        }
    }

    /// The store, perhaps opened again; never while a call is under way.
    fn store(&self) -> Arc<LogStore> {
        let mut state = self.lock();
        let store = state.store.take().unwrap();
        let store = match Arc::try_unwrap(store) {
            Ok(store) if state.rng.below(4) == 0 => Arc::new(self.reopen(&mut state, store)),
            Ok(store) => Arc::new(store),
            Err(shared) => shared,
        };
        state.store = Some(Arc::clone(&store));
        store
    }

    fn reopen(&self, state: &mut State, store: LogStore) -> LogStore {
        match state.rng.below(3) {
            0 => store.close().unwrap(),
            1 => {
                state.disk = state.disk.restart();
                // It goes on on the disk that was left.
                drop(store);
            }
            _ => {
                state.disk = state.disk.crash(state.rng.bits());
                drop(store);
                if state.rng.below(3) == 0 {
                    state.disk.power_off_after(state.rng.below(60));
                    drop(open(&state.disk, &self.clock, Durability::Sync));
                    state.disk = state.disk.crash(state.rng.bits());
                }
            }
        }
        state.disk.take_trace();
        open(&state.disk, &self.clock, Durability::Sync).unwrap()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl EventStore for Reopening {
    fn capabilities(&self) -> Capabilities {
        self.store().capabilities()
    }

    async fn append(&self, append: Append) -> Result<Receipt, Error> {
        self.store().append(append).await
    }

    async fn receipt(&self, id: &AppendId) -> Result<Option<Receipt>, Error> {
        self.store().receipt(id).await
    }

    async fn read(&self, request: ReadRequest) -> Result<Page, Error> {
        self.store().read(request).await
    }

    async fn head(&self, consistency: ConsistencyLevel) -> Result<Cursor, Error> {
        self.store().head(consistency).await
    }

    async fn stream_head(&self, stream: &StreamId) -> Result<StreamHead, Error> {
        self.store().stream_head(stream).await
    }

    async fn change_stream_policy(&self, change: PolicyChange) -> Result<StreamHead, Error> {
        self.store().change_stream_policy(change).await
    }

    async fn changed_since(&self, cursor: &Cursor) -> Result<Cursor, Error> {
        self.store().changed_since(cursor).await
    }
}

fn stores(clock: ManualClock) -> Stores {
    Stores::new(Reopening::create(clock)).on_the_clock()
}

#[test]
fn a_store_that_is_opened_again_and_again_conforms() {
    check(stores).assert_passed();
}

#[test]
fn a_store_that_is_opened_again_and_again_agrees_with_the_model() {
    let cases = u32::try_from(200 * scale()).unwrap();
    check_model(stores, cases).assert_passed();
    println!("campaign T9 model: {{\"cases\": {cases}}}");
}
