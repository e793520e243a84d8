//! One state of the store, as readers see it.

use std::ops::{ControlFlow, Range, RangeInclusive};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use annals_core::{
    Cursor, Direction, Error, ErrorKind, EventBlocks, Position, StreamHead, StreamId, StreamPolicy,
    StreamState, Timestamp, Version,
};
use annals_log::{RecordAt, Segment, View};

use super::error::{bad_record, corrupt, from_log, given_up};
use super::settings::LostEvents;
use crate::index::{Hashed, Hasher, Memtable, Part, RunError, RunErrorKind, StreamEnd};
use crate::record::{EventView, Kinds};

/// What is durable at one moment: immutable but for [`Live`], which only grows beyond `head`.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    /// The sealed and the frozen parts of the index, oldest first.
    pub(crate) older: Arc<[Arc<dyn Part>]>,
    /// The newest part of the index.
    pub(crate) live: Arc<Live>,
    pub(crate) view: View,
    pub(crate) kinds: Kinds,
    /// The memory of pages that are gone, for the next ones.
    pub(crate) blocks: Arc<EventBlocks>,
    /// The position of the newest event.
    pub(crate) head: Position,
    /// When it was recorded; the epoch in an empty store.
    pub(crate) newest_at: Timestamp,
    /// What reads do at what a repair gave up.
    pub(crate) lost_events: LostEvents,
}

/// The part of the index that takes the newest events.
#[derive(Debug)]
pub(crate) struct Live {
    first: u64,
    /// Shared when it takes no more events and is one of the older parts.
    memtable: RwLock<Arc<Memtable>>,
}

/// What the newest part of the index knows of a stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct LiveStream {
    /// Its number, if it is there.
    pub(crate) number: Option<u32>,
    /// Its last event, if it has one here.
    pub(crate) end: Option<StreamEnd>,
    /// The newest policy, if one was set.
    pub(crate) policy: Option<StreamPolicy>,
}

/// A stream as it stands.
#[derive(Clone, Debug, Default)]
pub(crate) struct StreamFacts {
    pub(crate) version: Version,
    /// Its last event that is recorded.
    pub(crate) recorded: Option<StreamEnd>,
    pub(crate) policy: StreamPolicy,
}

impl Snapshot {
    /// Hands every part of the index over, in this direction, until it is told to stop. The newest one is
    /// locked for as long as it is looked at.
    pub(crate) fn walk(
        &self,
        direction: Direction,
        mut visit: impl FnMut(&dyn Part) -> Result<ControlFlow<()>, Error>,
    ) -> Result<(), Error> {
        if direction == Direction::Backward && visit(&**self.live.read())?.is_break() {
            return Ok(());
        }
        let mut older = self.older.iter();
        let mut next = || match direction {
            Direction::Forward => older.next(),
            Direction::Backward => older.next_back(),
        };
        while let Some(part) = next() {
            if visit(&**part)?.is_break() {
                return Ok(());
            }
        }
        if direction == Direction::Forward {
            let _ = visit(&**self.live.read())?;
        }
        Ok(())
    }

    /// The hash function of the keys of the index.
    pub(crate) fn hasher(&self) -> Hasher {
        Hasher::new(self.view.log_id())
    }

    /// Where the newest part of the index begins: what is below never changes.
    pub(crate) fn settled(&self) -> u64 {
        self.live.first
    }

    /// Whether any stream has a policy.
    pub(crate) fn has_policies(&self) -> bool {
        self.live.read().has_policies() || self.older.iter().any(|part| part.has_policies())
    }

    /// The version and the policy of a stream.
    pub(crate) fn stream(&self, stream: &str) -> Result<StreamFacts, Error> {
        let LiveStream { end, policy, .. } = self.live.stream_at(stream, self.head)?;
        let end = match end {
            Some(end) => Some(end),
            None => self.older_end(stream)?,
        };
        let policy = match policy {
            Some(policy) => Some(policy),
            None => self.older_policy(stream)?,
        };
        let version = end.map_or(Version::ABSENT, |end| Version::new(end.version));
        Ok(StreamFacts::new(version, end, policy))
    }

    /// A stream that has a policy; `None` for one without.
    pub(crate) fn stream_with_policy(&self, stream: &str) -> Result<Option<StreamFacts>, Error> {
        let policy = self.live.read().policy(stream).map_err(unusable)?;
        let policy = match policy {
            Some(policy) => Some(policy),
            None => self.older_policy(stream)?,
        };
        policy.map(|_| self.stream(stream)).transpose()
    }

    /// The last event of a stream by the older parts alone.
    pub(crate) fn older_end(&self, stream: &str) -> Result<Option<StreamEnd>, Error> {
        for part in self.older.iter().rev() {
            if let Some(end) = part.stream_head(stream).map_err(unusable)? {
                return Ok(Some(end));
            }
        }
        Ok(None)
    }

    /// The policy of a stream by the older parts alone.
    pub(crate) fn older_policy(&self, stream: &str) -> Result<Option<StreamPolicy>, Error> {
        for part in self.older.iter().rev().filter(|part| part.has_policies()) {
            if let Some(policy) = part.policy(stream).map_err(unusable)? {
                return Ok(Some(policy));
            }
        }
        Ok(None)
    }

    /// The head of a stream.
    pub(crate) fn stream_head(&self, stream: &StreamId) -> Result<StreamHead, Error> {
        let StreamFacts {
            version, policy, ..
        } = self.stream(stream.as_str())?;
        Ok(StreamHead {
            stream: stream.clone(),
            version,
            policy,
        })
    }

    /// The positions of a stream's events of these versions, which are all there, at most `limit` of them.
    pub(crate) fn stream_positions(
        &self,
        stream: &str,
        versions: RangeInclusive<u64>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<u64>, Error> {
        let count = (versions.end() + 1).saturating_sub(*versions.start());
        let wanted = usize::try_from(count).unwrap_or(usize::MAX).min(limit);
        let positions = self.known_positions(stream, versions.clone(), direction, wanted)?;
        if positions.len() == wanted {
            return Ok(positions);
        }
        let lost = self.view.lost().iter().map(|lost| lost.end - lost.start);
        if lost.sum::<u64>() >= (wanted - positions.len()) as u64 {
            return Err(lost_of_stream(stream));
        }
        Err(missing(stream, *versions.start()).with("found", positions.len()))
    }

    /// The same of those that no repair gave up, whether all are there or not.
    pub(crate) fn stream_positions_left(
        &self,
        stream: &str,
        versions: RangeInclusive<u64>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<u64>, Error> {
        let mut asked = limit;
        loop {
            let mut positions = self.known_positions(stream, versions.clone(), direction, asked)?;
            let is_all = positions.len() < asked;
            positions.retain(|position| self.lost_at(*position).is_none());
            if is_all || positions.len() >= limit {
                positions.truncate(limit);
                return Ok(positions);
            }
            asked = asked.saturating_mul(2);
        }
    }

    /// The positions that the index has for these versions of a stream, at most so many.
    fn known_positions(
        &self,
        stream: &str,
        versions: RangeInclusive<u64>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<u64>, Error> {
        let mut positions = Vec::with_capacity(limit.min(4096));
        self.walk(direction, |part| {
            let left = limit - positions.len();
            if left == 0 {
                return Ok(ControlFlow::Break(()));
            }
            part.stream_positions(stream, versions.clone(), direction, left, &mut positions)
                .map_err(unusable)?;
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(positions)
    }

    /// Between which positions the event of this version of a stream stands, both included: at one, but where a repair gave it
    /// up and the index was built since.
    pub(crate) fn position_of_version(
        &self,
        stream: &str,
        version: Version,
    ) -> Result<RangeInclusive<Position>, Error> {
        let version = version.value();
        let only = version..=version;
        if !self.has_lost() {
            let found = self.stream_positions(stream, only, Direction::Forward, 1)?;
            let position = Position::new(found.first().copied().unwrap_or_default());
            return Ok(position..=position);
        }
        let at = |versions, direction| {
            let found = self.known_positions(stream, versions, direction, 1);
            found.map(|found| found.first().copied())
        };
        if let Some(position) = at(only, Direction::Forward)? {
            return Ok(Position::new(position)..=Position::new(position));
        }
        let before = at(1..=version, Direction::Backward)?.unwrap_or_default();
        let after = at(version..=u64::MAX, Direction::Forward)?;
        let after = after.unwrap_or(self.head.next().value());
        let mut between = self.lost_between(before, after);
        let first = between.next().ok_or_else(|| missing(stream, version))?;
        let last = between.next_back().unwrap_or(first);
        Ok(Position::new(first.start)..=Position::new(last.end - 1))
    }

    /// The range of lost positions that this one is in.
    fn lost_at(&self, position: u64) -> Option<&Range<u64>> {
        let lost = self.view.lost();
        let index = lost.partition_point(|lost| lost.end <= position);
        lost.get(index).filter(|lost| lost.contains(&position))
    }

    /// What is lost between these positions.
    pub(crate) fn lost_between(
        &self,
        before: u64,
        after: u64,
    ) -> impl DoubleEndedIterator<Item = &Range<u64>> {
        let lost = self.view.lost().iter();
        lost.filter(move |lost| lost.end > before && lost.start < after)
    }

    /// Whether a repair gave up events.
    pub(crate) fn has_lost(&self) -> bool {
        !self.view.lost().is_empty()
    }

    /// Whether reads pass over what a repair gave up.
    pub(crate) fn skips_lost(&self) -> bool {
        self.lost_events == LostEvents::Skip && self.has_lost()
    }

    /// Where the record of this event stands.
    pub(crate) fn record_at(&self, position: u64) -> Result<RecordAt, Error> {
        let index = self.older.partition_point(|part| part.last() < position);
        let place = match self.older.get(index) {
            Some(part) => part.record_at(position),
            None => self.live.read().record_at(position),
        };
        let place = place.map_err(unusable)?;
        place.ok_or_else(|| no_place(position))
    }

    /// Appends where the records of these events stand; `None` for what the index does not have.
    pub(crate) fn records_at(
        &self,
        positions: &[u64],
        out: &mut Vec<Option<RecordAt>>,
    ) -> Result<(), Error> {
        out.reserve(positions.len());
        let mut rest = positions;
        while let Some(first) = rest.first() {
            let index = self.older.partition_point(|part| part.last() < *first);
            let Some(part) = self.older.get(index) else {
                let newest = rest.partition_point(|position| *position >= self.settled());
                let (here, later) = rest.split_at(newest.max(1));
                let live = self.live.read();
                live.records_at(here, out).map_err(unusable)?;
                rest = later;
                continue;
            };
            let range = part.first()..=part.last();
            let others = rest.iter().position(|position| !range.contains(position));
            let (here, later) = rest.split_at(others.unwrap_or(rest.len()).max(1));
            part.records_at(here, out).map_err(unusable)?;
            rest = later;
        }
        Ok(())
    }

    /// Looks at the event of this position.
    pub(crate) fn look<T>(
        &self,
        position: Position,
        scratch: &mut Vec<u8>,
        look: impl FnOnce(&EventView<'_>) -> T,
    ) -> Result<T, Error> {
        let at = self.record_at(position.value())?;
        self.look_at(at, position, scratch, look)
    }

    /// Looks at the event of this position, whose record stands there.
    pub(crate) fn look_at<T>(
        &self,
        at: RecordAt,
        position: Position,
        scratch: &mut Vec<u8>,
        look: impl FnOnce(&EventView<'_>) -> T,
    ) -> Result<T, Error> {
        let record = self.view.record(at, scratch).map_err(from_log)?;
        let event = EventView::parse(record.body, self.base(at))
            .map_err(|bad| bad_record(bad, position))?;
        Ok(look(&event))
    }

    /// The time from which the records of a segment count.
    pub(crate) fn base(&self, at: RecordAt) -> Timestamp {
        let context = self.view.segment(at.segment()).map(Segment::context);
        Timestamp::from_micros(context.unwrap_or_default().cast_signed())
    }

    /// When the event of this position was recorded.
    pub(crate) fn appended_at(
        &self,
        position: Position,
        scratch: &mut Vec<u8>,
    ) -> Result<Timestamp, Error> {
        self.look(position, scratch, |event: &EventView<'_>| {
            event.appended_at()
        })
    }

    /// When the event of this version of a stream was recorded. Of one that is lost it is known that it was no later than
    /// what stands behind it: that, so that no rule about age hides what is lost without a word.
    pub(crate) fn appended_at_version(
        &self,
        stream: &str,
        version: Version,
        scratch: &mut Vec<u8>,
    ) -> Result<Timestamp, Error> {
        let mut position = self.position_of_version(stream, version)?.end().value();
        while let Some(lost) = self.lost_at(position) {
            position = lost.end;
        }
        if position > self.head.value() {
            return Ok(self.newest_at);
        }
        self.appended_at(Position::new(position), scratch)
    }

    /// This time, or that of the newest event where the clock went back.
    pub(crate) fn not_before_newest(&self, now: Timestamp) -> Timestamp {
        self.newest_at.max(now)
    }

    /// Refuses a cursor that no reader of this store can have.
    pub(crate) fn check_not_ahead(&self, cursor: &Cursor) -> Result<(), Error> {
        if Cursor::at(self.head).covers(cursor) {
            return Ok(());
        }
        let message = "cursor is ahead of the store: it is another store's, or events were lost";
        Err(Error::new(ErrorKind::CursorAhead, message)
            .with("cursor", cursor)
            .with("head", self.head))
    }
}

impl Live {
    pub(crate) fn new(memtable: Memtable) -> Self {
        Self {
            first: memtable.first(),
            memtable: RwLock::new(Arc::new(memtable)),
        }
    }

    /// What is known of a stream here, of its events up to this position.
    pub(crate) fn stream_at(&self, stream: &str, head: Position) -> Result<LiveStream, Error> {
        let memtable = self.read();
        let hash = memtable.hasher().stream(stream);
        LiveStream::of(&memtable, Hashed { text: stream, hash }, head)
    }

    /// The memory, to look at. Whoever holds it takes no second one: where a writer waits in between, the second
    /// waits for the writer, and the writer for the first.
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Arc<Memtable>> {
        // A panic while the committer changed it ends the committer, and nothing more is published.
        self.memtable.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether anybody holds it.
    #[cfg(test)]
    pub(crate) fn is_locked(&self) -> bool {
        self.memtable.try_write().is_err()
    }

    /// Changes the memory. There is one who does: the committer, or who follows another process. That one may
    /// share the memory while it does not change it; nobody else does before it is frozen, after which it is not
    /// changed any more.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Memtable) -> T) -> T {
        let mut memtable = self
            .memtable
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        debug_assert_eq!(Arc::strong_count(&memtable), 1, "the memory is shared");
        // Not shared, so this copies nothing.
        change(Arc::make_mut(&mut memtable))
    }
}

impl LiveStream {
    /// Looks a stream up, with its events up to this position.
    pub(crate) fn of(
        memtable: &Memtable,
        stream: Hashed<'_>,
        head: Position,
    ) -> Result<Self, Error> {
        let number = memtable.stream_number(stream);
        Ok(Self {
            number,
            end: number.and_then(|number| memtable.end_at(number, head.value())),
            policy: memtable.policy(stream.text).map_err(unusable)?,
        })
    }
}

impl StreamFacts {
    pub(crate) fn new(
        version: Version,
        recorded: Option<StreamEnd>,
        policy: Option<StreamPolicy>,
    ) -> Self {
        let mut policy = policy.unwrap_or_default();
        if version >= policy.truncate_before {
            policy.reopen();
        }
        Self {
            version,
            recorded,
            policy,
        }
    }

    pub(crate) fn is_soft_deleted(&self) -> bool {
        self.policy.state == StreamState::SoftDeleted
    }
}

/// The index does not have an event of a stream.
#[cold]
fn missing(stream: &str, version: u64) -> Error {
    corrupt("index misses events of a stream; verify the store")
        .with("stream", stream)
        .with("from_version", version)
}

/// A repair gave up events of this stream.
#[cold]
fn lost_of_stream(stream: &str) -> Error {
    given_up("events of the stream are lost, as a repair recorded; restore a backup, or read on behind them")
        .with("stream", stream)
}

/// The index does not say where the record of an event stands.
#[cold]
pub(crate) fn no_place(position: u64) -> Error {
    corrupt("index has no place for an event; verify the store").with("position", position)
}

/// An index file that can't be used, as an error of the contract.
pub(crate) fn unusable(error: RunError) -> Error {
    let (kind, message) = match error.kind() {
        RunErrorKind::Io => (
            ErrorKind::Unavailable,
            "index file can't be read; see the cause",
        ),
        RunErrorKind::NewerFormat => (
            ErrorKind::Unavailable,
            "index is of a newer version of annals; open the store with that",
        ),
        _ => (
            ErrorKind::Unavailable,
            "index file is damaged and built again; retry",
        ),
    };
    Error::new(kind, message).caused_by(error)
}
