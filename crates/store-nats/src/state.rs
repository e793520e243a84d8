//! The index of a log: what its messages come to, without their payloads.
//!
//! The same messages in the same order give the same state, in every process.

use std::collections::HashMap;

use annals_core::{
    Answer, AppendId, ConsistencyLevel, Cursor, Error, ErrorKind, EventId, EventType, Position,
    Receipt, StreamHead, StreamId, StreamPolicy, StreamReceipt, Tag, Tags, Timestamp, Version,
};

use crate::record::{PolicyRecord, Record, Stored};

/// What is known of a log up to a sequence. The event at position n stands at index n - 1.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// The last sequence that is taken in; whole appends only.
    sequence: u64,
    /// The first events of an append whose last one has not come yet.
    begun: Vec<Stored>,
    events: Vec<Entry>,
    streams: Vec<Stream>,
    stream_indexes: HashMap<StreamId, usize>,
    categories: HashMap<Box<str>, Vec<Position>>,
    types: HashMap<EventType, Vec<Position>>,
    tags: HashMap<Tag, Vec<Position>>,
    event_ids: HashMap<EventId, Position>,
    appends: HashMap<AppendId, Span>,
}

/// An event, without what only its reader wants.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) sequence: u64,
    pub(crate) version: Version,
    pub(crate) appended_at: Timestamp,
    pub(crate) event_type: EventType,
    pub(crate) tags: Tags,
    /// As counted against the limits of pages.
    pub(crate) bytes: usize,
    stream: usize,
}

/// One stream: where its events stand, the n-th at index n - 1, and what of them is shown.
#[derive(Debug)]
struct Stream {
    id: StreamId,
    positions: Vec<Position>,
    policy: StreamPolicy,
}

/// The events of an append.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) first: Position,
    pub(crate) last: Position,
}

/// What stands in the streams.
impl State {
    /// The last sequence that the state takes in.
    pub(crate) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The next sequence that it wants to be told.
    pub(crate) fn next_sequence(&self) -> u64 {
        self.sequence + 1 + u64::try_from(self.begun.len()).unwrap_or(u64::MAX)
    }

    /// The position of the newest event.
    pub(crate) fn head(&self) -> Position {
        position_of(self.events.len())
    }

    /// The event at this position, shown or not.
    pub(crate) fn entry(&self, position: Position) -> Option<&Entry> {
        self.events.get(index_of(position)?)
    }

    /// The event at this position, if reads at `now` show it.
    pub(crate) fn shown(&self, position: Position, now: Timestamp) -> Option<&Entry> {
        let entry = self.entry(position)?;
        let stream = self.streams.get(entry.stream)?;
        let shown = stream
            .policy
            .shows(entry.version, entry.appended_at, stream.version(), now);
        shown.then_some(entry)
    }

    /// The stream of an event.
    pub(crate) fn stream_of(&self, entry: &Entry) -> Option<&StreamId> {
        self.streams.get(entry.stream).map(|stream| &stream.id)
    }

    /// When the event at this position was recorded; the beginning of time where there is none.
    pub(crate) fn appended_at(&self, position: Position) -> Timestamp {
        self.entry(position)
            .map_or(Timestamp::EPOCH, |entry| entry.appended_at)
    }

    /// This time, or that of the newest event where the clock went back.
    pub(crate) fn not_before_newest(&self, now: Timestamp) -> Timestamp {
        self.entry(self.head())
            .map_or(now, |newest| newest.appended_at.max(now))
    }

    /// The positions of a stream's events.
    pub(crate) fn of_stream(&self, stream: &StreamId) -> &[Position] {
        self.stream(stream).map_or(&[], |stream| &stream.positions)
    }

    /// The positions of a category's events.
    pub(crate) fn of_category(&self, category: &str) -> &[Position] {
        listed(self.categories.get(category))
    }

    /// The positions of the events that carry a tag.
    pub(crate) fn of_tag(&self, tag: &Tag) -> &[Position] {
        listed(self.tags.get(tag))
    }

    /// The positions of the events of a type.
    pub(crate) fn of_type(&self, event_type: &EventType) -> &[Position] {
        listed(self.types.get(event_type))
    }

    /// Where the event with this id stands.
    pub(crate) fn position_of_id(&self, id: &EventId) -> Option<Position> {
        self.event_ids.get(id).copied()
    }

    /// The version and the policy of a stream.
    pub(crate) fn stream_head(&self, stream: &StreamId) -> StreamHead {
        let (version, policy) = match self.stream(stream) {
            Some(found) => (found.version(), found.policy.clone()),
            None => (Version::ABSENT, StreamPolicy::default()),
        };
        StreamHead {
            stream: stream.clone(),
            version,
            policy,
        }
    }

    /// The events of an append that is recorded.
    pub(crate) fn span_of(&self, append: &AppendId) -> Option<Span> {
        self.appends.get(append).copied()
    }

    /// The receipt of an append that is recorded.
    pub(crate) fn receipt(&self, append: &AppendId, answer: Answer) -> Option<Receipt> {
        let Span { first, last } = self.span_of(append)?;
        let mut streams: Vec<StreamReceipt> = Vec::new();
        for position in (first.value()..=last.value()).map(Position::new) {
            let entry = self.entry(position)?;
            let stream = self.stream_of(entry)?;
            match streams.last_mut() {
                Some(before) if before.stream == *stream => before.last_version = entry.version,
                _ => streams.push(StreamReceipt {
                    stream: stream.clone(),
                    first_version: entry.version,
                    last_version: entry.version,
                }),
            }
        }
        Some(Receipt {
            append_id: *append,
            first_position: first,
            last_position: last,
            streams,
            cursor: Cursor::at(last),
            appended_at: self.appended_at(last),
            answer,
        })
    }

    /// Refuses a cursor that no reader of this log can have.
    pub(crate) fn check_not_ahead(&self, cursor: &Cursor) -> Result<(), Error> {
        if Cursor::at(self.head()).covers(cursor) {
            return Ok(());
        }
        let message = "cursor is ahead of the store: it is another store's, or events were lost";
        Err(Error::new(ErrorKind::CursorAhead, message)
            .with("cursor", cursor)
            .with("head", self.head()))
    }

    /// Refuses to promise a session more than the log holds.
    pub(crate) fn check_consistency(&self, consistency: &ConsistencyLevel) -> Result<(), Error> {
        match consistency {
            ConsistencyLevel::Session(cursor) => self.check_not_ahead(cursor),
            ConsistencyLevel::Strong | ConsistencyLevel::Eventual => Ok(()),
        }
    }

    fn stream(&self, id: &StreamId) -> Option<&Stream> {
        self.streams.get(*self.stream_indexes.get(id)?)
    }
}

/// What the messages say.
impl State {
    /// Takes in the message at this sequence, unless it is known.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] for one that does not follow what is known.
    pub(crate) fn take(&mut self, sequence: u64, record: Record) -> Result<(), Error> {
        if sequence < self.next_sequence() {
            return Ok(());
        }
        if sequence > self.next_sequence() {
            return Err(out_of_order("message is missing", sequence));
        }
        if record.sequence() != sequence {
            return self.pass_over(sequence, &record);
        }
        match record {
            Record::Event(stored) => self.take_event(stored),
            Record::Policy(policy) => self.take_policy(policy),
        }
    }

    /// A message that was made for another place says nothing: it came when another had been taken there. What it
    /// would have said was told as refused, or is said by another.
    fn pass_over(&mut self, sequence: u64, record: &Record) -> Result<(), Error> {
        if !self.begun.is_empty() {
            return Err(out_of_order("append is interrupted", sequence));
        }
        tracing::warn!(
            sequence,
            made_for = record.sequence(),
            "a message of the log stands where it was not meant to, and does not count"
        );
        self.sequence = sequence;
        Ok(())
    }

    fn take_event(&mut self, stored: Stored) -> Result<(), Error> {
        let begun = self.begun.len();
        let follows = u32::try_from(begun) == Ok(stored.index)
            && stored.index < stored.count
            && stored.event.position() == self.head().forward(u64::from(stored.index)).next()
            && self.begun.last().is_none_or(|before| {
                before.append == stored.append && before.count == stored.count
            });
        if !follows {
            return Err(out_of_order("event does not follow", stored.sequence));
        }
        let is_last = stored.index + 1 == stored.count;
        self.begun.push(stored);
        if is_last {
            self.record_begun()?;
        }
        Ok(())
    }

    /// Records the append whose events are all there.
    fn record_begun(&mut self) -> Result<(), Error> {
        let first = self.head().next();
        let stored = std::mem::take(&mut self.begun);
        let mut append = None;
        for stored in stored {
            let index = self.stream_index(stored.event.stream());
            let version = self
                .streams
                .get(index)
                .map_or(Version::ABSENT, Stream::version);
            if stored.event.version() != version.next() {
                return Err(out_of_order(
                    "event's version does not follow",
                    stored.sequence,
                ));
            }
            append = Some(stored.append);
            self.sequence = stored.sequence;
            self.place(index, &stored);
        }
        if let Some(append) = append {
            let last = self.head();
            self.appends.insert(append, Span { first, last });
        }
        Ok(())
    }

    fn take_policy(&mut self, record: PolicyRecord) -> Result<(), Error> {
        if !self.begun.is_empty() || record.position != self.head() {
            return Err(out_of_order("policy does not follow", record.sequence));
        }
        let index = self.stream_index(&record.stream);
        if let Some(stream) = self.streams.get_mut(index) {
            stream.policy = record.policy;
        }
        self.sequence = record.sequence;
        Ok(())
    }

    /// Puts an event at the end of the log and of the stream of this index.
    fn place(&mut self, index: usize, stored: &Stored) {
        let event = &stored.event;
        let position = event.position();
        if let Some(stream) = self.streams.get_mut(index) {
            stream.policy.reopen();
            stream.positions.push(position);
        }
        let category = event.stream().category_str();
        match self.categories.get_mut(category) {
            Some(positions) => positions.push(position),
            None => {
                self.categories.insert(category.into(), vec![position]);
            }
        }
        self.types
            .entry(event.event_type().clone())
            .or_default()
            .push(position);
        for tag in event.tags() {
            self.tags.entry(tag.clone()).or_default().push(position);
        }
        self.event_ids.insert(event.id(), position);
        self.events.push(Entry {
            sequence: stored.sequence,
            version: event.version(),
            appended_at: event.appended_at(),
            event_type: self.known_type(event.event_type()),
            tags: event.tags().clone(),
            bytes: event.bytes(),
            stream: index,
        });
    }

    /// The same type, sharing the memory of those before it.
    fn known_type(&self, event_type: &EventType) -> EventType {
        let known = self.types.get_key_value(event_type);
        known.map_or_else(|| event_type.clone(), |(known, _)| known.clone())
    }

    /// The index of the stream of this name, which is there from now on.
    fn stream_index(&mut self, id: &StreamId) -> usize {
        if let Some(index) = self.stream_indexes.get(id) {
            return *index;
        }
        let index = self.streams.len();
        self.streams.push(Stream {
            id: id.clone(),
            positions: Vec::new(),
            policy: StreamPolicy::default(),
        });
        self.stream_indexes.insert(id.clone(), index);
        index
    }
}

impl Stream {
    fn version(&self) -> Version {
        Version::new(position_of(self.positions.len()).value())
    }
}

fn listed(positions: Option<&Vec<Position>>) -> &[Position] {
    positions.map_or(&[], Vec::as_slice)
}

fn out_of_order(what: &'static str, sequence: u64) -> Error {
    let message = "log does not add up: messages were lost, or others were put in; restore it";
    Error::new(ErrorKind::Corrupt, message)
        .with("what", what)
        .with("sequence", sequence)
}

/// The position of the last of `count` events.
fn position_of(count: usize) -> Position {
    Position::new(u64::try_from(count).unwrap_or(u64::MAX))
}

fn index_of(position: Position) -> Option<usize> {
    usize::try_from(position.value()).ok()?.checked_sub(1)
}

#[cfg(test)]
mod tests {
    use annals_core::{ContentType, NewEvent, Placement, RecordedEvent};

    use super::*;

    /// An event of the stream `a-1`, of which the append has so many.
    fn event(sequence: u64, place: u64, index: u32, count: u32) -> Record {
        let content = NewEvent::new(EventType::from_static("noted"), ContentType::JSON, "{}");
        let placement = Placement {
            id: EventId::from_number(std::num::NonZeroU128::new(u128::from(sequence) + 1).unwrap()),
            stream: StreamId::from_static("a-1"),
            version: Version::new(place),
            position: Position::new(place),
            recorded_at: Timestamp::EPOCH,
            appended_at: Timestamp::EPOCH,
        };
        let first = sequence - u64::from(index);
        Record::Event(Stored {
            sequence,
            append: AppendId::parse(&first.to_string()).unwrap(),
            index,
            count,
            event: RecordedEvent::new(content.unwrap(), placement),
        })
    }

    fn head(state: &State) -> (u64, u64) {
        (state.sequence(), state.head().value())
    }

    #[test]
    fn a_message_at_another_place_counts_for_nothing() {
        let mut state = State::default();
        state.take(1, event(1, 1, 0, 1)).unwrap();
        state.take(2, event(1, 1, 0, 1)).unwrap();
        assert_eq!(head(&state), (2, 1));
        state.take(3, event(3, 2, 0, 1)).unwrap();
        assert_eq!(head(&state), (3, 2));
        // What is known is not taken twice.
        state.take(3, event(3, 2, 0, 1)).unwrap();
        assert_eq!(head(&state), (3, 2));
    }

    #[test]
    fn an_append_is_there_whole_or_not_at_all() {
        let mut state = State::default();
        state.take(1, event(1, 1, 0, 2)).unwrap();
        assert_eq!((head(&state), state.next_sequence()), ((0, 0), 2));
        state.take(2, event(2, 2, 1, 2)).unwrap();
        assert_eq!(head(&state), (2, 2));
        let id = AppendId::parse("1").unwrap();
        let receipt = state.receipt(&id, Answer::First).unwrap();
        let stream = StreamId::from_static("a-1");
        assert_eq!(receipt.version_of(&stream), Some(Version::new(2)));
    }

    #[test]
    fn what_does_not_add_up_is_told() {
        for (sequence, record) in [
            (3, event(3, 3, 0, 1)),
            (2, event(2, 3, 0, 1)),
            (2, event(2, 2, 1, 2)),
            (2, event(2, 2, 0, 0)),
        ] {
            let mut state = State::default();
            state.take(1, event(1, 1, 0, 1)).unwrap();
            let error = state.take(sequence, record).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
            assert_eq!(head(&state), (1, 1));
        }
        let mut state = State::default();
        state.take(1, event(1, 1, 0, 2)).unwrap();
        assert!(state.take(2, event(2, 2, 0, 1)).is_err());
        assert!(state.take(2, event(1, 1, 0, 1)).is_err());
    }
}
