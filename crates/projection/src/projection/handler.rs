//! What a projection does with the events of one type.

use std::panic::{AssertUnwindSafe, catch_unwind};

use annals_core::{BoxError, Error, ErrorKind, Event, RecordedEvent};

use crate::contract::choice::EventChoice;
use crate::contract::page::{AnyColumn, FeedPage};
use crate::decoder::{Cell, Column, Decoder};

/// A handler, whatever the type of its events.
pub(crate) trait Handle<M>: Send + Sync {
    /// The events that it takes.
    fn choice(&self) -> &EventChoice;

    /// Where the events of a page stand decoded for it.
    fn column(&self, page: &FeedPage) -> AnyColumn;

    /// Decodes an event of a page, if nobody has.
    fn prepare(&self, column: &AnyColumn, index: usize, event: &RecordedEvent);

    /// Takes an event of a page; one that did not decode is decoded anew where it is tried again.
    fn take(&self, model: &mut M, column: &AnyColumn, place: Place<'_>) -> Result<(), BoxError>;

    /// Takes an event that nobody else asks for: what it is decoded to is not kept.
    fn take_once(&self, model: &mut M, event: &RecordedEvent) -> Result<(), BoxError>;
}

/// An event at its place in a page.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) index: usize,
    pub(crate) event: &'a RecordedEvent,
    pub(crate) is_again: bool,
}

/// A handler of events of the type `E`.
pub(crate) struct Handler<E, F> {
    pub(crate) choice: EventChoice,
    pub(crate) decoder: Decoder<E>,
    pub(crate) take: F,
}

impl<M, E, F> Handle<M> for Handler<E, F>
where
    E: Event,
    F: Fn(&mut M, &E, &RecordedEvent) -> Result<(), BoxError> + Send + Sync,
{
    fn choice(&self) -> &EventChoice {
        &self.choice
    }

    fn column(&self, page: &FeedPage) -> AnyColumn {
        page.column(&self.decoder)
    }

    fn prepare(&self, column: &AnyColumn, index: usize, event: &RecordedEvent) {
        if let Some(column) = column.downcast_ref::<Column<E>>() {
            // A codec that panics does so again where the event is taken.
            let _ = catch_unwind(AssertUnwindSafe(|| column.get(index, event).is_some()));
        }
    }

    fn take(&self, model: &mut M, column: &AnyColumn, place: Place<'_>) -> Result<(), BoxError> {
        let Place {
            index,
            event,
            is_again,
        } = place;
        let column = column.downcast_ref::<Column<E>>();
        let cell = column.and_then(|column| column.get(index, event));
        let anew;
        let cell = match cell {
            Some(Err(_)) if is_again => {
                anew = self.decoder.decode(event);
                &anew
            }
            Some(cell) => cell,
            None => return Err(mixed_up()),
        };
        self.take_cell(model, cell, event)
    }

    fn take_once(&self, model: &mut M, event: &RecordedEvent) -> Result<(), BoxError> {
        self.take_cell(model, &self.decoder.decode(event), event)
    }
}

impl<E, F> Handler<E, F> {
    fn take_cell<M>(
        &self,
        model: &mut M,
        cell: &Cell<E>,
        event: &RecordedEvent,
    ) -> Result<(), BoxError>
    where
        F: Fn(&mut M, &E, &RecordedEvent) -> Result<(), BoxError>,
    {
        match cell {
            Ok(decoded) => {
                let mut events = decoded.as_slice().iter();
                events.try_for_each(|decoded| (self.take)(model, decoded, event))
            }
            Err(error) => Err(undecodable(error)),
        }
    }
}

/// An event that does not decode, as its own error: that of the codec stays in the page.
fn undecodable(error: &annals_codec::Error) -> BoxError {
    Error::new(ErrorKind::Undecodable, error.to_string()).into()
}

fn mixed_up() -> BoxError {
    let message = "page holds another column than was asked for; report this as a defect";
    Error::new(ErrorKind::Corrupt, message).into()
}
