//! What every event store offers on top of its contract.

use std::future::Future;

use futures_util::stream::{self, Stream, StreamExt, TryStreamExt};

use crate::{
    ConsistencyLevel, Cursor, Direction, Error, ErrorKind, EventStore, Page, PolicyChange,
    ReadRequest, Receipt, RecordedEvent, StreamId, StreamState, Version,
};

/// An event of the application with the recorded event that it was decoded from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded<E> {
    /// The application's event.
    pub event: E,
    /// The recorded event: its place, times and context.
    pub recorded: RecordedEvent,
}

/// Conveniences over [`EventStore`], there for every store.
pub trait EventStoreExt: EventStore {
    /// The pages that answer the request, one after the other.
    fn pages(&self, request: ReadRequest) -> impl Stream<Item = Result<Page, Error>> + Send {
        stream::try_unfold(Some(request), move |next| async move {
            let Some(request) = next else { return Ok(None) };
            let mut page = self.read(request).await?;
            let next = page.next.take();
            Ok(Some((page, next)))
        })
    }

    /// The events that answer the request, one by one; reads page by page as they are taken.
    fn events(
        &self,
        request: ReadRequest,
    ) -> impl Stream<Item = Result<RecordedEvent, Error>> + Send {
        self.pages(request).map_ok(into_events).try_flatten()
    }

    /// The events that answer the request, decoded one by one.
    ///
    /// # Errors
    /// The stream ends with the first event that the decoder refuses.
    fn decoded<E: Send>(
        &self,
        request: ReadRequest,
        decode: impl Fn(&RecordedEvent) -> Result<E, Error> + Send,
    ) -> impl Stream<Item = Result<Decoded<E>, Error>> + Send {
        self.events(request).map(move |recorded| {
            let recorded = recorded?;
            Ok(Decoded {
                event: decode(&recorded)?,
                recorded,
            })
        })
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
    /// or where the request says `until`.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] as the only item for a backward request.
    fn subscribe(
        &self,
        request: ReadRequest,
    ) -> impl Stream<Item = Result<RecordedEvent, Error>> + Send {
        self.subscribe_pages(request)
            .map_ok(into_events)
            .try_flatten()
    }

    /// Like [`subscribe`](Self::subscribe), page by page: each page's cursor is what a reader keeps as
    /// its checkpoint once it has handled the page. A page may be without events.
    fn subscribe_pages(
        &self,
        request: ReadRequest,
    ) -> impl Stream<Item = Result<Page, Error>> + Send {
        stream::try_unfold(Subscription::Read(request), move |state| async move {
            let request = match state {
                Subscription::Read(request) => request,
                Subscription::Wait(request, seen) => {
                    self.changed_since(&seen).await?;
                    request
                }
                Subscription::Ended => return Ok(None),
            };
            if request.direction == Direction::Backward {
                let message = "a subscription goes forward; read backward with `events`";
                return Err(Error::new(ErrorKind::Invalid, message).during("subscribe"));
            }
            let mut page = self.read(request.clone()).await?;
            let state = Subscription::following(request, &mut page);
            Ok(Some((page, state)))
        })
    }

    /// Waits until this store shows the append: at once where it was recorded here, later on a replica.
    fn wait_for(&self, receipt: &Receipt) -> impl Future<Output = Result<(), Error>> + Send {
        async move {
            let mut head = self.head(ConsistencyLevel::Eventual).await?;
            while !head.covers(&receipt.cursor) {
                head = self.changed_since(&head).await?;
            }
            Ok(())
        }
    }

    /// The newest visible event of a stream.
    fn last_event(
        &self,
        stream: &StreamId,
    ) -> impl Future<Output = Result<Option<RecordedEvent>, Error>> + Send {
        let request = ReadRequest::stream(stream.clone()).backward().events_max(1);
        async move { Ok(self.read(request).await?.events.pop()) }
    }

    /// Hides all events of a stream; the next append opens it again, with versions that go on.
    fn soft_delete(&self, stream: &StreamId) -> impl Future<Output = Result<(), Error>> + Send {
        set_state(self, stream, StreamState::SoftDeleted)
    }

    /// Closes a stream for good: its events are hidden and no append is taken.
    fn tombstone(&self, stream: &StreamId) -> impl Future<Output = Result<(), Error>> + Send {
        set_state(self, stream, StreamState::Tombstoned)
    }
}

impl<S: EventStore + ?Sized> EventStoreExt for S {}

/// Where a subscription stands between two pages.
enum Subscription {
    /// Read on at once.
    Read(ReadRequest),
    /// Read on when the store has moved past the cursor.
    Wait(ReadRequest, Cursor),
    Ended,
}

impl Subscription {
    /// What comes after `page`, the answer to `request`.
    fn following(mut request: ReadRequest, page: &mut Page) -> Self {
        if let Some(next) = page.next.take() {
            return Self::Read(next);
        }
        if let Some(version) = page.stream_version {
            let delivered = page
                .events
                .last()
                .map_or(Version::ABSENT, RecordedEvent::version);
            request.after_version = request.after_version.max(version).max(delivered);
        }
        let bounded_out = request
            .until
            .as_ref()
            .is_some_and(|until| page.cursor.covers(until))
            || request.after_version >= request.until_version;
        if bounded_out {
            return Self::Ended;
        }
        request.after = page.cursor.clone();
        Self::Wait(request, page.cursor.clone())
    }
}

fn into_events(page: Page) -> impl Stream<Item = Result<RecordedEvent, Error>> {
    stream::iter(page.events.into_iter().map(Ok))
}

async fn set_state<S: EventStore + ?Sized>(
    store: &S,
    stream: &StreamId,
    state: StreamState,
) -> Result<(), Error> {
    let mut policy = store.stream_head(stream).await?.policy;
    policy.state = state;
    store
        .set_stream_policy(PolicyChange {
            stream: stream.clone(),
            policy,
        })
        .await
}
