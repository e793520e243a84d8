//! What every event store offers on top of its contract.

use std::future::Future;

use futures_util::future;
use futures_util::stream::{self, BoxStream, Stream, StreamExt, TryStreamExt};

use crate::{
    ConsistencyLevel, Cursor, Direction, Error, ErrorKind, EventStore, Expected, Page,
    PolicyAction, PolicyChange, ReadRequest, Receipt, RecordedEvent, StreamHead, StreamId, Version,
};

/// An event of the application with the recorded event that it was decoded from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodedEvent<E> {
    /// The application's event.
    pub event: E,
    /// The recorded event: its place, times and context.
    pub recorded: RecordedEvent,
}

/// Conveniences over [`EventStore`], there for every store.
pub trait EventStoreExt: EventStore {
    /// The pages that answer the request, one after the other.
    fn pages(&self, request: ReadRequest) -> BoxStream<'_, Result<Page, Error>> {
        let pages = stream::try_unfold(Some(request), move |next| async move {
            let Some(request) = next else { return Ok(None) };
            let mut page = self.read(request).await?;
            let next = page.next.take();
            Ok(Some((page, next)))
        });
        pages.boxed()
    }

    /// The events that answer the request, one by one; reads page by page as they are taken, and follows
    /// the end of the store as it moves.
    fn events(&self, request: ReadRequest) -> BoxStream<'_, Result<RecordedEvent, Error>> {
        self.pages(request)
            .map_ok(into_events)
            .try_flatten()
            .boxed()
    }

    /// The events that answer the request, decoded one by one.
    ///
    /// # Errors
    /// The first error of the store or of the decoder ends the stream.
    fn decoded<'a, E: Send + 'a>(
        &'a self,
        request: ReadRequest,
        decode: impl Fn(&RecordedEvent) -> Result<E, Error> + Send + 'a,
    ) -> BoxStream<'a, Result<DecodedEvent<E>, Error>> {
        let decoded = self.events(request).map(move |recorded| {
            let recorded = recorded?;
            Ok(DecodedEvent {
                event: decode(&recorded)?,
                recorded,
            })
        });
        let until_failed = decoded.scan(false, |failed, item| {
            let ended = std::mem::replace(failed, item.is_err());
            future::ready((!ended).then_some(item))
        });
        until_failed.boxed()
    }

    /// All events that answer the request, in memory.
    fn collect(
        &self,
        request: ReadRequest,
    ) -> impl Future<Output = Result<Vec<RecordedEvent>, Error>> + Send {
        self.events(request).try_collect()
    }

    /// The events that answer the request from its start on, then those that are appended later, as
    /// they come: no gap and no duplicate where the one turns into the other. Ends only by an error,
    /// where the request says `until`, or, when it says `appended_before`, once the store holds an event
    /// of that moment or later (in a partitioned store: one in each partition).
    ///
    /// A reader that is to go on after a restart takes [`subscribe_pages`](Self::subscribe_pages), whose
    /// pages carry the cursor to keep.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] as the only item for a backward request.
    fn subscribe(&self, request: ReadRequest) -> BoxStream<'_, Result<RecordedEvent, Error>> {
        self.subscribe_pages(request)
            .map_ok(into_events)
            .try_flatten()
            .boxed()
    }

    /// Like [`subscribe`](Self::subscribe), page by page: each page's cursor is what a reader keeps as
    /// its checkpoint once it has handled the page. A page may be without events.
    fn subscribe_pages(&self, request: ReadRequest) -> BoxStream<'_, Result<Page, Error>> {
        follow(self, request).boxed()
    }

    /// Like [`subscribe_pages`](Self::subscribe_pages), as a stream that owns its store: to be kept, or
    /// moved into a task. Clone an `Arc` of the store for it.
    fn into_subscription(self, request: ReadRequest) -> BoxStream<'static, Result<Page, Error>>
    where
        Self: Sized + 'static,
    {
        follow(self, request).boxed()
    }

    /// Waits until this store shows the append: at once where it was recorded here, later on a replica.
    ///
    /// # Errors
    /// [`ErrorKind::CursorAhead`] when no such append is in the whole store, and
    /// [`ErrorKind::Unavailable`] when a lagging store gives up.
    fn wait_for(&self, receipt: &Receipt) -> impl Future<Output = Result<(), Error>> + Send {
        let session = ConsistencyLevel::Session(receipt.cursor.clone());
        async move { self.head(session).await.map(drop) }
    }

    /// The newest visible event of a stream.
    fn last_event(
        &self,
        stream: &StreamId,
    ) -> impl Future<Output = Result<Option<RecordedEvent>, Error>> + Send {
        let request = ReadRequest::stream(stream.clone()).backward().events_max(1);
        async move { self.events(request).try_next().await }
    }

    /// Hides all events of a stream; the next append opens it again, with versions that go on.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when the stream is not in the expected state, or is tombstoned.
    fn soft_delete(
        &self,
        stream: StreamId,
        expected: Expected,
    ) -> impl Future<Output = Result<StreamHead, Error>> + Send {
        let action = PolicyAction::SoftDelete;
        self.change_stream_policy(PolicyChange {
            stream,
            expected,
            action,
        })
    }

    /// Closes a stream for good: its events are hidden and no append is taken.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when the stream is not in the expected state.
    fn tombstone(
        &self,
        stream: StreamId,
        expected: Expected,
    ) -> impl Future<Output = Result<StreamHead, Error>> + Send {
        let action = PolicyAction::Tombstone;
        self.change_stream_policy(PolicyChange {
            stream,
            expected,
            action,
        })
    }
}

impl<S: EventStore + ?Sized> EventStoreExt for S {}

/// Where a subscription stands between two pages, with the head that it was last woken for.
enum Subscription {
    /// Read on at once.
    Read(ReadRequest, Option<Cursor>),
    /// Read on when the store has moved past the cursor.
    Wait(ReadRequest, Cursor),
    Ended,
}

impl Subscription {
    /// What comes after `page`, the answer to `request`, on the way to `head`.
    fn following(mut request: ReadRequest, page: &mut Page, head: Option<Cursor>) -> Self {
        if let Some(next) = page.next.take() {
            return Self::Read(next, head);
        }
        let until = request.until.as_ref();
        let version = page.stream.as_ref().map(|stream| stream.version);
        if until.is_some_and(|until| page.cursor.covers(until))
            || version.is_some_and(|version| version >= request.until_version)
        {
            return Self::Ended;
        }
        // What holds the page back from a head that it shows is the bound in time, and time never goes back.
        let in_time = request.appended_before.is_some() && request.until_version == Version::MAX;
        if in_time
            && head
                .as_ref()
                .is_some_and(|head| is_behind(&page.cursor, head))
        {
            return Self::Ended;
        }
        request.after = page.cursor.clone();
        // A bound in one partition holds the page's cursor back; the head goes past it.
        Self::Wait(request, head.unwrap_or_else(|| page.cursor.clone()))
    }
}

/// Whether a reader who stands at `cursor` has yet to see something of every partition.
fn is_behind(cursor: &Cursor, head: &Cursor) -> bool {
    let places = head.positions().iter().enumerate();
    let mut places = places.map(|(partition, head)| (cursor.positions().get(partition), head));
    places.all(|(place, head)| place.copied().unwrap_or_default() < *head)
}

/// The pages of a subscription, over a store or a reference to one.
fn follow<S: EventStore>(
    store: S,
    request: ReadRequest,
) -> impl Stream<Item = Result<Page, Error>> + Send {
    let begin = (store, Subscription::Read(request, None));
    stream::try_unfold(begin, |(store, state)| async move {
        let page = step(&store, state).await?;
        Ok(page.map(|(page, state)| (page, (store, state))))
    })
}

/// The next page of a subscription.
async fn step<S: EventStore>(
    store: &S,
    state: Subscription,
) -> Result<Option<(Page, Subscription)>, Error> {
    let (request, head) = match state {
        Subscription::Read(request, head) => (request, head),
        Subscription::Wait(mut request, seen) => {
            let head = store.changed_since(&seen).await?;
            // A lagging read would show nothing new, and the subscription would spin.
            if request.consistency != ConsistencyLevel::Strong {
                request.consistency = ConsistencyLevel::Session(head.clone());
            }
            (request, Some(head))
        }
        Subscription::Ended => return Ok(None),
    };
    if request.direction == Direction::Backward {
        let message = "a subscription goes forward; read backward with `events`";
        return Err(Error::new(ErrorKind::Invalid, message).during("subscribe"));
    }
    let mut page = store.read(request.clone()).await?;
    let state = Subscription::following(request, &mut page, head);
    Ok(Some((page, state)))
}

fn into_events(page: Page) -> impl Stream<Item = Result<RecordedEvent, Error>> {
    stream::iter(page.events.into_iter().map(Ok))
}
