//! What a reaction does with the events of one type.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use annals_core::{BoxError, CheckpointName, Error, ErrorKind, Event, RecordedEvent};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::delivery::{Delivery, Read};
use crate::contract::choice::EventChoice;
use crate::contract::page::{AnyColumn, FeedPage};
use crate::decoder::{Column, Decoder};
use crate::panics::of_panic;

/// A handler, whatever the type of its events.
pub(super) trait React: Send + Sync {
    /// The events that it takes.
    fn choice(&self) -> &EventChoice;

    /// Where the events of a page stand decoded for it.
    fn column(&self, page: &FeedPage) -> AnyColumn;

    /// Decodes an event of a page, if nobody has.
    fn prepare(&self, column: &AnyColumn, index: usize, event: &RecordedEvent);

    /// Delivers an event of a page.
    fn deliver(&self, column: AnyColumn, sent: Sent) -> BoxFuture<'static, Result<(), BoxError>>;
}

/// An event of a page, to be delivered.
#[derive(Clone)]
pub(super) struct Sent {
    pub(super) index: usize,
    pub(super) recorded: RecordedEvent,
    pub(super) attempt: u32,
    pub(super) name: CheckpointName,
}

/// A handler of events of the type `E`.
pub(super) struct Reacts<E, F> {
    pub(super) choice: EventChoice,
    pub(super) decoder: Decoder<E>,
    pub(super) take: Arc<F>,
}

impl<E, F, D> React for Reacts<E, F>
where
    E: Event,
    F: Fn(Delivery<E>) -> D + Send + Sync + 'static,
    D: Future<Output = Result<(), BoxError>> + Send + 'static,
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

    fn deliver(&self, column: AnyColumn, sent: Sent) -> BoxFuture<'static, Result<(), BoxError>> {
        let read = AssertUnwindSafe(|| self.read(column, &sent));
        let read = match catch_unwind(read) {
            Ok(Ok(read)) => read,
            Ok(Err(error)) => return std::future::ready(Err(error)).boxed(),
            Err(panic) => return std::future::ready(Err(of_panic(&*panic))).boxed(),
        };
        let take = Arc::clone(&self.take);
        let delivered = async move {
            let parts = read.events(&sent.recorded).len();
            for part in 0..parts {
                take(Delivery {
                    read: read.clone(),
                    part,
                    recorded: sent.recorded.clone(),
                    attempt: sent.attempt,
                    name: sent.name.clone(),
                })
                .await?;
            }
            Ok(())
        };
        let caught = AssertUnwindSafe(delivered).catch_unwind();
        caught
            .map(|done| done.unwrap_or_else(|panic| Err(of_panic(&*panic))))
            .boxed()
    }
}

impl<E: Event, F> Reacts<E, F> {
    /// What an event reads as; one that did not decode is decoded anew where it is tried again.
    fn read(&self, column: AnyColumn, sent: &Sent) -> Result<Read<E>, BoxError> {
        let Ok(column) = column.downcast::<Column<E>>() else {
            let message = "page holds another column than was asked for; report this as a defect";
            return Err(Error::new(ErrorKind::Corrupt, message).into());
        };
        let decoded = match column.get(sent.index, &sent.recorded) {
            Some(Err(error)) if sent.attempt == 1 => Err(error.to_string()),
            Some(Err(_)) | None => {
                let anew = self.decoder.decode(&sent.recorded);
                let anew = anew.map(|decoded| Some(Arc::new(decoded)));
                anew.map_err(|error| error.to_string())
            }
            Some(Ok(_)) => Ok(None),
        };
        match decoded {
            Ok(None) => Ok(Read::InPage(column, sent.index)),
            Ok(Some(anew)) => Ok(Read::Alone(anew)),
            Err(text) => Err(Error::new(ErrorKind::Undecodable, text).into()),
        }
    }
}
