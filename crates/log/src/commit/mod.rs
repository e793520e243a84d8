//! Group commit: many submit, one commits, all are answered.
//!
//! [`GroupCommit`] puts a queue before a [`Commit`], a single-threaded committer. The caller that finds
//! it free *leads*: it takes what waits, commits it on its own thread and answers everybody whose request
//! was in the batch; others queue meanwhile. Before it takes the batch it lets in those who were answered
//! just now and are about to come again. So a lone caller pays for no thread hop, and many callers
//! share the price of one commit. The shell knows nothing of files or events, needs no runtime, and wakes
//! whoever waits through the wakers of their futures.

mod error;
mod gathering;
#[cfg(test)]
mod gathering_tests;
mod group;
mod queue;
mod settings;
mod slots;
mod submit;
mod sync;

pub use error::SubmitError;
pub use group::GroupCommit;
pub use settings::{Backlog, GroupSettings, Leader};
pub use submit::Submit;

/// A single-threaded committer of batches: the core that a [`GroupCommit`] shares among callers.
pub trait Commit: Send + 'static {
    /// What a caller submits.
    type Request: Send + 'static;

    /// What a caller gets back for one request.
    type Answer: Send + 'static;

    /// Commits a batch, never empty, and answers each of its requests, in their order.
    ///
    /// It is called by one thread at a time and may block. What it could not do for one request is a
    /// matter of that answer.
    ///
    /// # Panics
    ///
    /// A panic, or a number of answers other than that of the requests, ends the group for good: see
    /// [`SubmitError::Unknown`] and [`SubmitError::Poisoned`].
    fn commit(&mut self, batch: Vec<Self::Request>) -> Vec<Self::Answer>;

    /// How many bytes the request counts against the bounds of the queue and of a batch.
    fn weight(request: &Self::Request) -> usize;
}
