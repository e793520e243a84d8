//! Histories of concurrent clients over a disk that fails, whose store is opened again when it stops (T11).

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use annals_conformance::{HistorySettings, Stores, check_histories};
use annals_core::{
    Append, AppendId, Capabilities, ConsistencyLevel, Cursor, Error, ErrorKind, EventStore,
    ManualClock, Page, PolicyChange, ReadRequest, Receipt, StreamHead, StreamId,
};
use annals_log::vfs::SeededRng;
use annals_log::vfs::sim::{Fault, IoFault, Reached, SimFs};
use annals_store_log::{Durability, LogStore};
use async_trait::async_trait;

use crate::world::{builder, open};
use crate::{Counters, scale};

/// Of so many appends one finds a disk that is about to fail.
const APPENDS_FOR_ONE_FAULT: u64 = 40;

/// A store on a failing disk. When it stops, it is killed or loses power, and is opened again once no call is
/// under way.
#[derive(Debug)]
struct Failing {
    clock: ManualClock,
    state: Mutex<State>,
    idle: Condvar,
}

#[derive(Debug)]
struct State {
    disk: SimFs,
    rng: SeededRng,
    store: Arc<LogStore>,
    calls: usize,
    has_stopped: bool,
}

/// What happened to all stores together.
static REACHED: Mutex<Option<Counters>> = Mutex::new(None);

/// A call that is under way.
struct Call<'a> {
    failing: &'a Failing,
    store: Arc<LogStore>,
}

impl Failing {
    fn create(clock: ManualClock) -> Self {
        let disk = SimFs::new();
        let store = builder(Arc::new(disk.clone()), 1, &clock).create().unwrap();
        Self {
            clock,
            state: Mutex::new(State {
                disk,
                rng: SeededRng::new(11),
                store: Arc::new(store),
                calls: 0,
                has_stopped: false,
            }),
            idle: Condvar::new(),
        }
    }

    /// Begins a call. Who comes first after the store stopped waits for the others and opens it again.
    fn call(&self) -> Call<'_> {
        let mut state = self.lock();
        while state.has_stopped && state.calls > 0 {
            state = self
                .idle
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if state.has_stopped {
            self.reopen(&mut state);
        }
        state.calls += 1;
        Call {
            failing: self,
            store: Arc::clone(&state.store),
        }
    }

    fn reopen(&self, state: &mut State) {
        state.disk = if state.rng.below(2) == 0 {
            count("killed and opened");
            state.disk.restart()
        } else {
            count("power lost and opened");
            state.disk.crash(state.rng.bits())
        };
        state.store = Arc::new(open(&state.disk, &self.clock, Durability::Sync).unwrap());
        state.has_stopped = false;
    }

    /// Now and then lets one of the next calls to the disk fail, or the power go at one.
    fn spoil(&self) {
        let state = self.lock();
        let faults = [
            Fault::Io(IoFault::Device),
            Fault::Io(IoFault::NoSpace),
            Fault::ShortWrite,
            Fault::FailedSync(Reached::Nothing),
            Fault::FailedSync(Reached::Some {
                seed: state.rng.bits(),
            }),
            Fault::FailedSync(Reached::Everything),
            Fault::LateIo(IoFault::Device),
        ];
        if state.rng.below(APPENDS_FOR_ONE_FAULT) == 0 {
            let number = usize::try_from(state.rng.below(faults.len() as u64)).unwrap();
            let call = state.disk.calls() + state.rng.below(12);
            state.disk.fail_at(call, faults[number]);
            count("faults");
        }
    }

    /// Looks at how a change ended.
    fn note<T>(&self, answer: Result<T, Error>) -> Result<T, Error> {
        if let Err(error) = &answer {
            match error.kind() {
                ErrorKind::Unknown => count("unknown"),
                ErrorKind::NoSpace => count("no space"),
                ErrorKind::Unavailable => count("unavailable"),
                _ => {}
            }
            if matches!(error.kind(), ErrorKind::Unknown | ErrorKind::Unavailable) {
                self.lock().has_stopped = true;
            }
        }
        answer
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.failing.lock().calls -= 1;
        self.failing.idle.notify_all();
    }
}

/// Asks again where the disk refused a read once.
macro_rules! ask {
    ($failing:expr, $store:ident => $question:expr) => {{
        let mut answer;
        let mut times = 0;
        loop {
            let call = $failing.call();
            let $store = &call.store;
            answer = $question.await;
            drop(call);
            times += 1;
            let is_refused = answer
                .as_ref()
                .is_err_and(|error: &Error| error.kind() == ErrorKind::Unavailable);
            if !is_refused || times == 5 {
                break answer;
            }
            count("reads refused");
        }
    }};
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl EventStore for Failing {
    fn capabilities(&self) -> Capabilities {
        self.call().store.capabilities()
    }

    async fn append(&self, append: Append) -> Result<Receipt, Error> {
        let call = self.call();
        self.spoil();
        count("appends");
        let answer = call.store.append(append).await;
        self.note(answer)
    }

    async fn receipt(&self, id: &AppendId) -> Result<Option<Receipt>, Error> {
        ask!(self, store => store.receipt(id))
    }

    async fn read(&self, request: ReadRequest) -> Result<Page, Error> {
        ask!(self, store => store.read(request.clone()))
    }

    async fn head(&self, consistency: ConsistencyLevel) -> Result<Cursor, Error> {
        ask!(self, store => store.head(consistency.clone()))
    }

    async fn stream_head(&self, stream: &StreamId) -> Result<StreamHead, Error> {
        ask!(self, store => store.stream_head(stream))
    }

    async fn change_stream_policy(&self, change: PolicyChange) -> Result<StreamHead, Error> {
        let call = self.call();
        let answer = call.store.change_stream_policy(change).await;
        self.note(answer)
    }

    async fn changed_since(&self, cursor: &Cursor) -> Result<Cursor, Error> {
        ask!(self, store => store.changed_since(cursor))
    }
}

fn count(state: &'static str) {
    let mut counters = REACHED.lock().unwrap_or_else(PoisonError::into_inner);
    counters.get_or_insert_default().count(state);
}

#[test]
fn histories_over_a_failing_disk_are_consistent() {
    let settings = HistorySettings::default()
        .histories(20 * scale())
        .clients(4)
        .operations(500);
    check_histories(
        |clock| Stores::new(Failing::create(clock)).on_the_clock(),
        settings,
    )
    .assert_passed();
    let counters = REACHED.lock().unwrap_or_else(PoisonError::into_inner);
    let counters = counters.clone().unwrap_or_default();
    println!("campaign T11: {counters}");
    counters.require(&[
        "appends",
        "faults",
        "unknown",
        "unavailable",
        "no space",
        "killed and opened",
        "power lost and opened",
    ]);
}
