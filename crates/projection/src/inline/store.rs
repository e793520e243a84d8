//! A store whose answers wait for projections.

use std::fmt;
use std::sync::Arc;

use annals_core::{
    Append, AppendId, Capabilities, CheckpointName, ConsistencyLevel, Cursor, Direction, Error,
    ErrorKind, EventStore, Page, PolicyChange, ReadRequest, Receipt, StreamHead, StreamId,
};
use async_trait::async_trait;
use futures_util::FutureExt as _;
use futures_util::future::join_all;

use crate::contract::consumer::Consumer;
use crate::processor::builder::Processor;
use crate::processor::handle::ProcessorHandle;

/// A store that tells of no event before its projections have it, as if they were updated in the same step as the
/// append: whoever hears of an event from it finds it in their models.
///
/// The projections are fed by a processor, as any others: what other writers append to the same store reaches them
/// too, an event that fails is tried again, parked or skipped by the policy of its projection, and appends that come
/// together are taken in one batch. An append so takes as long as the slowest of the projections.
///
/// # What is promised
/// - Whatever it answers is in the models: an append and its receipt, the events of a page or a conflict, a head, a
///   change that was waited for. So whoever was answered, and whoever is told by them, reads at least that in every model.
/// - A model has no event that is not recorded, durably where the store is durable: projections read what the
///   store serves.
/// - After [`open`](Self::open), that holds for what was recorded before too: after a crash between an append and its
///   projection, the models are brought up from where they stood before anything is served.
///
/// Who reads the store itself ([`inner`](Self::inner), another process) may see an event that no model has yet. A model
/// may show an event an instant before its append is answered, as the store itself does. A consumer that the wrapper
/// waits for must not ask the wrapper, or it waits for itself: it takes the store itself.
///
/// A receipt says that the events are recorded, and that is so whatever becomes of the projections: an append that is
/// recorded is never answered by an error of theirs. Have a projection [park](crate::FailurePolicy::park) what it
/// can't handle: it then has every other event, and the parked ones by name. One that is stopped, or has failed and
/// waits for a rescue, is not waited for; [`processor`](Self::processor) tells of it. One that is paused, or tries again,
/// is.
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
/// let revenue = ProjectionConsumer::new(revenue, sink);
/// let store = Inline::open(MemoryStore::new(), vec![Box::new(revenue)]).await?;
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
    /// This store, whose answers wait for these consumers: projections with their sinks
    /// ([`ProjectionConsumer`](crate::ProjectionConsumer)). Returns when they have everything that was recorded before.
    /// They work on the threads of the crate `blocking`.
    ///
    /// # Errors
    /// As for [`new`](Self::new) and [`catch_up`](Self::catch_up).
    pub async fn open(store: S, consumers: Vec<Box<dyn Consumer>>) -> Result<Self, Error> {
        let inline = Self::new(store, consumers)?;
        inline.catch_up().await?;
        Ok(inline)
    }

    /// The same at once: until [`catch_up`](Self::catch_up) returns, models may lack what was recorded before.
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

    /// This store, whose answers wait for these consumers of a processor over the same store, which runs elsewhere.
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

    /// The store itself, whose answers wait for nothing.
    pub fn inner(&self) -> &Arc<S> {
        &self.store
    }

    /// Waits until every projection has everything that was recorded before the call.
    ///
    /// # Errors
    /// [`annals_core::ErrorKind::Unavailable`] when one stops or fails before it, with its name; or as the store has it.
    pub async fn catch_up(&self) -> Result<(), Error> {
        for name in &self.names {
            self.processor.wait_until_live(name.as_str()).await?;
        }
        Ok(())
    }

    /// Waits until every projection has everything that is recorded by now, or has failed.
    async fn wait_for_now(&self) -> Result<(), Error> {
        let head = self.store.head(ConsistencyLevel::Strong).await?;
        self.wait(&head).await;
        Ok(())
    }

    /// Waits until every projection has the events up to here, or has failed.
    async fn wait(&self, cursor: &Cursor) {
        let waits = self.names.iter().map(|name| async move {
            let waited = self.processor.wait_for_cursor(name.as_str(), cursor).await;
            if let Err(error) = waited {
                tracing::warn!(projection = %name, %error, "a projection is behind what is recorded");
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
        match self.store.append(append).await {
            Ok(receipt) => {
                self.wait(&receipt.cursor).await;
                Ok(receipt)
            }
            Err(error) => {
                if error.kind() == ErrorKind::Conflict {
                    // It names the events that it conflicts with; the answer is the same without them.
                    let _ = self.wait_for_now().await;
                }
                Err(error)
            }
        }
    }

    async fn receipt(&self, id: &AppendId) -> Result<Option<Receipt>, Error> {
        let receipt = self.store.receipt(id).await?;
        if let Some(receipt) = &receipt {
            self.wait(&receipt.cursor).await;
        }
        Ok(receipt)
    }

    async fn read(&self, request: ReadRequest) -> Result<Page, Error> {
        let is_backward = request.direction == Direction::Backward;
        let page = self.store.read(request).await?;
        if is_backward || page.stream.is_some() {
            // It tells of events beyond its cursor.
            self.wait_for_now().await?;
        } else {
            self.wait(&page.cursor).await;
        }
        Ok(page)
    }

    async fn head(&self, consistency: ConsistencyLevel) -> Result<Cursor, Error> {
        let head = self.store.head(consistency).await?;
        self.wait(&head).await;
        Ok(head)
    }

    async fn stream_head(&self, stream: &StreamId) -> Result<StreamHead, Error> {
        let head = self.store.stream_head(stream).await?;
        self.wait_for_now().await?;
        Ok(head)
    }

    async fn change_stream_policy(&self, change: PolicyChange) -> Result<StreamHead, Error> {
        let head = self.store.change_stream_policy(change).await?;
        // It has happened, whatever can be waited for.
        let _ = self.wait_for_now().await;
        Ok(head)
    }

    async fn changed_since(&self, cursor: &Cursor) -> Result<Cursor, Error> {
        let changed = self.store.changed_since(cursor).await?;
        self.wait(&changed).await;
        Ok(changed)
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
