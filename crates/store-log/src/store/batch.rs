//! What a batch of appends adds to the store, before it is durable and anybody may see it.

use annals_core::{
    AppendId, Criteria, CriteriaItem, EventId, EventType, NewEvent, Position, StreamId,
    StreamPolicy, Timestamp, Version,
};
use hashbrown::{HashMap, HashSet, HashTable};

use super::prepared::Prepared;
use super::receipts::Placed;
use super::snapshot::Snapshot;
use crate::index::{Hasher, Term};
use crate::record::{EventKind, KindCode, Kinds};

/// The appends and policy changes that go into one frame, in order.
#[derive(Debug)]
pub(crate) struct Batch<'r> {
    hasher: Hasher,
    first: Position,
    steps: Vec<Step<'r>>,
    writes: Vec<Write>,
    streams: Vec<Added<'r>>,
    /// The streams by the hashes of their names, each with its hash.
    names: HashTable<(u64, usize)>,
    /// The steps of appends by the hashes of their ids, each with its hash.
    append_ids: HashTable<(u64, usize)>,
    /// The ids of all events, in order.
    ids: Vec<EventId>,
    /// Ids that rise, each above all before it, and where their events stand.
    rising: Vec<(EventId, Position)>,
    /// Where the events of the other ids stand.
    others: HashMap<EventId, Position>,
    highest_id: u128,
    /// The hashes of types and tags.
    terms: HashSet<u64>,
    policies: usize,
}

/// One thing to record.
#[derive(Debug)]
pub(crate) enum Step<'r> {
    /// An append.
    Append(Placing<'r>),
    /// The policy of a stream from now on.
    Policy {
        stream: &'r StreamId,
        policy: StreamPolicy,
    },
}

/// An append, whose writes and events begin with these of the batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placing<'r> {
    pub(crate) prepared: &'r Prepared,
    pub(crate) first_write: usize,
    pub(crate) first_event: usize,
}

/// What the batch adds to a stream.
#[derive(Debug)]
pub(crate) struct Added<'r> {
    pub(crate) stream: &'r StreamId,
    pub(crate) hash: u64,
    /// Its number in the newest part of the index, if it is there.
    pub(crate) number: Option<u32>,
    version_before: Version,
    /// The version after the batch; `None` when it adds no event.
    pub(crate) version: Option<Version>,
    /// The newest policy; `None` when the batch changes none.
    pub(crate) policy: Option<StreamPolicy>,
    /// Which of the batch's writes are its: the first, and those after it, in the order of versions.
    first_write: Option<usize>,
    more_writes: Vec<usize>,
}

/// Events that follow each other, of one stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Write {
    /// Which of the batch's streams takes them.
    pub(crate) stream: usize,
    pub(crate) first_version: Version,
    first_position: Position,
    events: u64,
}

/// A stream as an append finds it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    /// Its number in the newest part of the index, if it is there.
    pub(crate) number: Option<u32>,
    pub(crate) version: Version,
}

impl<'r> Batch<'r> {
    /// An empty batch after this state.
    pub(crate) fn after(snapshot: &Snapshot) -> Self {
        Self::from(snapshot.hasher(), snapshot.head.next())
    }

    /// An empty batch whose first event stands here.
    fn from(hasher: Hasher, first: Position) -> Self {
        Self {
            hasher,
            first,
            steps: Vec::new(),
            writes: Vec::new(),
            streams: Vec::new(),
            names: HashTable::new(),
            append_ids: HashTable::new(),
            ids: Vec::new(),
            rising: Vec::new(),
            others: HashMap::new(),
            highest_id: 0,
            terms: HashSet::new(),
            policies: 0,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// What is to be recorded, in order.
    pub(crate) fn steps(&self) -> &[Step<'r>] {
        &self.steps
    }

    /// The writes of an append.
    pub(crate) fn writes_of(&self, placing: &Placing<'_>) -> &[Write] {
        let count = placing.prepared.append.writes().len();
        part_of(&self.writes, placing.first_write, count)
    }

    /// The ids of the events of an append.
    pub(crate) fn ids_of(&self, placing: &Placing<'_>) -> &[EventId] {
        let count = placing.prepared.append.event_count();
        part_of(&self.ids, placing.first_event, count)
    }

    /// The streams that it changes.
    pub(crate) fn streams(&self) -> &[Added<'r>] {
        &self.streams
    }

    /// The highest id of its events; zero when it has none.
    pub(crate) fn highest_event_id(&self) -> u128 {
        self.highest_id
    }

    /// How many events it has.
    pub(crate) fn event_count(&self) -> usize {
        self.ids.len()
    }

    /// Its appends.
    pub(crate) fn appends(&self) -> impl Iterator<Item = &'r Prepared> {
        self.steps.iter().filter_map(|step| match step {
            Step::Append(placing) => Some(placing.prepared),
            Step::Policy { .. } => None,
        })
    }

    /// The ids of its appends.
    pub(crate) fn append_ids(&self) -> impl Iterator<Item = AppendId> {
        self.appends().map(|prepared| prepared.append.id())
    }

    /// The kinds of its events that have a code, each once.
    pub(crate) fn kinds<'k>(&self, kinds: &'k Kinds) -> impl Iterator<Item = &'k EventKind> {
        let codes = self.appends().flat_map(|prepared| &prepared.kinds);
        let codes: HashSet<KindCode> = codes.filter_map(|kind| kind.code).collect();
        codes.into_iter().filter_map(|code| kinds.kind(code))
    }

    /// The position of its newest event, or of the store's.
    pub(crate) fn head(&self) -> Position {
        self.next_position().previous()
    }

    pub(crate) fn stream(&self, stream: &StreamId) -> Option<&Added<'r>> {
        if self.streams.is_empty() {
            return None;
        }
        self.hashed_stream(stream, self.hasher.stream(stream.as_str()))
    }

    /// As [`stream`](Self::stream), when the hash is known.
    pub(crate) fn hashed_stream(&self, stream: &StreamId, hash: u64) -> Option<&Added<'r>> {
        self.streams.get(self.index_of(stream, hash)?)
    }

    /// How many changes of policies it holds.
    pub(crate) fn policies(&self) -> usize {
        self.policies
    }

    pub(crate) fn has_policies(&self) -> bool {
        self.policies > 0
    }

    /// Where the event of this id stands.
    pub(crate) fn event_id(&self, id: EventId) -> Option<Position> {
        let rising = self.rising.binary_search_by_key(&id, |(id, _)| *id);
        let rising = rising.ok().and_then(|index| self.rising.get(index));
        rising
            .map(|(_, position)| *position)
            .or_else(|| self.others.get(&id).copied())
    }

    /// The append of this id.
    pub(crate) fn append(&self, id: &AppendId, hash: u64) -> Option<Placing<'r>> {
        let found = self.append_ids.find(hash, |(_, step)| {
            let found = self.append_at(*step);
            found.is_some_and(|found| found.prepared.append.id() == *id)
        });
        self.append_at(found?.1)
    }

    /// Where the event of this version stands, if the batch adds it.
    pub(crate) fn position_of(&self, stream: &StreamId, version: Version) -> Option<Position> {
        let added = self.stream(stream)?;
        let is_before = |write: &usize| {
            let write = self.writes.get(*write);
            write.is_some_and(|write| write.first_version <= version)
        };
        let before = added.more_writes.partition_point(is_before);
        let write = match before.checked_sub(1) {
            Some(index) => added.more_writes.get(index).copied(),
            None => added.first_write,
        };
        let write = self.writes.get(write?)?;
        let further = version.value().checked_sub(write.first_version.value())?;
        (further < write.events).then(|| write.first_position.forward(further))
    }

    /// The version that the stream had before the batch, if the batch adds to it.
    pub(crate) fn version_before(&self, stream: &StreamId) -> Option<Version> {
        let added = self.stream(stream)?;
        added.version.map(|_| added.version_before)
    }

    /// The events that match, with their streams and versions.
    pub(crate) fn matching<'a>(
        &'a self,
        criteria: &'a Criteria,
    ) -> impl Iterator<Item = (Position, &'a StreamId, Version)> {
        let possible = criteria.items().iter().any(|item| self.may_match(item));
        let events = possible.then(|| self.events());
        events
            .into_iter()
            .flatten()
            .filter(|(.., event)| criteria.selects(event.event_type(), event.tags()))
            .map(|(position, stream, version, _)| (position, stream, version))
    }

    /// Adds an append whose checks hold, to streams that stand like this, with these event ids.
    pub(crate) fn add(
        &mut self,
        prepared: &'r Prepared,
        standing: &[Standing],
        ids: &[EventId],
    ) -> Placing<'r> {
        let placing = Placing {
            prepared,
            first_write: self.writes.len(),
            first_event: self.ids.len(),
        };
        let mut position = self.next_position();
        let writes = prepared.append.writes();
        let hashes = prepared.stream_hashes();
        let is_whole = hashes.len() == writes.len() && standing.len() == writes.len();
        assert!(is_whole, "each stream has its hash and its standing");
        let events = prepared.append.event_count();
        assert_eq!(ids.len(), events, "each event has its id");
        for ((write, hash), standing) in writes.iter().zip(hashes).zip(standing) {
            let stream = self.stream_to_change(&write.stream, *hash, *standing);
            let events = write.events.len() as u64;
            self.add_write(stream, standing.version, position, events);
            position = position.forward(events);
        }
        self.add_ids(ids);
        self.terms.extend(prepared.tag_hashes());
        let types = prepared.kinds.iter().map(|kind| kind.type_hash);
        self.terms.extend(types);
        self.add_step(placing);
        placing
    }

    /// Adds a change of policy of a stream that stands like this.
    pub(crate) fn set_policy(
        &mut self,
        stream: &'r StreamId,
        policy: StreamPolicy,
        standing: Standing,
    ) {
        let hash = self.hasher.stream(stream.as_str());
        let index = self.stream_to_change(stream, hash, standing);
        self.added(index).policy = Some(policy.clone());
        self.policies += 1;
        self.steps.push(Step::Policy { stream, policy });
    }

    /// What the answer to an append says of it.
    pub(crate) fn placed(&self, placing: &Placing<'_>, at: Timestamp) -> Placed {
        let writes = self.writes_of(placing);
        let first = writes.first().map(|write| write.first_version);
        let more = writes.iter().skip(1).map(|write| write.first_version);
        Placed {
            first_position: self.first.forward(placing.first_event as u64),
            first_version: first.unwrap_or_default(),
            more_versions: more.collect(),
            appended_at: at,
        }
    }

    fn next_position(&self) -> Position {
        self.first.forward(self.ids.len() as u64)
    }

    fn append_at(&self, step: usize) -> Option<Placing<'r>> {
        match self.steps.get(step)? {
            Step::Append(placing) => Some(*placing),
            Step::Policy { .. } => None,
        }
    }

    fn index_of(&self, stream: &StreamId, hash: u64) -> Option<usize> {
        let is_it = |(known, index): &(u64, usize)| {
            let added = self.streams.get(*index);
            *known == hash && added.is_some_and(|added| added.stream == stream)
        };
        self.names.find(hash, is_it).map(|(_, index)| *index)
    }

    #[expect(clippy::expect_used, reason = "what is recorded must not be lost")]
    fn added(&mut self, stream: usize) -> &mut Added<'r> {
        let added = self.streams.get_mut(stream);
        added.expect("the stream was put there, and none is taken out")
    }

    /// The place of a stream among those that the batch changes.
    fn stream_to_change(&mut self, stream: &'r StreamId, hash: u64, standing: Standing) -> usize {
        if let Some(index) = self.index_of(stream, hash) {
            return index;
        }
        let index = self.streams.len();
        self.streams.push(Added {
            stream,
            hash,
            number: standing.number,
            version_before: standing.version,
            version: None,
            policy: None,
            first_write: None,
            more_writes: Vec::new(),
        });
        self.names
            .insert_unique(hash, (hash, index), |(hash, _)| *hash);
        index
    }

    fn add_write(&mut self, stream: usize, version: Version, position: Position, events: u64) {
        let index = self.writes.len();
        let added = self.added(stream);
        added.version = Some(version.forward(events));
        match added.first_write {
            Some(_) => added.more_writes.push(index),
            None => added.first_write = Some(index),
        }
        self.writes.push(Write {
            stream,
            first_version: version.next(),
            first_position: position,
            events,
        });
    }

    fn add_ids(&mut self, ids: &[EventId]) {
        let mut position = self.next_position();
        for id in ids {
            if self.rising.last().is_none_or(|(last, _)| last < id) {
                self.rising.push((*id, position));
            } else {
                self.others.insert(*id, position);
            }
            self.highest_id = self.highest_id.max(id.number());
            position = position.next();
        }
        self.ids.extend_from_slice(ids);
    }

    fn add_step(&mut self, placing: Placing<'r>) {
        let (step, hash) = (self.steps.len(), placing.prepared.id_hash);
        self.steps.push(Step::Append(placing));
        self.append_ids
            .insert_unique(hash, (hash, step), |(hash, _)| *hash);
    }

    /// The events, in the order of their positions.
    fn events(&self) -> impl Iterator<Item = (Position, &'r StreamId, Version, &'r NewEvent)> {
        let placings = self.steps.iter().filter_map(|step| match step {
            Step::Append(placing) => Some(placing),
            Step::Policy { .. } => None,
        });
        placings.flat_map(|placing| {
            let writes = self.writes_of(placing).iter();
            let writes = writes.zip(placing.prepared.append.writes());
            writes.flat_map(|(write, content)| {
                let events = (0..).zip(&content.events);
                events.map(|(index, event)| {
                    let position = write.first_position.forward(index);
                    let version = write.first_version.forward(index);
                    (position, &content.stream, version, event)
                })
            })
        })
    }

    fn may_match(&self, item: &CriteriaItem) -> bool {
        let has = |term: Term<'_>| self.terms.contains(&self.hasher.term(term));
        let of_type = |name: &EventType| has(Term::Type(name.as_str()));
        let typed = item.types().is_empty() || item.types().iter().any(of_type);
        typed && item.tags().iter().all(|tag| has(Term::Tag(tag.as_str())))
    }
}

impl Write {
    /// The versions of its events.
    pub(crate) fn versions(&self) -> impl Iterator<Item = Version> {
        let first = self.first_version;
        (0..self.events).map(move |index| first.forward(index))
    }
}

/// So many in a row, which an append that was added put there.
#[expect(clippy::expect_used, reason = "what is recorded must not be lost")]
fn part_of<T>(all: &[T], first: usize, count: usize) -> &[T] {
    let part = all.get(first..).and_then(|rest| rest.get(..count));
    part.expect("the append is of this batch, from which nothing is taken out")
}

#[cfg(test)]
mod tests {
    use annals_core::{Append, ContentType, Expected};
    use uuid::Uuid;

    use super::*;

    fn stream(name: &str) -> StreamId {
        StreamId::parse(name).unwrap()
    }

    fn prepared(number: usize, name: &str, events: usize) -> Prepared {
        let event_type = EventType::parse("opened").unwrap();
        let event = NewEvent::new(event_type, ContentType::JSON, "{}").unwrap();
        let append = Append::builder(AppendId::parse(&format!("append-{number}")).unwrap())
            .write(stream(name), Expected::Any, vec![event; events])
            .build()
            .unwrap();
        Prepared::of(&append, &Kinds::default())
    }

    #[test]
    fn every_version_has_its_position_however_often_a_stream_is_written() {
        let appends: Vec<(&str, Prepared)> = (0..60)
            .map(|number| {
                let name = ["a-1", "a-2", "a-1", "a-3"][number % 4];
                (name, prepared(number, name, 1 + number % 5))
            })
            .collect();
        let mut batch = Batch::from(Prepared::hasher(), Position::new(101));
        let before = Version::new(7);
        let mut versions: HashMap<&str, Version> = HashMap::new();
        let mut placed = Vec::new();
        let mut position = Position::new(101);
        for (name, prepared) in &appends {
            let version = versions.entry(*name).or_insert(before);
            let standing = Standing {
                number: None,
                version: *version,
            };
            let ids: Vec<EventId> = prepared
                .events()
                .iter()
                .enumerate()
                .map(|(at, _)| {
                    let number = u128::from(position.value()) + at as u128;
                    EventId::new(Uuid::from_u128(number)).unwrap()
                })
                .collect();
            batch.add(prepared, &[standing], &ids);
            for _ in prepared.events() {
                *version = version.next();
                placed.push((*name, *version, position));
                position = position.next();
            }
        }
        for (name, version, position) in placed {
            let found = batch.position_of(&stream(name), version);
            assert_eq!(found, Some(position), "{name} at {version}");
        }
        for (name, version) in versions {
            let name = stream(name);
            assert_eq!(batch.position_of(&name, Version::ABSENT), None);
            assert_eq!(batch.position_of(&name, before), None);
            assert_eq!(batch.position_of(&name, version.next()), None);
        }
        assert_eq!(batch.position_of(&stream("b-1"), before.next()), None);
    }
}
