//! What a processor feeds.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use annals_core::{BoxError, CheckpointName, Error, RecordedEvent};
use async_trait::async_trait;

use super::batch::Batch;
use super::choice::EventChoice;
use super::failure_policy::FailurePolicy;
use super::page::FeedPage;
use super::partition::Partition;
use super::progress::Progress;

/// What a [`Processor`](crate::Processor) feeds with events: a projection with its sink, a reaction, or a type of
/// your own.
///
/// A consumer does one thing: it takes a batch, whole or not at all, and notes with it how far it got. Retries,
/// pauses, parking and skipping are the processor's: it hands the events of a batch over again, or others, until the
/// consumer has taken them.
///
/// The calls come from one caller, one after the other: [`open`](Self::open) first, and again after any error.
///
/// # Cancellation
/// Every future may be dropped at any point, and the consumer with it; one that is opened under its name later goes
/// on from the last batch that was taken whole.
///
/// # Errors
/// As for a [`Sink`](crate::Sink): after kinds that may pass it is opened and tried again, any other stops the
/// consumer.
#[async_trait]
pub trait Consumer: fmt::Debug + Send {
    /// Its name, under which its progress is kept.
    fn name(&self) -> &CheckpointName;

    /// Which part of the events it takes; with its name it tells the consumers of a processor apart.
    fn partition(&self) -> Partition;

    /// Which events it takes, of its partition.
    fn choice(&self) -> &EventChoice;

    /// The key of an event: the events of one key are taken in their order, by one partition, and wait behind one
    /// that is parked.
    fn key<'e>(&self, event: &'e RecordedEvent) -> Cow<'e, str>;

    /// What becomes of an event that it can't handle.
    fn failure_policy(&self) -> &FailurePolicy;

    /// What can be done with a page before its turn, on another thread while the consumer has another page.
    fn preparation(&self) -> Option<Arc<dyn Prepare>>;

    /// Tells how far it got; where it is new, makes what it needs. A consumer that is to begin at the present
    /// notes where that is before it returns.
    async fn open(&mut self) -> Result<Progress, Error>;

    /// Takes the events of a batch and notes its [`step`](Batch::step), in one atomic step where it can. A batch
    /// without events has a step all the same. Where the batch [is followed](Batch::is_followed), noting may be
    /// [put off](Handled::PutOff).
    async fn handle(&mut self, batch: &Batch) -> Result<Handled, Error>;

    /// Forgets all and begins anew.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](annals_core::ErrorKind::Unsupported) where effects were caused that would be
    /// caused again, as by a reaction.
    async fn reset(&mut self) -> Result<(), Error>;
}

/// What became of a batch.
#[derive(Debug)]
#[non_exhaustive]
pub enum Handled {
    /// All of it is taken, and the step is noted.
    Whole,
    /// All of it is taken, and the step is put off: it is noted with the step of a later batch. Readers see none of
    /// it before, and it is gone when a later batch fails or the consumer is opened again: the processor then hands
    /// over everything after the step that was noted last. Only for a batch that [is followed](Batch::is_followed).
    PutOff,
    /// An event can't be handled; nothing of the batch is noted, and nothing that was put off.
    Failed {
        /// The event's index in the page.
        index: usize,
        /// Why.
        error: BoxError,
    },
    /// The processor has something else to do ([`Batch::is_interrupted`]), and the consumer stopped before this
    /// event; nothing of the batch is noted. Only where taking the events before it again does no harm.
    Interrupted {
        /// The index in the page of the first event that is not taken.
        index: usize,
    },
}

/// What can be done with a page on another thread, before the consumers take it: decoding its events.
pub trait Prepare: fmt::Debug + Send + Sync {
    /// Prepares the events that will be asked for. What fails here fails again for who asks.
    fn prepare(&self, page: &FeedPage);
}
