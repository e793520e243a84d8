//! Stores that are measured.

use annals_core::{
    Append, AppendId, Capabilities, Checkpoint, CheckpointName, CheckpointSave, CheckpointStore,
    ConsistencyLevel, Cursor, Error, ErrorKind, EventStore, Page, PolicyChange, ReadRequest,
    Receipt, Selection, Snapshot, SnapshotKey, SnapshotRemoval, SnapshotStore, StreamHead,
    StreamId, Version,
};
use async_trait::async_trait;
use tracing::Instrument as _;

use crate::monitor::{Begun, Monitor};
use crate::operation::Operation;
use crate::profiler::Profiler;
use crate::totals::Measurement;
use crate::trace::{Spans, TraceContext, ending};

/// A store whose every call is measured: an event store, a snapshot store, a checkpoint store, whichever it is.
///
/// An append of several streams is one operation, and for each of the streams the time of all of it. A read that
/// is not of a single stream is of none. Waiting for changes is not measured.
///
/// With a [`Monitor`] it traces and records metrics too. Where its [`Spans`](crate::Spans) are
/// [joined](crate::Spans::joining) to a tracer, events that carry no trace context are appended with that of the
/// append's span; nothing else about an append is changed, and where the headers would grow over their limit the
/// append goes as it came.
///
/// ```
/// use std::sync::Arc;
///
/// use annals_concurrency::SystemTimer;
/// use annals_core::{EventStore, ReadRequest};
/// use annals_profile::{Operation, ProfiledStore, Profiler};
/// use annals_store_memory::MemoryStore;
///
/// let profiler = Profiler::new(Arc::new(SystemTimer));
/// let store = ProfiledStore::new(MemoryStore::new(), profiler.clone());
/// futures_executor::block_on(store.read(ReadRequest::all()))?;
/// assert_eq!(profiler.totals(Operation::Read).count, 1);
/// # Ok::<(), annals_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ProfiledStore<S> {
    inner: S,
    monitor: Monitor,
}

impl<S> ProfiledStore<S> {
    /// This store, measured by this profiler or monitor.
    pub fn new(inner: S, monitor: impl Into<Monitor>) -> Self {
        Self {
            inner,
            monitor: monitor.into(),
        }
    }

    /// The store inside.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// The profiler.
    pub fn profiler(&self) -> &Profiler {
        self.monitor.profiler()
    }

    /// Waits for an answer, and records how long it took.
    async fn measure<T>(
        &self,
        operation: Operation,
        stream: Option<&StreamId>,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let begun = self.monitor.begin(|spans| spans.call(operation, stream));
        let answer = within(&begun, call).await;
        let measured = self.monitor.ended(&begun, failed(&answer));
        self.monitor.record(operation, stream, measured);
        answer
    }

    async fn ask<T>(
        &self,
        stream: Option<&StreamId>,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        self.measure(Operation::Ask, stream, call).await
    }

    /// The append with the trace context that its events carry.
    fn traced(&self, append: Append, begun: &Begun) -> Append {
        let (Some(spans), Some(span)) = (self.monitor.spans(), &begun.span) else {
            return append;
        };
        let Some(context) = spans.carried(span) else {
            return append;
        };
        let traced = append.clone().map_metadata(|metadata| {
            if metadata.header(TraceContext::TRACEPARENT).is_some() {
                return Ok(metadata.clone());
            }
            context.add_to(metadata)
        });
        traced.unwrap_or(append)
    }

    /// Records an append: for each of its streams, and for all of it.
    fn appended(&self, append: &Append, answer: &Result<Receipt, Error>, measured: Measurement) {
        let measured = measured.events(count(append.event_count()));
        let (profiler, operation) = (self.profiler(), Operation::Append);
        match append.writes() {
            [write] => profiler.record(operation, Some(&write.stream), measured),
            several => {
                let streams = several.iter();
                let streams = streams.map(|write| (&write.stream, count(write.events.len())));
                profiler.record_all(operation, streams, measured);
            }
        }
        #[cfg(feature = "metrics")]
        if let Some(metrics) = self.monitor.metrics() {
            metrics.appended(append, answer, &measured);
        }
        #[cfg(not(feature = "metrics"))]
        let _ = answer;
    }
}

/// What is counted, as totals count.
fn count(events: usize) -> u64 {
    u64::try_from(events).unwrap_or(u64::MAX)
}

fn failed<T>(answer: &Result<T, Error>) -> Option<ErrorKind> {
    answer.as_ref().err().map(Error::kind)
}

/// Waits within a span, if there is one.
async fn within<T>(begun: &Begun, call: impl Future<Output = T>) -> T {
    match &begun.span {
        Some(span) => call.instrument(span.clone()).await,
        None => call.await,
    }
}

impl<S: EventStore> ProfiledStore<S> {
    /// An append within a span.
    async fn append_within(&self, spans: &Spans, append: Append) -> Result<Receipt, Error> {
        let begun = self.monitor.begin(|_| spans.append(&append));
        let append = self.traced(append, &begun);
        let answer = within(&begun, self.inner.append(append.clone())).await;
        let measured = self.monitor.ended(&begun, failed(&answer));
        self.appended(&append, &answer, measured);
        answer
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: EventStore> EventStore for ProfiledStore<S> {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn append(&self, append: Append) -> Result<Receipt, Error> {
        if let Some(spans) = self.monitor.spans() {
            // Boxed apart: whoever traces nothing carries no span about.
            return Box::pin(self.append_within(spans, append)).await;
        }
        let begun = self.profiler().now();
        let answer = self.inner.append(append.clone()).await;
        let took = self.profiler().since(begun);
        let measured = if answer.is_err() { took.failed() } else { took };
        self.appended(&append, &answer, measured);
        answer
    }

    async fn receipt(&self, id: &AppendId) -> Result<Option<Receipt>, Error> {
        self.ask(None, self.inner.receipt(id)).await
    }

    async fn read(&self, request: ReadRequest) -> Result<Page, Error> {
        let stream = match &request.selection {
            Selection::Stream(stream) => Some(stream.clone()),
            _ => None,
        };
        let read = |spans: &Spans| spans.call(Operation::Read, stream.as_ref());
        let begun = self.monitor.begin(read);
        let answer = within(&begun, self.inner.read(request)).await;
        let events = answer.as_ref().map_or(0, |page| page.events.len());
        if let Some(span) = &begun.span {
            ending(span, events);
        }
        let measured = self.monitor.ended(&begun, failed(&answer));
        self.monitor.record(
            Operation::Read,
            stream.as_ref(),
            measured.events(count(events)),
        );
        answer
    }

    async fn head(&self, consistency: ConsistencyLevel) -> Result<Cursor, Error> {
        self.ask(None, self.inner.head(consistency)).await
    }

    async fn stream_head(&self, stream: &StreamId) -> Result<StreamHead, Error> {
        self.ask(Some(stream), self.inner.stream_head(stream)).await
    }

    async fn change_stream_policy(&self, change: PolicyChange) -> Result<StreamHead, Error> {
        let stream = change.stream.clone();
        let change = self.inner.change_stream_policy(change);
        self.ask(Some(&stream), change).await
    }

    async fn changed_since(&self, cursor: &Cursor) -> Result<Cursor, Error> {
        self.inner.changed_since(cursor).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: SnapshotStore> SnapshotStore for ProfiledStore<S> {
    async fn save_snapshot(&self, snapshot: Snapshot) -> Result<(), Error> {
        let stream = snapshot.key().stream.clone();
        let save = self.inner.save_snapshot(snapshot);
        self.measure(Operation::Snapshot, Some(&stream), save).await
    }

    async fn load_snapshot(
        &self,
        key: &SnapshotKey,
        at_most: Version,
    ) -> Result<Option<Snapshot>, Error> {
        let load = self.inner.load_snapshot(key, at_most);
        self.measure(Operation::Snapshot, Some(&key.stream), load)
            .await
    }

    async fn remove_snapshots(&self, removal: SnapshotRemoval) -> Result<usize, Error> {
        let remove = self.inner.remove_snapshots(removal);
        self.measure(Operation::Snapshot, None, remove).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: CheckpointStore> CheckpointStore for ProfiledStore<S> {
    async fn load_checkpoint(&self, name: &CheckpointName) -> Result<Option<Checkpoint>, Error> {
        self.ask(None, self.inner.load_checkpoint(name)).await
    }

    async fn save_checkpoint(&self, save: CheckpointSave) -> Result<Checkpoint, Error> {
        self.ask(None, self.inner.save_checkpoint(save)).await
    }

    async fn remove_checkpoint(
        &self,
        name: &CheckpointName,
        expected_revision: u64,
    ) -> Result<(), Error> {
        let remove = self.inner.remove_checkpoint(name, expected_revision);
        self.ask(None, remove).await
    }
}
