//! The first event at which a predicate on the state turned true.

use annals_core::{Error, ReadRequest, RecordedEvent, Version};
use annals_snapshot::{Folded, Validity};

use crate::Replay;
use crate::replay::Reconstructed;

/// What a search for the first event found at which a predicate turned true.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Bisection<S> {
    /// When it turned.
    pub turned: Turned<S>,
    /// How many events were folded, those that were folded again included.
    pub folded: u64,
    /// How often the predicate was asked.
    pub asked: u64,
}

/// When a predicate on a state turned true.
#[derive(Clone, Debug)]
pub enum Turned<S> {
    /// At this event.
    At(Box<TurningPoint<S>>),
    /// It is true before the first event already.
    BeforeTheFirst,
    /// It is not true yet.
    Never,
}

/// The event at which a predicate turned true, and the states around it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TurningPoint<S> {
    /// The event.
    pub event: RecordedEvent,
    /// The state before it, of which the predicate is false.
    pub before: S,
    /// The state after it, of which the predicate is true.
    pub after: S,
}

/// A search under way.
struct Search<'a, S, E, P> {
    replay: &'a Replay<S, E>,
    /// The whole history.
    request: ReadRequest,
    predicate: P,
    folded: u64,
    asked: u64,
}

/// An event after which the predicate is true lies at most so many events after a state of which it is false.
struct Within {
    events: u64,
}

impl<S> Bisection<S> {
    /// The turning point, if it turned at an event.
    pub fn turning_point(&self) -> Option<&TurningPoint<S>> {
        match &self.turned {
            Turned::At(point) => Some(point),
            Turned::BeforeTheFirst | Turned::Never => None,
        }
    }
}

impl<S: Clone + Send + Sync + 'static, E: Send + 'static> Replay<S, E> {
    /// The first event at which a predicate on the state turned true: by halving, so that it is asked
    /// logarithmically often.
    ///
    /// The predicate has to be *monotone*: once true, it stays true. Of one that goes to and fro some event is found
    /// at which it turned true, or none; ask [`scan`](Self::scan) or [`flips`](Self::flips) then.
    ///
    /// It goes forward from the beginning in steps that double, so that a turn early in a long history is found
    /// early, then halves the last step. With `n` events up to the turn it folds at most 3 `n` + 2 and asks about
    /// 2 log2 `n` times. With [snapshots](Self::with_snapshots) of a stream it begins at the latest of them of which the
    /// predicate is false, found by halving too, and folds no event before that.
    ///
    /// # Errors
    /// As for [`as_of`](Self::as_of).
    pub async fn bisect(
        &self,
        predicate: impl FnMut(&S) -> bool + Send,
    ) -> Result<Bisection<S>, Error> {
        let mut search = self.search(predicate).await?;
        let mut low = search.beginning();
        if search.is_true(&low.state) {
            return Ok(search.found(Turned::BeforeTheFirst));
        }
        let mut width_max = u64::MAX;
        if let Some((snapshot, events)) = search.skip_by_snapshots().await? {
            low = snapshot;
            width_max = events;
        }
        let Some((low, within)) = search.gallop(low, width_max).await? else {
            return Ok(search.found(Turned::Never));
        };
        let point = search.halve(low, within).await?;
        Ok(search.found(Turned::At(Box::new(point))))
    }

    /// The first event at which a predicate on the state turned true, whatever it does later: asks it after every
    /// event from the first on, and folds none twice.
    ///
    /// # Errors
    /// As for [`as_of`](Self::as_of).
    pub async fn scan(
        &self,
        predicate: impl FnMut(&S) -> bool + Send,
    ) -> Result<Bisection<S>, Error> {
        let mut search = self.search(predicate).await?;
        let mut so_far = search.beginning();
        if search.is_true(&so_far.state) {
            return Ok(search.found(Turned::BeforeTheFirst));
        }
        let mut reading = self.reading(search.request.clone());
        while let Some(event) = reading.next().await? {
            let before = so_far.state.clone();
            so_far.fold(&self.fold, event.clone())?;
            search.folded += 1;
            if search.is_true(&so_far.state) {
                let after = so_far.state;
                let point = TurningPoint {
                    event,
                    before,
                    after,
                };
                return Ok(search.found(Turned::At(Box::new(point))));
            }
        }
        Ok(search.found(Turned::Never))
    }

    async fn search<P: FnMut(&S) -> bool + Send>(
        &self,
        predicate: P,
    ) -> Result<Search<'_, S, E, P>, Error> {
        Ok(Search {
            replay: self,
            request: self.whole().await?,
            predicate,
            folded: 0,
            asked: 0,
        })
    }
}

impl<S, E, P> Search<'_, S, E, P>
where
    S: Clone + Send + Sync + 'static,
    E: Send + 'static,
    P: FnMut(&S) -> bool + Send,
{
    fn beginning(&self) -> Reconstructed<S> {
        let initial = self.replay.fold.initial();
        Reconstructed::beginning(initial, self.replay.stream().is_some())
    }

    fn is_true(&mut self, state: &S) -> bool {
        self.asked += 1;
        (self.predicate)(state)
    }

    fn found(self, turned: Turned<S>) -> Bisection<S> {
        Bisection {
            turned,
            folded: self.folded,
            asked: self.asked,
        }
    }

    /// The latest snapshot of which the predicate is false, and how many events after it at most it is true.
    async fn skip_by_snapshots(&mut self) -> Result<Option<(Reconstructed<S>, u64)>, Error> {
        let Some(stream) = self
            .replay
            .stream()
            .filter(|_| self.replay.snapshots.is_some())
        else {
            return Ok(None);
        };
        let head = self.replay.store.stream_head(stream).await?;
        let (mut low, mut low_version) = (None, Version::ABSENT);
        // No snapshot that is worth a look has a later version.
        let mut high = head.version;
        let mut true_at = Version::MAX;
        let mut at_most = high;
        while low_version < high {
            let found = self.replay.snapshot(at_most).await;
            let found = found.filter(|it| it.version > low_version);
            match found {
                Some(folded) if folded.validity(&head) != Validity::Holds => {
                    high = folded.version.previous();
                }
                Some(folded) if self.is_true(&folded.state) => {
                    true_at = folded.version;
                    high = folded.version.previous();
                }
                Some(folded) => {
                    low_version = folded.version;
                    low = Some(folded);
                }
                // There is none up to here.
                None if at_most >= high => break,
                None => {
                    low_version = at_most;
                }
            }
            at_most = low_version.forward(high.since(low_version).div_ceil(2));
        }
        Ok(low.map(|folded| resumed(folded, true_at)))
    }

    /// Folds on in steps that double until the predicate is true: the last state of which it is false, and how many
    /// events after it. `None` where the history ends before that.
    async fn gallop(
        &mut self,
        mut low: Reconstructed<S>,
        width_max: u64,
    ) -> Result<Option<(Reconstructed<S>, Within)>, Error> {
        let mut reading = self.replay.reading(low.followed(self.request.clone()));
        let (mut width, mut left) = (1, width_max);
        let mut state = low.clone();
        loop {
            let mut events = 0;
            while events < width.min(left) {
                let Some(event) = reading.next().await? else {
                    break;
                };
                state.fold(&self.replay.fold, event)?;
                events += 1;
            }
            self.folded += events;
            if events == 0 {
                return Ok(None);
            }
            if self.is_true(&state.state) {
                return Ok(Some((low, Within { events })));
            }
            low.clone_from(&state);
            width = width.saturating_mul(2);
            left = left.saturating_sub(events).max(1);
        }
    }

    /// Halves until one event is left.
    async fn halve(
        &mut self,
        mut low: Reconstructed<S>,
        within: Within,
    ) -> Result<TurningPoint<S>, Error> {
        let mut events = within.events;
        while events > 1 {
            let half = events / 2;
            let middle = self.fold_on(&low, half).await?;
            if self.is_true(&middle.state) {
                events = half;
            } else {
                low = middle;
                events -= half;
            }
        }
        let after = self.fold_on(&low, 1).await?;
        Ok(TurningPoint {
            event: after.last.ok_or_else(changed)?,
            before: low.state,
            after: after.state,
        })
    }

    /// The state so many events after another.
    async fn fold_on(
        &mut self,
        low: &Reconstructed<S>,
        events: u64,
    ) -> Result<Reconstructed<S>, Error> {
        let request = low.followed(self.request.clone());
        let page = usize::try_from(events).unwrap_or(usize::MAX);
        let request = request.events_max(page.clamp(1, ReadRequest::EVENTS_MAX_DEFAULT));
        let mut reading = self.replay.reading(request);
        let mut state = low.clone();
        for _ in 0..events {
            let event = reading.next().await?.ok_or_else(changed)?;
            state.fold(&self.replay.fold, event)?;
            self.folded += 1;
        }
        Ok(state)
    }
}

/// A search that goes on from a snapshot, with the number of events after which the predicate is true.
fn resumed<S>(folded: Folded<S>, true_at: Version) -> (Reconstructed<S>, u64) {
    let events = true_at.since(folded.version);
    let mut low = Reconstructed::beginning(folded.state, true);
    low.version = Some(folded.version);
    low.resumed_from = Some(folded.version);
    (low, events)
}

/// What was read once is not there any more.
fn changed() -> Error {
    let message = "history was truncated or deleted while it was searched; search it again";
    Error::new(annals_core::ErrorKind::Unavailable, message).during("bisect")
}
