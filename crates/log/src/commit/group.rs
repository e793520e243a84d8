//! The group: a queue before a committer, and who leads.

use std::any::Any;
use std::fmt;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, PoisonError};

use super::queue::{Batch, Next, Queue, Settled};
use super::submit::Submit;
use super::sync::{Condvar, Mutex, MutexGuard, clock, thread};
use super::{Backlog, Commit, GroupSettings, Leader, SubmitError};

/// A committer shared by many callers, whose requests are committed in batches.
///
/// Requests are committed in the order in which their futures were first polled. At any moment one
/// thread at most works with the committer.
pub struct GroupCommit<C: Commit> {
    shared: Arc<Shared<C>>,
    thread: Mutex<Option<thread::JoinHandle<()>>>,
}

impl<C: Commit> GroupCommit<C> {
    /// Takes the committer into service.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) when a bound is zero; whatever the system says
    /// when it gives no thread to [`Leader::Thread`].
    pub fn new(core: C, settings: GroupSettings) -> io::Result<Self> {
        let GroupSettings {
            queue_bytes_max,
            queue_requests_max,
            batch_bytes_max,
            leader,
        } = settings;
        if queue_bytes_max == 0 || queue_requests_max == 0 || batch_bytes_max == 0 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a bound of the commit queue is zero: give at least one",
            ));
        }
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue::new(core, settings)),
            turn: Condvar::new(),
            work: Condvar::new(),
        });
        let thread = match leader {
            Leader::Caller => None,
            Leader::Thread => {
                let shared = Arc::clone(&shared);
                let builder = thread::Builder::new().name("annals-commit".to_owned());
                Some(builder.spawn(move || shared.lead_always())?)
            }
        };
        Ok(Self {
            shared,
            thread: Mutex::new(thread),
        })
    }

    /// Commits a request together with whatever else waits, and gives its answer.
    ///
    /// With [`Leader::Caller`] the future may commit within its poll, its own request and those of
    /// others, and so block the thread for as long as that takes: until its own is answered. Where other
    /// callers are expected back it waits for them first, for as long as the last commit took and 20 ms at
    /// most, and wakes itself meanwhile.
    ///
    /// # Errors
    ///
    /// [`Overloaded`](SubmitError::Overloaded), [`Closed`](SubmitError::Closed) and
    /// [`Poisoned`](SubmitError::Poisoned) say that the request did not happen,
    /// [`Unknown`](SubmitError::Unknown) that it may have. The first two are told at once.
    ///
    /// # Cancellation
    ///
    /// A dropped future leaves no trace of a request that still waited; a request that was in a batch
    /// already happens. Whoever keeps a future that it neither polls nor drops may hold up others that
    /// wait, until anyone submits again: it may be the one that was woken to lead, or looks for others.
    pub fn submit(&self, request: C::Request) -> Submit<'_, C> {
        Submit::new(&self.shared, request)
    }

    /// Runs something with the committer between two commits, on this thread, which it blocks until
    /// then. Threads are served in order and before requests, so this is for rare things; a batch
    /// that waits afterwards is committed before it returns.
    ///
    /// # Errors
    ///
    /// [`Closed`](SubmitError::Closed) or [`Poisoned`](SubmitError::Poisoned); it did not run then.
    ///
    /// # Panics
    ///
    /// A panic in `run` goes on to the caller and poisons the group.
    pub fn with_core<T>(&self, run: impl FnOnce(&mut C) -> T) -> Result<T, SubmitError> {
        let queue = self.shared.lock();
        queue.check()?;
        let core = self.shared.wait_turn(queue)?;
        Ok(self.shared.run(core, run))
    }

    /// As [`with_core`](Self::with_core), unless the committer is at work: `None` then, at once.
    ///
    /// # Errors
    ///
    /// As [`with_core`](Self::with_core).
    ///
    /// # Panics
    ///
    /// As [`with_core`](Self::with_core).
    pub fn try_with_core<T>(
        &self,
        run: impl FnOnce(&mut C) -> T,
    ) -> Result<Option<T>, SubmitError> {
        let mut queue = self.shared.lock();
        queue.check()?;
        let core = queue.take_core();
        drop(queue);
        Ok(core.map(|core| self.shared.run(core, run)))
    }

    /// Refuses new requests, commits all that wait, on this thread, and gives the committer back.
    ///
    /// # Errors
    ///
    /// [`Closed`](SubmitError::Closed) to all callers but the first, at once;
    /// [`Poisoned`](SubmitError::Poisoned) when the committer has panicked.
    pub fn close(&self) -> Result<C, SubmitError> {
        let mut queue = self.shared.lock();
        queue.check()?;
        queue.close();
        let core = self.shared.wait_turn(queue)?;
        let core = self.shared.drain(core);
        self.join();
        core.map(|core| *core)
    }

    /// How much waits just now.
    pub fn backlog(&self) -> Backlog {
        self.shared.lock().backlog()
    }

    /// Ends the leading thread, after what waits.
    fn join(&self) {
        if self.shared.lock().thread_idle(false) {
            self.shared.work.notify_one();
        }
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        // The committer may hold the last handle of its own group and drop it on that thread.
        if let Some(thread) = thread
            && thread.thread().id() != thread::current().id()
        {
            // It catches the panics of the core and reports them to those who wait.
            drop(thread.join());
        }
    }
}

impl<C: Commit> Drop for GroupCommit<C> {
    fn drop(&mut self) {
        self.shared.lock().close();
        self.join();
    }
}

impl<C: Commit> fmt::Debug for GroupCommit<C> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let backlog = self.backlog();
        formatter
            .debug_struct("GroupCommit")
            .field("backlog", &backlog)
            .finish_non_exhaustive()
    }
}

/// What callers, futures and the leading thread share.
pub(super) struct Shared<C: Commit> {
    queue: Mutex<Queue<C>>,
    /// A blocked thread's turn has come.
    turn: Condvar,
    /// The leading thread has work.
    work: Condvar,
}

/// The core after a commit, with the lock held and the answers not yet delivered.
pub(super) struct Led<'a, C: Commit> {
    pub(super) queue: MutexGuard<'a, Queue<C>>,
    pub(super) core: Box<C>,
    pub(super) settled: Settled<C>,
}

impl<C: Commit> Shared<C> {
    pub(super) fn lock(&self) -> MutexGuard<'_, Queue<C>> {
        // Nothing foreign runs under the lock but the clone of a waker, after which nothing changes.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Commits batch after batch until `enough` says so or none waits; `None` when poisoned.
    pub(super) fn lead(
        &self,
        mut core: Box<C>,
        mut batch: Batch<C::Request>,
        mut enough: impl FnMut(&mut Queue<C>) -> bool,
    ) -> Option<Led<'_, C>> {
        loop {
            let Batch {
                keys,
                requests,
                has_company,
            } = batch;
            let start = has_company.then(clock);
            let answers = panic::catch_unwind(AssertUnwindSafe(|| core.commit(requests)));
            let timed = start.map(|start| (start, clock()));
            let answers = match answers {
                Ok(answers) if answers.len() == keys.len() => answers,
                Ok(_) => {
                    tracing::error!("the committer gave a wrong number of answers");
                    self.poison(core, |queue| queue.poison(keys));
                    return None;
                }
                Err(panic) => {
                    tracing::error!(panic = message(&*panic), "the committer panicked");
                    self.poison(core, |queue| queue.poison(keys));
                    return None;
                }
            };
            let mut queue = self.lock();
            let settled = queue.settle(keys, answers, timed);
            let next = if enough(&mut queue) {
                None
            } else {
                queue.batch()
            };
            let Some(next) = next else {
                return Some(Led {
                    queue,
                    core,
                    settled,
                });
            };
            drop(queue);
            settled.deliver();
            batch = next;
        }
    }

    /// Puts the core back and tells who is next, then delivers.
    pub(super) fn release(&self, led: Led<'_, C>) {
        let Led {
            mut queue,
            core,
            settled,
        } = led;
        let next = queue.give_back(core);
        drop(queue);
        self.tell(next);
        settled.deliver();
    }

    pub(super) fn tell(&self, next: Next) {
        match next {
            Next::Nobody => {}
            Next::Future(waker) => waker.wake(),
            Next::Thread => self.work.notify_one(),
            Next::Turn => self.turn.notify_all(),
        }
    }

    /// What the thread of [`Leader::Thread`] does.
    fn lead_always(&self) {
        let mut queue = self.lock();
        while !queue.is_over() {
            let Some((core, batch)) = queue.lead() else {
                queue.thread_idle(true);
                queue = self
                    .work
                    .wait(queue)
                    .unwrap_or_else(PoisonError::into_inner);
                queue.thread_idle(false);
                continue;
            };
            drop(queue);
            if let Some(led) = self.lead(core, batch, |queue| queue.turn_waits()) {
                self.release(led);
            }
            queue = self.lock();
        }
    }

    fn wait_turn(&self, mut queue: MutexGuard<'_, Queue<C>>) -> Result<Box<C>, SubmitError> {
        let ticket = queue.ask_turn();
        loop {
            if let Some(core) = queue.turn(ticket)? {
                return Ok(core);
            }
            queue = self
                .turn
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Runs with the core, commits one batch that waits, and gives it back.
    fn run<T>(&self, mut core: Box<C>, run: impl FnOnce(&mut C) -> T) -> T {
        let value = match panic::catch_unwind(AssertUnwindSafe(|| run(&mut core))) {
            Ok(value) => value,
            Err(panic) => {
                self.poison(core, |queue| queue.poison(Vec::new()));
                panic::resume_unwind(panic);
            }
        };
        let mut queue = self.lock();
        match queue.batch() {
            Some(batch) => {
                drop(queue);
                if let Some(led) = self.lead(core, batch, |_| true) {
                    self.release(led);
                }
            }
            None => self.release(Led {
                queue,
                core,
                settled: Settled::new(),
            }),
        }
        value
    }

    /// Commits until nothing waits; keeps the core.
    fn drain(&self, core: Box<C>) -> Result<Box<C>, SubmitError> {
        let batch = self.lock().batch();
        let Some(batch) = batch else {
            return Ok(core);
        };
        let led = self
            .lead(core, batch, |_| false)
            .ok_or(SubmitError::Poisoned)?;
        let Led {
            queue,
            core,
            settled,
        } = led;
        drop(queue);
        settled.deliver();
        Ok(core)
    }

    /// Ends the group, tells everybody who waits, and drops the core.
    fn poison(&self, core: Box<C>, end: impl FnOnce(&mut Queue<C>) -> Settled<C>) {
        let mut queue = self.lock();
        let settled = end(&mut queue);
        let idle = queue.thread_idle(false);
        drop(queue);
        settled.deliver();
        self.turn.notify_all();
        if idle {
            self.work.notify_one();
        }
        // A core that panicked may panic again.
        drop(panic::catch_unwind(AssertUnwindSafe(|| drop(core))));
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
