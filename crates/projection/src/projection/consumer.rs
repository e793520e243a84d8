//! A projection with its sink, as a consumer.

use std::borrow::Cow;
use std::fmt;
use std::mem;
use std::sync::Arc;

use annals_core::{CheckpointName, Error, ErrorKind, RecordedEvent, WorkKind, WorkOutcome};
use async_trait::async_trait;

use super::definition::{NotTaken, Projection};
use crate::contract::batch::Batch;
use crate::contract::choice::EventChoice;
use crate::contract::consumer::{Consumer, Handled, Prepare};
use crate::contract::failure_policy::FailurePolicy;
use crate::contract::partition::Partition;
use crate::contract::progress::Progress;
use crate::contract::sink::Sink;
use crate::errors::kind_of;

/// A projection with the sink that keeps its model: what a [`Processor`](crate::Processor) makes of the two.
pub struct ProjectionConsumer<S: Sink> {
    name: CheckpointName,
    projection: Projection<S::Model>,
    /// Away only while a thread that may block has it.
    sink: Option<S>,
    /// Whether the sink's step has batches in it already.
    is_amid_step: bool,
}

impl<S: Sink<Model: 'static>> ProjectionConsumer<S> {
    /// This projection into this sink, under the projection's name.
    pub fn new(projection: Projection<S::Model>, sink: S) -> Self {
        Self {
            name: projection.name().clone(),
            projection,
            sink: Some(sink),
            is_amid_step: false,
        }
    }

    /// The same under another name, so that two versions of a projection can run in one processor. The model keeps
    /// the projection's name.
    #[must_use]
    pub fn named(mut self, name: CheckpointName) -> Self {
        self.name = name;
        self
    }

    /// Calls the sink, on a thread that may block where it blocks.
    async fn on_sink<T: Send + 'static>(
        &mut self,
        call: impl FnOnce(&mut S) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let mut sink = self.sink.take().ok_or_else(lost)?;
        if !sink.blocks() {
            let answer = call(&mut sink);
            self.sink = Some(sink);
            return answer;
        }
        let called = blocking::unblock(move || {
            let answer = call(&mut sink);
            (sink, answer)
        });
        let (sink, answer) = called.await;
        self.sink = Some(sink);
        answer
    }
}

#[async_trait]
impl<S: Sink<Model: 'static>> Consumer for ProjectionConsumer<S> {
    fn name(&self) -> &CheckpointName {
        &self.name
    }

    fn partition(&self) -> Partition {
        self.projection.partition()
    }

    fn choice(&self) -> &EventChoice {
        self.projection.choice()
    }

    fn key<'e>(&self, event: &'e RecordedEvent) -> Cow<'e, str> {
        self.projection.key(event)
    }

    fn failure_policy(&self) -> &FailurePolicy {
        self.projection.failure_policy()
    }

    fn preparation(&self) -> Option<Arc<dyn Prepare>> {
        Some(self.projection.preparation())
    }

    async fn open(&mut self) -> Result<Progress, Error> {
        let model = self.projection.model_id();
        self.is_amid_step = false;
        self.on_sink(move |sink| sink.open(&model)).await
    }

    async fn handle(&mut self, batch: &Batch) -> Result<Handled, Error> {
        let (projection, batch) = (self.projection.clone(), batch.clone());
        let name = self.name.clone();
        let is_amid_step = mem::take(&mut self.is_amid_step);
        // Told where the work is done: on the sink's thread, so that what a handler traces is within it.
        let handled = self
            .on_sink(move |sink| {
                let work = batch.work(WorkKind::Project, &name);
                let step = || take(&projection, sink, &batch, is_amid_step);
                work.run(batch.observer(), step, outcome)
            })
            .await?;
        self.is_amid_step = matches!(handled, Handled::PutOff);
        Ok(handled)
    }

    async fn reset(&mut self) -> Result<(), Error> {
        self.is_amid_step = false;
        self.on_sink(Sink::reset).await
    }
}

/// One step of a projection in its sink, or a part of one.
fn take<S: Sink<Model: 'static>>(
    projection: &Projection<S::Model>,
    sink: &mut S,
    batch: &Batch,
    is_amid_step: bool,
) -> Result<Handled, Error> {
    if !is_amid_step {
        sink.begin()?;
    }
    if let Err(NotTaken { index, error }) = projection.take(sink.model(), batch) {
        sink.roll_back()?;
        return Ok(Handled::Failed { index, error });
    }
    if batch.is_followed() && sink.puts_off() {
        return Ok(Handled::PutOff);
    }
    sink.commit(&batch.step())?;
    if is_amid_step {
        // A second copy would be behind by batches that are gone.
        sink.roll_back()?;
        return Ok(Handled::Whole);
    }
    while let Some(copy) = sink.second_copy() {
        if projection.take(copy, batch).is_err() {
            sink.roll_back()?;
            break;
        }
    }
    Ok(Handled::Whole)
}

fn outcome(handled: &Result<Handled, Error>) -> WorkOutcome {
    match handled {
        Ok(Handled::Failed { error, .. }) => WorkOutcome::Failed(kind_of(error)),
        Ok(_) => WorkOutcome::Done,
        Err(error) => WorkOutcome::Failed(error.kind()),
    }
}

fn lost() -> Error {
    let message = "sink was lost in a call that panicked or was given up; build the processor anew";
    Error::new(ErrorKind::Corrupt, message).during("project")
}

impl<S: Sink> fmt::Debug for ProjectionConsumer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProjectionConsumer")
            .field("name", &self.name)
            .field("projection", &self.projection)
            .field("sink", &self.sink)
            .field("is_amid_step", &self.is_amid_step)
            .finish()
    }
}
