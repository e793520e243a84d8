//! A store whose appends wait for projections.

use std::fmt;
use std::sync::Arc;

use annals_core::{
    Append, AppendId, Capabilities, CheckpointName, ConsistencyLevel, Cursor, Error, EventStore,
    Page, PolicyChange, ReadRequest, Receipt, StreamHead, StreamId,
};
use async_trait::async_trait;
use futures_util::FutureExt as _;
use futures_util::future::join_all;

use crate::contract::consumer::Consumer;
use crate::processor::builder::Processor;
use crate::processor::handle::ProcessorHandle;

/// A store whose appends return when its projections have the events: whoever appends through it then reads its own
/// writes in their models, and so does everyone who hears of the append from it.
///
/// The projections are fed by a processor, as any others: what other writers append to the same store reaches them
/// too, an event that fails is tried again, parked or skipped by the policy of its projection, and appends that come
/// together are taken in one batch. An append so takes as long as the slowest of the projections.
///
/// # What is promised
/// The models change right after the append, and not in the same step: who reads the store meanwhile may see an event
/// that no model has yet, and who is answered does not.
///
/// A receipt says that the events are recorded, and that is so whatever becomes of the projections: an append that is
/// recorded is never answered by an error of theirs. One that is stopped, or has failed and waits for a rescue, is not
/// waited for; [`processor`](Self::processor) tells of it. One that is paused, or tries again, is.
///
/// # Cancellation
/// When the future of an append is dropped while it waits for the projections, the events are recorded.
///
/// ```
/// use std::sync::Arc;
///
/// use annals_codec::{EventCodec, JsonCodec};
/// use annals_core::{Append, EventStore, Expected, Ids, StreamId, UuidIds};
/// use annals_macros::Event;
/// use annals_projection::{Inline, MemorySink, Projection, ProjectionConsumer};
/// use annals_store_memory::MemoryStore;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Event, Serialize, Deserialize)]
/// #[event(category = "order")]
/// struct Placed { cents: u64 }
///
/// # futures_executor::block_on(async {
/// let revenue = Projection::builder("revenue", 1)?
///     .on(JsonCodec, |revenue: &mut u64, event: &Placed, _| {
///         *revenue += event.cents;
///         Ok(())
///     })
///     .build()?;
/// let sink = MemorySink::new(0);
/// let view = sink.view();
/// let store = Inline::new(MemoryStore::new(), vec![Box::new(ProjectionConsumer::new(revenue, sink))])?;
///
/// let append = Append::builder(UuidIds::default().append_id())
///     .write(StreamId::parse("order-7")?, Expected::NoStream, [JsonCodec.encode(&Placed { cents: 250 })?])
///     .build()?;
/// store.append(append).await?;
/// assert_eq!(*view.read(), 250); // nothing to wait for
/// # Ok::<(), annals_core::Error>(())
/// # }).unwrap();
/// ```
pub struct Inline<S> {
    store: Arc<S>,
    processor: ProcessorHandle,
    names: Vec<CheckpointName>,
}

impl<S: EventStore + 'static> Inline<S> {
    /// This store, whose appends wait for these consumers: projections with their sinks
    /// ([`ProjectionConsumer`](crate::ProjectionConsumer)). They work on the threads of the crate `blocking`.
    ///
    /// # Errors
    /// [`annals_core::ErrorKind::Invalid`] for two consumers of one name and partition.
    pub fn new(store: S, consumers: Vec<Box<dyn Consumer>>) -> Result<Self, Error> {
        let store = Arc::new(store);
        let names = names(&consumers);
        let mut processor = Processor::builder(Arc::<S>::clone(&store));
        for consumer in consumers {
            processor = processor.consume(consumer);
        }
        let processor = processor.build()?.start();
        Ok(Self {
            store,
            processor,
            names,
        })
    }

    /// This store, whose appends wait for these consumers of a processor over the same store, which runs elsewhere.
    /// Dropping the wrapper stops it.
    pub fn with_processor(
        store: S,
        processor: ProcessorHandle,
        names: Vec<CheckpointName>,
    ) -> Self {
        Self {
            store: Arc::new(store),
            processor,
            names,
        }
    }

    /// What feeds the projections.
    pub fn processor(&self) -> &ProcessorHandle {
        &self.processor
    }

    /// The store itself, whose appends wait for nothing.
    pub fn inner(&self) -> &Arc<S> {
        &self.store
    }

    /// Waits until every projection has the events up to here, or has failed.
    async fn wait(&self, cursor: &Cursor) {
        let waits = self.names.iter().map(|name| async move {
            let waited = self.processor.wait_for_cursor(name.as_str(), cursor).await;
            if let Err(error) = waited {
                tracing::warn!(projection = %name, %error, "an append is recorded, and a projection is behind it");
            }
        });
        join_all(waits).await;
    }
}

/// The names of consumers, each once.
fn names(consumers: &[Box<dyn Consumer>]) -> Vec<CheckpointName> {
    let mut names: Vec<CheckpointName> = Vec::new();
    for consumer in consumers {
        if !names.contains(consumer.name()) {
            names.push(consumer.name().clone());
        }
    }
    names
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: EventStore + 'static> EventStore for Inline<S> {
    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }

    async fn append(&self, append: Append) -> Result<Receipt, Error> {
        let receipt = self.store.append(append).await?;
        self.wait(&receipt.cursor).await;
        Ok(receipt)
    }

    async fn receipt(&self, id: &AppendId) -> Result<Option<Receipt>, Error> {
        let receipt = self.store.receipt(id).await?;
        if let Some(receipt) = &receipt {
            self.wait(&receipt.cursor).await;
        }
        Ok(receipt)
    }

    async fn read(&self, request: ReadRequest) -> Result<Page, Error> {
        self.store.read(request).await
    }

    async fn head(&self, consistency: ConsistencyLevel) -> Result<Cursor, Error> {
        self.store.head(consistency).await
    }

    async fn stream_head(&self, stream: &StreamId) -> Result<StreamHead, Error> {
        self.store.stream_head(stream).await
    }

    async fn change_stream_policy(&self, change: PolicyChange) -> Result<StreamHead, Error> {
        self.store.change_stream_policy(change).await
    }

    async fn changed_since(&self, cursor: &Cursor) -> Result<Cursor, Error> {
        self.store.changed_since(cursor).await
    }
}

impl<S> Drop for Inline<S> {
    fn drop(&mut self) {
        // The first poll tells all to stop; nobody waits for it.
        let _ = self.processor.stop().now_or_never();
    }
}

impl<S: fmt::Debug> fmt::Debug for Inline<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inline")
            .field("store", &self.store)
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}
