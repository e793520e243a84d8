//! A consumer that works only while its partition is held.

use std::borrow::Cow;
use std::sync::Arc;

use annals_core::{CheckpointName, Error, RecordedEvent};
use async_trait::async_trait;

use super::held::HeldPartition;
use crate::contract::batch::Batch;
use crate::contract::choice::EventChoice;
use crate::contract::consumer::{Consumer, Handled, Prepare};
use crate::contract::failure_policy::FailurePolicy;
use crate::contract::partition::Partition;
use crate::contract::progress::Progress;

/// A consumer of one partition, under a name of its own.
#[derive(Debug)]
pub(super) struct Guarded {
    pub(super) name: CheckpointName,
    pub(super) inner: Box<dyn Consumer>,
    pub(super) held: HeldPartition,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Consumer for Guarded {
    fn name(&self) -> &CheckpointName {
        &self.name
    }

    fn partition(&self) -> Partition {
        self.inner.partition()
    }

    fn choice(&self) -> &EventChoice {
        self.inner.choice()
    }

    fn key<'e>(&self, event: &'e RecordedEvent) -> Cow<'e, str> {
        self.inner.key(event)
    }

    fn failure_policy(&self) -> &FailurePolicy {
        self.inner.failure_policy()
    }

    fn preparation(&self) -> Option<Arc<dyn Prepare>> {
        self.inner.preparation()
    }

    async fn open(&mut self) -> Result<Progress, Error> {
        self.held.check()?;
        self.inner.open().await
    }

    async fn handle(&mut self, batch: &Batch) -> Result<Handled, Error> {
        self.held.check()?;
        self.inner.handle(batch).await
    }

    async fn reset(&mut self) -> Result<(), Error> {
        self.held.check()?;
        self.inner.reset().await
    }
}
