//! The events of a replay, one by one, as one history.

use std::vec;

use annals_core::{
    Direction, Error, ErrorKind, EventStore, Page, ReadRequest, RecordedEvent, Selection,
    StreamHead, StreamPolicy, Version,
};

use crate::observer::Watched;

/// The events that answer a request, read page by page as they are taken.
pub(crate) struct Reading<'a> {
    store: &'a dyn EventStore,
    next: Option<ReadRequest>,
    page: vec::IntoIter<RecordedEvent>,
    watched: Watched,
    stream: Option<SeenOfStream>,
    head: Option<StreamHead>,
}

/// What the pages before have shown of a stream.
struct SeenOfStream {
    last: Version,
    policy: Option<StreamPolicy>,
}

impl<'a> Reading<'a> {
    pub(crate) fn begin(store: &'a dyn EventStore, request: ReadRequest, watched: Watched) -> Self {
        let of_stream = matches!(request.selection, Selection::Stream(_));
        let forward = request.direction == Direction::Forward;
        let stream = (of_stream && forward).then_some(SeenOfStream {
            last: request.after_version,
            policy: None,
        });
        Self {
            store,
            next: Some(request),
            page: Vec::new().into_iter(),
            watched,
            stream,
            head: None,
        }
    }

    /// The next event; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<RecordedEvent>, Error> {
        loop {
            if let Some(event) = self.page.next() {
                return Ok(Some(event));
            }
            if !self.turn().await? {
                return Ok(None);
            }
        }
    }

    /// The first event, which stays to be taken, and the head of the stream as the first page shows it.
    pub(crate) async fn look(
        &mut self,
    ) -> Result<(Option<&RecordedEvent>, Option<&StreamHead>), Error> {
        while self.page.as_slice().is_empty() && self.turn().await? {}
        Ok((self.page.as_slice().first(), self.head.as_ref()))
    }

    /// Takes the next page; `false` where there is none.
    async fn turn(&mut self) -> Result<bool, Error> {
        let Some(request) = self.next.take() else {
            return Ok(false);
        };
        let page = self.store.read(request).await?;
        if let Some(seen) = &mut self.stream {
            seen.check(&page)?;
        }
        self.watched.advance(&page.events);
        self.page = page.events.into_iter();
        self.next = page.next;
        if self.head.is_none() {
            self.head = page.stream;
        }
        Ok(true)
    }
}

impl SeenOfStream {
    /// Refuses a page that is not of one history with those before: after a change of policy the stream
    /// may hide what was folded.
    fn check(&mut self, page: &Page) -> Result<(), Error> {
        let policy = page.stream.as_ref().map(|head| &head.policy);
        let is_first = self.policy.is_none();
        let first = page.events.first().map(RecordedEvent::version);
        let goes_on = first.is_none_or(|first| first == self.last.next());
        if !is_first && (policy != self.policy.as_ref() || !goes_on) {
            let message = "stream was truncated or deleted while it was replayed; replay it again";
            return Err(Error::new(ErrorKind::Unavailable, message).during("replay"));
        }
        self.policy = policy.cloned();
        if let Some(last) = page.events.last() {
            self.last = last.version();
        }
        Ok(())
    }
}
