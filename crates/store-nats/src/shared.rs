//! What the store and its tasks share.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use annals_core::{Clock, Error, ErrorKind, Ids, Position};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;

use crate::error::{Refusal, unknown};
use crate::mark::Mark;
use crate::record::Record;
use crate::rivals::Rivals;
use crate::settings::Settings;
use crate::state::State;
use crate::subject::Subjects;
use crate::wire::Wire;

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) wire: Wire,
    pub(crate) subjects: Subjects,
    pub(crate) settings: Settings,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
    pub(crate) runtime: Handle,
    pub(crate) refreshes: Refreshes,
    pub(crate) rivals: Rivals,
    /// The most events of a group commit, as far as is known what the servers take.
    batch_events_max: AtomicUsize,
    pub(crate) mark: Mark,
    state: RwLock<State>,
    head: watch::Sender<Position>,
    /// What the task that follows can't get over, as it was told last.
    damage: RwLock<Option<String>>,
}

/// Who asks the leader how far the log goes, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Refreshes {
    pub(crate) turn: Mutex<()>,
    begun: AtomicU64,
    done: AtomicU64,
}

impl Refreshes {
    /// How many have begun: a later one sees all that there is now.
    pub(crate) fn begun(&self) -> u64 {
        self.begun.load(Ordering::SeqCst)
    }

    pub(crate) fn begin(&self) -> u64 {
        self.begun.fetch_add(1, Ordering::SeqCst) + 1
    }

    pub(crate) fn finish(&self, number: u64) {
        self.done.store(number, Ordering::SeqCst);
    }

    pub(crate) fn is_done_since(&self, begun: u64) -> bool {
        self.done.load(Ordering::SeqCst) > begun
    }
}

impl Shared {
    pub(crate) fn new(
        wire: Wire,
        settings: Settings,
        (clock, ids): (Arc<dyn Clock>, Arc<dyn Ids>),
        runtime: Handle,
    ) -> Self {
        Self {
            wire,
            subjects: Subjects::new(&settings.log),
            rivals: Rivals::new(&*ids),
            mark: Mark::default(),
            batch_events_max: AtomicUsize::new(settings.batch_events_max),
            settings,
            clock,
            ids,
            runtime,
            refreshes: Refreshes::default(),
            state: RwLock::default(),
            head: watch::Sender::new(Position::START),
            damage: RwLock::default(),
        }
    }

    /// The name of the log's stream.
    pub(crate) fn log(&self) -> &str {
        &self.settings.log
    }

    /// The most events of one group commit, a single append apart.
    pub(crate) fn batch_events_max(&self) -> usize {
        self.batch_events_max.load(Ordering::Relaxed)
    }

    /// Makes smaller batches from now on, where the servers would not take one of so many messages.
    pub(crate) fn note_too_large(&self, refusal: &Refusal, messages: usize) {
        if refusal.is_of_count() {
            let half = (messages / 2).max(1);
            self.batch_events_max.fetch_min(half, Ordering::Relaxed);
        }
    }

    /// Looks at the state.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&State) -> T) -> Result<T, Error> {
        let state = self.state.read().map_err(|_| in_doubt())?;
        Ok(look(&state))
    }

    /// Takes in messages at their sequences, those apart that are known, and tells who waits for them.
    pub(crate) fn take(&self, records: Vec<(u64, Record)>) -> Result<(), Error> {
        let mut state = self.state.write().map_err(|_| in_doubt())?;
        let mut taken = Ok(());
        for (sequence, record) in records {
            taken = taken.and_then(|()| state.take(sequence, record));
        }
        let head = state.head();
        drop(state);
        self.head.send_if_modified(|known| {
            let is_newer = head > *known;
            *known = head.max(*known);
            is_newer
        });
        taken
    }

    /// Notes how a look at what is new ended, so that whoever waits is told of damage.
    pub(crate) fn note_look(&self, looked: &Result<(), Error>) {
        let damage = match looked {
            Err(error) if error.kind() == ErrorKind::Corrupt => Some(error.to_string()),
            Err(_) => return,
            Ok(()) => None,
        };
        let mut known = self.damage.write().unwrap_or_else(PoisonError::into_inner);
        if *known == damage {
            return;
        }
        if let Some(damage) = &damage {
            tracing::warn!(%damage, log = self.log(), "what is new in the log can't be read");
        }
        *known = damage;
        drop(known);
        self.head.send_modify(|_| {});
    }

    /// Why nothing new is read any more, if that is so.
    pub(crate) fn damage(&self) -> Option<Error> {
        let known = self.damage.read().unwrap_or_else(PoisonError::into_inner);
        let damage = known.clone()?;
        let message =
            "what is new in the log can't be read; verify the servers, and restore what they lost";
        Some(Error::new(ErrorKind::Corrupt, message).with("cause", damage))
    }

    /// To be told of every new head.
    pub(crate) fn heads(&self) -> watch::Receiver<Position> {
        self.head.subscribe()
    }

    /// Does a piece of work on the store's runtime, whoever waits for it.
    pub(crate) async fn aside<T, F>(
        self: &Arc<Self>,
        work: impl FnOnce(Arc<Self>) -> F,
    ) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        self.on_the_runtime(work).await.unwrap_or_else(|error| {
            let message = "the runtime that the store was opened on has ended";
            Err(Error::new(ErrorKind::Unavailable, message).caused_by(error))
        })
    }

    /// The same for work that changes something: where it does not come to its end, it may have been done.
    pub(crate) async fn change_aside<T, F>(
        self: &Arc<Self>,
        work: impl FnOnce(Arc<Self>) -> F,
    ) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let done = self.on_the_runtime(work).await;
        done.unwrap_or_else(|error| Err(unknown(error)))
    }

    fn on_the_runtime<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(Arc<Self>) -> F,
    ) -> JoinHandle<T> {
        self.runtime.spawn(work(Arc::clone(self)))
    }
}

fn in_doubt() -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "a panic left the store in doubt; open a new one",
    )
}
