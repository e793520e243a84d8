//! How a block is made.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::{BlockEntry, EventBlock, Kind, MetadataForm, Storage};
use crate::error::check_limit;
use crate::vocabulary::recorded_event::RecordedEvent;
use crate::{
    ContentType, Error, ErrorKind, EventId, EventType, Position, SchemaVersion, StreamId, Tags,
    Timestamp, Version,
};

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

/// Storage of former blocks, for large blocks to be made in: fresh memory costs more than all else that an event
/// takes.
#[derive(Debug, Default)]
pub struct EventBlocks(Mutex<Vec<Storage>>);

/// Builds a block, event by event. An event that is refused leaves the builder of no use.
#[derive(Debug)]
pub struct EventBlockBuilder {
    pub(super) storage: Storage,
    pool: Option<Arc<EventBlocks>>,
}

/// The number of an event kind in the block that is being built.
///
/// It is that builder's alone. Another builder refuses a number that it has not given itself, but can't tell one
/// that it has: the event would be of its own kind of that number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockKind(usize);

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
        self.storage.form = Some(form);
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

    pub(super) fn put(&self, storage: Storage) {
        let mut kept = self.kept();
        if kept.len() < Self::KEPT_MAX {
            kept.push(storage);
        }
    }

    pub(super) fn kept(&self) -> std::sync::MutexGuard<'_, Vec<Storage>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Places and counts in a block, all of which an entry notes in 32 bits.
#[inline]
pub(super) fn numbers<const N: usize>(values: [usize; N]) -> Result<[u32; N], Error> {
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
