//! What feeds one consumer: opens it, hands it page after page, obeys orders, and tries again after failures.

mod orders;
mod parked;
mod steps;
mod taking;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use annals_core::{Cursor, Error, ErrorKind};
use futures_util::FutureExt as _;
use futures_util::future::{Either, select};

use super::cell::Cell;
use super::feed::{Feed, Member, Taken};
use super::gate::Gate;
use super::orders::Wish;
use super::status::ConsumerState;
use crate::contract::consumer::Consumer;
use crate::contract::failure_policy::FailurePolicy;
use crate::contract::parked::ParkedEvents;
use crate::contract::partition::Partition;
use crate::errors::{in_words, may_pass};
use crate::panics::of_panic;
use steps::Steps;

/// Feeds one consumer.
#[derive(Debug)]
pub(super) struct Worker {
    feed: Arc<Feed>,
    cell: Arc<Cell>,
    consumer: Box<dyn Consumer>,
    member: Member,
    partition: Partition,
    policy: FailurePolicy,
    /// Every event up to here is handled.
    cursor: Cursor,
    steps: Steps,
    gate: Gate,
    /// How often in a row something failed that is no event's fault.
    failures: u32,
}

/// What a worker does after it obeyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    GoOn,
    Stop,
}

impl Worker {
    pub(super) fn new(feed: Arc<Feed>, cell: Arc<Cell>, consumer: Box<dyn Consumer>) -> Self {
        Self {
            member: Member {
                id: cell.id,
                choice: consumer.choice().clone(),
                preparation: consumer.preparation(),
            },
            partition: consumer.partition(),
            policy: consumer.failure_policy().clone(),
            feed,
            cell,
            consumer,
            cursor: Cursor::START,
            steps: Steps::default(),
            gate: Gate::default(),
            failures: 0,
        }
    }

    /// Feeds the consumer until it is told to stop.
    pub(super) fn run(self) -> impl Future<Output = ()> + Send {
        let ending = Ending {
            feed: Arc::clone(&self.feed),
            cell: Arc::clone(&self.cell),
            has_arrived: false,
        };
        let run = Run {
            worker: self,
            ending,
        };
        run.run()
    }

    /// Opens the consumer, and stands where it does.
    async fn open(&mut self) -> Result<(), Error> {
        let progress = self.consumer.open().await?;
        self.feed.leave(self.member.id);
        self.lose_put_off();
        self.set_parked(Arc::new(progress.parked));
        self.noted(progress.cursor, 0);
        Ok(())
    }

    /// Hands over page after page. Ends well when the consumer is to stop.
    async fn feed_on(&mut self, ending: &mut Ending) -> Result<(), Error> {
        self.is_at(false);
        self.release().await?;
        loop {
            // Listen before looking, so that no order is missed.
            let ordered = self.cell.ordered();
            if self.obey().await? == Then::Stop {
                return self.note().await;
            }
            let taken = self.feed.take(&self.member, &self.cursor);
            ending.arrived();
            match taken {
                Taken::Page { page, is_newest } => {
                    self.take_page(&page, is_newest).await?;
                    self.is_at(is_newest && *page.cursor() == self.cursor);
                }
                Taken::Wait {
                    bell,
                    is_live,
                    trouble,
                } => {
                    if is_live || trouble.is_some() {
                        self.note().await?;
                    }
                    match trouble {
                        Some(error) => self.is_hindered(1, error),
                        None => self.is_at(is_live),
                    }
                    select(bell, ordered).await;
                }
                Taken::Failed(error) => return Err(error),
            }
        }
    }

    /// Tries again after a pause where that may help, or fails until somebody resumes it.
    async fn recover(&mut self, error: Error) -> Then {
        self.failures = self.failures.saturating_add(1);
        let words = in_words(&error);
        let retry = &self.feed.settings.retry;
        if may_pass(error.kind()) && self.failures < retry.attempts_max {
            let pause = retry.pause(self.failures, self.feed.chance.draw());
            self.is_hindered(self.failures, words);
            self.pause(pause).await;
            return match self.cell.wanted() {
                Wish::Stop => Then::Stop,
                Wish::Run | Wish::Pause => Then::GoOn,
            };
        }
        tracing::warn!(consumer = %self.cell.name, error = %words, "a consumer fails");
        self.cell.set_state(ConsumerState::Failed(words));
        self.failures = 0;
        self.await_rescue().await
    }

    /// Waits so long; `false` when an order came before.
    async fn pause(&mut self, duration: Duration) -> bool {
        let ordered = self.cell.ordered();
        if self.cell.is_interrupted() {
            return false;
        }
        if duration.is_zero() {
            return true;
        }
        let over = select(self.feed.timer.sleep(duration), ordered).await;
        matches!(over, Either::Left(_))
    }

    /// Stands at this cursor, after so many events more, and shows it: everything up to here is noted, or of no use to
    /// the consumer.
    fn stand(&mut self, cursor: Cursor, events: usize) {
        let events = self.is_noted().saturating_add(events);
        self.cursor.clone_from(&cursor);
        self.cell.change(|seen| {
            seen.cursor = cursor;
            // What was tried again went well, or was decided on.
            if matches!(seen.state, ConsumerState::Retrying { .. }) {
                seen.state = ConsumerState::CatchingUp;
            }
            seen.handled = seen
                .handled
                .saturating_add(u64::try_from(events).unwrap_or(u64::MAX));
        });
    }

    fn set_parked(&mut self, parked: Arc<ParkedEvents>) {
        self.gate = Gate::new(Arc::clone(&parked));
        self.cell.change(|seen| seen.parked = parked);
    }

    fn is_at(&self, is_live: bool) {
        self.cell.set_state(if is_live {
            ConsumerState::Live
        } else {
            ConsumerState::CatchingUp
        });
    }

    fn is_hindered(&self, attempts: u32, error: String) {
        self.cell
            .set_state(ConsumerState::Retrying { attempts, error });
    }
}

/// A worker and its end, in the order in which they go: the consumer is gone when the end is told, also where the task
/// is dropped before its first turn.
struct Run {
    worker: Worker,
    ending: Ending,
}

impl Run {
    async fn run(mut self) {
        let Self { worker, ending } = &mut self;
        loop {
            let opened = caught(worker.open()).await;
            if opened.is_err() {
                ending.arrived();
            }
            let fed = match opened {
                Ok(()) => caught(worker.feed_on(ending)).await,
                Err(error) => Err(error),
            };
            let Err(error) = fed else { return };
            worker.lose_put_off();
            worker.feed.leave(worker.member.id);
            if worker.recover(error).await == Then::Stop {
                return;
            }
        }
    }
}

/// Runs what may panic, as the code of a consumer may; a panic is an error that does not pass.
async fn caught(run: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
    match AssertUnwindSafe(run).catch_unwind().await {
        Ok(done) => done,
        Err(panic) => {
            let message = "consumer panicked; mend it, then resume";
            Err(Error::new(ErrorKind::Refused, message).caused_by(of_panic(&*panic)))
        }
    }
}

/// The end of a worker, however it comes: nobody waits for it any more.
struct Ending {
    feed: Arc<Feed>,
    cell: Arc<Cell>,
    has_arrived: bool,
}

impl Ending {
    /// The consumer is here, or will not come: reading need not wait for it.
    fn arrived(&mut self) {
        if !std::mem::replace(&mut self.has_arrived, true) {
            self.feed.arrived();
        }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.arrived();
        self.feed.leave(self.cell.id);
        self.cell.end();
    }
}
