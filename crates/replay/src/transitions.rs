//! Each event, and what it changed.

use std::fmt;

use annals_codec::Value;
use annals_core::{Error, RecordedEvent};
use futures_util::stream::{self, BoxStream, StreamExt};
use serde::Serialize;

use crate::reading::Reading;
use crate::replay::Reconstructed;
use crate::{AsOf, Replay, ReplayFold, StateDiff, value_of};

/// An event, and what it changed in the state.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Transition {
    /// The event.
    pub event: RecordedEvent,
    /// What it changed; empty where it changed nothing that serde writes.
    pub diff: StateDiff,
}

/// A walk over the history.
struct Walk<'a, S, E> {
    fold: &'a ReplayFold<S, E>,
    reading: Reading<'a>,
    state: S,
    shown: Value,
}

impl<S: Serialize + Send + Sync + 'static, E: Send + 'static> Replay<S, E> {
    /// Each event of the history with what it changed, oldest first: all that there are now.
    ///
    /// Each step writes the whole state as a value, so it costs the size of the state. The diffs applied one after
    /// the other to the [value](crate::value_of) of the state before the first event give that of the present one.
    ///
    /// # Errors
    /// As for [`as_of`](Self::as_of), and [`ErrorKind::Invalid`](annals_core::ErrorKind::Invalid) for a state that
    /// serde does not write. The first ends the stream.
    pub fn transitions(&self) -> BoxStream<'_, Result<Transition, Error>> {
        self.walk(None)
    }

    /// Like [`transitions`](Self::transitions), of the events after a moment, which is a beginning of the history.
    ///
    /// # Errors
    /// As there, and [`ErrorKind::Invalid`](annals_core::ErrorKind::Invalid) for [`AsOf::Recorded`].
    pub fn transitions_from(
        &self,
        moment: impl Into<AsOf>,
    ) -> BoxStream<'_, Result<Transition, Error>> {
        self.walk(Some(moment.into()))
    }

    fn walk(&self, from: Option<AsOf>) -> BoxStream<'_, Result<Transition, Error>> {
        let begun = async move { self.begin_walk(from).await };
        let steps = stream::once(begun).map(|begun| match begun {
            Ok(walk) => stream::try_unfold(walk, Walk::step).boxed(),
            Err(error) => stream::once(async { Err(error) }).boxed(),
        });
        steps.flatten().boxed()
    }

    async fn begin_walk(&self, from: Option<AsOf>) -> Result<Walk<'_, S, E>, Error> {
        let request = self.whole().await?;
        let before = match from {
            None => Reconstructed::beginning(self.fold.initial(), self.stream().is_some()),
            Some(moment) => {
                moment.check_is_a_beginning()?;
                self.as_of(moment).await?
            }
        };
        let reading = self.reading(before.followed(request));
        Ok(Walk {
            fold: &self.fold,
            reading,
            shown: value_of(&before.state)?,
            state: before.state,
        })
    }
}

impl<S: Serialize, E> Walk<'_, S, E> {
    async fn step(mut self) -> Result<Option<(Transition, Self)>, Error> {
        let Some(event) = self.reading.next().await? else {
            return Ok(None);
        };
        self.fold.step(&mut self.state, &event)?;
        let shown = value_of(&self.state)?;
        let diff = StateDiff::between(&self.shown, &shown);
        self.shown = shown;
        Ok(Some((Transition { event, diff }, self)))
    }
}

impl fmt::Display for Transition {
    /// The place and the type of the event, and a line for each change.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { event, diff } = self;
        write!(
            f,
            "{} {} {}",
            event.position(),
            event.stream(),
            event.event_type()
        )?;
        let lines = diff.to_string();
        lines.lines().try_for_each(|line| write!(f, "\n    {line}"))
    }
}
