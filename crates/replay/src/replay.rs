//! What is replayed, and its state as of any moment.

use std::fmt;
use std::sync::Arc;

use annals_codec::EventCodec;
use annals_concurrency::Timer;
use annals_core::{
    Aggregate, ConsistencyLevel, Error, Event as _, EventStore, Position, ReadRequest,
    RecordedEvent, Selection, StreamId, Version,
};
use annals_snapshot::{Folded, Snapshots, Validity};

use crate::observer::{Watched, Watcher};
use crate::reading::Reading;
use crate::{AsOf, ReplayFold, ReplayObserver};

/// A history and its fold: the events of a selection of a store, and the state that they give.
///
/// Nothing here writes. Every method reads the history anew, so it shows what the store has then. The store has
/// to have one order over all that is selected: a single log, or a single stream.
pub struct Replay<S, E> {
    pub(crate) store: Arc<dyn EventStore>,
    pub(crate) selection: Selection,
    pub(crate) fold: ReplayFold<S, E>,
    pub(crate) snapshots: Option<Snapshots<S>>,
    page_events_max: usize,
    watcher: Option<Watcher>,
}

/// The state of a history as of a moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Reconstructed<S> {
    /// The state.
    pub state: S,
    /// The version that the stream had then; `None` where the history is not of a single stream.
    pub version: Option<Version>,
    /// The last event that was folded now; `None` when there is none, or none after a snapshot.
    pub last: Option<RecordedEvent>,
    /// How many events were folded now.
    pub folded: u64,
    /// The version of the snapshot with which the fold began, if there was one.
    pub resumed_from: Option<Version>,
    /// How many of the folded events the codec passed over, as its policy says: they are not in the state.
    pub passed_over: u64,
    /// How many events were left out since they happened later: of [`AsOf::Recorded`] only.
    pub left_out: u64,
}

impl<A: Aggregate> Replay<A, A::Event> {
    /// The history of the aggregate with this key.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](annals_core::ErrorKind::Invalid) for a key that makes no stream id.
    pub fn of_aggregate(
        store: Arc<dyn EventStore>,
        codec: impl EventCodec<A::Event> + 'static,
        key: &str,
    ) -> Result<Self, Error> {
        let stream = StreamId::new(&A::Event::CATEGORY, key)?;
        let fold = ReplayFold::of_aggregate(codec);
        Ok(Self::new(store, Selection::Stream(stream), fold))
    }
}

impl<S: Send + Sync + 'static, E: Send + 'static> Replay<S, E> {
    /// The history that is selected of a store, folded so.
    pub fn new(store: Arc<dyn EventStore>, selection: Selection, fold: ReplayFold<S, E>) -> Self {
        Self {
            store,
            selection,
            fold,
            snapshots: None,
            page_events_max: ReadRequest::EVENTS_MAX_DEFAULT,
            watcher: None,
        }
    }

    /// The same with snapshots: a state of a single stream is folded on from the nearest one that fits. None is
    /// taken.
    #[must_use]
    pub fn with_snapshots(mut self, snapshots: Snapshots<S>) -> Self {
        self.snapshots = Some(snapshots);
        self
    }

    /// The same, with this observer told how far each call is, and how fast by this timer.
    #[must_use]
    pub fn with_observer(
        mut self,
        observer: impl ReplayObserver + 'static,
        timer: impl Timer + 'static,
    ) -> Self {
        self.watcher = Some(Watcher::new(observer, Arc::new(timer)));
        self
    }

    /// The same, read so many events at a time: 1000 unless said otherwise.
    #[must_use]
    pub fn with_page_events_max(mut self, events: usize) -> Self {
        self.page_events_max = events;
        self
    }

    /// The state as of a moment.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](annals_core::ErrorKind::Invalid) for a version of what is no single stream,
    /// [`ErrorKind::Refused`](annals_core::ErrorKind::Refused) when the fold refuses an event,
    /// [`ErrorKind::Unavailable`](annals_core::ErrorKind::Unavailable) when the stream's policy was changed
    /// meanwhile; as the store and the codec have it.
    pub async fn as_of(&self, moment: impl Into<AsOf>) -> Result<Reconstructed<S>, Error> {
        let moment = moment.into();
        let request = self
            .bounded(moment.request(&self.selection)?, moment)
            .await?;
        if let Some(resumed) = self.resume(moment, &request).await? {
            return Ok(resumed);
        }
        let mut reading = self.reading(request);
        let beginning = Reconstructed::beginning(self.fold.initial(), self.stream().is_some());
        self.go_on(beginning, &mut reading, moment).await
    }

    /// The present state: that of [`AsOf::Now`].
    ///
    /// # Errors
    /// As for [`as_of`](Self::as_of).
    pub async fn now(&self) -> Result<Reconstructed<S>, Error> {
        self.as_of(AsOf::Now).await
    }

    /// The stream, where the history is of a single one.
    pub(crate) fn stream(&self) -> Option<&StreamId> {
        match &self.selection {
            Selection::Stream(stream) => Some(stream),
            _ => None,
        }
    }

    pub(crate) fn reading(&self, request: ReadRequest) -> Reading<'_> {
        let until = request
            .until
            .as_ref()
            .and_then(annals_core::Cursor::position);
        let watched = Watched::begin(self.watcher.as_ref(), until);
        let events_max = request.events_max.min(self.page_events_max);
        Reading::begin(&*self.store, request.events_max(events_max), watched)
    }

    /// The whole history as of now, so that a replay ends while others append.
    pub(crate) async fn whole(&self) -> Result<ReadRequest, Error> {
        self.bounded(ReadRequest::new(self.selection.clone()), AsOf::Now)
            .await
    }

    async fn bounded(&self, request: ReadRequest, moment: AsOf) -> Result<ReadRequest, Error> {
        let is_bounded = matches!(moment, AsOf::Version(_) | AsOf::Position(_));
        if is_bounded || self.stream().is_some() {
            return Ok(request);
        }
        let head = self.store.head(ConsistencyLevel::Strong).await?;
        Ok(request.until(head))
    }

    async fn go_on(
        &self,
        mut so_far: Reconstructed<S>,
        reading: &mut Reading<'_>,
        moment: AsOf,
    ) -> Result<Reconstructed<S>, Error> {
        while let Some(recorded) = reading.next().await? {
            if moment.counts(recorded.recorded_at()) {
                so_far.fold(&self.fold, recorded)?;
            } else {
                so_far.left_out += 1;
            }
        }
        Ok(so_far)
    }

    /// Goes on from the nearest snapshot; `None` where there is none that fits.
    async fn resume(
        &self,
        moment: AsOf,
        request: &ReadRequest,
    ) -> Result<Option<Reconstructed<S>>, Error> {
        if self.snapshots.is_none() || moment.check_is_a_beginning().is_err() {
            return Ok(None);
        }
        let until = match moment {
            AsOf::Now => Version::MAX,
            AsOf::Version(version) => version,
            _ => self.last_version(request.clone()).await?,
        };
        let Some(folded) = self.snapshot(until).await else {
            return Ok(None);
        };
        self.from(folded, until).await
    }

    /// Folds a stream on from a state, up to and with a version; `None` where the state is not what a fold from
    /// the beginning gives.
    pub(crate) async fn from(
        &self,
        folded: Folded<S>,
        until: Version,
    ) -> Result<Option<Reconstructed<S>>, Error> {
        let request = ReadRequest::new(self.selection.clone())
            .after_version(folded.version)
            .until_version(until);
        let mut reading = self.reading(request);
        let (first, head) = reading.look().await?;
        let goes_on = first.is_none_or(|first| first.version() == folded.version.next());
        // Where policies hide events by age, only a fold from the beginning tells.
        let holds = head.is_some_and(|head| folded.validity(head) == Validity::Holds);
        if let Some(snapshots) = &self.snapshots {
            snapshots.count_use(goes_on && holds);
        }
        if !goes_on || !holds {
            return Ok(None);
        }
        let mut resumed = Reconstructed::beginning(folded.state, true);
        resumed.version = Some(folded.version);
        resumed.resumed_from = Some(folded.version);
        self.go_on(resumed, &mut reading, AsOf::Now).await.map(Some)
    }

    pub(crate) async fn snapshot(&self, at_most: Version) -> Option<Folded<S>> {
        let (snapshots, stream) = (self.snapshots.as_ref()?, self.stream()?);
        let (folded, _) = snapshots.load(stream, at_most).await?;
        Some(folded)
    }

    /// The version of the last event that answers a request for a stream.
    async fn last_version(&self, request: ReadRequest) -> Result<Version, Error> {
        let mut reading = self.reading(request.backward().events_max(1));
        let (last, _) = reading.look().await?;
        Ok(last.map_or(Version::ABSENT, RecordedEvent::version))
    }
}

impl<S> Reconstructed<S> {
    /// Nothing folded yet in this state.
    pub(crate) fn beginning(state: S, is_of_stream: bool) -> Self {
        Self {
            state,
            version: is_of_stream.then_some(Version::ABSENT),
            last: None,
            folded: 0,
            resumed_from: None,
            passed_over: 0,
            left_out: 0,
        }
    }

    /// Folds one more event.
    pub(crate) fn fold<E>(
        &mut self,
        fold: &ReplayFold<S, E>,
        recorded: RecordedEvent,
    ) -> Result<(), Error> {
        let is_passed_over = fold.step(&mut self.state, &recorded)?;
        self.passed_over += u64::from(is_passed_over);
        self.folded += 1;
        if let Some(version) = &mut self.version {
            *version = recorded.version();
        }
        self.last = Some(recorded);
        Ok(())
    }

    /// The position of the last event that was folded now; the start where there is none.
    pub fn position(&self) -> Position {
        self.last
            .as_ref()
            .map_or(Position::START, RecordedEvent::position)
    }

    /// The request for what follows, of the same selection.
    pub(crate) fn followed(&self, request: ReadRequest) -> ReadRequest {
        match self.version {
            Some(version) => request.after_version(version),
            None => request.after(self.position()),
        }
    }
}

impl<S, E> Clone for Replay<S, E> {
    fn clone(&self) -> Self {
        Self {
            store: self.store.clone(),
            selection: self.selection.clone(),
            fold: self.fold.clone(),
            snapshots: self.snapshots.clone(),
            page_events_max: self.page_events_max,
            watcher: self.watcher.clone(),
        }
    }
}

impl<S, E> fmt::Debug for Replay<S, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replay")
            .field("store", &self.store)
            .field("selection", &self.selection)
            .field("page_events_max", &self.page_events_max)
            .finish_non_exhaustive()
    }
}
