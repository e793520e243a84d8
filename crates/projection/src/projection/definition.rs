//! A projection: what builds a read model.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use annals_core::{BoxError, CheckpointName, Error, RecordedEvent};

use super::builder::ProjectionBuilder;
use super::handler::{Handle, Place};
use crate::contract::batch::Batch;
use crate::contract::choice::EventChoice;
use crate::contract::consumer::Prepare;
use crate::contract::failure_policy::FailurePolicy;
use crate::contract::model_id::ModelId;
use crate::contract::page::{AnyColumn, FeedPage};
use crate::contract::partition::Partition;
use crate::key_rule::KeyRule;
use crate::panics::catching;

/// What builds a read model of the type `M` out of events: a name, a version, and a handler for each event type.
///
/// A projection is a pure fold, and may be replayed at will: **its handlers change the model and nothing else**, by
/// the event and the model alone. What is to happen once, such as a mail, belongs to a
/// reaction, which is another type and is never replayed.
///
/// Raise the version when the handlers give another model for the same events: a sink keeps the model of each
/// version apart.
///
/// Cheap to clone. A [`Processor`](crate::Processor) feeds it into a [`Sink`](crate::Sink).
///
/// ```
/// use annals_codec::JsonCodec;
/// use annals_macros::Event;
/// use annals_projection::{FailurePolicy, Projection};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Event, Serialize, Deserialize)]
/// #[event(category = "order")]
/// enum OrderEvent {
///     Placed { cents: u64 },
///     Cancelled { cents: u64 },
/// }
///
/// let revenue = Projection::<u64>::builder("revenue", 1)?
///     .on(JsonCodec, |revenue, event: &OrderEvent, _| {
///         let changed = match event {
///             OrderEvent::Placed { cents } => revenue.checked_add(*cents),
///             OrderEvent::Cancelled { cents } => revenue.checked_sub(*cents),
///         };
///         *revenue = changed.ok_or("the revenue leaves its range")?;
///         Ok(())
///     })
///     .on_failure(FailurePolicy::park())
///     .build()?;
/// assert_eq!(revenue.model_id().to_string(), "revenue.v1");
/// # Ok::<(), annals_core::Error>(())
/// ```
pub struct Projection<M> {
    definition: Arc<Definition<M>>,
    partition: Partition,
}

pub(super) struct Definition<M> {
    pub(super) name: CheckpointName,
    pub(super) version: u32,
    pub(super) choice: EventChoice,
    pub(super) handlers: Vec<Box<dyn Handle<M>>>,
    pub(super) policy: FailurePolicy,
    pub(super) key: KeyRule,
}

/// A handler, ready for the events of a page.
struct Ready<'a, M> {
    handler: &'a dyn Handle<M>,
    /// Where what is decoded is kept, if it is.
    column: Option<AnyColumn>,
    /// Whether other events than the handler's are on the page.
    is_mixed: bool,
}

/// Why a projection did not take an event.
pub(crate) struct NotTaken {
    pub(crate) index: usize,
    pub(crate) error: BoxError,
}

impl<M: 'static> Projection<M> {
    /// Begins a projection of this name, by this version of its code, from 1.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](annals_core::ErrorKind::Invalid) for what is no name.
    pub fn builder(name: &str, version: u32) -> Result<ProjectionBuilder<M>, Error> {
        ProjectionBuilder::new(name, version)
    }

    pub(super) fn new(definition: Definition<M>, partition: Partition) -> Self {
        Self {
            definition: Arc::new(definition),
            partition,
        }
    }

    /// The same, taking the events of one partition only.
    #[must_use]
    pub fn for_partition(&self, partition: Partition) -> Self {
        Self {
            definition: Arc::clone(&self.definition),
            partition,
        }
    }

    /// Its name.
    pub fn name(&self) -> &CheckpointName {
        &self.definition.name
    }

    /// The version of its code.
    pub fn version(&self) -> u32 {
        self.definition.version
    }

    /// The partition of the events that it takes.
    pub fn partition(&self) -> Partition {
        self.partition
    }

    /// Which model it builds.
    pub fn model_id(&self) -> ModelId {
        ModelId {
            name: self.definition.name.clone(),
            version: self.definition.version,
            partition: self.partition,
        }
    }

    /// The events that it takes.
    pub fn choice(&self) -> &EventChoice {
        &self.definition.choice
    }

    /// The key of an event.
    pub fn key<'e>(&self, event: &'e RecordedEvent) -> Cow<'e, str> {
        self.definition.key.of(event)
    }

    /// What becomes of an event that it can't handle.
    pub fn failure_policy(&self) -> &FailurePolicy {
        &self.definition.policy
    }

    /// Takes the events of a batch into a model. Where one fails, the model is left as it is then: to be rolled
    /// back. A handler that panics fails.
    ///
    /// # Errors
    /// The index in the page of the event that failed, and why.
    pub fn apply(&self, model: &mut M, batch: &Batch) -> Result<(), (usize, BoxError)> {
        self.take(model, batch)
            .map_err(|NotTaken { index, error }| (index, error))
    }

    pub(crate) fn take(&self, model: &mut M, batch: &Batch) -> Result<(), NotTaken> {
        let ready = self.definition.ready(batch.page(), batch.keeps_decoded());
        let mut index = 0;
        let taken = catching(|| {
            for (at, event) in batch.events() {
                index = at;
                let place = Place {
                    index: at,
                    event,
                    is_again: batch.attempt_of(at) > 1,
                };
                for ready in &ready {
                    ready.take(model, place)?;
                }
            }
            Ok(())
        });
        taken.map_err(|error| NotTaken { index, error })
    }

    pub(crate) fn preparation(&self) -> Arc<dyn Prepare> {
        Arc::clone(&self.definition) as Arc<dyn Prepare>
    }
}

impl<M> Definition<M> {
    fn ready(&self, page: &FeedPage, keeps: bool) -> Vec<Ready<'_, M>> {
        let handlers = self.handlers.iter();
        let ready = handlers.map(|handler| Ready {
            handler: &**handler,
            column: keeps.then(|| handler.column(page)),
            is_mixed: page.choice() != handler.choice(),
        });
        ready.collect()
    }
}

impl<M> Ready<'_, M> {
    fn takes(&self, event: &RecordedEvent) -> bool {
        !self.is_mixed || self.handler.choice().contains(event)
    }

    fn take(&self, model: &mut M, place: Place<'_>) -> Result<(), BoxError> {
        if !self.takes(place.event) {
            return Ok(());
        }
        match &self.column {
            Some(column) => self.handler.take(model, column, place),
            None => self.handler.take_once(model, place.event),
        }
    }
}

impl<M: 'static> Prepare for Definition<M> {
    fn prepare(&self, page: &FeedPage) {
        for ready in self.ready(page, true) {
            let Some(column) = &ready.column else {
                continue;
            };
            for (index, event) in page.events().iter().enumerate() {
                if ready.takes(event) {
                    ready.handler.prepare(column, index, event);
                }
            }
        }
    }
}

impl<M> Clone for Projection<M> {
    fn clone(&self) -> Self {
        Self {
            definition: Arc::clone(&self.definition),
            partition: self.partition,
        }
    }
}

impl<M> fmt::Debug for Projection<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Projection")
            .field("definition", &self.definition)
            .field("partition", &self.partition)
            .finish()
    }
}

impl<M> fmt::Debug for Definition<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Definition")
            .field("name", &self.name)
            .field("version", &self.version)
            .field("choice", &self.choice)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}
