//! What is measured: anything that records events durably and reads them back.

use std::future::Future;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Result, ensure};

use crate::event::{Line, Seen};
use crate::measure;

/// Something that the workloads run on. Every append is acknowledged when it is durable.
pub trait Subject: Sized + Send + Sync + 'static {
    /// How it takes an import fastest.
    const IMPORT: Import;

    /// How it takes many concurrent appends fastest.
    const CONCURRENCY: Concurrency = Concurrency::Tasks;

    /// Whether it outlives its process; one that does not is filled anew by each run.
    const DURABLE: bool = true;

    /// Opens the store in this folder, and creates it if there is none.
    fn open(dir: &Path) -> Result<Self>;

    /// Appends, from a task.
    fn append(&self, append: NewAppend) -> impl Future<Output = Result<Answer>> + Send;

    /// Appends, from a thread that may block.
    fn append_blocking(&self, append: NewAppend) -> Result<Answer> {
        pollster::block_on(self.append(append))
    }

    /// Appends from a task or from a thread that may block, as [`CONCURRENCY`](Self::CONCURRENCY) says.
    fn append_as_it_likes(&self, append: NewAppend) -> impl Future<Output = Result<Answer>> + Send {
        async {
            match Self::CONCURRENCY {
                Concurrency::Tasks => self.append(append).await,
                Concurrency::Threads => self.append_blocking(append),
            }
        }
    }

    /// Records all of these; durable when it returns.
    fn import(
        self: &Arc<Self>,
        appends: impl Iterator<Item = NewAppend> + Send + 'static,
    ) -> Result<()> {
        pipelined(self, appends)
    }

    /// Shows the events of an order's stream in order.
    fn read_stream(&self, order: u64, see: impl FnMut(Seen<'_>)) -> Result<()>;

    /// Shows every event in the order of the log.
    fn read_all(&self, see: impl FnMut(Seen<'_>)) -> Result<()>;

    /// The position of the newest event.
    fn head(&self) -> Result<u64>;

    /// Closes it in order.
    fn close(self) -> Result<()>;
}

/// One append: events for one stream, or for several without expectation.
#[derive(Clone, Debug)]
pub struct NewAppend {
    pub lines: Vec<Line>,
    pub guard: Guard,
}

/// Under which circumstances an append is to be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// Under none.
    None,
    /// When the stream has moved past what the caller knows of it.
    Stream(Known),
    /// When an event of the type for the customer was recorded after the position.
    Customer { customer: u64, after: u64 },
}

/// What a caller knows of a stream: how many events it has, and the newest one's position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    pub version: u64,
    pub position: u64,
}

/// The answer to an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Recorded durably, the last event at this position.
    Recorded(u64),
    /// Refused by its guard; nothing was recorded.
    Refused,
}

/// How a subject takes an import fastest.
#[derive(Clone, Copy, Debug)]
pub struct Import {
    /// Events an append.
    pub events: usize,
    /// Appends in flight at a time.
    pub in_flight: usize,
}

/// How a subject takes 64 concurrent appends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Concurrency {
    /// From 64 tasks on a runtime of two threads.
    Tasks,
    /// From 64 threads that block.
    Threads,
}

impl NewAppend {
    /// An append of one event without a guard.
    pub fn one(line: Line) -> Self {
        Self {
            lines: vec![line],
            guard: Guard::None,
        }
    }
}

/// Imports over [`Subject::append`], as many in flight as the subject likes.
fn pipelined<S: Subject>(
    subject: &Arc<S>,
    appends: impl Iterator<Item = NewAppend> + Send + 'static,
) -> Result<()> {
    let appends = Arc::new(Mutex::new(appends.fuse()));
    measure::concurrently(S::CONCURRENCY, S::IMPORT.in_flight, |_| {
        let (subject, appends) = (Arc::clone(subject), Arc::clone(&appends));
        async move {
            loop {
                let next = appends
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .next();
                let Some(append) = next else { return Ok(()) };
                let answer = subject.append_as_it_likes(append).await?;
                ensure!(
                    answer != Answer::Refused,
                    "an import without guards was refused"
                );
            }
        }
    })?;
    Ok(())
}
