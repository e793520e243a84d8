//! Every event at which a predicate on the state turned, one after the other.

use annals_core::{Error, RecordedEvent};
use futures_util::stream::{self, BoxStream, StreamExt};

use crate::Replay;
use crate::reading::Reading;
use crate::replay::Reconstructed;

/// An event at which a predicate on the state turned.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Flip {
    /// The event.
    pub event: RecordedEvent,
    /// What the predicate says after it; it said the opposite before.
    pub turned: bool,
}

/// A walk over the history from flip to flip.
struct Walk<'a, S, P> {
    reading: Reading<'a>,
    so_far: Reconstructed<S>,
    is_true: bool,
    predicate: P,
}

impl<S: Send + Sync + 'static, E: Send + 'static> Replay<S, E> {
    /// Every event at which a predicate on the state turned true or false, oldest first. Asks it after every event.
    ///
    /// # Errors
    /// As for [`as_of`](Self::as_of); the first ends the stream.
    pub fn flips<'a>(
        &'a self,
        mut predicate: impl FnMut(&S) -> bool + Send + 'a,
    ) -> BoxStream<'a, Result<Flip, Error>> {
        let begun = async move {
            let request = self.whole().await?;
            let so_far = Reconstructed::beginning(self.fold.initial(), self.stream().is_some());
            Ok::<_, Error>(Walk {
                reading: self.reading(request),
                is_true: predicate(&so_far.state),
                so_far,
                predicate,
            })
        };
        let flips = stream::once(begun).map(|begun| match begun {
            Ok(walk) => stream::try_unfold(walk, |walk| walk.step(self)).boxed(),
            Err(error) => stream::once(async { Err(error) }).boxed(),
        });
        flips.flatten().boxed()
    }
}

impl<S: Send + Sync + 'static, P: FnMut(&S) -> bool> Walk<'_, S, P> {
    async fn step<E: Send + 'static>(
        mut self,
        replay: &Replay<S, E>,
    ) -> Result<Option<(Flip, Self)>, Error> {
        while let Some(event) = self.reading.next().await? {
            self.so_far.fold(&replay.fold, event)?;
            let turned = (self.predicate)(&self.so_far.state);
            if let Some(event) = self.so_far.last.clone().filter(|_| turned != self.is_true) {
                self.is_true = turned;
                return Ok(Some((Flip { event, turned }, self)));
            }
        }
        Ok(None)
    }
}
