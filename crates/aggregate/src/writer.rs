//! What repositories and transactions share: the way to the store.

use std::sync::Arc;

use annals_concurrency::Retrier;
use annals_core::{
    Append, AppendBuilder, Clock, Error, ErrorKind, EventStore, Ids, Metadata, NewEvent, Observer,
    Receipt, StreamId, SystemClock, Timestamp, UuidIds, Work, WorkKind, WorkOutcome,
};

use crate::{CommandError, Context};

/// The setters that repositories and decisions have for their writer.
macro_rules! writer_setters {
    () => {
        /// The same with append ids from here.
        #[must_use]
        pub fn with_ids(mut self, ids: std::sync::Arc<dyn annals_core::Ids>) -> Self {
            self.writer.ids = ids;
            self
        }

        /// The same with the time of this clock, for `recorded_at`.
        #[must_use]
        pub fn with_clock(mut self, clock: std::sync::Arc<dyn annals_core::Clock>) -> Self {
            self.writer.clock = clock;
            self
        }

        /// The same with this observer, which is told of every command, load and fold, as the `Monitor` of
        /// `annals-profile` is; by default there is none.
        #[must_use]
        pub fn with_observer(
            mut self,
            observer: std::sync::Arc<dyn annals_core::Observer>,
        ) -> Self {
            self.writer.observer = Some(observer);
            self
        }

        /// The same with these retries, in place of those that were set before: how often it is tried again
        /// after which errors, with what pauses, until when.
        ///
        /// # Errors
        /// As [`RetryPolicy::validate`](annals_concurrency::RetryPolicy::validate) has it.
        pub fn with_retry_policy(
            mut self,
            policy: annals_concurrency::RetryPolicy,
        ) -> Result<Self, annals_core::Error> {
            self.writer.retrier = self.writer.retrier.with_policy(policy)?;
            Ok(self)
        }

        /// The same with the pauses of this timer between tries, as that of a runtime; by default it is
        /// [`SystemTimer`](annals_concurrency::SystemTimer), which works under any.
        #[must_use]
        pub fn with_timer(mut self, timer: std::sync::Arc<dyn annals_concurrency::Timer>) -> Self {
            self.writer.retrier = self.writer.retrier.with_timer(timer);
            self
        }

        /// The same with the chance from here, by which pauses differ.
        #[must_use]
        pub fn with_chance(
            mut self,
            chance: std::sync::Arc<dyn annals_concurrency::Chance>,
        ) -> Self {
            self.writer.retrier = self.writer.retrier.with_chance(chance);
            self
        }
    };
}
pub(crate) use writer_setters;

/// A store, and where identities and time come from.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    pub(crate) store: Arc<dyn EventStore>,
    pub(crate) ids: Arc<dyn Ids>,
    pub(crate) clock: Arc<dyn Clock>,
    /// How often a command is tried, a load begun, an append sent.
    pub(crate) retrier: Retrier,
    /// Who is told of commands and loads.
    pub(crate) observer: Option<Arc<dyn Observer>>,
}

/// What the events of one append have in common.
pub(crate) struct Stamp {
    metadata: Metadata,
    recorded_at: Timestamp,
}

impl Writer {
    pub(crate) fn new(store: Arc<dyn EventStore>) -> Self {
        Self {
            store,
            ids: Arc::new(UuidIds::default()),
            clock: Arc::new(SystemClock),
            retrier: Retrier::default(),
            observer: None,
        }
    }

    /// Refuses an aggregate that was loaded from another store: its version says nothing about this one.
    pub(crate) fn check_store(
        &self,
        loaded_from: &Arc<dyn EventStore>,
        stream: &StreamId,
        operation: &'static str,
    ) -> Result<(), Error> {
        if is_same_store(&self.store, loaded_from) {
            return Ok(());
        }
        let message = "aggregate was loaded from another store; load and append with one `Arc`";
        Err(Error::new(ErrorKind::Invalid, message)
            .during(operation)
            .with("stream", stream))
    }

    /// Runs a command on a stream, told to the observer.
    pub(crate) async fn command<T, E>(
        &self,
        stream: &StreamId,
        run: impl Future<Output = Result<T, CommandError<E>>>,
    ) -> Result<T, CommandError<E>> {
        let command = Work::on(WorkKind::Command, stream);
        let outcome = |answer: &Result<T, CommandError<E>>| match answer {
            Ok(_) => WorkOutcome::Done,
            Err(error) => error.outcome(),
        };
        command.wait_for(self.observer.as_ref(), run, outcome).await
    }

    /// Begins an append in this context.
    pub(crate) fn begin(&self, context: &Context) -> (AppendBuilder, Stamp) {
        let id = context.append_id();
        let append = Append::builder(id.unwrap_or_else(|| self.ids.append_id()));
        let append = match context.fence() {
            Some(fence) => fence.guard(append),
            None => append,
        };
        let stamp = Stamp {
            metadata: context.metadata().clone(),
            recorded_at: context.recorded_at().unwrap_or_else(|| self.clock.now()),
        };
        (append, stamp)
    }

    /// The receipt of the append whose id this context fixes, if it was recorded before.
    pub(crate) async fn recorded(&self, context: &Context) -> Result<Option<Receipt>, Error> {
        match context.append_id() {
            Some(id) => self.store.receipt(&id).await,
            None => Ok(None),
        }
    }
}

impl Stamp {
    pub(crate) fn on(&self, event: NewEvent) -> NewEvent {
        event
            .with_metadata(self.metadata.clone())
            .with_recorded_at(self.recorded_at)
    }
}

/// Whether both are one store, behind clones of one `Arc`.
pub(crate) fn is_same_store(first: &Arc<dyn EventStore>, second: &Arc<dyn EventStore>) -> bool {
    let address = |store: &Arc<dyn EventStore>| Arc::as_ptr(store).cast::<()>();
    address(first) == address(second)
}
