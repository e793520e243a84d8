//! Events as bytes with a name: before they are recorded and after.

use bytes::Bytes;

use super::event_type::{ContentType, EventType, SchemaVersion};
use super::ids::EventId;
use super::metadata::Metadata;
use super::number::{Position, Version};
use super::stream_id::StreamId;
use super::tag::Tags;
use super::time::Timestamp;
use crate::Error;
use crate::error::check_limit;

/// An event to append: a type, a payload in some form, tags and context.
///
/// ```
/// use annals_core::{ContentType, EventType, NewEvent};
///
/// const DEPOSITED: EventType = EventType::from_static("deposited");
/// let event = NewEvent::new(DEPOSITED, ContentType::JSON, r#"{"amount":5}"#)?;
/// assert_eq!(event.event_type(), &DEPOSITED);
/// # Ok::<(), annals_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    event_type: EventType,
    schema_version: SchemaVersion,
    content_type: ContentType,
    payload: Bytes,
    tags: Tags,
    metadata: Metadata,
    id: Option<EventId>,
    recorded_at: Option<Timestamp>,
}

/// An event as read back: what was appended, and its place in the store.
///
/// Cheap to clone; the events of a page may share one buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedEvent {
    /// With the identity and the time of its placement.
    content: NewEvent,
    stream: StreamId,
    version: Version,
    position: Position,
    appended_at: Timestamp,
}

/// What a store adds to an event when it records it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The identity of the event: the application's, or one that the store made.
    pub id: EventId,
    /// The stream that holds it.
    pub stream: StreamId,
    /// Its place in the stream, from 1, without gaps.
    pub version: Version,
    /// Its place in the whole log.
    pub position: Position,
    /// When it happened, by the application's clock; `appended_at` where the application did not say.
    pub recorded_at: Timestamp,
    /// When the store recorded it, by the store's clock; never earlier than the event before it.
    pub appended_at: Timestamp,
}

impl NewEvent {
    /// An event of this type: schema version 1, no tags, no context, an id that the store makes.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a payload over
    /// [`limits::PAYLOAD_BYTES_MAX`](crate::limits::PAYLOAD_BYTES_MAX).
    #[inline]
    pub fn new(
        event_type: EventType,
        content_type: ContentType,
        payload: impl Into<Bytes>,
    ) -> Result<Self, Error> {
        let payload = payload.into();
        check_limit!(
            "payload of too many bytes",
            payload.len(),
            PAYLOAD_BYTES_MAX
        )?;
        Ok(Self {
            event_type,
            schema_version: SchemaVersion::FIRST,
            content_type,
            payload,
            tags: Tags::EMPTY,
            metadata: Metadata::EMPTY,
            id: None,
            recorded_at: None,
        })
    }

    /// The same in this version of its schema.
    #[must_use]
    #[inline]
    pub fn with_schema_version(mut self, schema_version: SchemaVersion) -> Self {
        self.schema_version = schema_version;
        self
    }

    /// The same with these tags in place of its own.
    #[must_use]
    #[inline]
    pub fn with_tags(mut self, tags: Tags) -> Self {
        self.tags = tags;
        self
    }

    /// The same with this context in place of its own.
    #[must_use]
    #[inline]
    pub fn with_metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }

    /// The same with an identity that the application chose; a store refuses one that it holds already.
    #[must_use]
    #[inline]
    pub fn with_id(mut self, id: EventId) -> Self {
        self.id = Some(id);
        self
    }

    /// The same with the time at which it happened, by the application's clock.
    #[must_use]
    #[inline]
    pub fn with_recorded_at(mut self, recorded_at: Timestamp) -> Self {
        self.recorded_at = Some(recorded_at);
        self
    }

    /// The recorded name of its kind.
    pub fn event_type(&self) -> &EventType {
        &self.event_type
    }

    /// The version of the schema that its payload follows.
    pub fn schema_version(&self) -> SchemaVersion {
        self.schema_version
    }

    /// The form of its payload.
    pub fn content_type(&self) -> &ContentType {
        &self.content_type
    }

    /// Its content.
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// Its tags.
    pub fn tags(&self) -> &Tags {
        &self.tags
    }

    /// Its context.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The identity that the application chose, if it did.
    pub fn id(&self) -> Option<EventId> {
        self.id
    }

    /// When it happened, if the application said.
    pub fn recorded_at(&self) -> Option<Timestamp> {
        self.recorded_at
    }

    /// Its size as counted against the limits of appends and pages: payload, names, tags, context.
    #[inline]
    pub fn bytes(&self) -> usize {
        self.payload.len()
            + self.event_type.as_str().len()
            + self.content_type.as_str().len()
            + self
                .tags
                .iter()
                .map(|tag| tag.as_str().len())
                .sum::<usize>()
            + self.metadata.bytes()
    }

    /// Whether a retry that carries `other` in this event's place is the same append: type, schema
    /// version, form, payload and tags agree. Identity, times and context may differ, as a retry by
    /// another process makes them anew.
    pub fn same_content(&self, other: &Self) -> bool {
        self.event_type == other.event_type
            && self.schema_version == other.schema_version
            && self.content_type == other.content_type
            && self.payload == other.payload
            && self.tags == other.tags
    }
}

impl RecordedEvent {
    /// The event at its place; for authors of stores. Its content has the identity and the time of the
    /// placement from now on.
    #[inline]
    pub fn new(content: NewEvent, placement: Placement) -> Self {
        let content = NewEvent {
            id: Some(placement.id),
            recorded_at: Some(placement.recorded_at),
            ..content
        };
        Self {
            content,
            stream: placement.stream,
            version: placement.version,
            position: placement.position,
            appended_at: placement.appended_at,
        }
    }

    /// The event of these parts at its place, as [`new`](Self::new) makes it of a whole content; for stores that
    /// read events from bytes.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a payload over
    /// [`limits::PAYLOAD_BYTES_MAX`](crate::limits::PAYLOAD_BYTES_MAX).
    #[inline]
    pub fn assemble(
        (event_type, schema_version, content_type): (EventType, SchemaVersion, ContentType),
        payload: Bytes,
        (tags, metadata): (Tags, Metadata),
        placement: Placement,
    ) -> Result<Self, Error> {
        check_limit!(
            "payload of too many bytes",
            payload.len(),
            PAYLOAD_BYTES_MAX
        )?;
        Ok(Self {
            content: NewEvent {
                event_type,
                schema_version,
                content_type,
                payload,
                tags,
                metadata,
                id: Some(placement.id),
                recorded_at: Some(placement.recorded_at),
            },
            stream: placement.stream,
            version: placement.version,
            position: placement.position,
            appended_at: placement.appended_at,
        })
    }

    /// The identity of the event.
    #[expect(
        clippy::expect_used,
        clippy::missing_panics_doc,
        reason = "the constructor gives the content an identity"
    )]
    pub fn id(&self) -> EventId {
        self.content
            .id
            .expect("the content of a recorded event has an identity")
    }

    /// The stream that holds it.
    pub fn stream(&self) -> &StreamId {
        &self.stream
    }

    /// Its place in the stream.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Its place in the whole log.
    pub fn position(&self) -> Position {
        self.position
    }

    /// When it happened, by the application's clock.
    #[expect(
        clippy::expect_used,
        clippy::missing_panics_doc,
        reason = "the constructor gives the content a time"
    )]
    pub fn recorded_at(&self) -> Timestamp {
        self.content
            .recorded_at
            .expect("the content of a recorded event has a time")
    }

    /// When the store recorded it; never earlier than the event before it.
    pub fn appended_at(&self) -> Timestamp {
        self.appended_at
    }

    /// The recorded name of its kind.
    pub fn event_type(&self) -> &EventType {
        &self.content.event_type
    }

    /// The version of the schema that its payload follows.
    pub fn schema_version(&self) -> SchemaVersion {
        self.content.schema_version
    }

    /// The form of its payload.
    pub fn content_type(&self) -> &ContentType {
        &self.content.content_type
    }

    /// Its content.
    pub fn payload(&self) -> &Bytes {
        &self.content.payload
    }

    /// Its tags.
    pub fn tags(&self) -> &Tags {
        &self.content.tags
    }

    /// Its context.
    pub fn metadata(&self) -> &Metadata {
        &self.content.metadata
    }

    /// What was appended, with its identity and time: appended elsewhere, it is the same event.
    pub fn content(&self) -> &NewEvent {
        &self.content
    }

    /// What was appended and where it stands, taken apart; to copy an event or to change a store.
    pub fn into_parts(self) -> (NewEvent, Placement) {
        let placement = Placement {
            id: self.id(),
            recorded_at: self.recorded_at(),
            stream: self.stream,
            version: self.version,
            position: self.position,
            appended_at: self.appended_at,
        };
        (self.content, placement)
    }
}
