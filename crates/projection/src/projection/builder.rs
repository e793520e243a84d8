//! A projection in the making.

use std::fmt;
use std::sync::Arc;

use annals_codec::EventCodec;
use annals_core::{BoxError, CheckpointName, Criteria, Error, ErrorKind, Event, RecordedEvent};

use super::definition::{Definition, Projection};
use super::handler::{Handle, Handler};
use crate::contract::choice::EventChoice;
use crate::contract::failure_policy::FailurePolicy;
use crate::contract::partition::Partition;
use crate::decoder::Decoder;
use crate::key_rule::KeyRule;

/// A [`Projection`] in the making.
#[must_use = "call `build` to have a projection"]
pub struct ProjectionBuilder<M> {
    name: CheckpointName,
    version: u32,
    handlers: Vec<Box<dyn Handle<M>>>,
    policy: FailurePolicy,
    key: KeyRule,
}

impl<M: 'static> ProjectionBuilder<M> {
    pub(super) fn new(name: &str, version: u32) -> Result<Self, Error> {
        Ok(Self {
            name: CheckpointName::parse(name)?,
            version,
            handlers: Vec::new(),
            policy: FailurePolicy::default(),
            key: KeyRule::Stream,
        })
    }

    /// Takes the events of this type: every event of its category, decoded by this codec.
    ///
    /// The handler sees each event with what the store recorded of it: its place, its times, its metadata. One that
    /// reads as several events (because it was split since) is handed over as each of them; one that reads as none,
    /// or that a policy of the codec passes over, not at all. Of several handlers that take an event, all do,
    /// in the order in which they were given.
    ///
    /// Events that several handlers decode by the same codec are decoded once, those of other projections included:
    /// the same is a codec without state of the same type, as `JsonCodec`, or a clone of the same
    /// `Arc<dyn EventCodec<E>>`.
    pub fn on<E: Event>(
        self,
        codec: impl EventCodec<E> + 'static,
        take: impl Fn(&mut M, &E, &RecordedEvent) -> Result<(), BoxError> + Send + Sync + 'static,
    ) -> Self {
        self.handler(EventChoice::of::<E>(), codec, take)
    }

    /// Like [`on`](Self::on), for the events that match these criteria, of any stream. Where no handler wants
    /// anything else the store reads no others.
    pub fn on_matching<E: Event>(
        self,
        codec: impl EventCodec<E> + 'static,
        criteria: &Criteria,
        take: impl Fn(&mut M, &E, &RecordedEvent) -> Result<(), BoxError> + Send + Sync + 'static,
    ) -> Self {
        self.handler(EventChoice::matching(criteria), codec, take)
    }

    fn handler<E: Event>(
        mut self,
        choice: EventChoice,
        codec: impl EventCodec<E> + 'static,
        take: impl Fn(&mut M, &E, &RecordedEvent) -> Result<(), BoxError> + Send + Sync + 'static,
    ) -> Self {
        self.handlers.push(Box::new(Handler {
            choice,
            decoder: Decoder::new(codec),
            take,
        }));
        self
    }

    /// What becomes of an event that can't be handled: [`FailurePolicy::stop`] unless said otherwise.
    pub fn on_failure(mut self, policy: FailurePolicy) -> Self {
        self.policy = policy;
        self
    }

    /// The key of an event: its stream unless said otherwise. Events of one key are taken in their order, those of
    /// different keys may be taken in any where the projection is split, and go on where one is parked.
    pub fn keyed_by(
        mut self,
        key: impl Fn(&RecordedEvent) -> String + Send + Sync + 'static,
    ) -> Self {
        self.key = KeyRule::By(Arc::new(key));
        self
    }

    /// The projection.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] without any handler, for version 0, and for a policy that makes no sense.
    pub fn build(self) -> Result<Projection<M>, Error> {
        let Self {
            name,
            version,
            handlers,
            policy,
            key,
        } = self;
        policy.validate()?;
        let senseless = |message: &'static str| Error::new(ErrorKind::Invalid, message);
        if handlers.is_empty() {
            let error = senseless("projection without handlers; give it one with `on`");
            return Err(error.with("projection", name));
        }
        if version == 0 {
            let error = senseless("projection of version 0; versions count from 1");
            return Err(error.with("projection", name));
        }
        let choices = handlers.iter().map(|handler| handler.choice());
        let choice = choices.fold(EventChoice::NONE, |union, choice| union.or(choice));
        let definition = Definition {
            name,
            version,
            choice,
            handlers,
            policy,
            key,
        };
        Ok(Projection::new(definition, Partition::WHOLE))
    }
}

impl<M> fmt::Debug for ProjectionBuilder<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProjectionBuilder")
            .field("name", &self.name)
            .field("version", &self.version)
            .field("handlers", &self.handlers.len())
            .finish_non_exhaustive()
    }
}
