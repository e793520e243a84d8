//! What a running processor is watched and steered by.

use std::sync::Arc;

use annals_core::{Cursor, Error, ErrorKind, Receipt};

use super::cell::{Cell, Seen};
use super::status::{ConsumerState, ConsumerStatus};

/// What a running [`Processor`](crate::Processor) is watched and steered by. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ProcessorHandle {
    cells: Arc<[Arc<Cell>]>,
}

impl ProcessorHandle {
    pub(super) fn new(cells: Vec<Arc<Cell>>) -> Self {
        Self {
            cells: cells.into(),
        }
    }

    /// What each consumer is doing.
    pub fn status(&self) -> Vec<ConsumerStatus> {
        let cells = self.cells.iter();
        let statuses = cells.map(|cell| {
            let seen = cell.look();
            ConsumerStatus {
                name: cell.name.clone(),
                partition: cell.partition,
                state: seen.state.clone(),
                cursor: seen.cursor.clone(),
            }
        });
        statuses.collect()
    }

    /// Waits until a consumer has handled an append, so that its model shows it.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a name that no consumer has, and
    /// [`ErrorKind::Unavailable`] when the consumer stops before it.
    pub async fn wait_for(&self, name: &str, receipt: &Receipt) -> Result<(), Error> {
        self.wait(name, |seen| seen.cursor.covers(&receipt.cursor))
            .await
    }

    /// Waits until a consumer has handled everything that was recorded before.
    ///
    /// # Errors
    /// As for [`wait_for`](Self::wait_for).
    pub async fn wait_until_live(&self, name: &str) -> Result<(), Error> {
        self.wait(name, |seen| seen.state == ConsumerState::Live)
            .await
    }

    /// Stops all consumers, each after the batch that it is at, and waits for that.
    pub async fn stop(&self) {
        for cell in &*self.cells {
            cell.change(|seen| seen.is_stopping = true);
        }
        for cell in &*self.cells {
            cell.wait(|seen| is_over(seen).then_some(())).await;
        }
    }

    async fn wait(&self, name: &str, is_so: impl Fn(&Seen) -> bool) -> Result<(), Error> {
        let mut known = false;
        for cell in self.cells.iter().filter(|cell| cell.name.as_str() == name) {
            known = true;
            cell.wait(|seen| {
                let is_over = is_over(seen);
                match is_so(seen) {
                    true => Some(Ok(())),
                    false => is_over.then(|| Err(over(name, &seen.cursor))),
                }
            })
            .await?;
        }
        if known {
            return Ok(());
        }
        let message = "no consumer of this name";
        Err(Error::new(ErrorKind::Invalid, message).with("name", name))
    }
}

fn is_over(seen: &Seen) -> bool {
    matches!(
        seen.state,
        ConsumerState::Failed(_) | ConsumerState::Stopped
    )
}

fn over(name: &str, cursor: &Cursor) -> Error {
    let message = "consumer stopped before it; see its status";
    let error = Error::new(ErrorKind::Unavailable, message);
    error.with("name", name).with("cursor", cursor)
}
