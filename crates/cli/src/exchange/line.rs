//! What a line of an export says, whatever its form.

use annals_core::{
    AppendId, CausationId, ContentType, CorrelationId, Error, EventId, EventType, Expected,
    HistoryEntry, Metadata, NewEvent, Position, SchemaVersion, StreamId, StreamPolicy, Tag, Tags,
    Timestamp, Version,
};
use base64ct::{Base64, Encoding as _};
use serde_json::value::RawValue;

use crate::decode::{Payload, Reading};

/// What a line says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Line {
    /// An export begins, of what stands after this position.
    Begin(Position),
    /// An event.
    Event(Box<EventLine>),
    /// A stream has this policy from here on.
    Policy(StreamId, StreamPolicy),
    /// The export is whole, and ends at this position.
    End(Position),
}

/// An event with what is told of its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct EventLine {
    pub(crate) position: Option<Position>,
    /// On the first event of an append: its id, and how many events it has.
    pub(crate) append: Option<(AppendId, u32)>,
    pub(crate) stream: StreamId,
    pub(crate) version: Option<Version>,
    pub(crate) appended_at: Option<Timestamp>,
    pub(crate) expected: Expected,
    pub(crate) event: NewEvent,
}

impl Line {
    /// The line for something that a store recorded.
    pub(crate) fn of(entry: &HistoryEntry) -> Self {
        match entry {
            HistoryEntry::Event { event, append, .. } => Self::Event(Box::new(EventLine {
                position: Some(event.position()),
                append: append.map(|append| (append.id, append.events)),
                stream: event.stream().clone(),
                version: Some(event.version()),
                appended_at: Some(event.appended_at()),
                expected: Expected::Any,
                event: event.to_new_event(),
            })),
            HistoryEntry::Policy { stream, policy } => Self::Policy(stream.clone(), policy.clone()),
            // Nothing else is recorded as yet; a newer store than this program would show here.
            _ => Self::End(Position::START),
        }
    }
}

/// A payload on a line: JSON as it is, or any bytes in base64.
pub(crate) enum Content {
    Json(Box<RawValue>),
    Base64(String),
}

impl Content {
    /// JSON where the form is JSON and comes back byte for byte.
    pub(crate) fn of(event: &NewEvent) -> Self {
        let payload = event.payload();
        if Reading::of(event.content_type()).is_json()
            && let Payload::Json(raw) = Payload::of_json(payload)
        {
            return Self::Json(raw);
        }
        Self::Base64(Base64::encode_string(payload))
    }

    /// The bytes.
    pub(crate) fn bytes(self) -> Result<Vec<u8>, String> {
        match self {
            Self::Json(raw) => Ok(raw.get().as_bytes().to_vec()),
            Self::Base64(text) => Base64::decode_vec(&text)
                .map_err(|error| format!("the payload is no base64: {error}")),
        }
    }
}

/// The parts of an event as texts, from which it is made.
#[derive(Default)]
pub(crate) struct EventTexts {
    pub(crate) event_type: String,
    pub(crate) schema_version: Option<u32>,
    pub(crate) content_type: Option<String>,
    pub(crate) payload: Vec<u8>,
    pub(crate) tags: Vec<String>,
    pub(crate) id: Option<String>,
    pub(crate) recorded_at: Option<String>,
    pub(crate) correlation_id: Option<String>,
    pub(crate) causation_id: Option<String>,
    pub(crate) headers: Vec<(String, String)>,
}

impl EventTexts {
    /// The event, every part of it checked.
    pub(crate) fn event(self) -> Result<NewEvent, Error> {
        let event_type = EventType::parse(&self.event_type)?;
        let content_type = match &self.content_type {
            Some(content_type) => ContentType::parse(content_type)?,
            None => ContentType::JSON,
        };
        let tags = self
            .tags
            .iter()
            .map(|tag| Tag::parse(tag))
            .collect::<Result<Vec<_>, _>>()?;
        let mut event =
            NewEvent::new(event_type, content_type, self.payload)?.with_tags(Tags::new(tags)?);
        if let Some(version) = self.schema_version {
            event = event.with_schema_version(SchemaVersion::new(version)?);
        }
        if let Some(id) = &self.id {
            event = event.with_id(id.parse::<EventId>()?);
        }
        if let Some(time) = &self.recorded_at {
            event = event.with_recorded_at(time.parse()?);
        }
        let mut metadata = Metadata::EMPTY;
        if let Some(id) = &self.correlation_id {
            metadata = metadata.with_correlation_id(CorrelationId::parse(id)?)?;
        }
        if let Some(id) = &self.causation_id {
            metadata = metadata.with_causation_id(CausationId::parse(id)?)?;
        }
        let headers = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        Ok(event.with_metadata(metadata.with_headers(headers)?))
    }
}
