//! Events as bytes with a name: before they are recorded and after.

use std::fmt;

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
///
/// Its `Debug` tells the size of the payload and nothing of it: payloads may be secret.
#[derive(Clone, PartialEq, Eq)]
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

/// What an event says, borrowed from a new one or a recorded one: all that a codec decodes, and that is compared
/// when an append is sent again.
///
/// Two are equal when all but their [`id`](Self::id) agrees. Its `Debug` tells the size of the payload and nothing of
/// it: payloads may be secret.
#[derive(Clone, Copy)]
pub struct ContentRef<'a> {
    /// The recorded name of its kind.
    pub event_type: &'a EventType,
    /// The version of the schema that its payload follows.
    pub schema_version: SchemaVersion,
    /// The form of its payload.
    pub content_type: &'a ContentType,
    /// Its content.
    pub payload: &'a [u8],
    /// Its tags.
    pub tags: &'a Tags,
    /// The identity of the event, where it has one already: no part of what it says, but what a codec that
    /// encrypts binds its bytes to.
    pub id: Option<EventId>,
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
        let payload = checked_payload(payload.into())?;
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

    /// The same with this payload, in this form, in place of its own.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn with_payload(
        self,
        content_type: ContentType,
        payload: impl Into<Bytes>,
    ) -> Result<Self, Error> {
        let payload = checked_payload(payload.into())?;
        Ok(Self {
            content_type,
            payload,
            ..self
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
        self.content().bytes() + self.metadata.bytes()
    }

    /// An event that says this, with its payload shared rather than borrowed.
    pub(crate) fn of_content(content: ContentRef<'_>, payload: Bytes) -> Self {
        Self {
            event_type: content.event_type.clone(),
            schema_version: content.schema_version,
            content_type: content.content_type.clone(),
            payload,
            tags: content.tags.clone(),
            metadata: Metadata::EMPTY,
            id: None,
            recorded_at: None,
        }
    }

    /// What it says, borrowed; without its time and context.
    pub fn content(&self) -> ContentRef<'_> {
        ContentRef {
            event_type: &self.event_type,
            schema_version: self.schema_version,
            content_type: &self.content_type,
            payload: &self.payload,
            tags: &self.tags,
            id: self.id,
        }
    }
}

#[inline]
fn checked_payload(payload: Bytes) -> Result<Bytes, Error> {
    check_limit!(
        "payload of too many bytes",
        payload.len(),
        PAYLOAD_BYTES_MAX
    )?;
    Ok(payload)
}

impl PartialEq for ContentRef<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.event_type == other.event_type
            && self.schema_version == other.schema_version
            && self.content_type == other.content_type
            && self.payload == other.payload
            && self.tags == other.tags
    }
}

impl Eq for ContentRef<'_> {}

impl ContentRef<'_> {
    /// Whether a retry that carries `other` in this event's place is the same append: type, schema
    /// version, form, payload and tags agree. Identity, times and context may differ, as a retry by
    /// another process makes them anew.
    pub fn same_content(&self, other: &ContentRef<'_>) -> bool {
        self == other
    }

    /// The same, where nothing can be said of this event's payload, because it was reclaimed.
    pub fn same_content_but_payload(&self, other: &ContentRef<'_>) -> bool {
        let of_other = ContentRef {
            payload: self.payload,
            ..*other
        };
        *self == of_other
    }

    /// The bytes of payload, names and tags.
    #[inline]
    pub fn bytes(&self) -> usize {
        let tags = self.tags.iter().map(|tag| tag.as_str().len());
        self.payload.len()
            + self.event_type.as_str().len()
            + self.content_type.as_str().len()
            + tags.sum::<usize>()
    }
}

impl fmt::Debug for NewEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewEvent")
            .field("event_type", &self.event_type)
            .field("schema_version", &self.schema_version)
            .field("content_type", &self.content_type)
            .field("payload", &SizeOf(&self.payload))
            .field("tags", &self.tags)
            .field("metadata", &self.metadata)
            .field("id", &self.id)
            .field("recorded_at", &self.recorded_at)
            .finish()
    }
}

impl fmt::Debug for ContentRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContentRef")
            .field("event_type", self.event_type)
            .field("schema_version", &self.schema_version)
            .field("content_type", self.content_type)
            .field("payload", &SizeOf(self.payload))
            .field("tags", self.tags)
            .finish()
    }
}

/// Bytes, of which only the number is shown.
struct SizeOf<'a>(&'a [u8]);

impl fmt::Debug for SizeOf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RecordedEvent;

    #[test]
    fn debug_tells_nothing_of_a_payload() -> Result<(), Error> {
        let event_type = EventType::from_static("noted");
        let new = NewEvent::new(event_type, ContentType::JSON, "canary")?;
        let placement = Placement {
            id: "01890a5d-ac96-774b-bcce-b302099a8057".parse()?,
            stream: StreamId::from_static("note-1"),
            version: Version::FIRST,
            position: Position::FIRST,
            recorded_at: Timestamp::EPOCH,
            appended_at: Timestamp::EPOCH,
        };
        let recorded = RecordedEvent::new(new.clone(), placement);
        for text in [
            format!("{new:?}"),
            format!("{:?}", new.content()),
            format!("{recorded:?}"),
        ] {
            assert!(text.contains("payload: 6 bytes"), "{text}");
            assert!(
                !text.contains("canary") && !text.contains("99, 97"),
                "{text}"
            );
        }
        Ok(())
    }
}
