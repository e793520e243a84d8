//! What the store holds, and how an append changes it.

use std::collections::{BTreeMap, HashMap, HashSet};

use annals_concurrency::OptimisticConcurrency;
use annals_core::limits::CONFLICT_POSITIONS_MAX;
use annals_core::{
    Answer, Append, AppendId, CheckpointName, Condition, Conflict, ConsistencyLevel, Cursor, Error,
    ErrorKind, EventId, EventType, Expected, FailedCheck, Ids, NewEvent, Placement, PolicyAction,
    PolicyChange, Position, ReadRequest, Receipt, RecordedEvent, Snapshot, SnapshotKey, StreamHead,
    StreamId, StreamPolicy, StreamReceipt, StreamState, Tag, Timestamp, Version,
};

use crate::auxiliary::SavedCheckpoint;
use crate::read::{select, versions};

const TOMBSTONED: StreamState = StreamState::Tombstoned;

/// Everything that was recorded. The event at position n stands at index n - 1 of the log.
#[derive(Debug, Default)]
pub(crate) struct State {
    log: Vec<Place>,
    streams: Vec<Stream>,
    stream_indexes: HashMap<StreamId, usize>,
    categories: Vec<Vec<Position>>,
    category_indexes: HashMap<Box<str>, usize>,
    types: HashMap<EventType, Vec<Position>>,
    tags: HashMap<Tag, Vec<Position>>,
    event_ids: HashMap<EventId, Position>,
    appends: HashMap<AppendId, Receipt>,
    pub(crate) snapshots: BTreeMap<SnapshotKey, BTreeMap<Version, Snapshot>>,
    pub(crate) checkpoints: BTreeMap<CheckpointName, SavedCheckpoint>,
}

/// What stands at a position.
#[derive(Debug)]
enum Place {
    Event(Entry),
    /// Nothing that was restored; the event before it was recorded then.
    Empty(Timestamp),
}

/// An event, and the index of its stream.
#[derive(Debug)]
struct Entry {
    event: RecordedEvent,
    stream: usize,
}

/// One stream: where its events stand, the n-th at index n - 1 (or nowhere: [`Position::START`], where it was not
/// restored), and what of them is shown.
#[derive(Debug)]
struct Stream {
    id: StreamId,
    category: usize,
    positions: Vec<Position>,
    policy: StreamPolicy,
}

impl State {
    /// The position of the newest event.
    pub(crate) fn head(&self) -> Position {
        position_of(self.log.len())
    }

    /// The event at this position, if reads at `now` show it.
    pub(crate) fn shown(&self, position: Position, now: Timestamp) -> Option<&RecordedEvent> {
        let Entry { event, stream } = self.entry(position)?;
        let stream = self.streams.get(*stream)?;
        let shown =
            stream
                .policy
                .shows(event.version(), event.appended_at(), stream.version(), now);
        shown.then_some(event)
    }

    /// The event at this position, shown or not.
    pub(crate) fn event(&self, position: Position) -> Option<&RecordedEvent> {
        self.entry(position).map(|entry| &entry.event)
    }

    fn entry(&self, position: Position) -> Option<&Entry> {
        match self.log.get(index_of(position)?)? {
            Place::Event(entry) => Some(entry),
            Place::Empty(_) => None,
        }
    }

    /// When the event at this position was recorded, or, where it is empty, the one before it; `None` for a
    /// place that the log does not reach.
    fn recorded_by(&self, position: Position) -> Option<Timestamp> {
        match self.log.get(index_of(position)?)? {
            Place::Event(entry) => Some(entry.event.appended_at()),
            Place::Empty(before) => Some(*before),
        }
    }

    /// When the event at this position was recorded; the beginning of time for a place without one.
    pub(crate) fn appended_at(&self, position: Position) -> Timestamp {
        self.recorded_by(position).unwrap_or(Timestamp::EPOCH)
    }

    /// The positions of a stream's events.
    pub(crate) fn of_stream(&self, stream: &StreamId) -> &[Position] {
        self.stream(stream).map_or(&[], |stream| &stream.positions)
    }

    /// The positions of a category's events.
    pub(crate) fn of_category(&self, category: &str) -> &[Position] {
        let index = self.category_indexes.get(category);
        index
            .and_then(|index| self.categories.get(*index))
            .map_or(&[], Vec::as_slice)
    }

    /// The positions of the events that carry a tag.
    pub(crate) fn of_tag(&self, tag: &Tag) -> &[Position] {
        self.tags.get(tag).map_or(&[], Vec::as_slice)
    }

    /// The positions of the events of a type.
    pub(crate) fn of_type(&self, event_type: &EventType) -> &[Position] {
        self.types.get(event_type).map_or(&[], Vec::as_slice)
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

    /// The receipt of an append that was recorded.
    pub(crate) fn receipt(&self, id: &AppendId) -> Option<&Receipt> {
        self.appends.get(id)
    }

    /// This time, or that of the newest event where the clock went back.
    pub(crate) fn not_before_newest(&self, now: Timestamp) -> Timestamp {
        self.recorded_by(self.head())
            .map_or(now, |newest| newest.max(now))
    }

    /// Refuses a cursor that no reader of this store can have.
    pub(crate) fn check_not_ahead(&self, cursor: &Cursor) -> Result<(), Error> {
        if Cursor::at(self.head()).covers(cursor) {
            return Ok(());
        }
        let message = "cursor is ahead of the store: it is another store's, or events were lost";
        Err(Error::new(ErrorKind::CursorAhead, message)
            .with("cursor", cursor)
            .with("head", self.head()))
    }

    /// Refuses to promise more than the store holds. Every answer of this store is strong.
    pub(crate) fn check_consistency(&self, consistency: &ConsistencyLevel) -> Result<(), Error> {
        match consistency {
            ConsistencyLevel::Session(cursor) => self.check_not_ahead(cursor),
            ConsistencyLevel::Strong | ConsistencyLevel::Eventual => Ok(()),
        }
    }

    /// Changes the policy of a stream.
    pub(crate) fn change_policy(
        &mut self,
        change: &PolicyChange,
        now: Timestamp,
    ) -> Result<StreamHead, Error> {
        let PolicyChange {
            stream,
            expected,
            action,
        } = change;
        let now = self.not_before_newest(now);
        if *action != PolicyAction::Tombstone || self.stream_head(stream).policy.state != TOMBSTONED
        {
            let failures = self.failed_expectation(stream, *expected, now);
            refuse(failures.into_iter().collect())?;
        }
        let first_shown = self
            .of_stream(stream)
            .iter()
            .find_map(|position| self.shown(*position, now))
            .map(RecordedEvent::version);
        let mut head = self.stream_head(stream);
        if let Some(policy) = head.policy.changed(action, head.version, first_shown) {
            head.policy = policy;
        }
        let index = self.stream_index(stream);
        if let Some(found) = self.streams.get_mut(index) {
            found.policy = head.policy.clone();
        }
        Ok(head)
    }

    /// Records an append, or answers for the one of the same id that was recorded before.
    pub(crate) fn append(
        &mut self,
        append: &Append,
        now: Timestamp,
        ids: &dyn Ids,
    ) -> Result<Receipt, Error> {
        if let Some(first) = self.appends.get(&append.id()) {
            return self.answer_again(append, first);
        }
        let now = self.not_before_newest(now);
        refuse(self.failures(append, now)?)?;
        let event_ids = self.event_ids(append, ids)?;
        let receipt = self.record(append, &event_ids, now);
        self.appends.insert(append.id(), receipt.clone());
        Ok(receipt)
    }

    fn answer_again(&self, append: &Append, first: &Receipt) -> Result<Receipt, Error> {
        let recorded = (first.first_position.value()..=first.last_position.value())
            .map(|position| self.event(Position::new(position)))
            .map(|event| event.map(|event| (event.stream(), event.content())));
        if append.same_content(recorded) {
            return Ok(first.as_duplicate());
        }
        let message = "append id stands for other content; use a fresh id";
        Err(Error::new(ErrorKind::AppendIdReused, message)
            .with("append_id", append.id())
            .with("first_position", first.first_position))
    }

    fn failures(&self, append: &Append, now: Timestamp) -> Result<Vec<FailedCheck>, Error> {
        let mut failures: Vec<FailedCheck> = append
            .expectations()
            .filter_map(|(stream, expected)| self.failed_expectation(stream, expected, now))
            .collect();
        for (index, condition) in append.conditions().iter().enumerate() {
            failures.extend(self.failed_condition(index, condition, now)?);
        }
        let taken = append
            .events()
            .filter_map(|(_, event)| event.id())
            .filter_map(|id| {
                let position = *self.event_ids.get(&id)?;
                Some(FailedCheck::EventId { id, position })
            });
        failures.extend(taken);
        Ok(failures)
    }

    fn failed_expectation(
        &self,
        stream: &StreamId,
        expected: Expected,
        now: Timestamp,
    ) -> Option<FailedCheck> {
        let (version, state) = match self.stream(stream) {
            Some(found) => (found.version(), found.policy.state),
            None => (Version::ABSENT, StreamState::Open),
        };
        OptimisticConcurrency::judge(stream, expected, (version, state), |after| {
            let positions = versions(self.of_stream(stream), after, Version::MAX);
            let shown = positions
                .iter()
                .filter(|position| self.shown(**position, now).is_some());
            shown.copied().take(CONFLICT_POSITIONS_MAX).collect()
        })
    }

    fn failed_condition(
        &self,
        index: usize,
        condition: &Condition,
        now: Timestamp,
    ) -> Result<Option<FailedCheck>, Error> {
        let Condition { unless, after } = condition;
        let offending = ReadRequest::matching(unless.clone()).after(after.clone());
        let offending = select(self, &offending, now)?;
        self.check_not_ahead(after)?;
        let positions: Vec<Position> = offending
            .map(RecordedEvent::position)
            .take(CONFLICT_POSITIONS_MAX)
            .collect();
        if positions.is_empty() {
            return Ok(None);
        }
        let (unless, after) = (unless.clone(), after.clone());
        Ok(Some(FailedCheck::Condition {
            index,
            unless,
            after,
            positions,
        }))
    }

    /// An id for each event: the application's, or a new one, none of which is taken.
    fn event_ids(&self, append: &Append, ids: &dyn Ids) -> Result<Vec<EventId>, Error> {
        let given: Vec<EventId> = append
            .events()
            .map(|(_, event)| event.id().unwrap_or_else(|| ids.event_id()))
            .collect();
        let mut seen = HashSet::with_capacity(given.len());
        match given
            .iter()
            .find(|id| self.event_ids.contains_key(id) || !seen.insert(**id))
        {
            None => Ok(given),
            Some(taken) => {
                let message = "new event id is taken already; the source of ids repeats itself";
                Err(Error::new(ErrorKind::Unavailable, message).with("event", taken))
            }
        }
    }

    /// Records an append whose checks all hold.
    fn record(&mut self, append: &Append, ids: &[EventId], appended_at: Timestamp) -> Receipt {
        let first_position = self.head().next();
        let mut ids = ids.iter();
        let mut streams = Vec::with_capacity(append.writes().len());
        for write in append.writes() {
            let index = self.stream_index(&write.stream);
            let before = self
                .streams
                .get(index)
                .map_or(Version::ABSENT, Stream::version);
            for (event, id) in write.events.iter().zip(&mut ids) {
                self.push(index, event, *id, appended_at);
            }
            streams.push(StreamReceipt {
                stream: write.stream.clone(),
                first_version: before.next(),
                last_version: before.forward(position_of(write.events.len()).value()),
            });
        }
        let last_position = self.head();
        Receipt {
            append_id: append.id(),
            first_position,
            last_position,
            streams,
            cursor: Cursor::at(last_position),
            appended_at,
            answer: Answer::First,
        }
    }
}

/// Streams by name and by index.
impl State {
    fn stream(&self, id: &StreamId) -> Option<&Stream> {
        self.streams.get(*self.stream_indexes.get(id)?)
    }

    /// The index of the stream of this name, which is there from now on.
    fn stream_index(&mut self, id: &StreamId) -> usize {
        if let Some(index) = self.stream_indexes.get(id) {
            return *index;
        }
        let category = self.category_index(id.category_str());
        let policy = StreamPolicy::default();
        self.streams.push(Stream {
            id: id.clone(),
            category,
            positions: Vec::new(),
            policy,
        });
        let index = self.streams.len() - 1;
        self.stream_indexes.insert(id.clone(), index);
        index
    }

    fn category_index(&mut self, name: &str) -> usize {
        if let Some(index) = self.category_indexes.get(name) {
            return *index;
        }
        self.categories.push(Vec::new());
        let index = self.categories.len() - 1;
        self.category_indexes.insert(name.into(), index);
        index
    }

    /// Adds an event to the stream of this index.
    #[expect(
        clippy::expect_used,
        reason = "indexes of streams and categories are never removed"
    )]
    fn push(&mut self, index: usize, event: &NewEvent, id: EventId, appended_at: Timestamp) {
        let stream = self
            .streams
            .get_mut(index)
            .expect("`stream_index` gave the index");
        stream.policy.reopen();
        let placement = Placement {
            id,
            stream: stream.id.clone(),
            version: stream.version().next(),
            position: position_of(self.log.len()).next(),
            recorded_at: event.recorded_at().unwrap_or(appended_at),
            appended_at,
        };
        self.place(index, RecordedEvent::new(event.clone(), placement));
    }

    /// Puts an event at the end of the log and of the stream of this index.
    #[expect(
        clippy::expect_used,
        reason = "indexes of streams and categories are never removed"
    )]
    fn place(&mut self, index: usize, event: RecordedEvent) {
        let position = self.head().next();
        let stream = self
            .streams
            .get_mut(index)
            .expect("`stream_index` gave the index");
        stream.positions.push(position);
        let category = self.categories.get_mut(stream.category);
        category.expect("a stream has a category").push(position);
        match self.types.get_mut(event.event_type()) {
            Some(positions) => positions.push(position),
            None => {
                self.types
                    .insert(event.event_type().clone(), vec![position]);
            }
        }
        for tag in event.tags() {
            self.tags.entry(tag.clone()).or_default().push(position);
        }
        self.event_ids.insert(event.id(), position);
        self.log.push(Place::Event(Entry {
            event,
            stream: index,
        }));
    }
}

/// What another store recorded.
impl State {
    /// The most places that a restored log leaves empty, and a restored stream: 16,777,216.
    const EMPTY_MAX: u64 = 1 << 24;

    /// Puts an event at the place that it has in another store.
    pub(crate) fn restore(&mut self, event: RecordedEvent) -> Result<(), Error> {
        let (position, version) = (event.position(), event.version());
        let last = self.stream_head(event.stream()).version;
        let is_in_order = position > self.head()
            && (version == last.next() || (last == Version::ABSENT && version > last))
            && event.appended_at() >= self.appended_at(self.head())
            && !self.event_ids.contains_key(&event.id());
        if !is_in_order {
            return Err(out_of_order(&event));
        }
        let index = self.stream_index(event.stream());
        self.fill_stream(index, version.previous())?;
        self.fill(position.previous())?;
        self.place(index, event);
        Ok(())
    }

    /// Gives a stream a version and a policy.
    pub(crate) fn restore_stream(&mut self, head: StreamHead) -> Result<(), Error> {
        let StreamHead {
            stream,
            version,
            policy,
        } = head;
        let index = self.stream_index(&stream);
        if self.of_stream(&stream).is_empty() {
            self.fill_stream(index, version)?;
        }
        if let Some(found) = self.streams.get_mut(index) {
            if found.version() != version {
                let message = "version is not that of the last event of the stream; give that one";
                return Err(Error::new(ErrorKind::Invalid, message)
                    .with("stream", stream)
                    .with("version", version));
            }
            found.policy = policy;
        }
        Ok(())
    }

    /// Leaves places of the log empty, up to and with this one.
    pub(crate) fn fill(&mut self, until: Position) -> Result<(), Error> {
        let empty = check_empty(until.since(self.head()))?;
        let before = self.appended_at(self.head());
        self.log.extend((0..empty).map(|_| Place::Empty(before)));
        Ok(())
    }

    fn fill_stream(&mut self, index: usize, until: Version) -> Result<(), Error> {
        if let Some(stream) = self.streams.get_mut(index) {
            let empty = check_empty(until.since(stream.version()))?;
            stream.positions.extend((0..empty).map(|_| Position::START));
        }
        Ok(())
    }
}

fn check_empty(places: u64) -> Result<u64, Error> {
    if places <= State::EMPTY_MAX {
        return Ok(places);
    }
    let message = "restored events leave more than 16,777,216 places empty at once; keep them in another store";
    Err(Error::new(ErrorKind::Invalid, message).with("places", places))
}

fn out_of_order(event: &RecordedEvent) -> Error {
    let message =
        "event does not follow the ones before it; restore events in the order of their positions";
    Error::new(ErrorKind::Invalid, message)
        .with("stream", event.stream())
        .with("version", event.version())
        .with("position", event.position())
}

impl Stream {
    fn version(&self) -> Version {
        Version::new(position_of(self.positions.len()).value())
    }
}

/// The position of the last of `count` events.
fn position_of(count: usize) -> Position {
    Position::new(u64::try_from(count).unwrap_or(u64::MAX))
}

fn index_of(position: Position) -> Option<usize> {
    usize::try_from(position.value()).ok()?.checked_sub(1)
}

fn refuse(failures: Vec<FailedCheck>) -> Result<(), Error> {
    Conflict::of(failures).map_or(Ok(()), |conflict| Err(conflict.into()))
}
