//! What a running processor is watched and steered by.

use std::sync::Arc;

use annals_core::{ConsistencyLevel, Cursor, Error, ErrorKind, EventStore, Position, Receipt};

use super::cell::{Cell, Seen};
use super::looking;
use super::orders::{Order, Wish};
use super::running::Running;
use super::status::{ConsumerState, ConsumerStatus};
use crate::contract::consumer::Consumer;
use crate::contract::parked::ParkedEvents;

/// What a running [`Processor`](crate::Processor) is watched and steered by. Cheap to clone; the processor runs on
/// when all are dropped.
///
/// A name stands for the consumer of that name, in all its partitions. Methods that take one give
/// [`ErrorKind::Invalid`] where there is none, and [`ErrorKind::Unavailable`] where it is stopped.
#[derive(Clone, Debug)]
pub struct ProcessorHandle {
    running: Arc<Running>,
}

impl ProcessorHandle {
    pub(super) fn new(running: Arc<Running>) -> Self {
        Self { running }
    }

    /// What each consumer is doing, and how far it is behind. Asks the store where one is.
    pub async fn status(&self) -> Vec<ConsumerStatus> {
        looking::look(&self.running).await
    }

    /// Waits until a consumer has handled an append, so that its model shows it; an event that is parked or skipped
    /// counts as handled. Waits on while the consumer is paused or tries again.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the consumer stops or fails before it.
    pub async fn wait_for(&self, name: &str, receipt: &Receipt) -> Result<(), Error> {
        self.wait_for_cursor(name, &receipt.cursor).await
    }

    /// Waits until a consumer has handled everything up to a place.
    ///
    /// # Errors
    /// As for [`wait_for`](Self::wait_for).
    pub async fn wait_for_cursor(&self, name: &str, cursor: &Cursor) -> Result<(), Error> {
        self.wait(name, |seen| seen.cursor.covers(cursor)).await
    }

    /// Waits until a consumer has handled everything that was recorded before the call, and waits for more.
    ///
    /// # Errors
    /// As for [`wait_for`](Self::wait_for), and as the store has it.
    pub async fn wait_until_live(&self, name: &str) -> Result<(), Error> {
        let store = &self.running.feed.store;
        let head = store.head(ConsistencyLevel::Strong).await?;
        self.wait(name, |seen| {
            seen.state == ConsumerState::Live && seen.cursor.covers(&head)
        })
        .await
    }

    /// Feeds a further consumer. It catches up beside the others, and joins them.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when one of its name and partition is fed already.
    pub fn add(&self, consumer: Box<dyn Consumer>) -> Result<(), Error> {
        self.running.add(consumer)
    }

    /// Has a consumer pause after the batch that it is at, and waits until it does.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when it stops or fails before it.
    pub async fn pause(&self, name: &str) -> Result<(), Error> {
        for cell in self.running.named(name)? {
            cell.wish(Wish::Pause);
        }
        self.wait(name, |seen| seen.state == ConsumerState::Paused)
            .await
    }

    /// Has a consumer go on: one that is paused, and one that failed.
    ///
    /// # Errors
    /// Where there is no such consumer.
    pub fn resume(&self, name: &str) -> Result<(), Error> {
        for cell in self.running.named(name)? {
            cell.wish(Wish::Run);
            // Before the worker hears of it: who waits from now on does not see the failure of before.
            cell.change(|seen| {
                if matches!(seen.state, ConsumerState::Failed(_)) {
                    seen.state = ConsumerState::CatchingUp;
                }
            });
            cell.order(Order::Resume);
        }
        Ok(())
    }

    /// Has a consumer forget its model and begin anew.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for a reaction, whose effects would be caused again; or as the sink has it.
    pub async fn reset(&self, name: &str) -> Result<(), Error> {
        for cell in self.running.named(name)? {
            cell.ask(Order::Reset).await?;
        }
        Ok(())
    }

    /// The events that a consumer passed without handling them, with the errors; one list for each partition.
    ///
    /// # Errors
    /// Where there is no such consumer.
    pub fn parked(&self, name: &str) -> Result<Vec<Arc<ParkedEvents>>, Error> {
        let cells = self.running.named(name)?;
        let parked = cells.iter().map(|cell| Arc::clone(&cell.look().parked));
        Ok(parked.collect())
    }

    /// Tries the parked events of a key again, or of all keys: each key in its order, until one fails anew. Tells how
    /// many were taken.
    ///
    /// # Errors
    /// As the store and the sink have it.
    pub async fn retry_parked(&self, name: &str, key: Option<&str>) -> Result<usize, Error> {
        let mut taken = 0;
        for cell in self.running.named(name)? {
            let key = key.map(str::to_owned);
            taken += cell.ask(|reply| Order::Retry(key, reply)).await?;
        }
        Ok(taken)
    }

    /// Gives up a parked event, with a record among those that were skipped; the ones that waited behind it are tried.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when no event of this position is parked; or as the store and the sink have it.
    pub async fn drop_parked(&self, name: &str, position: Position) -> Result<(), Error> {
        for cell in self.running.named(name)? {
            let is_here = cell.look().parked.holds(position);
            if is_here {
                return cell.ask(|reply| Order::Drop(position, reply)).await;
            }
        }
        let message = "no event of this position is parked; list those that are";
        Err(Error::new(ErrorKind::Invalid, message).with("position", position))
    }

    /// Stops a consumer after the batch that it is at, waits for that, and forgets it. It is dropped then, with its
    /// sink.
    ///
    /// # Errors
    /// Where there is no such consumer.
    pub async fn remove(&self, name: &str) -> Result<(), Error> {
        let cells = self.running.named(name)?;
        for cell in &cells {
            cell.wish(Wish::Stop);
        }
        wait_until_over(&cells).await;
        Ok(())
    }

    /// Stops all consumers, each after the batch that it is at, and waits for that, and for the reads that are under way.
    /// Nothing is lost: a processor that is begun anew goes on there.
    ///
    /// Then nothing of the processor holds its store or its sinks any more but its handles: drop those, and a store on
    /// disk can be opened anew. A model in memory that is being saved just then
    /// ([`MemorySink::saved_in`](crate::MemorySink::saved_in)) holds the store of snapshots until that is done.
    pub async fn stop(&self) {
        self.running.stop();
        self.stopped().await;
    }

    /// Waits until all consumers are stopped, as [`stop`](Self::stop) does.
    pub async fn stopped(&self) {
        wait_until_over(&self.running.cells()).await;
        self.running.feed.tasks.ended().await;
    }

    /// Tells all consumers to stop, and does not wait.
    pub(super) fn begin_to_stop(&self) {
        self.running.stop();
    }

    async fn wait(&self, name: &str, is_so: impl Fn(&Seen) -> bool) -> Result<(), Error> {
        for cell in self.running.named(name)? {
            cell.wait(|seen| {
                if is_so(seen) {
                    return Some(Ok(()));
                }
                match &seen.state {
                    ConsumerState::Failed(_) | ConsumerState::Stopped => Some(Err(over(seen))),
                    _ => None,
                }
            })
            .await
            .map_err(|error| error.with("name", name))?;
        }
        Ok(())
    }
}

async fn wait_until_over(cells: &[Arc<Cell>]) {
    for cell in cells {
        cell.wait(|seen| seen.is_over().then_some(())).await;
    }
}

fn over(seen: &Seen) -> Error {
    let message = "consumer stopped before it; see its state, mend what failed, then resume it";
    let error = Error::new(ErrorKind::Unavailable, message);
    error
        .with("cursor", &seen.cursor)
        .with("state", &seen.state)
}
