//! Events, as people and programs read them.

use std::collections::BTreeMap;

use annals_core::RecordedEvent;
use base64ct::{Base64, Encoding as _};
use serde::Serialize;
use serde_json::value::RawValue;

use super::table::{Align, Cell, Table};
use super::{DIM, NAME, Out, text};
use crate::decode::Payload;
use crate::failure::Result;

/// How many characters of a payload are shown in a table.
const PAYLOAD_CHARS_MAX: usize = 100;

/// An event as a line of JSON.
#[derive(Serialize)]
pub(crate) struct EventJson<'a> {
    position: u64,
    stream: &'a str,
    version: u64,
    #[serde(rename = "type")]
    event_type: &'a str,
    schema_version: u32,
    content_type: &'a str,
    id: String,
    recorded_at: String,
    appended_at: String,
    tags: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    causation_id: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<&'a str, &'a str>,
    #[serde(flatten)]
    payload: PayloadJson,
}

/// What an event holds: JSON, or bytes.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum PayloadJson {
    #[serde(rename = "payload")]
    Json(Box<RawValue>),
    PayloadBase64(String),
}

impl<'a> EventJson<'a> {
    pub(crate) fn of(event: &'a RecordedEvent) -> Self {
        let metadata = event.metadata();
        Self {
            position: event.position().value(),
            stream: event.stream().as_str(),
            version: event.version().value(),
            event_type: event.event_type().as_str(),
            schema_version: event.schema_version().value(),
            content_type: event.content_type().as_str(),
            id: event.id().to_string(),
            recorded_at: event.recorded_at().to_string(),
            appended_at: event.appended_at().to_string(),
            tags: event.tags().iter().map(annals_core::Tag::as_str).collect(),
            correlation_id: metadata.correlation_id().map(|id| id.to_string()),
            causation_id: metadata.causation_id().map(|id| id.to_string()),
            headers: metadata.headers().collect(),
            payload: PayloadJson::of(Payload::of(event), event),
        }
    }
}

impl PayloadJson {
    fn of(payload: Payload, event: &RecordedEvent) -> Self {
        let raw = match payload {
            Payload::Json(raw) => Some(raw),
            Payload::Decoded(value) => RawValue::from_string(value.to_string()).ok(),
            Payload::Opaque(_) => None,
        };
        raw.map_or_else(
            || Self::PayloadBase64(Base64::encode_string(event.payload())),
            Self::Json,
        )
    }
}

/// How much of a payload a table shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Width {
    Short,
    Full,
}

/// Events as they come, in the form that was asked for.
pub(crate) struct Events {
    table: Table,
    width: Width,
    count: u64,
}

impl Events {
    pub(crate) fn new(width: Width) -> Self {
        const COLUMNS: &[(&str, Align)] = &[
            ("POSITION", Align::Right),
            ("APPENDED", Align::Left),
            ("STREAM", Align::Left),
            ("VERSION", Align::Right),
            ("TYPE", Align::Left),
            ("PAYLOAD", Align::Left),
        ];
        Self {
            table: Table::new(COLUMNS),
            width,
            count: 0,
        }
    }

    /// How many there were.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    pub(crate) fn put(&mut self, out: &mut Out, event: &RecordedEvent) -> Result {
        self.count += 1;
        if out.is_json() {
            return out.json(&EventJson::of(event));
        }
        let payload = Payload::of(event).text();
        let payload = match self.width {
            Width::Short => text::cut(&payload, PAYLOAD_CHARS_MAX),
            Width::Full => payload,
        };
        let row = vec![
            event.position().to_string().into(),
            Cell::styled(DIM, out.zone().show(event.appended_at())),
            event.stream().as_str().into(),
            event.version().to_string().into(),
            Cell::styled(NAME, event.event_type().as_str()),
            payload.into(),
        ];
        self.table.row(out, row)
    }

    /// Writes what waits.
    pub(crate) fn flush(&mut self, out: &mut Out) -> Result {
        self.table.flush(out)?;
        out.flush()
    }
}
