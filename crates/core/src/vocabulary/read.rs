//! What to read, and what a store answers.

use super::criteria::Criteria;
use super::cursor::Cursor;
use super::event::RecordedEvent;
use super::number::{Position, Version};
use super::policy::StreamHead;
use super::stream_id::{Category, StreamId};
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
    /// is the store's head. A backward read does not move: it gives the request's own `after`.
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
}
