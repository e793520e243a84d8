//! The history of an aggregate, folded page by page.

use annals_core::{
    Aggregate, Error, ErrorKind, Page, ReadRequest, RecordedEvent, StreamId, StreamPolicy, Version,
};

use crate::{Loaded, Repository};

/// What the earlier pages of one load have shown.
struct Seen {
    policy: Option<StreamPolicy>,
    last: Version,
}

impl<A: Aggregate> Repository<A> {
    /// Reads the stream up to and with a version.
    pub(crate) async fn read(&self, stream: StreamId, until: Version) -> Result<Loaded<A>, Error> {
        let (loaded, _) = self.read_and_keep(stream, until, Version::MAX).await?;
        Ok(loaded)
    }

    /// Reads the stream up to and with a version, and keeps the events after `keep_after`.
    pub(crate) async fn read_and_keep(
        &self,
        stream: StreamId,
        until: Version,
        keep_after: Version,
    ) -> Result<(Loaded<A>, Vec<A::Event>), Error> {
        let attempts_max = self.writer.retrier.policy().attempts_max;
        for _ in 0..attempts_max {
            if let Some(read) = self.read_pages(&stream, until, keep_after).await? {
                return Ok(read);
            }
        }
        let message =
            "stream is truncated or deleted whenever it is read; load it again once that is over";
        Err(Error::new(ErrorKind::Unavailable, message)
            .during("load")
            .with("stream", stream)
            .with("attempts", attempts_max))
    }

    /// One attempt to read the stream; `None` when its pages are not of one history.
    async fn read_pages(
        &self,
        stream: &StreamId,
        until: Version,
        keep_after: Version,
    ) -> Result<Option<(Loaded<A>, Vec<A::Event>)>, Error> {
        let store = &self.writer.store;
        let mut loaded =
            Loaded::absent(stream.clone(), self.codec.clone(), store.clone(), self.gaps);
        let mut kept = Vec::new();
        let mut seen = None;
        let request = ReadRequest::stream(stream.clone()).until_version(until);
        let mut next = Some(request.events_max(self.page_events_max));
        while let Some(request) = next {
            let page = store.read(request).await?;
            if seen.as_ref().is_some_and(|seen| is_torn(seen, &page)) {
                return Ok(None);
            }
            loaded.fold(&page, until, |version, event| {
                if version > keep_after {
                    kept.push(event);
                }
            })?;
            if let Some(last) = page.events.last().map(RecordedEvent::version) {
                let policy = page.stream.map(|head| head.policy);
                seen = Some(Seen { policy, last });
            }
            next = page.next;
        }
        Ok(Some((loaded, kept)))
    }
}

/// Whether a later page does not go on where the earlier ones ended: after a change of policy the
/// stream may hide what was folded, and where events went out of sight between two pages, the versions
/// have a gap, which no single read shows.
fn is_torn(seen: &Seen, page: &Page) -> bool {
    let policy = page.stream.as_ref().map(|head| &head.policy);
    let first = page.events.first().map(RecordedEvent::version);
    policy != seen.policy.as_ref() || first.is_some_and(|first| first != seen.last.next())
}
