//! What a batch of appends adds to the store, before it is durable and anybody may see it.

use annals_core::{
    Answer, Append, AppendId, Criteria, CriteriaItem, Cursor, EventId, EventType, NewEvent,
    Position, Receipt, StreamId, StreamPolicy, StreamReceipt, Tag, Timestamp, Version,
};
use hashbrown::{HashMap, HashSet};

use crate::record::{EventKind, KindCode, Kinds};

/// The appends and policy changes that go into one frame, in order.
#[derive(Debug)]
pub(crate) struct Batch {
    first: Position,
    steps: Vec<Step>,
    streams: HashMap<StreamId, Added>,
    append_ids: HashMap<AppendId, usize>,
    event_ids: HashMap<EventId, Position>,
    tags: HashSet<Tag>,
    types: HashSet<EventType>,
    events: Vec<Staged>,
    policies: usize,
}

/// One thing to record.
#[derive(Debug)]
pub(crate) enum Step {
    /// An append, whose events begin with this one of the batch.
    Append { append: Append, first_event: usize },
    /// The policy of a stream from now on.
    Policy {
        stream: StreamId,
        policy: StreamPolicy,
    },
}

/// What the batch adds to a stream.
#[derive(Debug, Default)]
pub(crate) struct Added {
    /// The version after the batch; `None` when it adds no event.
    pub(crate) version: Option<Version>,
    /// The policy after the batch; `None` when it changes none.
    pub(crate) policy: Option<StreamPolicy>,
    positions: Vec<Position>,
}

/// An event that got its place.
#[derive(Debug)]
pub(crate) struct Staged {
    pub(crate) stream: StreamId,
    pub(crate) event: NewEvent,
    pub(crate) id: EventId,
    pub(crate) version: Version,
}

impl Batch {
    /// An empty batch after this position.
    pub(crate) fn after(head: Position) -> Self {
        Self {
            first: head.next(),
            steps: Vec::new(),
            streams: HashMap::new(),
            append_ids: HashMap::new(),
            event_ids: HashMap::new(),
            tags: HashSet::new(),
            types: HashSet::new(),
            events: Vec::new(),
            policies: 0,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// What is to be recorded, in order.
    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The ids of its appends.
    pub(crate) fn append_ids(&self) -> impl Iterator<Item = AppendId> {
        self.append_ids.keys().copied()
    }

    /// The kinds of its events that have a code, each once.
    pub(crate) fn kinds<'k>(&self, kinds: &'k Kinds) -> impl Iterator<Item = &'k EventKind> {
        let codes = self
            .events
            .iter()
            .filter_map(|staged| kinds.code_of(&staged.event));
        let codes: HashSet<KindCode> = codes.collect();
        codes.into_iter().filter_map(|code| kinds.kind(code))
    }

    /// The events, in the order of their positions.
    pub(crate) fn events(&self) -> &[Staged] {
        &self.events
    }

    /// The position of its newest event, or of the store's.
    pub(crate) fn head(&self) -> Position {
        self.first.forward(self.events.len() as u64).previous()
    }

    pub(crate) fn stream(&self, stream: &StreamId) -> Option<&Added> {
        self.streams.get(stream)
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
        self.event_ids.get(&id).copied()
    }

    /// The append of this id, and where it begins among the events.
    pub(crate) fn append(&self, id: &AppendId) -> Option<(&Append, usize)> {
        match self.steps.get(*self.append_ids.get(id)?)? {
            Step::Append {
                append,
                first_event,
            } => Some((append, *first_event)),
            Step::Policy { .. } => None,
        }
    }

    /// Where the event of this version stands, if the batch adds it.
    pub(crate) fn position_of(&self, stream: &StreamId, version: Version) -> Option<Position> {
        let added = self.streams.get(stream)?;
        let from_end = added.version?.value().checked_sub(version.value())?;
        let index = (added.positions.len() as u64).checked_sub(from_end + 1)?;
        added.positions.get(usize::try_from(index).ok()?).copied()
    }

    /// The version that the stream had before the batch, if the batch adds to it.
    pub(crate) fn version_before(&self, stream: &StreamId) -> Option<Version> {
        let added = self.streams.get(stream)?;
        let version = added.version?.value();
        Some(Version::new(version - added.positions.len() as u64))
    }

    /// The events that match, with their streams and versions.
    pub(crate) fn matching<'a>(
        &'a self,
        criteria: &'a Criteria,
    ) -> impl Iterator<Item = (Position, &'a StreamId, Version)> {
        let possible = criteria.items().iter().any(|item| self.may_match(item));
        let events = if possible {
            self.events.as_slice()
        } else {
            &[]
        };
        events
            .iter()
            .enumerate()
            .filter_map(move |(index, staged)| {
                let selected = criteria.selects(staged.event.event_type(), staged.event.tags());
                let position = self.first.forward(index as u64);
                selected.then_some((position, &staged.stream, staged.version))
            })
    }

    /// Adds an append whose checks hold, to streams at these versions, with these event ids.
    pub(crate) fn add(
        &mut self,
        append: &Append,
        versions: &[Version],
        ids: &[EventId],
    ) -> (usize, Position) {
        let first_event = self.events.len();
        let mut ids = ids.iter();
        for (write, version) in append.writes().iter().zip(versions) {
            let mut version = *version;
            let added = self.streams.entry(write.stream.clone()).or_default();
            for (event, id) in write.events.iter().zip(&mut ids) {
                version = version.next();
                let position = self.first.forward(self.events.len() as u64);
                added.positions.push(position);
                self.event_ids.insert(*id, position);
                self.tags.extend(event.tags().iter().cloned());
                if !self.types.contains(event.event_type()) {
                    self.types.insert(event.event_type().clone());
                }
                self.events.push(Staged {
                    stream: write.stream.clone(),
                    event: event.clone(),
                    id: *id,
                    version,
                });
            }
            added.version = Some(version);
        }
        self.append_ids.insert(append.id(), self.steps.len());
        self.steps.push(Step::Append {
            append: append.clone(),
            first_event,
        });
        (first_event, self.first.forward(first_event as u64))
    }

    /// Adds a change of policy.
    pub(crate) fn set_policy(&mut self, stream: &StreamId, policy: StreamPolicy) {
        self.policies += 1;
        self.streams.entry(stream.clone()).or_default().policy = Some(policy.clone());
        self.steps.push(Step::Policy {
            stream: stream.clone(),
            policy,
        });
    }

    /// The receipt of an append that begins with this event of the batch.
    pub(crate) fn receipt(&self, append: &Append, first_event: usize, at: Timestamp) -> Receipt {
        let first_position = self.first.forward(first_event as u64);
        let last_position = first_position
            .forward(append.event_count() as u64)
            .previous();
        let mut next = first_event;
        let streams = append.writes().iter().map(|write| {
            let first = self.events.get(next).map(|staged| staged.version);
            let first_version = first.unwrap_or_default();
            next += write.events.len();
            StreamReceipt {
                stream: write.stream.clone(),
                first_version,
                last_version: first_version.forward(write.events.len() as u64).previous(),
            }
        });
        Receipt {
            append_id: append.id(),
            first_position,
            last_position,
            streams: streams.collect(),
            cursor: Cursor::at(last_position),
            appended_at: at,
            answer: Answer::First,
        }
    }

    fn may_match(&self, item: &CriteriaItem) -> bool {
        let of_type = |name: &EventType| self.types.contains(name);
        let typed = item.types().is_empty() || item.types().iter().any(of_type);
        typed && item.tags().iter().all(|tag| self.tags.contains(tag))
    }
}
