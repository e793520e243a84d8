//! A reaction: what happens because of events.

use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;

use annals_core::{BoxError, CheckpointName, Error, RecordedEvent};
use futures_util::future::BoxFuture;

use super::builder::ReactionBuilder;
use super::handler::{React, Sent};
use super::start::Start;
use crate::contract::batch::Batch;
use crate::contract::choice::EventChoice;
use crate::contract::consumer::Prepare;
use crate::contract::failure_policy::FailurePolicy;
use crate::contract::page::{AnyColumn, FeedPage};
use crate::contract::partition::Partition;
use crate::key_rule::KeyRule;

/// What happens because of events, once: a mail, a payment, a command.
///
/// Another type than a [`Projection`](crate::Projection), because it may not be replayed: there is no way to reset or
/// rebuild it, and a processor that is asked to answers
/// [`ErrorKind::Unsupported`](annals_core::ErrorKind::Unsupported). Each event is delivered at least once,
/// and again only after a failure or a crash; a [`Delivery`](crate::Delivery) carries the ids by which its effects are
/// known to be the same.
///
/// How far it got stands in a [`CheckpointStore`](annals_core::CheckpointStore), under its name. Its parked events
/// stand in the event store, in the stream `parked-<name>`.
///
/// Cheap to clone.
///
/// ```
/// use annals_codec::JsonCodec;
/// use annals_macros::Event;
/// use annals_projection::{Delivery, FailurePolicy, Reaction, Start};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Event, Serialize, Deserialize)]
/// #[event(category = "order")]
/// struct Placed { customer: String }
///
/// # async fn send(to: &str, key: annals_core::AppendId) -> Result<(), std::io::Error> { Ok(()) }
/// let confirmations = Reaction::builder("confirmations", Start::Now)?
///     .on(JsonCodec, |placed: Delivery<Placed>| async move {
///         send(&placed.customer, placed.append_id(0)).await?;
///         Ok(())
///     })
///     .on_failure(FailurePolicy::park())
///     .concurrent_keys(16)
///     .build()?;
/// assert_eq!(confirmations.name().as_str(), "confirmations");
/// # Ok::<(), annals_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Reaction {
    definition: Arc<Definition>,
    partition: Partition,
}

pub(super) struct Definition {
    pub(super) name: CheckpointName,
    pub(super) start: Start,
    pub(super) choice: EventChoice,
    pub(super) handlers: Vec<Box<dyn React>>,
    pub(super) policy: FailurePolicy,
    pub(super) key: KeyRule,
    pub(super) concurrent_keys: NonZeroUsize,
}

/// The handlers, ready for the events of a page.
pub(super) struct Ready<'a> {
    handlers: Vec<(&'a dyn React, AnyColumn, bool)>,
    name: &'a CheckpointName,
}

impl Reaction {
    /// Begins a reaction of this name, which begins there when it is new.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](annals_core::ErrorKind::Invalid) for what is no name.
    pub fn builder(name: &str, start: Start) -> Result<ReactionBuilder, Error> {
        ReactionBuilder::new(name, start)
    }

    pub(super) fn new(definition: Definition) -> Self {
        Self {
            definition: Arc::new(definition),
            partition: Partition::WHOLE,
        }
    }

    /// The same, reacting to the events of one partition only; its progress is kept apart.
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

    /// Where it begins when it is new.
    pub fn start(&self) -> &Start {
        &self.definition.start
    }

    /// The partition of the events that it reacts to.
    pub fn partition(&self) -> Partition {
        self.partition
    }

    /// The events that it reacts to.
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

    pub(super) fn concurrent_keys(&self) -> usize {
        self.definition.concurrent_keys.get()
    }

    pub(super) fn preparation(&self) -> Arc<dyn Prepare> {
        Arc::clone(&self.definition) as Arc<dyn Prepare>
    }

    pub(super) fn ready(&self, page: &FeedPage) -> Ready<'_> {
        self.definition.ready(page)
    }
}

impl Definition {
    fn ready(&self, page: &FeedPage) -> Ready<'_> {
        let handlers = self.handlers.iter().map(|handler| {
            let is_mixed = page.choice() != handler.choice();
            (&**handler, handler.column(page), is_mixed)
        });
        Ready {
            handlers: handlers.collect(),
            name: &self.name,
        }
    }
}

impl Ready<'_> {
    /// The deliveries of an event, to be made one after the other.
    pub(super) fn deliveries(
        &self,
        batch: &Batch,
        index: usize,
        event: &RecordedEvent,
    ) -> Vec<BoxFuture<'static, Result<(), BoxError>>> {
        let sent = Sent {
            index,
            recorded: event.clone(),
            attempt: batch.attempt_of(index),
            name: self.name.clone(),
        };
        self.takers(event)
            .map(|(handler, column)| handler.deliver(Arc::clone(column), sent.clone()))
            .collect()
    }

    /// The reaction's name.
    pub(super) fn name(&self) -> &CheckpointName {
        self.name
    }

    fn takers<'s>(
        &'s self,
        event: &'s RecordedEvent,
    ) -> impl Iterator<Item = (&'s dyn React, &'s AnyColumn)> {
        let handlers = self.handlers.iter();
        handlers.filter_map(move |(handler, column, is_mixed)| {
            let takes = !is_mixed || handler.choice().contains(event);
            takes.then_some((*handler, column))
        })
    }
}

impl Prepare for Definition {
    fn prepare(&self, page: &FeedPage) {
        let ready = self.ready(page);
        for (index, event) in page.events().iter().enumerate() {
            for (handler, column) in ready.takers(event) {
                handler.prepare(column, index, event);
            }
        }
    }
}

impl fmt::Debug for Reaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reaction")
            .field("definition", &self.definition)
            .field("partition", &self.partition)
            .finish()
    }
}

impl fmt::Debug for Definition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Definition")
            .field("name", &self.name)
            .field("start", &self.start)
            .field("choice", &self.choice)
            .field("policy", &self.policy)
            .field("concurrent_keys", &self.concurrent_keys)
            .finish_non_exhaustive()
    }
}
