//! The history of an aggregate, folded page by page: from the beginning, or on from a state that was kept.

use annals_core::{
    Aggregate, ConsistencyLevel, Error, ErrorKind, Page, ReadRequest, RecordedEvent, StreamId,
    StreamPolicy, Version, Work, WorkKind, WorkOutcome,
};
use annals_snapshot::{Folded, Validity};

use crate::kept::Kept;
use crate::{Loaded, Repository};

/// A loaded aggregate, and the events that were asked for with it.
pub(crate) type WithEvents<A> = (Loaded<A>, Vec<<A as Aggregate>::Event>);

/// What of a stream is read.
pub(crate) struct Reading {
    stream: StreamId,
    /// Up to and with this version.
    until: Version,
    /// The events after this version are kept.
    keep_after: Version,
    consistency: ConsistencyLevel,
}

/// What the earlier pages of one load have shown.
struct Seen {
    policy: Option<StreamPolicy>,
    last: Version,
}

impl Reading {
    /// The stream up to and with a version, as it is now.
    pub(crate) fn until(stream: StreamId, until: Version) -> Self {
        Self {
            stream,
            until,
            keep_after: Version::MAX,
            consistency: ConsistencyLevel::Strong,
        }
    }

    /// The same as fresh as this.
    pub(crate) fn consistent(mut self, consistency: ConsistencyLevel) -> Self {
        self.consistency = consistency;
        self
    }

    /// The last version that a state to go on from may have.
    fn resumes_until(&self) -> Version {
        self.until.min(self.keep_after)
    }

    fn request_after(&self, version: Version) -> ReadRequest {
        ReadRequest::stream(self.stream.clone())
            .after_version(version)
            .until_version(self.until)
            .consistency(self.consistency.clone())
    }
}

impl<A: Aggregate> Repository<A> {
    /// Reads the stream up to and with a version.
    pub(crate) async fn read(&self, stream: StreamId, until: Version) -> Result<Loaded<A>, Error> {
        let (loaded, _) = self.read_kept(&Reading::until(stream, until)).await?;
        Ok(loaded)
    }

    /// Reads the stream up to and with a version, and keeps the events after `keep_after`.
    pub(crate) async fn read_and_keep(
        &self,
        stream: StreamId,
        until: Version,
        keep_after: Version,
    ) -> Result<WithEvents<A>, Error> {
        let mut reading = Reading::until(stream, until);
        reading.keep_after = keep_after;
        self.read_kept(&reading).await
    }

    /// Reads on from the cached state or from a snapshot, where one holds, and keeps what it read in the cache.
    pub(crate) async fn read_kept(&self, reading: &Reading) -> Result<WithEvents<A>, Error> {
        let observer = self.writer.observer.as_ref();
        if observer.is_none() {
            return self.read_unobserved(reading).await;
        }
        // Kept apart, so that what nobody observes is no larger for it.
        let read = Box::pin(self.read_unobserved(reading));
        let load = Work::on(WorkKind::Load, &reading.stream);
        load.wait_for(observer, read, WorkOutcome::of).await
    }

    async fn read_unobserved(&self, reading: &Reading) -> Result<WithEvents<A>, Error> {
        let clock = self.keeping.snapshots.as_ref().map(|_| &self.writer.clock);
        let began = clock.map(|clock| clock.now());
        let (mut read, cached) = match self.read_from_cache(reading).await? {
            Some((read, version)) => (read, Some(version)),
            None => match self.read_from_snapshot(reading).await? {
                Some(read) => (read, None),
                None => (self.read_whole(reading).await?, None),
            },
        };
        if let Some((clock, began)) = clock.zip(began) {
            read.0.origin_mut().fold_time = clock.now().since(began);
        }
        if reading.until == Version::MAX {
            self.keep_loaded(&read.0, cached);
        }
        Ok(read)
    }

    /// Goes on from the cached state, and gives the version of that too.
    async fn read_from_cache(
        &self,
        reading: &Reading,
    ) -> Result<Option<(WithEvents<A>, Version)>, Error> {
        let cached = self.keeping.cached(&reading.stream);
        let Some(cached) = cached.filter(|it| it.version <= reading.resumes_until()) else {
            return Ok(None);
        };
        let copy = self.keeping.copy_of(&cached);
        let read = match copy {
            Some(folded) => self.read_on(reading, folded).await?,
            None => None,
        };
        if let (None, Some(cache)) = (&read, &self.keeping.cache) {
            cache.states.drop_state(&reading.stream, &cached);
        }
        Ok(read.map(|read| (read, cached.version)))
    }

    async fn read_from_snapshot(&self, reading: &Reading) -> Result<Option<WithEvents<A>>, Error> {
        let Some(snapshots) = &self.keeping.snapshots else {
            return Ok(None);
        };
        let found = snapshots.load(&reading.stream, reading.resumes_until());
        let Some((folded, mark)) = found.await else {
            return Ok(None);
        };
        let folded = folded.map(|state| Kept::of_snapshot(state, mark));
        let read = self.read_on(reading, folded).await?;
        snapshots.count_use(read.is_some());
        Ok(read)
    }

    /// Reads the stream from its beginning.
    pub(crate) async fn read_whole(&self, reading: &Reading) -> Result<WithEvents<A>, Error> {
        let attempts_max = self.writer.retrier.policy().attempts_max;
        for _ in 0..attempts_max {
            let first = self.page(reading.request_after(Version::ABSENT)).await?;
            let absent = self.absent(reading.stream.clone());
            if let Some(read) = self.read_pages(reading, first, absent, None).await? {
                return Ok(read);
            }
        }
        let message =
            "stream is truncated or deleted whenever it is read; load it again once that is over";
        Err(Error::new(ErrorKind::Unavailable, message)
            .during("load")
            .with("stream", &reading.stream)
            .with("attempts", attempts_max))
    }

    /// Reads the tail after a state; `None` when a fold from the beginning has other events in it.
    async fn read_on(
        &self,
        reading: &Reading,
        folded: Folded<Kept<A>>,
    ) -> Result<Option<WithEvents<A>>, Error> {
        let (begins_at, version) = (folded.begins_at, folded.version);
        let request = reading.request_after(version);
        let page = self.page(request).await?;
        let first = page.events.first().map(RecordedEvent::version);
        let validity = match &page.stream {
            Some(head) if first.is_none_or(|first| first == version.next()) => {
                folded.validity(head)
            }
            _ => Validity::Dropped,
        };
        if validity == Validity::Dropped {
            return Ok(None);
        }
        let resumed = self.absent(reading.stream.clone()).resumed(folded);
        let seen = Seen {
            policy: page.stream.as_ref().map(|head| head.policy.clone()),
            last: version,
        };
        let tail = self.read_pages(reading, page, resumed, Some(seen)).await;
        let read = match tail {
            // The state is another than its events give; they decide.
            Err(error) if error.kind() == ErrorKind::Refused => None,
            tail => tail?,
        };
        // Asked after the tail was read: what is shown by then was shown before.
        if read.is_some() && validity == Validity::DependsOnAge {
            let first = self.first_shown(&reading.stream).await?;
            return Ok(read.filter(|_| first == Some(begins_at)));
        }
        Ok(read)
    }

    /// Folds this page and those that follow it; `None` when they are not of one history with each other and
    /// with what was seen before.
    async fn read_pages(
        &self,
        reading: &Reading,
        first: Page,
        mut loaded: Loaded<A>,
        mut seen: Option<Seen>,
    ) -> Result<Option<WithEvents<A>>, Error> {
        let mut kept = Vec::new();
        let mut page = first;
        loop {
            if seen.as_ref().is_some_and(|seen| is_torn(seen, &page)) {
                return Ok(None);
            }
            let fold = Work::on(WorkKind::Fold, &reading.stream).with_events(&page.events);
            let folding = || {
                loaded.fold(&page, reading.until, |version, event| {
                    if version > reading.keep_after {
                        kept.push(event);
                    }
                })
            };
            fold.run(self.writer.observer.as_ref(), folding, WorkOutcome::of)?;
            if let Some(last) = page.events.last().map(RecordedEvent::version) {
                let policy = page.stream.map(|head| head.policy);
                seen = Some(Seen { policy, last });
            }
            match page.next {
                Some(next) => page = self.writer.store.read(next).await?,
                None => return Ok(Some((loaded, kept))),
            }
        }
    }

    async fn page(&self, request: ReadRequest) -> Result<Page, Error> {
        let request = request.events_max(self.page_events_max);
        self.writer.store.read(request).await
    }

    /// The version of the first event of a stream that reads show.
    async fn first_shown(&self, stream: &StreamId) -> Result<Option<Version>, Error> {
        let mut request = ReadRequest::stream(stream.clone()).events_max(1);
        loop {
            let page = self.writer.store.read(request).await?;
            match (page.events.first(), page.next) {
                (Some(first), _) => return Ok(Some(first.version())),
                (None, Some(next)) => request = next,
                (None, None) => return Ok(None),
            }
        }
    }

    /// The aggregate of a stream before anything of it is read.
    pub(crate) fn absent(&self, stream: StreamId) -> Loaded<A> {
        let (codec, store) = (self.codec.clone(), self.writer.store.clone());
        Loaded::absent(stream, codec, store, self.gaps)
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
