//! An event on its way to the parts of a decision that select it.

use std::any::Any;
use std::slice;

use annals_codec::{Decoded, EventCodec, EventCodecExt};
use annals_core::{Criteria, Error, ErrorKind, Event, RecordedEvent, Refusal};

use super::DecisionModel;
use crate::Skipped;

/// An event that the read gave, offered to one model after the other, in the order in which they gave
/// their criteria.
#[derive(Debug)]
pub struct Arriving<'a, C> {
    recorded: &'a RecordedEvent,
    codec: &'a C,
    /// The criteria of the models to which it is still to be offered.
    criteria: slice::Iter<'a, Criteria>,
    /// What the event reads as, once for each event type that was asked for.
    decoded: Vec<Box<dyn Any>>,
    skipped: &'a mut Skipped,
}

impl<'a, C> Arriving<'a, C> {
    pub(super) fn new(
        recorded: &'a RecordedEvent,
        codec: &'a C,
        criteria: &'a [Criteria],
        skipped: &'a mut Skipped,
    ) -> Self {
        Self {
            recorded,
            codec,
            criteria: criteria.iter(),
            decoded: Vec::new(),
            skipped,
        }
    }

    /// Offers the event to the next model, which folds it if its criteria select it.
    pub(super) fn offer<M: DecisionModel>(&mut self, model: &mut M) -> Result<(), Error>
    where
        C: EventCodec<M::Event>,
    {
        let criteria = self.criteria.next();
        if !criteria.is_some_and(|criteria| criteria.matches(self.recorded)) {
            return Ok(());
        }
        let decoded = self.take_decoded()?;
        for event in decoded.as_slice() {
            model
                .apply(event)
                .map_err(|refusal| refused(self.recorded, refusal))?;
        }
        self.decoded.push(decoded);
        Ok(())
    }

    /// What the event reads as, from an earlier model of the same event type or decoded now.
    fn take_decoded<E: Event>(&mut self) -> Result<Box<Decoded<E>>, Error>
    where
        C: EventCodec<E>,
    {
        let known = self
            .decoded
            .iter()
            .position(|decoded| decoded.is::<Decoded<E>>());
        let known = known.map(|index| self.decoded.swap_remove(index));
        if let Some(Ok(decoded)) = known.map(<Box<dyn Any>>::downcast) {
            return Ok(decoded);
        }
        Ok(Box::new(match self.codec.decode(self.recorded)? {
            Decoded::Skipped(reason) => {
                self.skipped.push(reason);
                Decoded::Many(Vec::new())
            }
            decoded => decoded,
        }))
    }
}

fn refused(recorded: &RecordedEvent, refusal: Refusal) -> Error {
    let message = format!("decision refuses an event that it selects: {refusal}; correct `apply`");
    Error::new(ErrorKind::Refused, message)
        .during("decide")
        .with("stream", recorded.stream())
        .with("version", recorded.version())
        .with("position", recorded.position())
        .with("event type", recorded.event_type())
        .caused_by(refusal)
}
