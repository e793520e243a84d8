//! What to read, and what a store answers.

use super::criteria::Criteria;
use super::cursor::Cursor;
use super::number::{Position, Version};
use super::policy::StreamHead;
use super::recorded_event::RecordedEvent;
use super::stream_id::{Category, StreamId};
use super::time::Timestamp;
use crate::error::check_limit;
use crate::{Error, ErrorKind};

/// Which events.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Selection {
    /// Every event of the store.
    All,
    /// The events of one stream.
    Stream(StreamId),
    /// The events of every stream of a category.
    Category(Category),
    /// The events that match criteria, of any stream.
    Criteria(Criteria),
}

/// In which direction of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the oldest to the newest.
    #[default]
    Forward,
    /// From the newest to the oldest.
    Backward,
}

/// What a reader may rely on in the order of events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum EventOrdering {
    /// All events in the one order of the log; unsupported by a store without
    /// [`total_order`](crate::Capabilities::total_order).
    #[default]
    Total,
    /// The events of each stream in order; different streams may interleave in any way.
    PerStream,
}

/// How fresh an answer a reader asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ConsistencyLevel {
    /// It shows every append that was acknowledged before the read began.
    #[default]
    Strong,
    /// It shows at least all up to this cursor, as of the reader's own last receipt: a store that lags
    /// waits, and gives up as [`ErrorKind::Unavailable`] in a time of its own.
    Session(Cursor),
    /// It may lag.
    Eventual,
}

/// A question to a store: which events, from where to where, how many at a time.
///
/// A plain value: the setters never fail, the store refuses what breaks a limit.
///
/// ```
/// use annals_core::{ReadRequest, StreamId, Version};
///
/// let tail = ReadRequest::stream(StreamId::parse("account-42")?).after_version(Version::new(100));
/// let newest = ReadRequest::stream(StreamId::parse("account-42")?).backward().events_max(1);
/// let january = ReadRequest::all()
///     .appended_from("2026-01-01T00:00:00Z".parse()?)
///     .appended_before("2026-02-01T00:00:00Z".parse()?);
/// # Ok::<(), annals_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "hand it to a store"]
#[non_exhaustive]
pub struct ReadRequest {
    /// Which events.
    pub selection: Selection,
    /// In which direction.
    pub direction: Direction,
    /// Only events after this place of the store.
    pub after: Cursor,
    /// Only events up to and with this place of the store; `None` for its end.
    pub until: Option<Cursor>,
    /// Only events of later versions. Meant for a single stream; elsewhere it is refused.
    pub after_version: Version,
    /// Only events up to and with this version. Meant for a single stream; elsewhere it is refused.
    pub until_version: Version,
    /// Only events that the store recorded at this moment or later, by their
    /// [`appended_at`](RecordedEvent::appended_at); `None` for its beginning.
    pub appended_from: Option<Timestamp>,
    /// Only events that the store recorded before this moment, so that the spans of neighbouring
    /// requests share no event; `None` for its end.
    pub appended_before: Option<Timestamp>,
    /// The most events of a page: 1 to [`limits::PAGE_EVENTS_MAX`](crate::limits::PAGE_EVENTS_MAX).
    pub events_max: usize,
    /// Where a page ends in bytes, counted by [`NewEvent::bytes`](crate::NewEvent::bytes); it holds at least
    /// one event all the same.
    pub bytes_max: usize,
    /// How fresh.
    pub consistency: ConsistencyLevel,
    /// In which order. Of no effect for a single stream, whose events are always in order.
    pub ordering: EventOrdering,
}

/// A run of events that answer a request, and how to go on. All of it is of one state of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The events, in the direction that was asked for. May be empty though there is a next page, where
    /// a store bounds the work of one.
    pub events: Vec<RecordedEvent>,
    /// The request for the rest; `None` when the page reaches the end that the store had at the time. Who
    /// follows it forward follows the end as it moves.
    pub next: Option<ReadRequest>,
    /// Where a forward reader stands after this page: every selected event up to here was delivered,
    /// here or on a page before. It never goes back. At the end of a selection without upper bounds it
    /// is the store's head; under `appended_before` it stays before the first event of that moment or
    /// later. A backward read does not move: it gives the request's own `after`.
    pub cursor: Cursor,
    /// The head of the stream; `None` when the request is not for a single stream. A fold that begins
    /// with a snapshot ignores one from before `policy.truncate_before`.
    pub stream: Option<StreamHead>,
}

impl ReadRequest {
    /// How many events a page holds unless the request says otherwise.
    pub const EVENTS_MAX_DEFAULT: usize = 1000;

    /// Where a page ends in bytes unless the request says otherwise: 8 MiB.
    pub const BYTES_MAX_DEFAULT: usize = 8 * 1024 * 1024;

    /// Events of this selection: all of them, forward, strongly consistent, in total order.
    pub fn new(selection: Selection) -> Self {
        Self {
            selection,
            direction: Direction::Forward,
            after: Cursor::START,
            until: None,
            after_version: Version::ABSENT,
            until_version: Version::MAX,
            appended_from: None,
            appended_before: None,
            events_max: Self::EVENTS_MAX_DEFAULT,
            bytes_max: Self::BYTES_MAX_DEFAULT,
            consistency: ConsistencyLevel::Strong,
            ordering: EventOrdering::Total,
        }
    }

    /// Every event.
    pub fn all() -> Self {
        Self::new(Selection::All)
    }

    /// The events of one stream.
    pub fn stream(stream: StreamId) -> Self {
        Self::new(Selection::Stream(stream))
    }

    /// The events of a category.
    pub fn category(category: Category) -> Self {
        Self::new(Selection::Category(category))
    }

    /// The events that match criteria.
    pub fn matching(criteria: Criteria) -> Self {
        Self::new(Selection::Criteria(criteria))
    }

    /// From the newest to the oldest.
    pub fn backward(mut self) -> Self {
        self.direction = Direction::Backward;
        self
    }

    /// Only events after this place.
    pub fn after(mut self, cursor: impl Into<Cursor>) -> Self {
        self.after = cursor.into();
        self
    }

    /// Only events up to and with this place.
    pub fn until(mut self, cursor: impl Into<Cursor>) -> Self {
        self.until = Some(cursor.into());
        self
    }

    /// Only events of later versions of the stream.
    pub fn after_version(mut self, version: Version) -> Self {
        self.after_version = version;
        self
    }

    /// Only events up to and with this version of the stream.
    pub fn until_version(mut self, version: Version) -> Self {
        self.until_version = version;
        self
    }

    /// Only events that the store recorded at this moment or later.
    pub fn appended_from(mut self, time: Timestamp) -> Self {
        self.appended_from = Some(time);
        self
    }

    /// Only events that the store recorded before this moment.
    pub fn appended_before(mut self, time: Timestamp) -> Self {
        self.appended_before = Some(time);
        self
    }

    /// Only events that the store recorded at this moment or before it: the history as of then.
    pub fn appended_until(mut self, time: Timestamp) -> Self {
        self.appended_before = time.as_micros().checked_add(1).map(Timestamp::from_micros);
        self
    }

    /// At most this many events a page.
    pub fn events_max(mut self, count: usize) -> Self {
        self.events_max = count;
        self
    }

    /// At most this many bytes a page, but at least one event.
    pub fn bytes_max(mut self, bytes: usize) -> Self {
        self.bytes_max = bytes;
        self
    }

    /// This fresh.
    pub fn consistency(mut self, consistency: ConsistencyLevel) -> Self {
        self.consistency = consistency;
        self
    }

    /// In this order.
    pub fn ordering(mut self, ordering: EventOrdering) -> Self {
        self.ordering = ordering;
        self
    }

    /// Refuses a request that breaks a limit or asks versions of more than one stream. Stores call it
    /// before they read.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`].
    pub fn validate(&self) -> Result<(), Error> {
        check_limit!("page of too many events", self.events_max, PAGE_EVENTS_MAX)?;
        check_limit!("page of too many bytes", self.bytes_max, PAGE_BYTES_MAX)?;
        if self.events_max == 0 {
            let message = "page of no events; ask for at least one";
            return Err(Error::new(ErrorKind::Invalid, message).during("read"));
        }
        let by_version = self.after_version > Version::ABSENT || self.until_version < Version::MAX;
        if by_version && !matches!(self.selection, Selection::Stream(_)) {
            let message = "versions belong to one stream; bound other reads by cursors";
            return Err(Error::new(ErrorKind::Invalid, message).during("read"));
        }
        Ok(())
    }

    /// The request for what follows `last`, the last event of a page; for stores that are a single log.
    pub fn resumed_after(&self, last: &RecordedEvent) -> Self {
        let mut next = self.clone();
        match (&self.selection, self.direction) {
            (Selection::Stream(_), Direction::Forward) => next.after_version = last.version(),
            (Selection::Stream(_), Direction::Backward) => {
                next.until_version = last.version().previous();
            }
            (_, Direction::Forward) => next.after = Cursor::at(last.position()),
            (_, Direction::Backward) => {
                next.until = Some(Cursor::at(last.position().previous()));
            }
        }
        next
    }

    /// The page that answers the request with these events, where `rest` says whether more of its events
    /// follow the last one and `until` is where its span ends; for stores that are a single log.
    pub fn page(
        &self,
        events: Vec<RecordedEvent>,
        rest: bool,
        until: Position,
        stream: Option<StreamHead>,
    ) -> Page {
        let last = events.last().filter(|_| rest);
        let next = last.map(|last| self.resumed_after(last));
        let cursor = match (self.direction, last) {
            (Direction::Backward, _) => self.after.clone(),
            (Direction::Forward, Some(last)) => Cursor::at(last.position()),
            (Direction::Forward, None) => self.reached(until),
        };
        Page {
            events,
            next,
            cursor,
            stream,
        }
    }

    /// Where a forward reader stands after the last page of a span that ends here: it never goes back.
    pub fn reached(&self, until: Position) -> Cursor {
        let until = Cursor::at(until);
        if until.covers(&self.after) {
            until
        } else {
            self.after.clone()
        }
    }

    /// The positions that the request spans in a single log: after the first, up to and with the second.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a cursor of a partitioned store.
    pub fn positions(&self) -> Result<(Position, Position), Error> {
        let single = |cursor: &Cursor| {
            cursor.position().ok_or_else(|| {
                let message = "cursor is of a partitioned store; this store is a single log";
                Error::new(ErrorKind::Invalid, message)
                    .during("read")
                    .with("cursor", cursor)
            })
        };
        let until = self.until.as_ref().map_or(Ok(Position::MAX), single)?;
        Ok((single(&self.after)?, until))
    }

    /// The positions that the request spans in a single log that ends at `head`, times included: after
    /// the first, up to and with the second.
    ///
    /// For stores with dense positions, whose `appended_at` never goes back from one position to the
    /// next: a bound in time is found by asking for the times of some `log2(head)` events, none where the
    /// request has no such bound. Where the span is empty, the second may lie before the first. The
    /// cursor of a last page forward is the second, or the request's own `after` if that is later.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a cursor of a partitioned store; the first error of `appended_at`.
    pub fn positions_in(
        &self,
        head: Position,
        mut appended_at: impl FnMut(Position) -> Result<Timestamp, Error>,
    ) -> Result<(Position, Position), Error> {
        let (after, until) = self.positions()?;
        let until = until.min(head);
        let mut last_before = |time: Option<Timestamp>, without: Position| match time {
            Some(time) => last_before(time, after, until, &mut appended_at),
            None => Ok(without),
        };
        let first = last_before(self.appended_from, after)?;
        let last = last_before(self.appended_before, until)?;
        Ok((first, last))
    }

    /// Whether the request's bounds in time let an event of this moment through.
    pub fn covers_time(&self, appended_at: Timestamp) -> bool {
        self.appended_from.is_none_or(|from| from <= appended_at)
            && self
                .appended_before
                .is_none_or(|before| appended_at < before)
    }
}

/// The last position in a span whose event was recorded before `time`; `after` when there is none.
fn last_before(
    time: Timestamp,
    after: Position,
    until: Position,
    appended_at: &mut impl FnMut(Position) -> Result<Timestamp, Error>,
) -> Result<Position, Error> {
    let (mut before, mut end) = (after, until.max(after));
    while before < end {
        let middle = before.forward(end.since(before).div_ceil(2));
        if appended_at(middle)? < time {
            before = middle;
        } else {
            end = middle.previous();
        }
    }
    Ok(before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_beyond_a_limit_is_refused() {
        for (request, message) in [
            (ReadRequest::all().events_max(0), "at least one"),
            (ReadRequest::all().events_max(10_001), "PAGE_EVENTS_MAX"),
            (ReadRequest::all().bytes_max(usize::MAX), "PAGE_BYTES_MAX"),
            (
                ReadRequest::all().after_version(Version::FIRST),
                "one stream",
            ),
        ] {
            let error = request.validate().unwrap_err();
            assert!(error.to_string().contains(message), "{error}");
        }
        ReadRequest::all().events_max(10_000).validate().unwrap();
    }

    #[test]
    fn bounds_in_time_become_positions() {
        // The times of the events at positions 1 to 6.
        const TIMES: [i64; 6] = [10, 20, 20, 20, 30, 40];
        let at = Timestamp::from_micros;
        let all = ReadRequest::all;
        for (request, expected) in [
            (all(), (0, 6)),
            (all().appended_from(at(20)), (1, 6)),
            (all().appended_from(at(21)), (4, 6)),
            (all().appended_from(at(41)), (6, 6)),
            (all().appended_before(at(20)), (0, 1)),
            (all().appended_before(at(10)), (0, 0)),
            (all().appended_before(at(41)), (0, 6)),
            (all().appended_until(at(20)), (0, 4)),
            (all().appended_until(at(i64::MAX)), (0, 6)),
            (all().appended_from(at(20)).appended_before(at(30)), (1, 4)),
            (all().appended_from(at(30)).appended_before(at(20)), (4, 1)),
            (all().appended_from(at(20)).after(Position::new(2)), (2, 6)),
            (
                all().appended_before(at(40)).until(Position::new(3)),
                (0, 3),
            ),
            (
                all().appended_before(at(10)).after(Position::new(3)),
                (3, 3),
            ),
            (
                all().after(Position::new(5)).until(Position::new(2)),
                (5, 2),
            ),
        ] {
            let mut asked = 0;
            let appended_at = |position: Position| {
                asked += 1;
                let index = usize::try_from(position.value()).unwrap() - 1;
                Ok(at(TIMES[index]))
            };
            let (after, until) = request.positions_in(Position::new(6), appended_at).unwrap();
            assert_eq!((after.value(), until.value()), expected, "{request:?}");
            let bounds = u32::from(request.appended_from.is_some())
                + u32::from(request.appended_before.is_some());
            assert!(asked <= 3 * bounds, "{request:?} asks {asked} times");
            let (start, end) = (Cursor::START, request.until.clone());
            if request.after == start && end.is_none() {
                for (index, time) in TIMES.iter().enumerate() {
                    let position = Position::new(index as u64 + 1);
                    let within = after < position && position <= until;
                    assert_eq!(request.covers_time(at(*time)), within, "{request:?} {time}");
                }
            }
        }
    }

    #[test]
    fn a_time_that_cannot_be_read_is_told() {
        let failing = |_| Err(Error::new(ErrorKind::Corrupt, "unreadable"));
        let request = ReadRequest::all().appended_from(Timestamp::EPOCH);
        let error = request.positions_in(Position::new(1), failing).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        ReadRequest::all()
            .positions_in(Position::new(1), failing)
            .unwrap();
    }
}
