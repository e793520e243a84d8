//! Events as rows.

use annals_core::{
    CausationId, ContentType, CorrelationId, Error, ErrorKind, EventId, EventType, Metadata,
    NewEvent, Placement, RecordedEvent, SchemaVersion, StreamId, Tag, Tags, Timestamp, Version,
};
use bytes::Bytes;
use tokio_postgres::types::FromSql;
use uuid::Uuid;

use crate::ask::Cells;
use crate::store::position;

/// The columns of an event `q`, in the order in which [`event_of`] takes them.
pub(crate) const COLUMNS: &str = "q.position, q.version, q.appended_at, q.recorded_at, q.schema_version, q.id, \
     q.stream, q.type, q.content_type, q.tags, q.correlation_id, q.causation_id, q.headers::text, q.payload";

/// How many they are.
pub(crate) const COLUMNS_COUNT: usize = 14;

/// Takes columns one after the other.
struct Columns<'a, R> {
    row: &'a R,
    next: usize,
}

impl<'a, R: Cells> Columns<'a, R> {
    fn take<T: FromSql<'a>>(&mut self) -> Result<T, Error> {
        let column = self.next;
        self.next += 1;
        self.row.cell(column)
    }
}

/// The event in a row, from this column on.
pub(crate) fn event_of(row: &impl Cells, first: usize) -> Result<RecordedEvent, Error> {
    read(row, first).map_err(|error| {
        Error::new(
            ErrorKind::Corrupt,
            "the database holds an event that breaks a rule",
        )
        .caused_by(error)
    })
}

fn read(row: &impl Cells, first: usize) -> Result<RecordedEvent, Error> {
    let mut columns = Columns { row, next: first };
    let position = position(columns.take()?);
    let version: i64 = columns.take()?;
    let appended_at = Timestamp::from_micros(columns.take()?);
    let recorded_at: Option<i64> = columns.take()?;
    let schema_version: i64 = columns.take()?;
    let id: Uuid = columns.take()?;
    let stream: &str = columns.take()?;
    let event_type: &str = columns.take()?;
    let content_type: &str = columns.take()?;
    let tags: Option<Vec<&str>> = columns.take()?;
    let correlation: Option<&str> = columns.take()?;
    let causation: Option<&str> = columns.take()?;
    let headers: Option<&str> = columns.take()?;
    let payload: &[u8] = columns.take()?;
    let mut event = NewEvent::new(
        EventType::parse(event_type)?,
        ContentType::parse(content_type)?,
        Bytes::copy_from_slice(payload),
    )?
    .with_schema_version(SchemaVersion::new(
        u32::try_from(schema_version).unwrap_or_default(),
    )?);
    if let Some(tags) = tags {
        let tags: Result<Vec<Tag>, Error> = tags.into_iter().map(Tag::parse).collect();
        event = event.with_tags(Tags::new(tags?)?);
    }
    if correlation.is_some() || causation.is_some() || headers.is_some() {
        event = event.with_metadata(metadata(correlation, causation, headers)?);
    }
    let placement = Placement {
        id: EventId::new(id)?,
        stream: StreamId::parse(stream)?,
        version: Version::new(u64::try_from(version).unwrap_or_default()),
        position,
        recorded_at: recorded_at.map_or(appended_at, Timestamp::from_micros),
        appended_at,
    };
    Ok(RecordedEvent::new(event, placement))
}

fn metadata(
    correlation: Option<&str>,
    causation: Option<&str>,
    headers: Option<&str>,
) -> Result<Metadata, Error> {
    let mut metadata = Metadata::EMPTY;
    if let Some(headers) = headers {
        let headers: serde_json::Map<String, serde_json::Value> = serde_json::from_str(headers)
            .map_err(|error| {
                Error::new(ErrorKind::Corrupt, "headers are no JSON object").caused_by(error)
            })?;
        let headers = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str().unwrap_or_default()));
        metadata = metadata.with_headers(headers)?;
    }
    if let Some(id) = correlation {
        metadata = metadata.with_correlation_id(CorrelationId::parse(id)?)?;
    }
    match causation {
        Some(id) => metadata.with_causation_id(CausationId::parse(id)?),
        None => Ok(metadata),
    }
}
