//! Events that share their memory.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use super::event::{ContentRef, Placement};
use super::event_type::{ContentType, EventType, SchemaVersion};
use super::metadata::{MetadataPacker, MetadataRef};
use super::recorded_event::RecordedEvent;
use super::tag::Tags;
use crate::Error;
use crate::error::check_limit;

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockKind(u32);

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
    /// The most bytes of payloads and contexts in a block of several events: whoever keeps one event keeps the
    /// block.
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
        BlockKind(number(kinds.len()).saturating_sub(1))
    }

    /// Gives the event that is pushed next this correlation id, causation id and these headers, in this order; headers
    /// in ascending order of their names.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a name that breaks the rules of its type.
    pub fn correlation_id(&mut self, id: &str) -> Result<(), Error> {
        let (packer, bytes) = self.packer();
        packer.correlation_id(id, bytes)
    }

    /// As [`correlation_id`](Self::correlation_id).
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a name that breaks the rules of its type.
    pub fn causation_id(&mut self, id: &str) -> Result<(), Error> {
        let (packer, bytes) = self.packer();
        packer.causation_id(id, bytes)
    }

    /// As [`correlation_id`](Self::correlation_id).
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a name that breaks the rules of its type or is out of
    /// order, for a value with U+0000, and for what is not UTF-8.
    #[inline]
    pub fn header(&mut self, name: &[u8], value: &[u8]) -> Result<(), Error> {
        let (packer, bytes) = self.packer();
        packer.header(name, value, bytes)
    }

    /// Adds an event with the context that was given before, and gives its size as
    /// [`RecordedEvent::bytes`] counts it.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a payload over
    /// [`limits::PAYLOAD_BYTES_MAX`](crate::limits::PAYLOAD_BYTES_MAX) and a context over
    /// [`limits::METADATA_BYTES_MAX`](crate::limits::METADATA_BYTES_MAX).
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
        let metadata_start = match self.metadata.take() {
            Some(packer) => packer.finish(bytes)?.start,
            None => bytes.len(),
        };
        let tag_bytes: usize = tags.iter().map(|tag| tag.as_str().len()).sum();
        let payload_start = bytes.len();
        bytes.extend_from_slice(payload);
        entries.push(BlockEntry {
            placement,
            tags,
            kind: kind.0,
            metadata_start: number(metadata_start),
            payload_start: number(payload_start),
            payload_end: number(bytes.len()),
        });
        let names = kinds.get(kind.0 as usize).map_or(0, |kind| kind.bytes);
        let metadata = bytes.get(metadata_start..payload_start).unwrap_or_default();
        Ok(names + payload.len() + tag_bytes + MetadataRef::of_packed(metadata).bytes())
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

    /// Whether a further event of this many bytes belongs in the next block.
    #[inline]
    pub fn is_full_for(&self, bytes: usize) -> bool {
        !self.is_empty() && self.storage.bytes.len() + bytes > EventBlock::BYTES_MAX
    }

    /// The placement of the event that was added last.
    #[inline]
    pub fn last(&self) -> Option<&Placement> {
        self.storage.entries.last().map(|entry| &entry.placement)
    }

    /// Appends the events of the block.
    pub fn finish(self, events: &mut Vec<RecordedEvent>) {
        let count = number(self.len());
        let block = Arc::new(EventBlock {
            storage: self.storage,
            pool: self.pool,
        });
        let made = (0..count).map(|index| RecordedEvent::in_block(Arc::clone(&block), index));
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
    /// The most that is kept: as many blocks, of [`EventBlock::BYTES_MAX`] and a table of events each.
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

/// A place in a block, which takes no more than a large event beside small ones.
#[inline]
fn number(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
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
        assert!(block.correlation_id("").is_err());
    }
}
