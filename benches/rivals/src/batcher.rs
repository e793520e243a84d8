//! A group commit for engines that have none: whoever finds the engine free commits what waits.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use anyhow::{Result, anyhow};
use futures_channel::oneshot;

use crate::subject::{Answer, NewAppend};

/// The most events that one commit takes.
const BATCH_EVENTS_MAX: usize = 20_000;

/// The writing side of an embedded database.
pub trait Engine: Send + 'static {
    /// Commits the appends in one durable transaction and answers each in order.
    fn commit(&mut self, batch: &[NewAppend]) -> Result<Vec<Answer>>;
}

/// The appends of many callers in few commits. No thread of its own: a lone caller commits by itself.
#[derive(Debug)]
pub struct Batcher<E>(Arc<Shared<E>>);

#[derive(Debug)]
struct Shared<E> {
    queue: Mutex<VecDeque<Waiting>>,
    engine: Mutex<E>,
}

#[derive(Debug)]
struct Waiting {
    append: NewAppend,
    reply: oneshot::Sender<Result<Answer>>,
}

impl<E: Engine> Batcher<E> {
    pub fn new(engine: E) -> Self {
        Self(Arc::new(Shared {
            queue: Mutex::new(VecDeque::new()),
            engine: Mutex::new(engine),
        }))
    }

    /// Appends durably.
    pub async fn append(&self, append: NewAppend) -> Result<Answer> {
        let (reply, answer) = oneshot::channel();
        self.0.queue().push_back(Waiting { append, reply });
        lead(&self.0);
        answer
            .await
            .map_err(|_| anyhow!("the committer panicked"))?
    }

    /// Gives back the engine when no append is under way.
    pub fn into_engine(self) -> Result<E> {
        let shared = Arc::into_inner(self.0).ok_or_else(|| anyhow!("an append is under way"))?;
        Ok(shared
            .engine
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner))
    }
}

impl<E> Shared<E> {
    fn queue(&self) -> MutexGuard<'_, VecDeque<Waiting>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Vec<Waiting> {
        let mut queue = self.queue();
        let mut events = 0;
        let fits = queue.iter().take_while(|waiting| {
            let before = events;
            events += waiting.append.lines.len();
            before < BATCH_EVENTS_MAX
        });
        let count = fits.count();
        queue.drain(..count).collect()
    }
}

/// Commits one batch if nobody else does, and leaves the next one to a task of its own, so that the
/// caller of the first is not kept.
fn lead<E: Engine>(shared: &Arc<Shared<E>>) {
    loop {
        {
            let mut engine = match shared.engine.try_lock() {
                Ok(engine) => engine,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return,
            };
            commit(&mut *engine, shared.take());
        }
        if shared.queue().is_empty() {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let shared = Arc::clone(shared);
            runtime.spawn(async move { lead(&shared) });
            return;
        }
    }
}

fn commit<E: Engine>(engine: &mut E, batch: Vec<Waiting>) {
    if batch.is_empty() {
        return;
    }
    let (appends, replies): (Vec<_>, Vec<_>) = batch
        .into_iter()
        .map(|waiting| (waiting.append, waiting.reply))
        .unzip();
    match engine.commit(&appends) {
        Ok(answers) => {
            for (reply, answer) in replies.into_iter().zip(answers) {
                let _ = reply.send(Ok(answer));
            }
        }
        Err(error) => {
            for reply in replies {
                let _ = reply.send(Err(anyhow!("the commit failed: {error:#}")));
            }
        }
    }
}
