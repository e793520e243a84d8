//! The snapshots that wait to be taken, and the one worker that takes them.

use std::collections::{HashSet, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use annals_core::StreamId;
use event_listener::Event as Bell;
use futures_util::FutureExt as _;

use crate::Spawn;
use crate::keeper::{Job, Keeper};

/// A bounded queue. At most one worker takes from it at a time; it is begun when there is work, and ends
/// when there is none.
pub(crate) struct Queue<S> {
    waiting: Mutex<Waiting<S>>,
    /// Rung when the worker ends.
    rested: Bell,
}

struct Waiting<S> {
    jobs: VecDeque<Job<S>>,
    /// The streams that wait, and the one that is worked on.
    streams: HashSet<StreamId>,
    is_worked_on: bool,
}

/// What became of a snapshot that was handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HandedOver {
    /// It waits to be taken.
    Waits,
    /// As many wait as may.
    Refused,
}

impl<S: Send + Sync + 'static> Queue<S> {
    pub(crate) fn new() -> Self {
        Self {
            waiting: Mutex::new(Waiting {
                jobs: VecDeque::new(),
                streams: HashSet::new(),
                is_worked_on: false,
            }),
            rested: Bell::new(),
        }
    }

    /// Whether a snapshot of the stream waits or is being taken.
    pub(crate) fn holds(&self, stream: &StreamId) -> bool {
        self.look().streams.contains(stream)
    }

    /// Adds a job, and begins to work where nobody does.
    pub(crate) fn hand_over(
        self: &Arc<Self>,
        job: Job<S>,
        waiting_max: usize,
        keeper: &Arc<Keeper<S>>,
        spawn: &dyn Spawn,
    ) -> HandedOver {
        {
            let mut waiting = self.look();
            if waiting.jobs.len() >= waiting_max {
                return HandedOver::Refused;
            }
            if waiting.streams.insert(job.stream.clone()) {
                waiting.jobs.push_back(job);
            }
            if std::mem::replace(&mut waiting.is_worked_on, true) {
                return HandedOver::Waits;
            }
        }
        let working = Working::new(self.clone(), keeper.clone());
        spawn.spawn(working.run().boxed());
        HandedOver::Waits
    }

    /// Waits until nothing waits and nobody works; works itself where nobody does.
    pub(crate) async fn flush(self: &Arc<Self>, keeper: &Arc<Keeper<S>>) {
        loop {
            let rested = self.rested.listen();
            match self.begin_flush() {
                Flush::Done => return,
                Flush::Wait => rested.await,
                Flush::Work => Working::new(self.clone(), keeper.clone()).run().await,
            }
        }
    }

    fn begin_flush(&self) -> Flush {
        let mut waiting = self.look();
        if waiting.is_worked_on {
            return Flush::Wait;
        }
        waiting.is_worked_on = !waiting.jobs.is_empty();
        if waiting.is_worked_on {
            Flush::Work
        } else {
            Flush::Done
        }
    }
}

/// What is left to do for who flushes.
enum Flush {
    Done,
    /// Somebody works.
    Wait,
    /// Nobody does: work.
    Work,
}

impl<S> Queue<S> {
    fn look(&self) -> MutexGuard<'_, Waiting<S>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The worker. Dropped before its end, as by a runtime that shuts down, it leaves the queue to the next one.
struct Working<S> {
    queue: Arc<Queue<S>>,
    keeper: Arc<Keeper<S>>,
    job: Option<Job<S>>,
    /// Whether it said that nobody works any more.
    is_over: bool,
}

impl<S: Send + Sync + 'static> Working<S> {
    fn new(queue: Arc<Queue<S>>, keeper: Arc<Keeper<S>>) -> Self {
        Self {
            queue,
            keeper,
            job: None,
            is_over: false,
        }
    }

    async fn run(mut self) {
        while self.next() {
            let Some(job) = &self.job else { return };
            // What the application's `Serialize` does is not to end the worker.
            let saved = AssertUnwindSafe(self.keeper.save(job)).catch_unwind();
            if saved.await.is_err() {
                tracing::warn!(stream = %job.stream, "taking a snapshot panics");
                self.keeper.counters.save_failures.add(1);
            }
        }
    }

    /// Takes the next job; without one the work is over.
    fn next(&mut self) -> bool {
        let mut waiting = self.queue.look();
        if let Some(done) = self.job.take() {
            waiting.streams.remove(&done.stream);
        }
        self.job = waiting.jobs.pop_front();
        // Said under the lock: who hands over later begins to work.
        self.is_over = self.job.is_none();
        waiting.is_worked_on = !self.is_over;
        !self.is_over
    }
}

impl<S> Drop for Working<S> {
    fn drop(&mut self) {
        let mut waiting = self.queue.look();
        if let Some(undone) = self.job.take() {
            waiting.streams.remove(&undone.stream);
        }
        if !self.is_over {
            waiting.is_worked_on = false;
        }
        drop(waiting);
        self.queue.rested.notify(usize::MAX);
    }
}
