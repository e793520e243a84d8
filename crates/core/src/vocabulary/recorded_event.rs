//! Events as read back.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::event::{ContentRef, NewEvent, Placement};
use super::event_block::{BlockEntry, EventBlock};
use super::event_type::{ContentType, EventType, SchemaVersion};
use super::ids::EventId;
use super::metadata::MetadataRef;
use super::number::{Position, Version};
use super::stream_id::StreamId;
use super::tag::Tags;
use super::time::Timestamp;
use crate::{Error, ErrorKind};

/// An event as read back: what was appended, and its place in the store.
///
/// A counted pointer, free to clone. The events of a page may share their memory: one that is kept keeps that of
/// those beside it, in all about [`EventBlock::BYTES_MAX`](crate::EventBlock::BYTES_MAX) bytes and what the names and
/// numbers of these take. A larger event shares its memory with no other.
#[derive(Clone)]
pub struct RecordedEvent(Form);

#[derive(Clone)]
enum Form {
    /// An event of its own.
    Whole(Arc<Whole>),
    /// The event of this number in a block, of a log that is the partition of this number.
    InBlock(Arc<EventBlock>, u32, u16),
}

#[derive(Clone)]
struct Whole {
    content: NewEvent,
    placement: Placement,
}

impl RecordedEvent {
    /// The event at its place; for authors of stores. Its identity and time are those of the placement.
    #[inline]
    pub fn new(content: NewEvent, placement: Placement) -> Self {
        Self(Form::Whole(Arc::new(Whole { content, placement })))
    }

    /// The event of this number in a block, which has it.
    #[inline]
    pub(crate) fn in_block(block: Arc<EventBlock>, index: u32) -> Self {
        Self(Form::InBlock(block, index, 0))
    }

    /// The event of a log that is a partition of a store, as an event of the store; for authors of partitioned stores.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] for a position that [no partition](Position::in_partition) has.
    pub fn in_partition(self, partition: u16) -> Result<Self, Error> {
        if partition == 0 {
            return Ok(self);
        }
        let position = self.position().in_partition(partition).ok_or_else(|| {
            let message = "position is of no partition; a store of partitions is no partition";
            Error::new(ErrorKind::Corrupt, message).with("position", self.position())
        })?;
        Ok(Self(match self.0 {
            Form::InBlock(block, index, _) => Form::InBlock(block, index, partition),
            Form::Whole(event) => {
                let mut event = Arc::unwrap_or_clone(event);
                event.placement.position = position;
                Form::Whole(Arc::new(event))
            }
        }))
    }

    /// The identity of the event.
    #[inline]
    pub fn id(&self) -> EventId {
        self.with(|whole| whole.placement.id, |_, entry| entry.id)
    }

    /// The stream that holds it.
    #[inline]
    pub fn stream(&self) -> &StreamId {
        match &self.0 {
            Form::Whole(whole) => &whole.placement.stream,
            Form::InBlock(block, index, _) => block.stream(*index),
        }
    }

    /// Its place in the stream.
    #[inline]
    pub fn version(&self) -> Version {
        self.with(|whole| whole.placement.version, |_, entry| entry.version)
    }

    /// Its place in the whole log.
    #[inline]
    pub fn position(&self) -> Position {
        match &self.0 {
            Form::Whole(whole) => whole.placement.position,
            Form::InBlock(block, index, partition) => {
                placed(block.entry(*index).position, *partition)
            }
        }
    }

    /// When it happened, by the application's clock.
    #[inline]
    pub fn recorded_at(&self) -> Timestamp {
        self.with(
            |whole| whole.placement.recorded_at,
            |_, entry| entry.recorded_at,
        )
    }

    /// When the store recorded it; never earlier than the event before it.
    #[inline]
    pub fn appended_at(&self) -> Timestamp {
        self.with(
            |whole| whole.placement.appended_at,
            |_, entry| entry.appended_at,
        )
    }

    /// The recorded name of its kind.
    #[inline]
    pub fn event_type(&self) -> &EventType {
        self.with(
            |whole| whole.content.event_type(),
            |block, entry| &block.kind(entry).event_type,
        )
    }

    /// The version of the schema that its payload follows.
    #[inline]
    pub fn schema_version(&self) -> SchemaVersion {
        self.with(
            |whole| whole.content.schema_version(),
            |block, entry| block.kind(entry).schema_version,
        )
    }

    /// The form of its payload.
    #[inline]
    pub fn content_type(&self) -> &ContentType {
        self.with(
            |whole| whole.content.content_type(),
            |block, entry| &block.kind(entry).content_type,
        )
    }

    /// Its content.
    #[inline]
    pub fn payload(&self) -> &[u8] {
        self.with(
            |whole| &**whole.content.payload(),
            |block, entry| block.payload(entry),
        )
    }

    /// Its content, shared, not copied.
    pub fn payload_bytes(&self) -> Bytes {
        /// The payload of an event, kept by keeping the event.
        struct Payload(RecordedEvent);
        impl AsRef<[u8]> for Payload {
            fn as_ref(&self) -> &[u8] {
                self.0.payload()
            }
        }
        match &self.0 {
            Form::Whole(whole) => whole.content.payload().clone(),
            Form::InBlock(..) => Bytes::from_owner(Payload(self.clone())),
        }
    }

    /// Its tags.
    #[inline]
    pub fn tags(&self) -> &Tags {
        self.with(|whole| whole.content.tags(), |_, entry| &entry.tags)
    }

    /// Its context.
    #[inline]
    pub fn metadata(&self) -> MetadataRef<'_> {
        match &self.0 {
            Form::Whole(whole) => whole.content.metadata().view(),
            Form::InBlock(block, index, _) => block.metadata(*index),
        }
    }

    /// What it says: type, schema version, form, payload and tags.
    #[inline]
    pub fn content(&self) -> ContentRef<'_> {
        self.with(
            |whole| whole.content.content(),
            |block, entry| block.content(entry),
        )
    }

    /// Its size as counted against the limits of appends and pages: payload, names, tags, context.
    #[inline]
    pub fn bytes(&self) -> usize {
        self.content().bytes() + self.metadata().bytes()
    }

    /// It as an event to append, with its identity and time: appended elsewhere, it is the same event.
    pub fn to_new_event(&self) -> NewEvent {
        let event = match &self.0 {
            Form::Whole(whole) => whole.content.clone(),
            Form::InBlock(..) => NewEvent::of_content(self.content(), self.payload_bytes())
                .with_metadata(self.metadata().to_metadata()),
        };
        event
            .with_id(self.id())
            .with_recorded_at(self.recorded_at())
    }

    /// What was appended and where it stands, taken apart; to copy an event or to change a store.
    pub fn into_parts(self) -> (NewEvent, Placement) {
        let placement = match &self.0 {
            Form::Whole(whole) => whole.placement.clone(),
            Form::InBlock(block, index, _) => Placement {
                position: self.position(),
                ..block.placement(*index)
            },
        };
        (self.to_new_event(), placement)
    }

    #[inline]
    fn with<'a, T>(
        &'a self,
        whole: impl FnOnce(&'a Whole) -> T,
        in_block: impl FnOnce(&'a EventBlock, &'a BlockEntry) -> T,
    ) -> T {
        match &self.0 {
            Form::Whole(event) => whole(event),
            Form::InBlock(block, index, _) => in_block(block, block.entry(*index)),
        }
    }
}

/// The position in the store of an event of this partition, whose place was looked at when it became one.
#[inline]
fn placed(in_log: Position, partition: u16) -> Position {
    in_log.in_partition(partition).unwrap_or(in_log)
}

impl PartialEq for RecordedEvent {
    fn eq(&self, other: &Self) -> bool {
        self.position() == other.position()
            && self.version() == other.version()
            && self.stream() == other.stream()
            && self.id() == other.id()
            && self.recorded_at() == other.recorded_at()
            && self.appended_at() == other.appended_at()
            && self.content() == other.content()
            && self.metadata() == other.metadata()
    }
}

impl Eq for RecordedEvent {}

impl fmt::Debug for RecordedEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordedEvent")
            .field("id", &self.id())
            .field("stream", &self.stream())
            .field("version", &self.version())
            .field("position", &self.position())
            .field("recorded_at", &self.recorded_at())
            .field("appended_at", &self.appended_at())
            .field("content", &self.content())
            .field("metadata", &self.metadata())
            .finish()
    }
}
