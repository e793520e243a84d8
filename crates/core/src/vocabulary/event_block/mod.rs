//! Events that share their memory.

mod builder;
mod context;

use std::fmt;
use std::num::NonZeroU128;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use super::event::{ContentRef, Placement};
use super::event_type::{ContentType, EventType, SchemaVersion};
use super::ids::EventId;
use super::metadata::{MetadataPacker, MetadataRef};
use super::number::{Position, Version};
use super::stream_id::StreamId;
use super::tag::Tags;
use super::time::Timestamp;

pub use builder::{BlockEvent, BlockKind, EventBlockBuilder, EventBlocks};
use context::Contexts;
pub use context::{MetadataForm, MetadataWriter};

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

#[derive(Debug)]
struct Storage {
    bytes: Vec<u8>,
    kinds: Vec<Kind>,
    entries: Vec<BlockEntry>,
    form: Option<MetadataForm>,
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
            id: Some(entry.id),
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
            form: None,
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
        let mut contexts = Contexts::with_capacity(self.entries.len());
        for entry in &self.entries {
            contexts.push(
                self.bytes(entry.metadata_start..entry.payload_start),
                self.form,
            );
        }
        contexts
    }
}

/// The stream of a name that was checked when its event was taken.
#[expect(clippy::expect_used, reason = "checked before the event was taken")]
fn checked_stream(name: &[u8]) -> StreamId {
    let name = std::str::from_utf8(name).expect("a checked name is UTF-8");
    StreamId::parse(name).expect("the name was checked")
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
            storage.form = None;
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

#[cfg(test)]
mod tests;
