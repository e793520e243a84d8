//! What a caller does for the committer, which is one for all, before its append waits in the queue.

use annals_core::limits::APPEND_ID_BYTES_MAX;
use annals_core::{Append, EventId, NewEvent, Tag};

use super::looked::Looked;
use crate::index::{Hashed, Hasher, Term};
use crate::record::{
    AppendHeader, EventContent, KindCode, Kinds, RecordHead, encode_append, inline_kind_bytes_max,
};

/// An append with its records but for what only the committer knows, and with the hashes of its keys.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) append: Append,
    pub(crate) looked: Looked,
    /// The hash of the append's id.
    pub(crate) id_hash: u64,
    /// The hashes of the streams that it writes, in order.
    streams: Vec<u64>,
    events: Vec<PreparedEvent>,
    /// The hashes of the tags of all events, one after another.
    tags: Vec<u64>,
    /// What the first record says of the append, then the contents of all records.
    bytes: Vec<u8>,
    header_end: usize,
    /// The most bytes that its records take in a frame.
    pub(crate) frame_bytes: usize,
    /// The most bytes that notes of its kinds which have codes take, where the segment does not state them yet.
    note_bytes: usize,
    /// The kinds of its events, some perhaps more than once.
    pub(crate) kinds: Vec<PreparedKind>,
}

/// A kind of events of a prepared append.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PreparedKind {
    /// Its code, if there was one.
    pub(crate) code: Option<KindCode>,
    /// The hash of the event type.
    pub(crate) type_hash: u64,
}

/// An event of a prepared append.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PreparedEvent {
    /// The identity that the application chose, if it did.
    pub(crate) id: Option<EventId>,
    /// The code of its kind, if there was one.
    pub(crate) code: Option<KindCode>,
    pub(crate) content: EventContent,
    /// Where its bytes end, and the hashes of its tags.
    bytes_end: usize,
    tags_end: usize,
}

/// What the log adds to a record.
pub(crate) const RECORD_BYTES: usize = annals_log::RECORD_HEADER_BYTES;

/// The most that a record says of its append.
const APPEND_BYTES: usize = APPEND_ID_BYTES_MAX + 16;

impl Prepared {
    /// Prepares an append, of which this was found out, for the store of this hash function and these kinds.
    pub(crate) fn new(append: &Append, looked: Looked, hasher: Hasher, kinds: &Kinds) -> Self {
        let mut prepared = Self {
            id_hash: hasher.append_id(append.id().as_str()),
            streams: Vec::with_capacity(append.writes().len()),
            events: Vec::with_capacity(append.event_count()),
            tags: Vec::new(),
            bytes: Vec::with_capacity(bytes_about(append)),
            header_end: 0,
            frame_bytes: APPEND_BYTES,
            note_bytes: 0,
            kinds: Vec::new(),
            looked,
            append: append.clone(),
        };
        prepared.encode(append, hasher, kinds);
        prepared
    }

    /// Prepares an append of which nothing was looked up, for a store of these kinds.
    #[cfg(test)]
    pub(crate) fn of(append: &Append, kinds: &Kinds) -> Self {
        Self::new(append, Looked::nothing(), Self::hasher(), kinds)
    }

    /// The hash function of that store.
    #[cfg(test)]
    pub(crate) fn hasher() -> Hasher {
        Hasher::new(annals_log::LogId::from_bytes([7; 16]))
    }

    #[expect(clippy::expect_used, reason = "an append is built with few events")]
    fn encode(&mut self, append: &Append, hasher: Hasher, kinds: &Kinds) {
        let header = AppendHeader {
            id: append.id(),
            events: u32::try_from(append.event_count()).expect("an append has up to 65,536 events"),
        };
        encode_append(&header, &mut self.bytes);
        self.header_end = self.bytes.len();
        let mut last: Option<(&NewEvent, Option<KindCode>)> = None;
        for write in append.writes() {
            self.streams.push(hasher.stream(write.stream.as_str()));
            for event in &write.events {
                let same = last.filter(|(last, _)| is_of_one_kind(last, event));
                let code = same.map_or_else(|| kinds.code_of(event), |(_, code)| code);
                if same.is_none() {
                    let type_hash = hasher.term(Term::Type(event.event_type().as_str()));
                    self.kinds.push(PreparedKind { code, type_hash });
                    if code.is_some() {
                        self.note_bytes += RECORD_BYTES + inline_kind_bytes_max(event);
                    }
                }
                last = Some((event, code));
                let tags = event.tags().iter().map(Tag::as_str);
                self.tags
                    .extend(tags.map(|tag| hasher.term(Term::Tag(tag))));
                let content = EventContent::encode(&write.stream, event, &mut self.bytes);
                // A kind without a code may be spelled out, or get one with a note that states it.
                let kind_bytes = code.map_or_else(|| inline_kind_bytes_max(event), |_| 0);
                self.frame_bytes += RECORD_BYTES + RecordHead::BYTES_MAX + kind_bytes;
                self.events.push(PreparedEvent {
                    id: event.id(),
                    code,
                    content,
                    bytes_end: self.bytes.len(),
                    tags_end: self.tags.len(),
                });
            }
        }
        self.frame_bytes += self.bytes.len();
    }

    /// The events, in the order of their positions.
    pub(crate) fn events(&self) -> &[PreparedEvent] {
        &self.events
    }

    /// What the record of the first event says of the append.
    #[expect(clippy::expect_used, reason = "wrong bytes must not be written")]
    pub(crate) fn header(&self) -> &[u8] {
        let header = self.bytes.get(..self.header_end);
        header.expect("the bytes only grew since the header ended")
    }

    /// The content of the record of each event.
    #[expect(clippy::expect_used, reason = "wrong bytes must not be written")]
    pub(crate) fn contents(&self) -> impl Iterator<Item = &[u8]> {
        self.events.iter().scan(self.header_end, |start, event| {
            let start = std::mem::replace(start, event.bytes_end);
            let content = self.bytes.get(start..event.bytes_end);
            Some(content.expect("the bytes only grew from one event's end to the next"))
        })
    }

    /// The hashes of the streams that it writes, in order.
    pub(crate) fn stream_hashes(&self) -> &[u64] {
        &self.streams
    }

    /// The hashes of all tags.
    pub(crate) fn tag_hashes(&self) -> &[u64] {
        &self.tags
    }

    /// The tags of the n-th event, which is this one.
    #[expect(clippy::expect_used, reason = "an event must not lose tags")]
    pub(crate) fn tags<'e>(
        &self,
        index: usize,
        event: &'e NewEvent,
    ) -> impl Iterator<Item = Hashed<'e>> {
        let hashes = self.events.get(index).and_then(|known| {
            let start = known.tags_end.checked_sub(event.tags().len())?;
            self.tags.get(start..known.tags_end)
        });
        let hashes = hashes.expect("the hashes of the event's tags end with its own mark");
        let tags = event.tags().iter().map(Tag::as_str).zip(hashes);
        tags.map(|(text, hash)| Hashed { text, hash: *hash })
    }

    /// What it counts against the bounds of the queue and of a batch: about what it takes in memory beside what
    /// was sent, and no less than it takes in a frame.
    pub(crate) fn weight(&self) -> usize {
        const APPEND_OVERHEAD: usize = 512;
        const EVENT_OVERHEAD: usize = 256;
        let checks = self.append.checks().iter();
        let checks = checks.map(|check| check.stream.as_str().len() + EVENT_OVERHEAD);
        let conditions = self.append.conditions().iter();
        let conditions = conditions.map(|condition| condition.unless.bytes());
        let in_memory = APPEND_OVERHEAD
            + self.events.len() * EVENT_OVERHEAD
            + self.bytes.len()
            + checks.sum::<usize>()
            + conditions.sum::<usize>();
        in_memory.max(self.frame_bytes + self.note_bytes)
    }
}

/// About how many bytes the records of an append take.
fn bytes_about(append: &Append) -> usize {
    const EVENT_BYTES: usize = 80;
    let payloads = append.events().map(|(_, event)| event.payload().len());
    APPEND_BYTES + payloads.sum::<usize>() + append.event_count() * EVENT_BYTES
}

fn is_of_one_kind(one: &NewEvent, other: &NewEvent) -> bool {
    one.event_type() == other.event_type()
        && one.schema_version() == other.schema_version()
        && one.content_type() == other.content_type()
}

#[cfg(test)]
mod tests {
    use annals_core::{AppendId, ContentType, EventType, Expected, StreamId};

    use super::*;
    use crate::record::EventKind;

    fn event_of(event_type: &str, payload_bytes: usize) -> NewEvent {
        let event_type = EventType::parse(event_type).unwrap();
        NewEvent::new(event_type, ContentType::OCTETS, vec![7; payload_bytes]).unwrap()
    }

    fn append_of(events: Vec<NewEvent>) -> Append {
        let stream = StreamId::parse("account-1").unwrap();
        Append::builder(AppendId::parse("append-1").unwrap())
            .write(stream, Expected::Any, events)
            .build()
            .unwrap()
    }

    /// Events of as many kinds, whose names are long.
    fn of_many_kinds() -> Vec<NewEvent> {
        (0..100)
            .map(|number| event_of(&format!("{number:0900}"), 1))
            .collect()
    }

    #[test]
    fn what_is_long_weighs_what_it_takes_in_a_frame() {
        const PAYLOAD_BYTES: usize = 1024 * 1024;
        let append = append_of(vec![event_of("opened", PAYLOAD_BYTES)]);
        let prepared = Prepared::of(&append, &Kinds::default());
        let weight = prepared.weight();
        assert!(prepared.frame_bytes <= weight);
        assert!(weight < PAYLOAD_BYTES + 1024, "{weight}");
    }

    #[test]
    fn kinds_that_are_spelled_out_have_their_weight() {
        let prepared = Prepared::of(&append_of(of_many_kinds()), &Kinds::default());
        assert!(prepared.frame_bytes > 100 * 900);
        assert!(prepared.weight() >= prepared.frame_bytes);
    }

    #[test]
    fn kinds_that_a_segment_may_have_to_state_have_their_weight() {
        let mut kinds = Kinds::default();
        for event in of_many_kinds() {
            let code = kinds.next_code().unwrap();
            kinds.insert(code, EventKind::of(&event)).unwrap();
        }
        let prepared = Prepared::of(&append_of(of_many_kinds()), &kinds);
        assert!(prepared.frame_bytes < 100 * 900);
        assert!(prepared.weight() >= prepared.frame_bytes + 100 * 900);
    }

    #[test]
    #[should_panic(expected = "the hashes of the event's tags end with its own mark")]
    fn an_event_that_is_not_of_the_append_does_not_pass_for_one_without_tags() {
        let event = event_of("opened", 1);
        let prepared = Prepared::of(&append_of(vec![event.clone()]), &Kinds::default());
        assert_eq!(prepared.tags(0, &event).count(), 0);
        drop(prepared.tags(1, &event));
    }
}
