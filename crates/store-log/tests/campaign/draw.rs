//! Appends, changes of policies and queries, drawn from a seed.

use std::time::Duration;

use annals_core::{
    Append, AppendBuilder, AppendId, Category, ContentType, Criteria, CriteriaItem, Cursor,
    EventId, EventType, Expected, NewEvent, PolicyAction, PolicyChange, Position, ReadRequest,
    StreamId, Tag, Tags, Timestamp, Version,
};
use annals_log::vfs::SeededRng;
use uuid::Uuid;

const STREAMS: [&str; 8] = ["a-1", "a-2", "a-3", "ab-1", "b-1", "b-2", "b-3", "single"];
const CATEGORIES: [&str; 3] = ["a", "ab", "b"];
const TYPES: [&str; 4] = ["opened", "moved", "paid", "closed"];
const TAGS: [&str; 5] = ["t:1", "t:2", "t:3", "u:1", "u:2"];

/// Draws from a seed; what it makes can be told apart by its ids.
#[derive(Debug)]
pub(crate) struct Draw {
    pub(crate) rng: SeededRng,
    next_id: u64,
}

impl Draw {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            rng: SeededRng::new(seed),
            next_id: 1,
        }
    }

    pub(crate) fn below(&self, bound: usize) -> usize {
        usize::try_from(self.rng.below(bound as u64)).unwrap()
    }

    pub(crate) fn one_in(&self, chances: u64) -> bool {
        self.rng.below(chances) == 0
    }

    /// An append of events that no other append has, but for a rare id.
    pub(crate) fn append(
        &mut self,
        version: impl Fn(&StreamId) -> Version,
        head: Position,
    ) -> Append {
        let mut append = Append::builder(self.append_id());
        let mut names = STREAMS.to_vec();
        for _ in 0..=(self.below(4) / 2) {
            let stream = stream(names.swap_remove(self.below(names.len())));
            let expected = self.expected(version(&stream));
            append = self.write(append, stream, expected);
        }
        if self.one_in(8) {
            let stream = stream(names.swap_remove(self.below(names.len())));
            let expected = self.expected(version(&stream));
            append = append.check(stream, expected);
        }
        if self.one_in(5) {
            let back = self.rng.below(3) * self.rng.below(20);
            let after = Position::new(head.value().saturating_sub(back));
            append = append.unless(self.criteria(), Cursor::at(after));
        }
        append.build().unwrap()
    }

    /// An append of one event to this stream.
    pub(crate) fn one_event(&mut self, name: &str, expected: Expected) -> Append {
        let event = self.event(40);
        let append = Append::builder(self.append_id());
        append
            .write(stream(name), expected, [event])
            .build()
            .unwrap()
    }

    /// An append of one event of about this many bytes.
    pub(crate) fn one_large(&mut self, name: &str, payload_bytes: usize) -> Append {
        let event = self.event(payload_bytes);
        let append = Append::builder(self.append_id());
        append
            .write(stream(name), Expected::Any, [event])
            .build()
            .unwrap()
    }

    fn write(
        &mut self,
        append: AppendBuilder,
        stream: StreamId,
        expected: Expected,
    ) -> AppendBuilder {
        let count = 1 + self.below(1 << self.below(4));
        let events: Vec<NewEvent> = (0..count)
            .map(|_| {
                let bytes = match self.rng.below(16) {
                    0 => 1500,
                    1..4 => 300,
                    _ => 60,
                };
                let bytes = self.below(bytes);
                let event = self.event(bytes);
                match self.next_id {
                    // An id that is taken already: a conflict.
                    taken @ 21.. if self.one_in(80) => event.with_id(event_id(taken - 20)),
                    _ => event,
                }
            })
            .collect();
        append.write(stream, expected, events)
    }

    fn event(&mut self, payload_bytes: usize) -> NewEvent {
        let id = self.next_id;
        self.next_id += 1;
        let mut payload = format!("event {id} ").into_bytes();
        let filling = self.rng.bits();
        let rest =
            (0..payload_bytes as u64).map(|at| filling.wrapping_mul(at + 1).to_le_bytes()[3]);
        payload.extend(rest);
        let event_type = match self.below(16) {
            // Now and then one that is new to the store.
            0 => EventType::parse(&format!("rare-{}", self.below(30))).unwrap(),
            _ => EventType::parse(TYPES[self.below(TYPES.len())]).unwrap(),
        };
        let tags = (0..self.below(3)).map(|_| Tag::parse(TAGS[self.below(TAGS.len())]).unwrap());
        let tags = Tags::new(tags).unwrap();
        NewEvent::new(event_type, ContentType::from_static("text/plain"), payload)
            .unwrap()
            .with_tags(tags)
            .with_id(event_id(id))
    }

    fn append_id(&mut self) -> AppendId {
        let number = self.next_id;
        self.next_id += 1;
        let text = match self.below(2) {
            0 => format!("append-{number}"),
            _ => event_id(number).to_string(),
        };
        AppendId::parse(&text).unwrap()
    }

    /// What is expected of a stream at this version: mostly what holds.
    fn expected(&self, version: Version) -> Expected {
        match self.rng.below(12) {
            0..6 => Expected::Any,
            6..9 if version > Version::ABSENT => Expected::Exactly(version),
            9 if version > Version::ABSENT || self.one_in(4) => Expected::StreamExists,
            10 if self.one_in(2) => Expected::Exactly(Version::new(1 + self.rng.below(5))),
            _ if version == Version::ABSENT => Expected::NoStream,
            _ => Expected::Any,
        }
    }

    pub(crate) fn policy(&self, version: impl Fn(&StreamId) -> Version) -> PolicyChange {
        let stream = stream(STREAMS[self.below(STREAMS.len())]);
        let version = version(&stream);
        let action = match self.rng.below(24) {
            0..8 => PolicyAction::Retain {
                max_age: self
                    .one_in(3)
                    .then(|| Duration::from_secs(1 + self.rng.below(60))),
                max_count: self.one_in(2).then(|| self.rng.below(12)),
            },
            8..16 => {
                PolicyAction::TruncateBefore(Version::new(self.rng.below(version.value() + 3)))
            }
            16..23 => PolicyAction::SoftDelete,
            _ => PolicyAction::Tombstone,
        };
        PolicyChange {
            expected: self.expected(version),
            stream,
            action,
        }
    }

    fn criteria(&self) -> Criteria {
        let items = (0..=self.below(2)).map(|_| {
            let types = (0..self.below(3))
                .map(|_| EventType::parse(TYPES[self.below(TYPES.len())]).unwrap());
            let tags =
                (0..self.below(3)).map(|_| Tag::parse(TAGS[self.below(TAGS.len())]).unwrap());
            CriteriaItem::new(types, Tags::new(tags).unwrap()).unwrap()
        });
        Criteria::any_of(items).unwrap()
    }

    /// A query of any kind, in any direction, of a store with this head, whose events are of these times.
    pub(crate) fn query(&self, head: Position, times: (Timestamp, Timestamp)) -> ReadRequest {
        let mut request = match self.rng.below(7) {
            0 => ReadRequest::all(),
            1 | 2 => ReadRequest::stream(stream(STREAMS[self.below(STREAMS.len())])),
            3 => {
                let category = CATEGORIES[self.below(CATEGORIES.len())];
                ReadRequest::category(Category::parse(category).unwrap())
            }
            _ => ReadRequest::matching(self.criteria()),
        };
        if self.one_in(2) {
            request = request.backward();
        }
        let position = || Cursor::at(Position::new(self.rng.below(head.value() + 1)));
        if self.one_in(4) {
            request.after = position();
        }
        if self.one_in(6) {
            request.until = Some(position());
        }
        let span = u64::try_from(times.1.since(times.0).as_micros()).unwrap();
        let time = || {
            times
                .0
                .after(Duration::from_micros(self.rng.below(span + 2)))
        };
        if self.one_in(6) {
            request.appended_from = Some(time());
        }
        if self.one_in(6) {
            request.appended_before = Some(time());
        }
        if self.one_in(3) {
            request = request.events_max(1 + self.below(30));
        }
        request
    }
}

/// All streams that events are written to.
pub(crate) fn streams() -> impl Iterator<Item = StreamId> {
    STREAMS.iter().map(|name| stream(name))
}

pub(crate) fn stream(name: &str) -> StreamId {
    StreamId::parse(name).unwrap()
}

fn event_id(number: u64) -> EventId {
    let uuid = 0x0199_0000_0000_7000_8000_0000_0000_0000 | u128::from(number);
    EventId::new(Uuid::from_u128(uuid)).unwrap()
}
