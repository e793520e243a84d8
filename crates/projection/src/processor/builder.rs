//! A processor: what feeds consumers.

use std::fmt;
use std::sync::Arc;

use annals_concurrency::{BlockingThreads, Chance, Spawn, SystemChance, SystemTimer, Timer};
use annals_core::{
    CheckpointName, CheckpointStore, Clock, Error, ErrorKind, EventStore, Observer, SystemClock,
};

use super::feed::Feed;
use super::handle::ProcessorHandle;
use super::running::Running;
use super::settings::ProcessorSettings;
use crate::contract::consumer::Consumer;
use crate::contract::partition::Partition;
use crate::contract::sink::Sink;
use crate::projection::consumer::ProjectionConsumer;
use crate::projection::definition::Projection;
use crate::reaction::consumer::ReactionConsumer;
use crate::reaction::definition::Reaction;

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
#[must_use = "call `start` or `run` to feed the consumers"]
pub struct Processor {
    store: Arc<dyn EventStore>,
    timer: Arc<dyn Timer>,
    clock: Arc<dyn Clock>,
    chance: Arc<dyn Chance>,
    spawn: Arc<dyn Spawn>,
    settings: ProcessorSettings,
    observer: Option<Arc<dyn Observer>>,
    consumers: Vec<Box<dyn Consumer>>,
}

/// A [`Processor`] in the making.
#[must_use = "call `build` to have a processor"]
pub struct ProcessorBuilder {
    processor: Processor,
    /// What the first refused consumer was refused for.
    refusal: Option<Error>,
}

impl Processor {
    /// Begins a processor over this store.
    pub fn builder(store: Arc<dyn EventStore>) -> ProcessorBuilder {
        ProcessorBuilder {
            processor: Self {
                store,
                timer: Arc::new(SystemTimer),
                clock: Arc::new(SystemClock),
                chance: Arc::new(SystemChance),
                spawn: Arc::new(BlockingThreads),
                settings: ProcessorSettings::DEFAULT,
                observer: None,
                consumers: Vec::new(),
            },
            refusal: None,
        }
    }

    /// Begins to feed the consumers, and returns at once. Each consumer, and each reader, is a task of the
    /// [`Spawn`] for as long as it lives.
    pub fn start(self) -> ProcessorHandle {
        let feed = Feed::new(
            self.store,
            self.timer,
            self.chance,
            self.spawn,
            self.settings,
            self.consumers.len(),
        );
        let feed = feed.observed_by(self.observer);
        let running = Running::new(feed, self.clock);
        for consumer in self.consumers {
            if running.add(consumer).is_err() {
                // The builder refused a second one of a name.
                running.feed.arrived();
            }
        }
        ProcessorHandle::new(Arc::new(running))
    }

    /// Feeds the consumers until all are stopped, by a [`handle`](Self::start) or because the future is dropped: then
    /// each ends after the batch that it is at, and nobody waits for it.
    pub async fn run(self) {
        let running = StopOnDrop(self.start());
        running.0.stopped().await;
    }
}

struct StopOnDrop(ProcessorHandle);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.begin_to_stop();
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

    /// Feeds this projection in partitions beside each other, each into a sink of its own, as from
    /// [`MemorySink::split`](crate::MemorySink::split). The order of each key is kept.
    ///
    /// No sink, and more than [`Partition::COUNT_MAX`], are refused by [`build`](Self::build).
    pub fn project_split<S: Sink<Model: 'static>>(
        mut self,
        projection: &Projection<S::Model>,
        sinks: Vec<S>,
    ) -> Self {
        let count = u32::try_from(sinks.len()).unwrap_or(u32::MAX);
        let partitions = match Partition::all(count) {
            Ok(partitions) => partitions,
            Err(error) => {
                let error = error.during("split a projection into its sinks");
                self.refusal.get_or_insert(error);
                return self;
            }
        };
        for (partition, sink) in partitions.into_iter().zip(sinks) {
            self = self.project(projection.for_partition(partition), sink);
        }
        self
    }

    /// Feeds this reaction, whose progress is kept in that store. A name that is too long is refused by
    /// [`build`](Self::build).
    pub fn react(mut self, reaction: Reaction, checkpoints: Arc<dyn CheckpointStore>) -> Self {
        let store = Arc::clone(&self.processor.store);
        match ReactionConsumer::new(reaction, store, checkpoints) {
            Ok(consumer) => self.consume(Box::new(consumer)),
            Err(error) => {
                self.refusal.get_or_insert(error);
                self
            }
        }
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

    /// Tells this observer of every step of a projection, every delivery to a reaction, and, at each
    /// [`status`](ProcessorHandle::status), how far the consumers are: as the `Monitor` of `annals-profile` is told.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.processor.observer = Some(observer);
        self
    }

    /// Works there: on the threads of the crate `blocking` unless said otherwise.
    pub fn spawn(mut self, spawn: impl Spawn + 'static) -> Self {
        self.processor.spawn = Arc::new(spawn);
        self
    }

    /// Waits by this timer: the machine's unless said otherwise.
    pub fn timer(mut self, timer: impl Timer + 'static) -> Self {
        self.processor.timer = Arc::new(timer);
        self
    }

    /// Tells by this clock how long events have been recorded: the machine's unless said otherwise.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.processor.clock = Arc::new(clock);
        self
    }

    /// Shortens pauses by this chance: the system's unless said otherwise.
    pub fn chance(mut self, chance: impl Chance + 'static) -> Self {
        self.processor.chance = Arc::new(chance);
        self
    }

    /// The processor.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for two consumers of one name and partition, for names that are too long, and for
    /// settings that make no sense.
    pub fn build(self) -> Result<Processor, Error> {
        if let Some(refusal) = self.refusal {
            return Err(refusal);
        }
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
