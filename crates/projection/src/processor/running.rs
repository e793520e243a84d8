//! A processor that runs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};

use annals_core::{Clock, Error, ErrorKind};

use super::cell::Cell;
use super::feed::Feed;
use super::orders::Wish;
use super::worker::Worker;
use crate::contract::consumer::Consumer;
use crate::sync::{Mutex, MutexGuard};

/// What the handles of a processor share.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) feed: Arc<Feed>,
    pub(super) clock: Arc<dyn Clock>,
    cells: Mutex<Vec<Arc<Cell>>>,
    numbers: AtomicU64,
}

impl Running {
    pub(super) fn new(feed: Feed, clock: Arc<dyn Clock>) -> Self {
        Self {
            feed: Arc::new(feed),
            clock,
            cells: Mutex::default(),
            numbers: AtomicU64::new(0),
        }
    }

    /// Begins to feed a consumer.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when one of its name and partition is fed already.
    pub(super) fn add(&self, consumer: Box<dyn Consumer>) -> Result<(), Error> {
        let cell = Arc::new(Cell::new(
            self.numbers.fetch_add(1, Ordering::Relaxed),
            consumer.name().clone(),
            consumer.partition(),
            consumer.choice().clone(),
        ));
        self.register(&cell)?;
        let worker = Worker::new(Arc::clone(&self.feed), cell, consumer);
        self.feed.begin(Box::pin(worker.run()));
        Ok(())
    }

    fn register(&self, cell: &Arc<Cell>) -> Result<(), Error> {
        let mut cells = self.lock();
        cells.retain(|known| !known.look().is_over());
        let is_same =
            |known: &Arc<Cell>| known.name == cell.name && known.partition == cell.partition;
        if cells.iter().any(is_same) {
            let message = "two consumers of one name; give them names of their own";
            return Err(Error::new(ErrorKind::Invalid, message).with("name", &cell.name));
        }
        cells.push(Arc::clone(cell));
        Ok(())
    }

    /// All consumers, those that stopped since the last one was added included.
    pub(super) fn cells(&self) -> Vec<Arc<Cell>> {
        self.lock().clone()
    }

    /// The consumers of a name: one for each of its partitions.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when there is none.
    pub(super) fn named(&self, name: &str) -> Result<Vec<Arc<Cell>>, Error> {
        let (named, others): (Vec<_>, Vec<_>) = self
            .cells()
            .into_iter()
            .partition(|cell| cell.name.as_str() == name);
        if named.is_empty() {
            let message = "no consumer of this name; take one of those that are fed";
            let fed: Vec<&str> = others.iter().map(|cell| cell.name.as_str()).collect();
            let error = Error::new(ErrorKind::Invalid, message).with("name", name);
            return Err(error.with("fed", fed.join(", ")));
        }
        Ok(named)
    }

    /// Tells all consumers to stop.
    pub(super) fn stop(&self) {
        for cell in self.cells() {
            cell.wish(Wish::Stop);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Cell>>> {
        self.cells.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
