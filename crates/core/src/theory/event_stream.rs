//! E*: one stream of typed events in memory, in order.

use crate::limits::CONFLICT_POSITIONS_MAX;
use crate::{
    Conflict, ConsistencyLevel, Error, ErrorKind, EventOrdering, Expected, FailedCheck, Position,
    StreamId, StreamState, Version,
};

/// An event at its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamEntry<E> {
    /// Its place in the stream, from 1, without gaps.
    pub version: Version,
    /// Its place in the whole log.
    pub position: Position,
    /// What happened.
    pub event: E,
}

/// The events of one stream in memory, held to their order as they come in.
///
/// It is an origin, to which [`append`](Self::append) adds, or a replica, to which
/// [`accept`](Self::accept) adds what the origin placed. A replica may lag behind what it has
/// [heard](Self::heard) of the origin; what [`read`](Self::read) then shows depends on the
/// [`ConsistencyLevel`] asked for.
///
/// ```
/// use annals_core::{ConsistencyLevel, EventOrdering, EventStream, Expected, StreamId, Version};
///
/// let mut stream = EventStream::new(StreamId::parse("light-hall")?, EventOrdering::Total);
/// stream.append(Expected::NoStream, ["on", "off"])?;
/// let stale = stream.append(Expected::Exactly(Version::FIRST), ["on"]).unwrap_err();
/// assert!(stale.conflict().is_some());
/// assert_eq!(stream.read(&ConsistencyLevel::Strong)?.len(), 2);
/// # Ok::<(), annals_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventStream<E> {
    id: StreamId,
    ordering: EventOrdering,
    entries: Vec<StreamEntry<E>>,
    /// The highest position that it holds.
    highest: Position,
    /// The highest position that it has heard of.
    heard: Position,
}

impl<E> EventStream<E> {
    /// An empty stream. With [`EventOrdering::Total`] positions must increase with versions; with
    /// [`EventOrdering::PerStream`] only versions count, as where a log is partitioned.
    pub fn new(id: StreamId, ordering: EventOrdering) -> Self {
        Self {
            id,
            ordering,
            entries: Vec::new(),
            highest: Position::START,
            heard: Position::START,
        }
    }

    /// Its name.
    pub fn id(&self) -> &StreamId {
        &self.id
    }

    /// How many events it holds.
    pub fn version(&self) -> Version {
        self.entries
            .last()
            .map_or(Version::ABSENT, |entry| entry.version)
    }

    /// The events with their places, in order.
    pub fn entries(&self) -> &[StreamEntry<E>] {
        &self.entries
    }

    /// The events up to and with this version, in order.
    pub fn events_until(&self, version: Version) -> impl Iterator<Item = &E> {
        let count = usize::try_from(version.value()).unwrap_or(usize::MAX);
        self.entries.iter().take(count).map(|entry| &entry.event)
    }

    /// Records events at the next places, where the stream is in the expected state.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] with the actual version; nothing is recorded then.
    pub fn append(
        &mut self,
        expected: Expected,
        events: impl IntoIterator<Item = E>,
    ) -> Result<Version, Error> {
        let after = self.newest();
        self.append_after(after, expected, events)
    }

    /// Like [`append`](Self::append), at the positions after this one: that of the log's newest event.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] as for [`append`](Self::append); [`ErrorKind::Invalid`] when the position
    /// is before the stream's own newest event.
    pub fn append_after(
        &mut self,
        after: Position,
        expected: Expected,
        events: impl IntoIterator<Item = E>,
    ) -> Result<Version, Error> {
        self.check(expected)?;
        let mut version = self.version();
        let mut position = after;
        for event in events {
            version = version.next();
            position = position.next();
            self.accept(StreamEntry {
                version,
                position,
                event,
            })?;
        }
        Ok(version)
    }

    /// Takes over an event at the place that it has elsewhere, if it is the next one.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a gap or a repeat in versions and, with [`EventOrdering::Total`], for
    /// a position that is not after the newest; the event is not taken then.
    pub fn accept(&mut self, entry: StreamEntry<E>) -> Result<(), Error> {
        let next = self.version().next();
        if entry.version != next {
            let message = format!(
                "event of version {} out of order; next is {next}",
                entry.version
            );
            return Err(Error::new(ErrorKind::Invalid, message).with("stream", &self.id));
        }
        let highest = self.highest;
        if self.ordering == EventOrdering::Total && entry.position <= highest {
            let message = format!(
                "event at {} out of order; the newest is at {highest}",
                entry.position
            );
            return Err(Error::new(ErrorKind::Invalid, message).with("stream", &self.id));
        }
        self.highest = self.highest.max(entry.position);
        self.heard = self.heard.max(entry.position);
        self.entries.push(entry);
        Ok(())
    }

    /// Notes that the origin holds events of this stream up to this position.
    pub fn heard(&mut self, of: Position) {
        self.heard = self.heard.max(of);
    }

    /// The events, if they are as fresh as asked for.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when this replica lags: for [`ConsistencyLevel::Strong`] behind what it
    /// has heard of, for [`ConsistencyLevel::Session`] behind what it has heard of up to the cursor.
    pub fn read(&self, consistency: &ConsistencyLevel) -> Result<&[StreamEntry<E>], Error> {
        let known = match consistency {
            ConsistencyLevel::Strong => self.heard,
            ConsistencyLevel::Session(cursor) => {
                self.heard.min(cursor.position().unwrap_or(Position::MAX))
            }
            ConsistencyLevel::Eventual => Position::START,
        };
        if self.highest >= known {
            return Ok(&self.entries);
        }
        let message = "stream lags behind what is asked for; read again later";
        Err(Error::new(ErrorKind::Unavailable, message)
            .with("stream", &self.id)
            .with("newest", self.highest)
            .with("known", known))
    }

    /// The highest position of its events.
    pub fn newest(&self) -> Position {
        self.highest
    }

    /// Refuses an expectation that does not hold.
    pub(crate) fn check(&self, expected: Expected) -> Result<(), Error> {
        let actual = self.version();
        if expected.holds(actual, false) {
            return Ok(());
        }
        let positions = self
            .entries
            .iter()
            .filter(|entry| expected.is_offended_by(entry.version))
            .map(|entry| entry.position)
            .take(CONFLICT_POSITIONS_MAX)
            .collect();
        let stream = self.id.clone();
        let failure = FailedCheck::Stream {
            stream,
            expected,
            actual,
            state: StreamState::Open,
            positions,
        };
        Conflict::of(vec![failure]).map_or(Ok(()), |conflict| Err(conflict.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cursor;

    fn placed(version: u64, position: u64) -> StreamEntry<u64> {
        StreamEntry {
            version: version.into(),
            position: position.into(),
            event: position,
        }
    }

    fn replica(ordering: EventOrdering, places: &[(u64, u64)]) -> Result<EventStream<u64>, Error> {
        let mut stream = EventStream::new(StreamId::parse("a-1")?, ordering);
        for (version, position) in places {
            stream.accept(placed(*version, *position))?;
        }
        Ok(stream)
    }

    #[test]
    fn order_is_checked_as_events_come_in() {
        for (ordering, places, expected) in [
            (EventOrdering::Total, &[(1, 4), (2, 9)][..], true),
            (EventOrdering::Total, &[(1, 4), (2, 4)], false),
            (EventOrdering::PerStream, &[(1, 4), (2, 3)], true),
            (EventOrdering::PerStream, &[(1, 4), (3, 5)], false),
            (EventOrdering::PerStream, &[(2, 4)], false),
            (EventOrdering::Total, &[(1, 4), (1, 5)], false),
        ] {
            let stream = replica(ordering, places);
            let fresh = stream
                .as_ref()
                .map(|stream| stream.read(&ConsistencyLevel::Strong).is_ok());
            assert_eq!(
                fresh.unwrap_or_default(),
                expected,
                "{ordering:?} {places:?}"
            );
        }
    }

    #[test]
    fn a_lagging_replica_says_so() {
        let mut stream = replica(EventOrdering::Total, &[(1, 4)]).unwrap();
        stream.heard(Position::new(9));
        let session = |position| ConsistencyLevel::Session(Cursor::at(Position::new(position)));
        for (consistency, expected) in [
            (ConsistencyLevel::Eventual, true),
            (session(4), true),
            (session(5), false),
            (ConsistencyLevel::Strong, false),
        ] {
            assert_eq!(
                stream.read(&consistency).is_ok(),
                expected,
                "{consistency:?}"
            );
        }
        stream.accept(placed(2, 9)).unwrap();
        assert_eq!(stream.read(&ConsistencyLevel::Strong).unwrap().len(), 2);
    }
}
