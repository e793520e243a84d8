//! A reaction with its checkpoint, as a consumer.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use annals_core::{
    BoxError, Checkpoint, CheckpointName, CheckpointSave, CheckpointStore, ConsistencyLevel,
    Cursor, Error, EventStore, Position, RecordedEvent, Work, WorkEvents, WorkKind, WorkOutcome,
};
use async_trait::async_trait;
use futures_util::StreamExt as _;
use futures_util::stream;

use super::definition::{Reaction, Ready};
use super::record::Record;
use super::start::Start;
use crate::contract::batch::Batch;
use crate::contract::choice::EventChoice;
use crate::contract::consumer::{Consumer, Handled, Prepare};
use crate::contract::failure_policy::FailurePolicy;
use crate::contract::parked::ParkedEvents;
use crate::contract::partition::Partition;
use crate::contract::progress::Progress;
use crate::errors::kind_of;

/// A reaction with the stores that keep how far it got: what a [`Processor`](crate::Processor) makes of them.
#[derive(Debug)]
pub struct ReactionConsumer {
    reaction: Reaction,
    /// The name of the checkpoint: that of the reaction, and of its partition where there are several.
    checkpoint: CheckpointName,
    store: Arc<dyn EventStore>,
    checkpoints: Arc<dyn CheckpointStore>,
    revision: u64,
    record: Record,
    parked: ParkedEvents,
    /// The events that were reacted to, and are not behind the checkpoint: they are not delivered again.
    done: Arc<Mutex<HashSet<Position>>>,
}

/// Why the events of a key end before the last.
enum End {
    Failed(usize, BoxError),
    Interrupted(usize),
}

impl ReactionConsumer {
    /// This reaction to the events of this store, its progress in that one.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](annals_core::ErrorKind::Invalid) when the name is too long for its partition, or for
    /// the stream of parked events, to be added.
    pub fn new(
        reaction: Reaction,
        store: Arc<dyn EventStore>,
        checkpoints: Arc<dyn CheckpointStore>,
    ) -> Result<Self, Error> {
        let partition = reaction.partition();
        let checkpoint = if partition.is_whole() {
            reaction.name().clone()
        } else {
            CheckpointName::parse(&format!("{}.{partition}", reaction.name()))?
        };
        Ok(Self {
            record: Record::new(checkpoint.as_str())?,
            reaction,
            checkpoint,
            store,
            checkpoints,
            revision: 0,
            parked: ParkedEvents::default(),
            done: Arc::default(),
        })
    }

    /// Where a new reaction begins; noted at once, so that what is recorded from now on is reacted to, whatever
    /// happens.
    async fn begin(&mut self) -> Result<Cursor, Error> {
        let cursor = match self.reaction.start() {
            Start::Now => self.store.head(ConsistencyLevel::Strong).await?,
            Start::Beginning => Cursor::START,
            Start::After(cursor) => cursor.clone(),
        };
        self.revision = 0;
        self.save(cursor.clone()).await?;
        Ok(cursor)
    }

    async fn save(&mut self, cursor: Cursor) -> Result<(), Error> {
        let save = CheckpointSave {
            name: self.checkpoint.clone(),
            cursor,
            expected_revision: self.revision,
        };
        self.revision = self.checkpoints.save_checkpoint(save).await?.revision;
        Ok(())
    }

    /// Notes how far it got: what is parked first, so that no event is passed without a trace.
    async fn note(&mut self, batch: &Batch) -> Result<(), Error> {
        let step = batch.step();
        if let Some(parked) = step.parked {
            self.record
                .write(&*self.store, &self.parked, parked)
                .await?;
            self.parked.clone_from(parked);
        }
        self.save(step.cursor.clone()).await?;
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, event) in batch.events() {
            done.remove(&event.position());
        }
        Ok(())
    }

    /// The indexes of the events of a batch by their keys, each in order, the keys in the order of their first events.
    fn by_key(&self, batch: &Batch) -> Vec<Vec<usize>> {
        if self.reaction.concurrent_keys() == 1 {
            return vec![batch.indexes().collect()];
        }
        let mut places: HashMap<Cow<'_, str>, usize> = HashMap::new();
        let mut keys: Vec<Vec<usize>> = Vec::new();
        for (index, event) in batch.events() {
            let next = keys.len();
            let place = *places.entry(self.reaction.key(event)).or_insert(next);
            match keys.get_mut(place) {
                Some(events) => events.push(index),
                None => keys.push(vec![index]),
            }
        }
        keys
    }

    /// Delivers the events of a batch, those of several keys at once.
    async fn deliver(&mut self, batch: &Batch) -> Option<End> {
        let (reaction, done) = (self.reaction.clone(), Arc::clone(&self.done));
        let keys = self.by_key(batch);
        let ready = reaction.ready(batch.page());
        let mut chains = Vec::with_capacity(keys.len());
        for events in keys {
            chains.push(deliver_in_order(&ready, batch, events, &done));
        }
        let ends = stream::iter(chains).buffer_unordered(reaction.concurrent_keys());
        let ends: Vec<End> = ends.filter_map(std::future::ready).collect().await;
        first(ends)
    }
}

/// Delivers the events of a key, each after the one before is done.
async fn deliver_in_order(
    ready: &Ready<'_>,
    batch: &Batch,
    events: Vec<usize>,
    done: &Mutex<HashSet<Position>>,
) -> Option<End> {
    for index in events {
        let event = batch.page().events().get(index)?;
        let is_done = {
            let done = done.lock().unwrap_or_else(PoisonError::into_inner);
            done.contains(&event.position())
        };
        if is_done {
            continue;
        }
        if batch.is_interrupted() {
            return Some(End::Interrupted(index));
        }
        if let Err(error) = deliver_one(ready, batch, (index, event)).await {
            return Some(End::Failed(index, error));
        }
        let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
        done.insert(event.position());
    }
    None
}

/// Makes the deliveries of an event, one after the other, told to the observer.
async fn deliver_one(
    ready: &Ready<'_>,
    batch: &Batch,
    (index, event): (usize, &RecordedEvent),
) -> Result<(), BoxError> {
    let events = WorkEvents::All(std::slice::from_ref(event));
    let work = Work::of(WorkKind::React, ready.name(), events);
    let work = work.with_attempt(batch.attempt_of(index));
    let deliveries = async {
        for delivery in ready.deliveries(batch, index, event) {
            delivery.await?;
        }
        Ok(())
    };
    let outcome = |delivered: &Result<(), BoxError>| match delivered {
        Ok(()) => WorkOutcome::Done,
        Err(error) => WorkOutcome::Failed(kind_of(error)),
    };
    work.wait_for(batch.observer(), deliveries, outcome).await
}

/// The end that comes first in the order of events; before it, all are done.
fn first(ends: Vec<End>) -> Option<End> {
    ends.into_iter().min_by_key(|end| match end {
        End::Failed(index, _) | End::Interrupted(index) => *index,
    })
}

#[async_trait]
impl Consumer for ReactionConsumer {
    fn name(&self) -> &CheckpointName {
        self.reaction.name()
    }

    fn partition(&self) -> Partition {
        self.reaction.partition()
    }

    fn choice(&self) -> &EventChoice {
        self.reaction.choice()
    }

    fn key<'e>(&self, event: &'e RecordedEvent) -> Cow<'e, str> {
        self.reaction.key(event)
    }

    fn failure_policy(&self) -> &FailurePolicy {
        self.reaction.failure_policy()
    }

    fn preparation(&self) -> Option<Arc<dyn Prepare>> {
        Some(self.reaction.preparation())
    }

    async fn open(&mut self) -> Result<Progress, Error> {
        let known = self.checkpoints.load_checkpoint(&self.checkpoint).await?;
        let cursor = match known {
            Some(Checkpoint { cursor, revision }) => {
                self.revision = revision;
                cursor
            }
            None => self.begin().await?,
        };
        self.parked = self.record.read(&*self.store).await?;
        Ok(Progress {
            cursor,
            parked: self.parked.clone(),
        })
    }

    async fn handle(&mut self, batch: &Batch) -> Result<Handled, Error> {
        match self.deliver(batch).await {
            None => {
                self.note(batch).await?;
                Ok(Handled::Whole)
            }
            Some(End::Failed(index, error)) => Ok(Handled::Failed { index, error }),
            Some(End::Interrupted(index)) => Ok(Handled::Interrupted { index }),
        }
    }

    async fn reset(&mut self) -> Result<(), Error> {
        let error = Error::new(
            annals_core::ErrorKind::Unsupported,
            "a reaction is not replayed: its effects would be caused again; name a new one",
        );
        Err(error.during("reset").with("reaction", self.reaction.name()))
    }
}
