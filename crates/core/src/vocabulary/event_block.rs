//! Events that share their memory.

use std::fmt;
use std::num::NonZeroU128;
use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::event::{ContentRef, Placement};
use super::event_type::{ContentType, EventType, SchemaVersion};
use super::ids::EventId;
use super::metadata::{MetadataPacker, MetadataRef};
use super::number::{Position, Version};
use super::recorded_event::RecordedEvent;
use super::stream_id::StreamId;
use super::tag::Tags;
use super::time::Timestamp;
use crate::error::check_limit;
use crate::{Error, ErrorKind};

/// Events whose bytes lie in one buffer, as their store has them, and whose names and numbers lie in one table; for
/// authors of stores that read events from bytes. An event of a block costs no memory of its own.
///
/// Names of streams and contexts are made, for all events of the block, when the first of them is looked at: many
/// readers look at types and payloads only.
///
/// A block is built by an [`EventBlockBuilder`] and seen through its events only.
pub struct EventBlock {
    storage: Storage,
    streams: OnceLock<Vec<StreamId>>,
    contexts: OnceLock<Contexts>,
    /// Where the storage goes when the last event is gone.
    pool: Option<Arc<EventBlocks>>,
}

/// An event that goes into a block, as its store has it.
#[derive(Debug)]
pub struct BlockEvent<'a> {
    /// What [`EventBlockBuilder::kind`] gave for its kind.
    pub kind: BlockKind,
    /// The identity of the event.
    pub id: EventId,
    /// Its place in the stream.
    pub version: Version,
    /// Its place in the whole log.
    pub position: Position,
    /// When it happened, by the application's clock.
    pub recorded_at: Timestamp,
    /// When the store recorded it.
    pub appended_at: Timestamp,
    /// Its tags.
    pub tags: Tags,
    /// The name of its stream; then anything; then its context in the store's form, and its payload.
    pub bytes: &'a [u8],
    /// How many bytes the name of the stream takes.
    pub stream_bytes: usize,
    /// How many bytes the context takes in the store's form, which the block's [`MetadataForm`] reads; 0 for none.
    pub metadata_bytes: usize,
    /// How many bytes the payload takes.
    pub payload_bytes: usize,
}

/// Reads a context from the form that a store has it in, which the store has checked: it can't fail.
pub type MetadataForm = fn(bytes: &[u8], context: &mut MetadataWriter<'_>) -> Result<(), Error>;

/// Takes the parts of a context: the correlation id, the causation id, then the headers in ascending order of their
/// names.
#[derive(Debug)]
pub struct MetadataWriter<'a> {
    packer: MetadataPacker,
    bytes: &'a mut Vec<u8>,
}

/// Storage of former blocks, for large blocks to be made in: fresh memory costs more than all else that an event
/// takes.
#[derive(Debug, Default)]
pub struct EventBlocks(Mutex<Vec<Storage>>);

/// Builds a block, event by event. An event that is refused leaves the builder of no use.
#[derive(Debug)]
pub struct EventBlockBuilder {
    storage: Storage,
    pool: Option<Arc<EventBlocks>>,
}

/// The number of an event kind in the block that is being built.
///
/// It is that builder's alone. Another builder refuses a number that it has not given itself, but can't tell one
/// that it has: the event would be of its own kind of that number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockKind(usize);

#[derive(Debug)]
struct Storage {
    bytes: Vec<u8>,
    kinds: Vec<Kind>,
    entries: Vec<BlockEntry>,
    form: MetadataForm,
}

/// The contexts of a block's events in their packed form.
#[derive(Debug, Default)]
struct Contexts {
    bytes: Vec<u8>,
    /// For each event, where its context ends; the next one begins there.
    ends: Vec<usize>,
}

#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) event_type: EventType,
    pub(crate) schema_version: SchemaVersion,
    pub(crate) content_type: ContentType,
    /// Of the names.
    bytes: usize,
}

/// One event of a block.
#[derive(Debug)]
pub(crate) struct BlockEntry {
    pub(crate) id: EventId,
    pub(crate) version: Version,
    pub(crate) position: Position,
    pub(crate) recorded_at: Timestamp,
    pub(crate) appended_at: Timestamp,
    pub(crate) tags: Tags,
    kind: u32,
    stream_start: u32,
    stream_end: u32,
    /// Where the context begins; it goes to the payload, which goes to its end.
    metadata_start: u32,
    payload_start: u32,
    payload_end: u32,
}

impl BlockEntry {
    /// What an entry is made of, before it is filled in.
    const EMPTY: Self = Self {
        id: EventId::from_number(NonZeroU128::MIN),
        version: Version::ABSENT,
        position: Position::START,
        recorded_at: Timestamp::EPOCH,
        appended_at: Timestamp::EPOCH,
        tags: Tags::EMPTY,
        kind: 0,
        stream_start: 0,
        stream_end: 0,
        metadata_start: 0,
        payload_start: 0,
        payload_end: 0,
    };
}

impl EventBlock {
    /// About the most bytes of payloads and contexts in a block of several events: whoever keeps one event keeps
    /// the block. It is the store that keeps to it, by asking [`EventBlockBuilder::is_full_for`] before each event; an
    /// event of more bytes has a block of its own.
    pub const BYTES_MAX: usize = 256 * 1024;

    #[inline]
    #[expect(
        clippy::expect_used,
        reason = "events are made of the numbers of the block's own entries"
    )]
    pub(crate) fn entry(&self, index: u32) -> &BlockEntry {
        let entry = self.storage.entries.get(index as usize);
        entry.expect("an event's number is that of an entry of its block")
    }

    #[inline]
    #[expect(
        clippy::expect_used,
        reason = "a builder takes the numbers of its own kinds only"
    )]
    pub(crate) fn kind(&self, entry: &BlockEntry) -> &Kind {
        let kind = self.storage.kinds.get(entry.kind as usize);
        kind.expect("an entry's kind is in its block")
    }

    #[inline]
    pub(crate) fn payload(&self, entry: &BlockEntry) -> &[u8] {
        self.storage.bytes(entry.payload_start..entry.payload_end)
    }

    #[inline]
    #[expect(clippy::expect_used, reason = "there is one for each entry")]
    pub(crate) fn stream(&self, index: u32) -> &StreamId {
        let streams = self.streams.get_or_init(|| self.storage.streams());
        let stream = streams.get(index as usize);
        stream.expect("an event's number is that of an entry of its block")
    }

    #[inline]
    pub(crate) fn metadata(&self, index: u32) -> MetadataRef<'_> {
        let contexts = self.contexts.get_or_init(|| self.storage.contexts());
        contexts.of(index as usize)
    }

    #[inline]
    pub(crate) fn content<'a>(&'a self, entry: &'a BlockEntry) -> ContentRef<'a> {
        let kind = self.kind(entry);
        ContentRef {
            event_type: &kind.event_type,
            schema_version: kind.schema_version,
            content_type: &kind.content_type,
            payload: self.payload(entry),
            tags: &entry.tags,
        }
    }

    pub(crate) fn placement(&self, index: u32) -> Placement {
        let entry = self.entry(index);
        Placement {
            id: entry.id,
            stream: self.stream(index).clone(),
            version: entry.version,
            position: entry.position,
            recorded_at: entry.recorded_at,
            appended_at: entry.appended_at,
        }
    }
}

impl Storage {
    const fn new(bytes: Vec<u8>, entries: Vec<BlockEntry>) -> Self {
        Self {
            bytes,
            kinds: Vec::new(),
            entries,
            form: no_context,
        }
    }

    #[inline]
    fn bytes(&self, range: Range<u32>) -> &[u8] {
        let range = range.start as usize..range.end as usize;
        self.bytes.get(range).unwrap_or_default()
    }

    /// The stream of each event.
    #[cold]
    fn streams(&self) -> Vec<StreamId> {
        let mut streams: Vec<StreamId> = Vec::with_capacity(self.entries.len());
        for entry in &self.entries {
            let name = self.bytes(entry.stream_start..entry.stream_end);
            let stream = match streams.last() {
                // As it often is.
                Some(last) if last.as_str().as_bytes() == name => last.clone(),
                _ => checked_stream(name),
            };
            streams.push(stream);
        }
        streams
    }

    /// The context of each event.
    #[cold]
    fn contexts(&self) -> Contexts {
        let mut contexts = Contexts {
            bytes: Vec::new(),
            ends: Vec::with_capacity(self.entries.len()),
        };
        for entry in &self.entries {
            let context = self.bytes(entry.metadata_start..entry.payload_start);
            if !context.is_empty() {
                contexts.add(context, self.form);
            }
            contexts.ends.push(contexts.bytes.len());
        }
        contexts
    }
}

impl Contexts {
    #[expect(clippy::expect_used, reason = "the store checked it, as it promises")]
    fn add(&mut self, context: &[u8], form: MetadataForm) {
        let mut writer = MetadataWriter {
            packer: MetadataPacker::begin(&mut self.bytes),
            bytes: &mut self.bytes,
        };
        let read = form(context, &mut writer);
        read.and_then(|()| writer.packer.finish(writer.bytes))
            .expect("a store checks the context of an event that goes into a block");
    }

    fn of(&self, index: usize) -> MetadataRef<'_> {
        let end = |index: usize| self.ends.get(index).copied();
        let start = index.checked_sub(1).and_then(end).unwrap_or_default();
        let packed = end(index).and_then(|end| self.bytes.get(start..end));
        MetadataRef::of_packed(packed.unwrap_or_default())
    }
}

impl MetadataWriter<'_> {
    /// Takes the correlation id.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a text that breaks the rules of the id, and for one that is given twice or out of
    /// order.
    pub fn correlation_id(&mut self, id: &str) -> Result<(), Error> {
        self.packer.correlation_id(id, self.bytes)
    }

    /// Takes the causation id.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`], as for the correlation id.
    pub fn causation_id(&mut self, id: &str) -> Result<(), Error> {
        self.packer.causation_id(id, self.bytes)
    }

    /// Takes a header.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for what [`Metadata::check_header`](crate::Metadata::check_header) refuses, and for a
    /// name that is out of order.
    #[inline]
    pub fn header(&mut self, name: &[u8], value: &[u8]) -> Result<(), Error> {
        self.packer.header(name, value, self.bytes)
    }
}

/// The form of contexts where no event has one.
const fn no_context(_: &[u8], _: &mut MetadataWriter<'_>) -> Result<(), Error> {
    Ok(())
}

/// The stream of a name that was checked when its event was taken.
#[expect(clippy::expect_used, reason = "checked before the event was taken")]
fn checked_stream(name: &[u8]) -> StreamId {
    let name = std::str::from_utf8(name).expect("a checked name is UTF-8");
    StreamId::parse(name).expect("the name was checked")
}

impl EventBlockBuilder {
    /// A small block for about this many events and bytes.
    pub fn with_capacity(events: usize, bytes: usize) -> Self {
        Self {
            storage: Storage::new(Vec::with_capacity(bytes), Vec::with_capacity(events)),
            pool: None,
        }
    }

    /// A large block, in the storage of a former one where there is some; it goes back when the last event of the
    /// block is gone.
    pub fn in_pool(pool: &Arc<EventBlocks>) -> Self {
        let storage = pool.take();
        Self {
            storage: storage.unwrap_or_else(|| Storage::new(Vec::new(), Vec::new())),
            pool: Some(Arc::clone(pool)),
        }
    }

    /// The same for contexts of this form. Without one, no event has a context, whatever its bytes.
    #[must_use]
    pub const fn with_metadata_form(mut self, form: MetadataForm) -> Self {
        self.storage.form = form;
        self
    }

    /// Makes room for about this many more events and bytes.
    pub fn reserve(&mut self, events: usize, bytes: usize) {
        self.storage.entries.reserve(events);
        self.storage.bytes.reserve(bytes);
    }

    /// Adds a kind of event, or finds it where it was the last that was added.
    pub fn kind(
        &mut self,
        event_type: &EventType,
        schema_version: SchemaVersion,
        content_type: &ContentType,
    ) -> BlockKind {
        let kinds = &mut self.storage.kinds;
        let is_last = kinds.last().is_some_and(|last| {
            last.event_type == *event_type
                && last.schema_version == schema_version
                && last.content_type == *content_type
        });
        if !is_last {
            kinds.push(Kind {
                event_type: event_type.clone(),
                schema_version,
                content_type: content_type.clone(),
                bytes: event_type.as_str().len() + content_type.as_str().len(),
            });
        }
        BlockKind(kinds.len().saturating_sub(1))
    }

    /// Adds an event, and gives its size as [`RecordedEvent::bytes`] counts it, without its context's.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a name that is no stream's, a payload over
    /// [`limits::PAYLOAD_BYTES_MAX`](crate::limits::PAYLOAD_BYTES_MAX), parts of more bytes than there are, a kind that
    /// this builder has not given, and an event that would take the block over 4 GiB, far beyond
    /// [`EventBlock::BYTES_MAX`].
    #[inline]
    pub fn push(&mut self, event: BlockEvent<'_>) -> Result<usize, Error> {
        let payload = event.payload_bytes;
        check_limit!("payload of too many bytes", payload, PAYLOAD_BYTES_MAX)?;
        let storage = &mut self.storage;
        let kind = storage.kinds.get(event.kind.0).ok_or_else(other_kind)?;
        let name = event.bytes.get(..event.stream_bytes);
        StreamId::check(name.ok_or_else(missing_bytes)?)?;
        let behind = event.stream_bytes + event.metadata_bytes + payload;
        if behind > event.bytes.len() {
            return Err(missing_bytes());
        }
        let tags = event.tags.iter().map(|tag| tag.as_str().len());
        let size = kind.bytes + payload + tags.sum::<usize>();
        let start = storage.bytes.len();
        let end = start + event.bytes.len();
        let [
            _,
            kind,
            stream_start,
            stream_end,
            payload_bytes,
            content_bytes,
            payload_end,
        ] = numbers([
            storage.entries.len() + 1,
            event.kind.0,
            start,
            start + event.stream_bytes,
            payload,
            payload + event.metadata_bytes,
            end,
        ])?;
        storage.bytes.extend_from_slice(event.bytes);
        // Filled in at its place: to make it elsewhere and to move it would wait for each half of a pair to be
        // written before both are read at once.
        storage.entries.push(BlockEntry::EMPTY);
        if let Some(entry) = storage.entries.last_mut() {
            entry.id = event.id;
            entry.version = event.version;
            entry.position = event.position;
            entry.recorded_at = event.recorded_at;
            entry.appended_at = event.appended_at;
            entry.tags = event.tags;
            entry.kind = kind;
            entry.stream_start = stream_start;
            entry.stream_end = stream_end;
            entry.metadata_start = payload_end - content_bytes;
            entry.payload_start = payload_end - payload_bytes;
            entry.payload_end = payload_end;
        }
        Ok(size)
    }

    /// How many events it holds.
    #[inline]
    pub fn len(&self) -> usize {
        self.storage.entries.len()
    }

    /// Whether it holds no event.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.storage.entries.is_empty()
    }

    /// Whether a further event, of about this many bytes of payload and context, belongs in the next block.
    #[inline]
    pub fn is_full_for(&self, bytes: usize) -> bool {
        let after = self.storage.bytes.len().saturating_add(bytes);
        !self.is_empty() && after > EventBlock::BYTES_MAX
    }

    /// Appends the events of the block.
    pub fn finish(self, events: &mut Vec<RecordedEvent>) {
        let count = self.len();
        let block = Arc::new(EventBlock {
            storage: self.storage,
            streams: OnceLock::new(),
            contexts: OnceLock::new(),
            pool: self.pool,
        });
        let indices = (0..).take(count);
        let made = indices.map(|index| RecordedEvent::in_block(Arc::clone(&block), index));
        events.extend(made);
    }
}

impl EventBlocks {
    /// The most that is kept: as many blocks, of at most twice [`EventBlock::BYTES_MAX`] and a table of events each.
    pub const KEPT_MAX: usize = 4;

    fn take(&self) -> Option<Storage> {
        self.kept().pop()
    }

    fn put(&self, storage: Storage) {
        let mut kept = self.kept();
        if kept.len() < Self::KEPT_MAX {
            kept.push(storage);
        }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Vec<Storage>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for EventBlock {
    fn drop(&mut self) {
        let Some(pool) = &self.pool else { return };
        let none = Storage::new(Vec::new(), Vec::new());
        let mut storage = std::mem::replace(&mut self.storage, none);
        // What grew beyond the usual, for one large event, is not kept.
        if storage.bytes.capacity() <= 2 * Self::BYTES_MAX {
            storage.bytes.clear();
            storage.kinds.clear();
            storage.entries.clear();
            storage.form = no_context;
            pool.put(storage);
        }
    }
}

impl fmt::Debug for EventBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventBlock")
            .field("events", &self.storage.entries.len())
            .field("bytes", &self.storage.bytes.len())
            .finish_non_exhaustive()
    }
}

/// Places and counts in a block, all of which an entry notes in 32 bits.
#[inline]
fn numbers<const N: usize>(values: [usize; N]) -> Result<[u32; N], Error> {
    let mut numbers = [0; N];
    for (number, value) in numbers.iter_mut().zip(values) {
        *number = u32::try_from(value).map_err(|_| over_full())?;
    }
    Ok(numbers)
}

#[cold]
fn over_full() -> Error {
    let message = "event does not fit a block of 4 GiB; finish the block, begin another";
    Error::new(ErrorKind::Invalid, message)
}

#[cold]
fn missing_bytes() -> Error {
    let message = "event has parts of more bytes than it has; correct their numbers";
    Error::new(ErrorKind::Invalid, message)
}

#[cold]
fn other_kind() -> Error {
    let message = "event kind is not of this block; add it to the builder that gets the event";
    Error::new(ErrorKind::Invalid, message)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{EventId, Metadata, NewEvent, Position, StreamId, Tag, Timestamp, Version};

    const TYPES: [EventType; 2] = [
        EventType::from_static("opened"),
        EventType::from_static("paid"),
    ];

    fn placement(number: u64) -> Placement {
        let stream = format!("account-{}", number / 2 % 3);
        Placement {
            id: EventId::new(Uuid::from_u128(u128::from(number) + 1)).unwrap(),
            stream: StreamId::parse(&stream).unwrap(),
            version: Version::new(number + 1),
            position: Position::new(number + 7),
            recorded_at: Timestamp::from_micros(1),
            appended_at: Timestamp::from_micros(2),
        }
    }

    /// The event of this number, by itself.
    fn whole(number: u64) -> RecordedEvent {
        let kind = TYPES[usize::try_from(number % 3 / 2).unwrap()].clone();
        let payload = vec![b'x'; usize::try_from(number % 5).unwrap()];
        let mut event = NewEvent::new(kind, ContentType::JSON, payload).unwrap();
        if number.is_multiple_of(2) {
            let tag = Tag::from_parts("number", number).unwrap();
            event = event.with_tags(Tags::new([tag]).unwrap());
        }
        if number.is_multiple_of(3) {
            let metadata = Metadata::EMPTY.with_header("n", &number.to_string());
            event = event.with_metadata(metadata.unwrap());
        }
        RecordedEvent::new(event, placement(number))
    }

    /// A form of contexts for tests: the name of a part, `=`, its value, and a line's end.
    fn lines(bytes: &[u8], context: &mut MetadataWriter<'_>) -> Result<(), Error> {
        for line in std::str::from_utf8(bytes).unwrap().lines() {
            match line.split_once('=').unwrap() {
                ("correlation", id) => context.correlation_id(id),
                ("causation", id) => context.causation_id(id),
                (name, value) => context.header(name.as_bytes(), value.as_bytes()),
            }?;
        }
        Ok(())
    }

    fn block() -> EventBlockBuilder {
        EventBlockBuilder::with_capacity(1, 0).with_metadata_form(lines)
    }

    /// Adds an event of this stream, of the kind of this number, with these bytes as context and payload.
    fn push_parts(
        block: &mut EventBlockBuilder,
        (kind, stream): (BlockKind, &[u8]),
        context: &str,
        payload: &[u8],
    ) -> Result<usize, Error> {
        let bytes = [stream, b"anything", context.as_bytes(), payload].concat();
        block.push(BlockEvent {
            bytes: &bytes,
            stream_bytes: stream.len(),
            metadata_bytes: context.len(),
            payload_bytes: payload.len(),
            ..event(kind)
        })
    }

    /// An event without bytes but for its stream's name.
    fn event(kind: BlockKind) -> BlockEvent<'static> {
        let placement = placement(0);
        BlockEvent {
            kind,
            id: placement.id,
            version: placement.version,
            position: placement.position,
            recorded_at: placement.recorded_at,
            appended_at: placement.appended_at,
            tags: Tags::EMPTY,
            bytes: b"account-0",
            stream_bytes: 9,
            metadata_bytes: 0,
            payload_bytes: 0,
        }
    }

    fn first_kind(block: &mut EventBlockBuilder) -> BlockKind {
        block.kind(&TYPES[0], SchemaVersion::FIRST, &ContentType::JSON)
    }

    fn push(block: &mut EventBlockBuilder, event: &RecordedEvent) {
        let metadata = event.metadata();
        let headers = metadata.headers();
        let context: String = headers
            .map(|(name, value)| format!("{name}={value}\n"))
            .collect();
        let content = event.content();
        let kind = block.kind(
            content.event_type,
            content.schema_version,
            content.content_type,
        );
        let stream = event.stream().as_str();
        let bytes = [stream.as_bytes(), b"-", context.as_bytes(), content.payload].concat();
        let size = block.push(BlockEvent {
            kind,
            id: event.id(),
            version: event.version(),
            position: event.position(),
            recorded_at: event.recorded_at(),
            appended_at: event.appended_at(),
            tags: content.tags.clone(),
            bytes: &bytes,
            stream_bytes: stream.len(),
            metadata_bytes: context.len(),
            payload_bytes: content.payload.len(),
        });
        assert_eq!(size.unwrap() + metadata.bytes(), event.bytes());
    }

    #[test]
    fn an_event_of_a_block_is_the_event_itself() {
        let pool = Arc::default();
        for _ in 0..3 {
            let mut blocks = [
                block(),
                EventBlockBuilder::in_pool(&pool).with_metadata_form(lines),
            ];
            for block in &mut blocks {
                (0..20).for_each(|number| push(block, &whole(number)));
            }
            let mut events = Vec::new();
            for block in blocks {
                block.finish(&mut events);
            }
            for (index, event) in (0..).zip(&events) {
                let expected = whole(index % 20);
                assert_eq!(*event, expected);
                assert_eq!(event.to_new_event(), expected.to_new_event());
                assert_eq!(event.payload_bytes(), expected.payload_bytes());
            }
            let last = events.pop().unwrap().payload_bytes();
            drop(events);
            assert_eq!(last, whole(19).payload());
        }
        assert_eq!(pool.kept().len(), 1);
    }

    /// Gives these parts of a context, in this order.
    fn give(parts: &[(&str, &str)]) -> Result<(), Error> {
        let mut bytes = Vec::new();
        let mut writer = MetadataWriter {
            packer: MetadataPacker::begin(&mut bytes),
            bytes: &mut bytes,
        };
        for (name, value) in parts {
            match *name {
                "correlation" => writer.correlation_id(value),
                "causation" => writer.causation_id(value),
                name => writer.header(name.as_bytes(), value.as_bytes()),
            }?;
        }
        Ok(())
    }

    #[test]
    fn a_context_that_breaks_the_rules_is_refused() {
        for part in [
            ("", "1"),
            ("a\n", "1"),
            ("a", "\0"),
            ("correlation", ""),
            ("causation", "a\n"),
        ] {
            assert!(give(&[part]).is_err(), "{part:?}");
        }
        for (name, value) in [(&b"a"[..], &b"\xff"[..]), (b"\xff", b"1")] {
            let checked = Metadata::check_header(name, value);
            assert!(checked.is_err(), "{name:?} {value:?}");
        }
        give(&[("b", "caf\u{e9}")]).unwrap();
    }

    #[test]
    fn a_context_out_of_order_is_refused() {
        let (correlation, causation) = ("correlation", "causation");
        let given = |parts: &[&str]| {
            let parts: Vec<_> = parts.iter().map(|name| (*name, "1")).collect();
            give(&parts)
        };
        for parts in [
            &[correlation, causation, "a", "b"][..],
            &[correlation, "a"],
            &[causation, "a"],
            &[correlation],
            &[],
        ] {
            given(parts).unwrap();
            let mut block = block();
            let kind = first_kind(&mut block);
            let context: String = parts.iter().map(|name| format!("{name}=1\n")).collect();
            for context in ["", &context, ""] {
                push_parts(&mut block, (kind, b"account-1"), context, b"x").unwrap();
            }
            let mut events = Vec::new();
            block.finish(&mut events);
            let metadata = events[1].metadata();
            let ids = [
                metadata.correlation_id().map(|_| correlation),
                metadata.causation_id().map(|_| causation),
            ];
            let headers = metadata.headers().map(|(name, _)| name);
            let found: Vec<_> = ids.into_iter().flatten().chain(headers).collect();
            assert_eq!(found, parts);
            assert!(events[0].metadata().is_empty() && events[2].metadata().is_empty());
        }
        for parts in [
            &[correlation, correlation][..],
            &[causation, causation],
            &[correlation, causation, causation],
            &[causation, correlation],
            &["a", correlation],
            &["a", causation],
            &[correlation, "a", causation],
            &["a", "a"],
            &["b", "a"],
        ] {
            let error = given(parts).err().unwrap_or_else(|| panic!("{parts:?}"));
            assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        }
    }

    #[test]
    fn a_name_is_taken_as_it_is_parsed() {
        for name in [
            &b"account-1"[..],
            b"settings",
            b"account-1-",
            "caf\u{e9}-1".as_bytes(),
            b"",
            b"-1",
            b"account-",
            b"account-\n",
            b"account-\xff",
            &[b'x'; 1025],
            &[b'x'; 1024],
        ] {
            let mut block = block();
            let kind = first_kind(&mut block);
            let text = std::str::from_utf8(name).ok();
            let stream = text.and_then(|text| StreamId::parse(text).ok());
            let pushed = push_parts(&mut block, (kind, name), "", b"x");
            assert_eq!(pushed.is_ok(), stream.is_some(), "{name:?}");
            let mut events = Vec::new();
            block.finish(&mut events);
            let found = events.first().map(|event| event.stream().clone());
            assert_eq!(found, stream);
        }
    }

    #[test]
    fn parts_of_more_bytes_than_there_are_are_refused() {
        let mut block = block();
        let kind = first_kind(&mut block);
        for (stream_bytes, metadata_bytes, payload_bytes) in
            [(10, 0, 0), (9, 1, 0), (9, 0, 1), (8, 1, 1)]
        {
            let pushed = block.push(BlockEvent {
                stream_bytes,
                metadata_bytes,
                payload_bytes,
                ..event(kind)
            });
            assert_eq!(pushed.unwrap_err().kind(), ErrorKind::Invalid);
        }
        assert!(block.is_empty());
    }

    #[test]
    fn a_kind_of_another_block_is_refused() {
        let pool = Arc::default();
        let mut first = EventBlockBuilder::in_pool(&pool);
        let [_, second] = TYPES.map(|it| first.kind(&it, SchemaVersion::FIRST, &ContentType::JSON));
        first.push(event(second)).unwrap();
        first.finish(&mut Vec::new());
        let mut next = EventBlockBuilder::in_pool(&pool);
        for _ in 0..2 {
            let error = next.push(event(second)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
            assert!(next.is_empty());
            next.kind(&TYPES[0], SchemaVersion::FIRST, &ContentType::JSON);
        }
    }

    /// The zeros are never touched, so they take no memory.
    #[cfg(target_pointer_width = "64")]
    #[test]
    fn an_event_beyond_4_gib_is_refused() {
        let mut block = block();
        let kind = first_kind(&mut block);
        block.storage.bytes = vec![0; u32::MAX as usize - 9];
        block.push(event(kind)).unwrap();
        let error = block.push(event(kind)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("begin another"), "{error}");
        let mut events = Vec::new();
        block.finish(&mut events);
        assert_eq!((events.len(), events[0].payload()), (1, &b""[..]));
        assert_eq!(numbers([u32::MAX as usize, 0]).unwrap(), [u32::MAX, 0]);
    }

    #[test]
    fn a_block_is_full_by_its_bytes_unless_it_is_empty() {
        let mut block = block();
        assert!(!block.is_full_for(usize::MAX));
        let kind = first_kind(&mut block);
        block.push(event(kind)).unwrap();
        assert!(!block.is_full_for(EventBlock::BYTES_MAX - 9));
        assert!(block.is_full_for(EventBlock::BYTES_MAX - 8) && block.is_full_for(usize::MAX));
    }

    #[test]
    fn a_payload_keeps_its_block_until_it_is_gone() {
        let pool = Arc::default();
        let mut block = EventBlockBuilder::in_pool(&pool);
        (0..5).for_each(|number| push(&mut block, &whole(number)));
        let mut events = Vec::new();
        block.finish(&mut events);
        let payload = events[4].payload_bytes();
        assert_eq!(payload.as_ptr(), events[4].payload().as_ptr());
        let part = payload.slice(1..3);
        drop((events, payload));
        assert!(pool.kept().is_empty());
        assert_eq!(part, &b"xx"[..]);
        drop(part);
        assert_eq!(pool.kept().len(), 1);
    }
}
