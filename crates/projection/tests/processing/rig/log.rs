//! A consumer that writes down what it is fed with.

use std::borrow::Cow;
use std::sync::{Arc, Mutex};

use annals_core::{CheckpointName, Cursor, Error, Position, RecordedEvent};
use annals_projection::{
    Batch, Consumer, EventChoice, FailurePolicy, Handled, ParkedEvents, Partition, Prepare,
    Progress,
};
use async_trait::async_trait;

use super::tasks::pass;

/// Writes down the positions of its events, with its progress, in one step.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    name: CheckpointName,
    pub(crate) choice: EventChoice,
    pub(crate) partition: Partition,
    pub(crate) policy: FailurePolicy,
    /// Gives the others so many turns before it takes a batch.
    pub(crate) slowness: usize,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) positions: Vec<Position>,
    pub(crate) cursor: Cursor,
    pub(crate) parked: ParkedEvents,
    /// The sizes of the batches that it took.
    pub(crate) batches: Vec<usize>,
    pub(crate) opened: usize,
}

impl Log {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: CheckpointName::parse(name).unwrap(),
            choice: EventChoice::ALL,
            partition: Partition::WHOLE,
            policy: FailurePolicy::stop(),
            slowness: 0,
            kept: Arc::default(),
        }
    }

    pub(crate) fn boxed(&self) -> Box<dyn Consumer> {
        Box::new(self.clone())
    }

    pub(crate) fn look<T>(&self, look: impl FnOnce(&mut Kept) -> T) -> T {
        look(&mut self.kept.lock().unwrap())
    }

    pub(crate) fn positions(&self) -> Vec<u64> {
        self.look(|kept| {
            kept.positions
                .iter()
                .map(|position| position.value())
                .collect()
        })
    }
}

#[async_trait]
impl Consumer for Log {
    fn name(&self) -> &CheckpointName {
        &self.name
    }

    fn partition(&self) -> Partition {
        self.partition
    }

    fn choice(&self) -> &EventChoice {
        &self.choice
    }

    fn key<'e>(&self, event: &'e RecordedEvent) -> Cow<'e, str> {
        Cow::Borrowed(event.stream().as_str())
    }

    fn failure_policy(&self) -> &FailurePolicy {
        &self.policy
    }

    fn preparation(&self) -> Option<Arc<dyn Prepare>> {
        None
    }

    async fn open(&mut self) -> Result<Progress, Error> {
        pass().await;
        Ok(self.look(|kept| {
            kept.opened += 1;
            Progress {
                cursor: kept.cursor.clone(),
                parked: kept.parked.clone(),
            }
        }))
    }

    async fn handle(&mut self, batch: &Batch) -> Result<Handled, Error> {
        for _ in 0..self.slowness {
            pass().await;
        }
        self.look(|kept| {
            let events = batch.events().map(|(_, event)| event.position());
            let before = kept.positions.len();
            kept.positions.extend(events);
            kept.batches.push(kept.positions.len() - before);
            let step = batch.step();
            kept.cursor = step.cursor.clone();
            if let Some(parked) = step.parked {
                kept.parked = parked.clone();
            }
        });
        pass().await;
        Ok(Handled::Whole)
    }

    async fn reset(&mut self) -> Result<(), Error> {
        self.look(|kept| *kept = Kept::default());
        Ok(())
    }
}
