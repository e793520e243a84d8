//! What a process decides about the events of one type.

use annals_codec::{EventCodec, EventCodecExt};
use annals_core::{Aggregate, BoxError, Error, ErrorKind, Event, RecordedEvent};

use super::key::ProcessKey;
use crate::contract::choice::EventChoice;

/// An input of a process, whatever the type of its events.
pub(super) trait Input<A: Aggregate>: Send + Sync {
    /// The events that it takes.
    fn choice(&self) -> &EventChoice;

    /// The key of the process that an event is for.
    fn key(&self, event: &RecordedEvent) -> Option<String>;

    /// Decides about an event, on what was decided before.
    fn decide(&self, deciding: &mut Deciding<A>, event: &RecordedEvent) -> Result<(), BoxError>;
}

/// The state of a process, and what is decided on it about one input.
pub(super) struct Deciding<A: Aggregate> {
    pub(super) state: A,
    pub(super) decided: Vec<A::Event>,
}

/// An input of events of the type `E`.
pub(super) struct TypedInput<C, F> {
    pub(super) choice: EventChoice,
    pub(super) key: ProcessKey,
    pub(super) codec: C,
    pub(super) decide: F,
}

impl<A: Aggregate> Deciding<A> {
    fn take(&mut self, decided: Vec<A::Event>) -> Result<(), BoxError> {
        for event in decided {
            self.state.apply(&event).map_err(|refusal| {
                let message = "state of the process refuses what it decided";
                Error::new(ErrorKind::Refused, message).caused_by(refusal)
            })?;
            self.decided.push(event);
        }
        Ok(())
    }
}

/// An input, with the type of its events told.
pub(super) struct OfType<E, C, F> {
    pub(super) input: TypedInput<C, F>,
    pub(super) event: std::marker::PhantomData<fn() -> E>,
}

impl<A, E, C, F> Input<A> for OfType<E, C, F>
where
    A: Aggregate,
    E: Event,
    C: EventCodec<E>,
    F: Fn(&A, &E, &RecordedEvent) -> Result<Vec<A::Event>, BoxError> + Send + Sync,
{
    fn choice(&self) -> &EventChoice {
        &self.input.choice
    }

    fn key(&self, event: &RecordedEvent) -> Option<String> {
        self.input.key.of(event)
    }

    fn decide(&self, deciding: &mut Deciding<A>, event: &RecordedEvent) -> Result<(), BoxError> {
        for decoded in self.input.codec.decode(event)? {
            let decided = (self.input.decide)(&deciding.state, &decoded, event)?;
            deciding.take(decided)?;
        }
        Ok(())
    }
}
