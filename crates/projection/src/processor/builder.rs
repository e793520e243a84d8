//! A processor: what feeds consumers.

use std::fmt;
use std::sync::Arc;

use annals_concurrency::{BlockingThreads, Spawn};
use annals_core::{CheckpointName, Error, ErrorKind, EventStore};

use super::cell::Cell;
use super::handle::ProcessorHandle;
use super::settings::ProcessorSettings;
use super::worker::Worker;
use crate::contract::consumer::Consumer;
use crate::contract::partition::Partition;
use crate::contract::sink::Sink;
use crate::projection::consumer::ProjectionConsumer;
use crate::projection::definition::Projection;

/// Feeds projections, reactions and other consumers with the events of a store: what was recorded, then what is
/// appended, without a gap and without a duplicate where the one turns into the other.
///
/// ```
/// use std::sync::Arc;
///
/// use annals_codec::{EventCodec, JsonCodec};
/// use annals_core::{Append, EventStore, Expected, Ids, StreamId, UuidIds};
/// use annals_macros::Event;
/// use annals_projection::{MemorySink, Processor, Projection};
/// use annals_store_memory::MemoryStore;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Event, Serialize, Deserialize)]
/// #[event(category = "order")]
/// struct Placed { cents: u64 }
///
/// # futures_executor::block_on(async {
/// let store: Arc<dyn EventStore> = Arc::new(MemoryStore::new());
/// let revenue = Projection::builder("revenue", 1)?
///     .on(JsonCodec, |revenue: &mut u64, event: &Placed, _| {
///         *revenue += event.cents;
///         Ok(())
///     })
///     .build()?;
/// let sink = MemorySink::new(0);
/// let view = sink.view();
/// let running = Processor::builder(Arc::clone(&store)).project(revenue, sink).build()?.start();
///
/// let append = Append::builder(UuidIds::default().append_id())
///     .write(StreamId::parse("order-7")?, Expected::NoStream, [JsonCodec.encode(&Placed { cents: 250 })?])
///     .build()?;
/// let receipt = store.append(append).await?;
/// running.wait_for("revenue", &receipt).await?;
/// assert_eq!(*view.read(), 250);
/// running.stop().await;
/// # Ok::<(), annals_core::Error>(())
/// # }).unwrap();
/// ```
#[must_use = "call `start` to feed the consumers"]
pub struct Processor {
    store: Arc<dyn EventStore>,
    spawn: Arc<dyn Spawn>,
    settings: ProcessorSettings,
    consumers: Vec<Box<dyn Consumer>>,
}

/// A [`Processor`] in the making.
#[must_use = "call `build` to have a processor"]
pub struct ProcessorBuilder {
    processor: Processor,
}

impl Processor {
    /// Begins a processor over this store.
    pub fn builder(store: Arc<dyn EventStore>) -> ProcessorBuilder {
        ProcessorBuilder {
            processor: Self {
                store,
                spawn: Arc::new(BlockingThreads),
                settings: ProcessorSettings::DEFAULT,
                consumers: Vec::new(),
            },
        }
    }

    /// Begins to feed the consumers, and returns at once.
    pub fn start(self) -> ProcessorHandle {
        let mut cells = Vec::new();
        for consumer in self.consumers {
            let cell = Cell::new(consumer.name().clone(), consumer.partition());
            cells.push(Arc::clone(&cell));
            let worker = Worker {
                store: Arc::clone(&self.store),
                settings: self.settings.clone(),
                cell,
                consumer,
            };
            self.spawn.spawn(Box::pin(worker.run()));
        }
        ProcessorHandle::new(cells)
    }
}

impl ProcessorBuilder {
    /// Feeds this projection into this sink.
    pub fn project<S: Sink<Model: 'static>>(
        self,
        projection: Projection<S::Model>,
        sink: S,
    ) -> Self {
        self.consume(Box::new(ProjectionConsumer::new(projection, sink)))
    }

    /// Feeds this consumer.
    pub fn consume(mut self, consumer: Box<dyn Consumer>) -> Self {
        self.processor.consumers.push(consumer);
        self
    }

    /// Works by these settings.
    pub fn settings(mut self, settings: ProcessorSettings) -> Self {
        self.processor.settings = settings;
        self
    }

    /// Works there: on the threads of the crate `blocking` unless said otherwise.
    pub fn spawn(mut self, spawn: impl Spawn + 'static) -> Self {
        self.processor.spawn = Arc::new(spawn);
        self
    }

    /// The processor.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for two consumers of one name and partition, and for settings that make no sense.
    pub fn build(self) -> Result<Processor, Error> {
        self.processor.settings.validate()?;
        let mut known: Vec<(CheckpointName, Partition)> = Vec::new();
        for consumer in &self.processor.consumers {
            let id = (consumer.name().clone(), consumer.partition());
            if known.contains(&id) {
                let message = "two consumers of one name; give them names of their own";
                return Err(Error::new(ErrorKind::Invalid, message).with("name", id.0));
            }
            known.push(id);
        }
        Ok(self.processor)
    }
}

impl fmt::Debug for Processor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Processor")
            .field("consumers", &self.consumers)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ProcessorBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ProcessorBuilder")
            .field(&self.processor)
            .finish()
    }
}
