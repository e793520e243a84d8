//! A reaction in the making.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;

use annals_codec::EventCodec;
use annals_core::{BoxError, CheckpointName, Criteria, Error, ErrorKind, Event, RecordedEvent};

use super::definition::{Definition, Reaction};
use super::delivery::Delivery;
use super::handler::{React, Reacts};
use super::start::Start;
use crate::contract::choice::EventChoice;
use crate::contract::failure_policy::FailurePolicy;
use crate::decoder::Decoder;
use crate::key_rule::KeyRule;

/// A [`Reaction`] in the making.
#[must_use = "call `build` to have a reaction"]
pub struct ReactionBuilder {
    name: CheckpointName,
    start: Start,
    handlers: Vec<Box<dyn React>>,
    policy: FailurePolicy,
    key: KeyRule,
    concurrent_keys: usize,
}

impl ReactionBuilder {
    pub(super) fn new(name: &str, start: Start) -> Result<Self, Error> {
        Ok(Self {
            name: CheckpointName::parse(name)?,
            start,
            handlers: Vec::new(),
            policy: FailurePolicy::default(),
            key: KeyRule::Stream,
            concurrent_keys: 1,
        })
    }

    /// Reacts to the events of this type: every event of its category, decoded by this codec. What is said of
    /// [`ProjectionBuilder::on`](crate::ProjectionBuilder::on) holds here too.
    pub fn on<E: Event, D>(
        self,
        codec: impl EventCodec<E> + 'static,
        react: impl Fn(Delivery<E>) -> D + Send + Sync + 'static,
    ) -> Self
    where
        D: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        self.handler(EventChoice::of::<E>(), codec, react)
    }

    /// Like [`on`](Self::on), for the events that match these criteria, of any stream.
    pub fn on_matching<E: Event, D>(
        self,
        codec: impl EventCodec<E> + 'static,
        criteria: &Criteria,
        react: impl Fn(Delivery<E>) -> D + Send + Sync + 'static,
    ) -> Self
    where
        D: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        self.handler(EventChoice::matching(criteria), codec, react)
    }

    fn handler<E: Event, D>(
        mut self,
        choice: EventChoice,
        codec: impl EventCodec<E> + 'static,
        react: impl Fn(Delivery<E>) -> D + Send + Sync + 'static,
    ) -> Self
    where
        D: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        self.handlers.push(Box::new(Reacts {
            choice,
            decoder: Decoder::new(codec),
            take: Arc::new(react),
        }));
        self
    }

    /// What becomes of an event that can't be handled: [`FailurePolicy::stop`] unless said otherwise.
    pub fn on_failure(mut self, policy: FailurePolicy) -> Self {
        self.policy = policy;
        self
    }

    /// The key of an event: its stream unless said otherwise. Events of one key are delivered in their order, each
    /// after the one before is done.
    pub fn keyed_by(
        mut self,
        key: impl Fn(&RecordedEvent) -> String + Send + Sync + 'static,
    ) -> Self {
        self.key = KeyRule::By(Arc::new(key));
        self
    }

    /// Reacts to events of so many keys at once; 1 unless said otherwise, so that all events come in their order.
    pub fn concurrent_keys(mut self, keys: usize) -> Self {
        self.concurrent_keys = keys;
        self
    }

    /// The reaction.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] without any handler, for no key at once, and for a policy that makes no sense.
    pub fn build(self) -> Result<Reaction, Error> {
        let Self {
            name,
            start,
            handlers,
            policy,
            key,
            concurrent_keys,
        } = self;
        policy.validate()?;
        let Some(concurrent_keys) = NonZeroUsize::new(concurrent_keys) else {
            return Err(senseless(
                "no key at once; at least one is worked on",
                &name,
            ));
        };
        if handlers.is_empty() {
            return Err(senseless("reaction without handlers; give it one", &name));
        }
        let choices = handlers.iter().map(|handler| handler.choice());
        let choice = choices.fold(EventChoice::NONE, |union, choice| union.or(choice));
        Ok(Reaction::new(Definition {
            name,
            start,
            choice,
            handlers,
            policy,
            key,
            concurrent_keys,
        }))
    }
}

fn senseless(message: &'static str, name: &CheckpointName) -> Error {
    Error::new(ErrorKind::Invalid, message).with("reaction", name)
}

impl fmt::Debug for ReactionBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReactionBuilder")
            .field("name", &self.name)
            .field("start", &self.start)
            .field("handlers", &self.handlers.len())
            .finish_non_exhaustive()
    }
}
