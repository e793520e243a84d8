//! The future of one request.

use std::fmt;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::gathering::{Approach, Came};
use super::group::Shared;
use super::queue::{Abandoned, Queue};
use super::slots::Key;
use super::sync::{MutexGuard, thread};
use super::{Commit, SubmitError};

/// The answer to one request, to come: see [`GroupCommit::submit`](super::GroupCommit::submit).
#[must_use = "a request is submitted when its future is polled"]
pub struct Submit<'a, C: Commit> {
    shared: &'a Shared<C>,
    stage: Stage<C::Request>,
}

enum Stage<R> {
    New { request: R, weight: usize },
    Queued(Key, Came),
    Done,
}

type Outcome<C> = Result<<C as Commit>::Answer, SubmitError>;

impl<'a, C: Commit> Submit<'a, C> {
    pub(super) fn new(shared: &'a Shared<C>, request: C::Request) -> Self {
        let weight = C::weight(&request);
        Self {
            shared,
            stage: Stage::New { request, weight },
        }
    }

    /// Queues the request.
    fn enter(
        &self,
        request: C::Request,
        weight: usize,
    ) -> Result<(Key, MutexGuard<'a, Queue<C>>), SubmitError> {
        let mut queue = self.shared.lock();
        if let Err(error) = queue.admit(weight) {
            drop(queue);
            drop(request);
            return Err(error);
        }
        Ok((queue.push(request, weight), queue))
    }

    /// Fetches the answer, or leads if the core is free, or waits. Who could lead but expects others steps
    /// back, so that those come in. A leader leads until its own request is answered, which only those before
    /// it can delay, and then hands over.
    fn advance(
        &self,
        key: Key,
        came: &mut Came,
        mut queue: MutexGuard<'a, Queue<C>>,
        context: &Context<'_>,
    ) -> Poll<Outcome<C>> {
        if let Some(outcome) = queue.outcome(key) {
            return Poll::Ready(outcome);
        }
        let approach = queue.approach(key, came);
        let taken = match approach {
            Approach::Lead => queue.lead_as_caller(),
            Approach::Park => None,
            Approach::StepBack | Approach::Linger => {
                drop(queue);
                // Whoever is awaited may wait for this processor.
                if approach == Approach::Linger {
                    thread::yield_now();
                }
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
        };
        if let Some((core, batch)) = taken {
            drop(queue);
            let mut outcome = None;
            let led = self.shared.lead(core, batch, |queue| {
                outcome = queue.outcome(key);
                outcome.is_some() || queue.turn_waits()
            });
            let Some(mut led) = led else {
                // Poisoned: every slot has its outcome.
                let mut queue = self.shared.lock();
                return outcome
                    .or_else(|| queue.outcome(key))
                    .map_or(Poll::Pending, Poll::Ready);
            };
            let replaced = match outcome {
                Some(_) => None,
                None => led.queue.park(key, context.waker()),
            };
            self.shared.release(led);
            drop(replaced);
            return outcome.map_or(Poll::Pending, Poll::Ready);
        }
        let replaced = queue.park(key, context.waker());
        let next = queue.call_thread();
        drop(queue);
        drop(replaced);
        self.shared.tell(next);
        Poll::Pending
    }
}

impl<C: Commit> Future for Submit<'_, C> {
    type Output = Outcome<C>;

    #[expect(
        clippy::panic,
        reason = "the contract of futures: none is polled once it is ready"
    )]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // Ours again where it is pending, and only then: should a waker panic beneath us, the slot may be
        // another's by the time that we are dropped.
        let (key, mut came, queue) = match mem::replace(&mut self.stage, Stage::Done) {
            Stage::New { request, weight } => match self.enter(request, weight) {
                Ok((key, queue)) => (key, Came::Never, queue),
                Err(error) => return Poll::Ready(Err(error)),
            },
            Stage::Queued(key, came) => (key, came, self.shared.lock()),
            Stage::Done => panic!("a submitted request is polled after its answer"),
        };
        let outcome = self.advance(key, &mut came, queue, context);
        if outcome.is_pending() {
            self.stage = Stage::Queued(key, came);
        }
        outcome
    }
}

/// The request is moved, never pinned.
impl<C: Commit> Unpin for Submit<'_, C> {}

impl<C: Commit> Drop for Submit<'_, C> {
    fn drop(&mut self) {
        if let Stage::Queued(key, _) = self.stage {
            let Abandoned {
                request,
                answer,
                waker,
                next,
            } = self.shared.lock().abandon(key);
            self.shared.tell(next);
            drop((request, answer, waker));
        }
    }
}

impl<C: Commit> fmt::Debug for Submit<'_, C> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match self.stage {
            Stage::New { .. } => "new",
            Stage::Queued(..) => "queued",
            Stage::Done => "done",
        };
        formatter
            .debug_struct("Submit")
            .field("stage", &stage)
            .finish_non_exhaustive()
    }
}
