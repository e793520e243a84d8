//! Events that share their memory.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use super::event::{ContentRef, Placement};
use super::event_type::{ContentType, EventType, SchemaVersion};
use super::metadata::{MetadataPacker, MetadataRef};
use super::recorded_event::RecordedEvent;
use super::tag::Tags;
use crate::error::check_limit;
use crate::{Error, ErrorKind};

/// Events whose payloads and contexts lie in one buffer, and whose names and numbers lie in one table; for authors
/// of stores that read events from bytes. An event of a block costs no memory of its own.
///
/// A block is built by an [`EventBlockBuilder`] and seen through its events only.
pub struct EventBlock {
    storage: Storage,
    /// Where the storage goes when the last event is gone.
    pool: Option<Arc<EventBlocks>>,
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
    metadata: Option<MetadataPacker>,
}

/// The number of an event kind in the block that is being built.
///
/// It is that builder's alone. Another builder refuses a number that it has not given itself, but can't tell one
/// that it has: the event would be of its own kind of that number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockKind(usize);

#[derive(Debug, Default)]
struct Storage {
    bytes: Vec<u8>,
    kinds: Vec<Kind>,
    entries: Vec<BlockEntry>,
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
    pub(crate) placement: Placement,
    pub(crate) tags: Tags,
    kind: u32,
    /// Where the metadata begins; it goes to the payload, which goes to its end.
    metadata_start: u32,
    payload_start: u32,
    payload_end: u32,
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
        self.bytes(entry.payload_start..entry.payload_end)
    }

    #[inline]
    pub(crate) fn metadata(&self, entry: &BlockEntry) -> MetadataRef<'_> {
        MetadataRef::of_packed(self.bytes(entry.metadata_start..entry.payload_start))
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
            id: Some(entry.placement.id),
        }
    }

    #[inline]
    fn bytes(&self, range: Range<u32>) -> &[u8] {
        let range = range.start as usize..range.end as usize;
        self.storage.bytes.get(range).unwrap_or_default()
    }
}

impl EventBlockBuilder {
    /// A small block for about this many events and bytes.
    pub fn with_capacity(events: usize, bytes: usize) -> Self {
        Self {
            storage: Storage {
                bytes: Vec::with_capacity(bytes),
                kinds: Vec::new(),
                entries: Vec::with_capacity(events),
            },
            pool: None,
            metadata: None,
        }
    }

    /// A large block, in the storage of a former one where there is some; it goes back when the last event of the
    /// block is gone.
    pub fn in_pool(pool: &Arc<EventBlocks>) -> Self {
        Self {
            storage: pool.take().unwrap_or_default(),
            pool: Some(Arc::clone(pool)),
            metadata: None,
        }
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

    /// Gives the event that is pushed next this correlation id, causation id and these headers, in this order; headers
    /// in ascending order of their names.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a name that breaks the rules of its type, and for an id that is given twice or
    /// out of order.
    pub fn correlation_id(&mut self, id: &str) -> Result<(), Error> {
        let (packer, bytes) = self.packer();
        packer.correlation_id(id, bytes)
    }

    /// As [`correlation_id`](Self::correlation_id).
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`], as there.
    pub fn causation_id(&mut self, id: &str) -> Result<(), Error> {
        let (packer, bytes) = self.packer();
        packer.causation_id(id, bytes)
    }

    /// As [`correlation_id`](Self::correlation_id).
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a name that breaks the rules of its type or is out of order, for a value with
    /// U+0000, and for what is not UTF-8.
    #[inline]
    pub fn header(&mut self, name: &[u8], value: &[u8]) -> Result<(), Error> {
        let (packer, bytes) = self.packer();
        packer.header(name, value, bytes)
    }

    /// Adds an event with the context that was given before, and gives its size as
    /// [`RecordedEvent::bytes`] counts it.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a payload over [`limits::PAYLOAD_BYTES_MAX`](crate::limits::PAYLOAD_BYTES_MAX), a
    /// context over [`limits::METADATA_BYTES_MAX`](crate::limits::METADATA_BYTES_MAX), a kind that this builder has not
    /// given, and an event that would take the block over 4 GiB, far beyond [`EventBlock::BYTES_MAX`].
    #[inline]
    pub fn push(
        &mut self,
        kind: BlockKind,
        payload: &[u8],
        tags: Tags,
        placement: Placement,
    ) -> Result<usize, Error> {
        check_limit!(
            "payload of too many bytes",
            payload.len(),
            PAYLOAD_BYTES_MAX
        )?;
        let Storage {
            bytes,
            kinds,
            entries,
        } = &mut self.storage;
        let names = kinds.get(kind.0).ok_or_else(other_kind)?.bytes;
        let start = match self.metadata.take() {
            Some(packer) => packer.finish(bytes)?.start,
            None => bytes.len(),
        };
        let end = bytes.len() + payload.len();
        let [_, kind, metadata_start, payload_start, payload_end] =
            numbers([entries.len() + 1, kind.0, start, bytes.len(), end])?;
        let metadata = MetadataRef::of_packed(bytes.get(start..).unwrap_or_default()).bytes();
        let tag_bytes: usize = tags.iter().map(|tag| tag.as_str().len()).sum();
        bytes.extend_from_slice(payload);
        entries.push(BlockEntry {
            placement,
            tags,
            kind,
            metadata_start,
            payload_start,
            payload_end,
        });
        Ok(names + payload.len() + tag_bytes + metadata)
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

    /// The placement of the event that was added last.
    #[inline]
    pub fn last(&self) -> Option<&Placement> {
        self.storage.entries.last().map(|entry| &entry.placement)
    }

    /// Appends the events of the block.
    pub fn finish(self, events: &mut Vec<RecordedEvent>) {
        let count = self.len();
        let block = Arc::new(EventBlock {
            storage: self.storage,
            pool: self.pool,
        });
        let indices = (0..).take(count);
        let made = indices.map(|index| RecordedEvent::in_block(Arc::clone(&block), index));
        events.extend(made);
    }

    fn packer(&mut self) -> (&mut MetadataPacker, &mut Vec<u8>) {
        let bytes = &mut self.storage.bytes;
        let packer = &mut self.metadata;
        (
            packer.get_or_insert_with(|| MetadataPacker::begin(bytes)),
            bytes,
        )
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
        let mut storage = std::mem::take(&mut self.storage);
        // What grew beyond the usual, for one large event, is not kept.
        if storage.bytes.capacity() <= 2 * Self::BYTES_MAX {
            storage.bytes.clear();
            storage.kinds.clear();
            storage.entries.clear();
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
        Placement {
            id: EventId::new(Uuid::from_u128(u128::from(number) + 1)).unwrap(),
            stream: StreamId::from_static("account-1"),
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

    fn push(block: &mut EventBlockBuilder, event: &RecordedEvent) {
        for (name, value) in event.metadata().headers() {
            block.header(name.as_bytes(), value.as_bytes()).unwrap();
        }
        let content = event.content();
        let kind = block.kind(
            content.event_type,
            content.schema_version,
            content.content_type,
        );
        let (_, placement) = event.clone().into_parts();
        let bytes = block.push(kind, content.payload, content.tags.clone(), placement);
        assert_eq!(bytes.unwrap(), event.bytes());
    }

    #[test]
    fn an_event_of_a_block_is_the_event_itself() {
        let pool = Arc::default();
        for _ in 0..3 {
            let mut blocks = [
                EventBlockBuilder::with_capacity(1, 0),
                EventBlockBuilder::in_pool(&pool),
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

    #[test]
    fn a_context_that_breaks_the_rules_is_refused() {
        for (name, value) in [
            (&b""[..], &b"1"[..]),
            (b"a\n", b"1"),
            (b"a", b"\0"),
            (b"a", b"\xff"),
            (b"\xff", b"1"),
        ] {
            let mut block = EventBlockBuilder::with_capacity(1, 0);
            assert!(block.header(name, value).is_err(), "{name:?} {value:?}");
        }
        let mut block = EventBlockBuilder::with_capacity(1, 0);
        block.header(b"b", "caf\u{e9}".as_bytes()).unwrap();
        assert!(block.header(b"b", b"again").is_err());
        assert!(block.header(b"a", b"before").is_err());
        let mut block = EventBlockBuilder::with_capacity(1, 0);
        assert!(block.correlation_id("").is_err());
        assert!(block.causation_id("a\n").is_err());
    }

    /// Gives parts of a context in this order.
    fn give(parts: &[&str]) -> Result<EventBlockBuilder, Error> {
        let mut block = EventBlockBuilder::with_capacity(1, 0);
        for part in parts {
            match *part {
                "correlation" => block.correlation_id("c"),
                "causation" => block.causation_id("d"),
                name => block.header(name.as_bytes(), b""),
            }?;
        }
        Ok(block)
    }

    #[test]
    fn a_context_out_of_order_is_refused() {
        let (correlation, causation) = ("correlation", "causation");
        for parts in [
            &[correlation, causation, "a", "b"][..],
            &[correlation, "a"],
            &[causation, "a"],
            &[correlation],
            &[],
        ] {
            let mut block = give(parts).unwrap();
            let kind = block.kind(&TYPES[0], SchemaVersion::FIRST, &ContentType::JSON);
            block.push(kind, b"", Tags::EMPTY, placement(0)).unwrap();
            let mut events = Vec::new();
            block.finish(&mut events);
            let metadata = events[0].metadata();
            let ids = [
                metadata.correlation_id().map(|_| correlation),
                metadata.causation_id().map(|_| causation),
            ];
            let headers = metadata.headers().map(|(name, _)| name);
            let found: Vec<_> = ids.into_iter().flatten().chain(headers).collect();
            assert_eq!(found, parts);
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
            let error = give(parts).err().unwrap_or_else(|| panic!("{parts:?}"));
            assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        }
    }

    #[test]
    fn a_kind_of_another_block_is_refused() {
        let pool = Arc::default();
        let mut first = EventBlockBuilder::in_pool(&pool);
        let [_, second] = TYPES.map(|it| first.kind(&it, SchemaVersion::FIRST, &ContentType::JSON));
        first.push(second, b"", Tags::EMPTY, placement(0)).unwrap();
        first.finish(&mut Vec::new());
        let mut next = EventBlockBuilder::in_pool(&pool);
        for _ in 0..2 {
            let error = next
                .push(second, b"", Tags::EMPTY, placement(1))
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
            assert!(next.is_empty());
            next.kind(&TYPES[0], SchemaVersion::FIRST, &ContentType::JSON);
        }
    }

    /// The zeros are never touched, so they take no memory.
    #[cfg(target_pointer_width = "64")]
    #[test]
    fn an_event_beyond_4_gib_is_refused() {
        let mut block = EventBlockBuilder::with_capacity(2, 0);
        let kind = block.kind(&TYPES[0], SchemaVersion::FIRST, &ContentType::JSON);
        block.storage.bytes = vec![0; u32::MAX as usize];
        block.push(kind, b"", Tags::EMPTY, placement(0)).unwrap();
        let error = block
            .push(kind, b"x", Tags::EMPTY, placement(1))
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("begin another"), "{error}");
        let mut events = Vec::new();
        block.finish(&mut events);
        assert_eq!((events.len(), events[0].payload()), (1, &b""[..]));
        assert_eq!(numbers([u32::MAX as usize, 0]).unwrap(), [u32::MAX, 0]);
    }

    #[test]
    fn a_block_is_full_by_its_bytes_unless_it_is_empty() {
        let mut block = EventBlockBuilder::with_capacity(1, 0);
        assert!(!block.is_full_for(usize::MAX));
        push(&mut block, &whole(4));
        assert!(!block.is_full_for(EventBlock::BYTES_MAX - 4));
        assert!(block.is_full_for(EventBlock::BYTES_MAX - 3) && block.is_full_for(usize::MAX));
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
