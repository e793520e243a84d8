//! Recording what another store recorded: at the same places, with the same times, by COPY.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;

use annals_core::{
    Append, AppendId, Error, ErrorKind, Expected, HistoryEntry, NewEvent, RecordedEvent, Timestamp,
    UuidIds, Version,
};
use bytes::BytesMut;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, IsolationLevel, Transaction};

use crate::command::{Command, bigint, number};
use crate::error::{of_change, of_statement};
use crate::policy::TOMBSTONED;
use crate::store::{PostgresStore, Shared, position};

/// The columns of an event, in the order in which they are copied, and their types.
const COLUMNS: [(&str, Type); 18] = [
    ("position", Type::INT8),
    ("version", Type::INT8),
    ("appended_at", Type::INT8),
    ("recorded_at", Type::INT8),
    ("bytes", Type::INT4),
    ("schema_version", Type::INT8),
    ("append_events", Type::INT4),
    ("id", Type::UUID),
    ("stream", Type::TEXT),
    ("type", Type::TEXT),
    ("content_type", Type::TEXT),
    ("tags", Type::TEXT_ARRAY),
    ("correlation_id", Type::TEXT),
    ("causation_id", Type::TEXT),
    ("headers", Type::JSONB),
    ("append_id", Type::TEXT),
    ("append_content", Type::BYTEA),
    ("payload", Type::BYTEA),
];

/// A text that is JSON.
#[derive(Debug)]
struct Json<'a>(&'a str);

impl ToSql for Json<'_> {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        // The version of the form.
        out.extend_from_slice(&[1]);
        out.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(of: &Type) -> bool {
        *of == Type::JSONB
    }

    to_sql_checked!();
}

/// An append as another store recorded it.
#[derive(Debug)]
struct Imported {
    command: Command,
    events: Vec<RecordedEvent>,
}

impl PostgresStore {
    /// Records appends that another store recorded, whole and in their order: with the positions, versions and times that
    /// they have there, in one transaction. To fill a log of a copy; whoever appends meanwhile waits.
    ///
    /// Nothing is judged: expectations, checks and conditions were, in the other store.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] where the first event is not the one that comes next in this log, by its position and the version
    /// of its stream, so that another history, and one that others append to, is never mixed with this one.
    /// [`ErrorKind::Invalid`] for entries that are no whole appends in their order, or are no events. With
    /// [`ErrorKind::Unknown`] it may have been recorded: read how far the log goes, and go on from there.
    pub async fn import(&self, entries: Vec<HistoryEntry>) -> Result<(), Error> {
        let imported = import_of(entries).map_err(|error| error.during("import"))?;
        if imported.is_empty() {
            return Ok(());
        }
        let import = |shared: Arc<Shared>| async move { shared.import(&imported).await };
        let done = self.shared.change_aside(import).await;
        done.map_err(|error| error.during("import"))
    }
}

/// The appends that these events are.
fn import_of(entries: Vec<HistoryEntry>) -> Result<Vec<Imported>, Error> {
    let mut all = Vec::new();
    let mut open: Option<(AppendId, u32, Vec<RecordedEvent>)> = None;
    for entry in entries {
        let HistoryEntry::Event { event, append, .. } = entry else {
            return Err(invalid("a policy is no event; change it after the events"));
        };
        let (id, count, mut events) = match (open.take(), append) {
            (None, Some(append)) => (append.id, append.events, Vec::new()),
            (Some(open), None) => open,
            _ => return Err(invalid("events are no whole appends in their order")),
        };
        events.push(event);
        if u32::try_from(events.len()).unwrap_or(u32::MAX) < count {
            open = Some((id, count, events));
        } else {
            all.push(Imported::new(id, events)?);
        }
    }
    if open.is_some() {
        return Err(invalid("the last append is not whole"));
    }
    Ok(all)
}

impl Imported {
    fn new(id: AppendId, events: Vec<RecordedEvent>) -> Result<Self, Error> {
        let mut append = Append::builder(id);
        for run in events.chunk_by(|a, b| a.stream() == b.stream()) {
            let stream = run.iter().map(RecordedEvent::stream).next();
            if let Some(stream) = stream {
                let content: Vec<NewEvent> = run.iter().map(RecordedEvent::to_new_event).collect();
                append = append.write(stream.clone(), Expected::Any, content);
            }
        }
        // No event is without an id, so that none is made.
        let command = Command::new(append.build()?, &UuidIds::default())?;
        Ok(Self { command, events })
    }
}

impl Shared {
    async fn import(&self, imported: &[Imported]) -> Result<(), Error> {
        let mut client = self.client().await?;
        let client: &mut Client = &mut client;
        let builder = client
            .build_transaction()
            .isolation_level(IsolationLevel::ReadCommitted);
        let transaction = builder.start().await.map_err(of_statement)?;
        self.check_follows(&transaction, imported).await?;
        let last = self.copy_events(&transaction, imported).await?;
        self.note_import(&transaction, imported, &last).await?;
        transaction.commit().await.map_err(of_change)?;
        self.bell.learn(last.position());
        Ok(())
    }

    /// Locks the log, and looks whether these events come next in it and in their streams.
    async fn check_follows(
        &self,
        transaction: &Transaction<'_>,
        imported: &[Imported],
    ) -> Result<(), Error> {
        let s = &self.statements.schema;
        let head = format!("SELECT position, appended_at FROM {s}.log WHERE id = 1 FOR UPDATE");
        let head = transaction.query_one(&head, &[]).await;
        let head = head.map_err(of_statement)?;
        let mut at = position(head.try_get(0).map_err(of_statement)?);
        let mut time = Timestamp::from_micros(head.try_get(1).map_err(of_statement)?);
        let mut versions = self.versions_of(transaction, imported).await?;
        for event in imported.iter().flat_map(|append| &append.events) {
            let version = versions.entry(event.stream().as_str()).or_default();
            let follows = event.position() == at.next()
                && event.version() == version.next()
                && event.appended_at() >= time;
            if !follows {
                let message = "event does not follow what the log holds, which has another history, or is written to";
                return Err(Error::new(ErrorKind::Refused, message)
                    .with("position", event.position())
                    .with("stream", event.stream())
                    .with("version", event.version())
                    .with("head", at));
            }
            (at, time, *version) = (event.position(), event.appended_at(), event.version());
        }
        Ok(())
    }

    /// The versions of the streams that are written, none of which is closed.
    async fn versions_of<'a>(
        &self,
        transaction: &Transaction<'_>,
        imported: &'a [Imported],
    ) -> Result<HashMap<&'a str, Version>, Error> {
        let s = &self.statements.schema;
        let streams = streams_of(imported);
        let query = format!(
            "SELECT coalesce((SELECT e.version FROM {s}.events e WHERE e.stream = w.stream ORDER BY e.version DESC LIMIT 1), 0), \
             coalesce((SELECT p.state FROM {s}.stream_policies p WHERE p.stream = w.stream), 0::smallint) \
             FROM unnest($1::text[]) WITH ORDINALITY w(stream, place) ORDER BY w.place"
        );
        let rows = transaction.query(&query, &[&streams]).await;
        let rows = rows.map_err(of_statement)?;
        let mut versions = HashMap::with_capacity(streams.len());
        for (stream, row) in streams.into_iter().zip(&rows) {
            let version: i64 = row.try_get(0).map_err(of_statement)?;
            let state: i16 = row.try_get(1).map_err(of_statement)?;
            if state == TOMBSTONED {
                let message = "stream is closed for good, and takes no event";
                return Err(Error::new(ErrorKind::Refused, message).with("stream", stream));
            }
            let version = Version::new(u64::try_from(version).unwrap_or_default());
            versions.insert(stream, version);
        }
        Ok(versions)
    }

    /// Copies the events; gives the last one.
    async fn copy_events(
        &self,
        transaction: &Transaction<'_>,
        imported: &[Imported],
    ) -> Result<RecordedEvent, Error> {
        let s = &self.statements.schema;
        let names: Vec<&str> = COLUMNS.iter().map(|(name, _)| *name).collect();
        let types: Vec<Type> = COLUMNS.iter().map(|(_, of)| of.clone()).collect();
        let copy = format!("COPY {s}.events ({}) FROM STDIN BINARY", names.join(", "));
        let sink = transaction.copy_in(&copy).await.map_err(of_statement)?;
        let mut writer = pin!(BinaryCopyInWriter::new(sink, &types));
        let mut last = None;
        for Imported { command, events } in imported {
            for (index, (event, parts)) in events.iter().zip(&command.events).enumerate() {
                let (recorded_at, appended_at) = (event.recorded_at(), event.appended_at());
                let is_first = index == 0;
                let tags: Vec<&str> = event.tags().iter().map(annals_core::Tag::as_str).collect();
                let values: [&(dyn ToSql + Sync); 18] = [
                    &bigint(event.position().value()),
                    &bigint(event.version().value()),
                    &appended_at.as_micros(),
                    &(recorded_at != appended_at).then(|| recorded_at.as_micros()),
                    &number(event.bytes()),
                    &i64::from(event.schema_version().value()),
                    &is_first.then(|| command.event_count()),
                    &parts.id.as_uuid(),
                    &event.stream().as_str(),
                    &event.event_type().as_str(),
                    &event.content_type().as_str(),
                    &(!tags.is_empty()).then_some(tags),
                    &parts.correlation,
                    &parts.causation,
                    &parts.headers.as_deref().map(Json),
                    &is_first.then(|| command.id()),
                    &is_first.then_some(&command.content[..]),
                    &event.payload(),
                ];
                writer.as_mut().write(&values).await.map_err(of_statement)?;
                last = Some(event);
            }
        }
        writer.finish().await.map_err(of_statement)?;
        last.cloned()
            .ok_or_else(|| invalid("there is nothing to import"))
    }

    /// Notes where the log ends now, and where events of types and categories stand; opens streams again.
    async fn note_import(
        &self,
        transaction: &Transaction<'_>,
        imported: &[Imported],
        last: &RecordedEvent,
    ) -> Result<(), Error> {
        let s = &self.statements.schema;
        let events = imported.iter().flat_map(|append| &append.events);
        let first = events.map(RecordedEvent::position).next();
        let first = bigint(first.unwrap_or_default().value());
        let head = bigint(last.position().value());
        let statements: [(String, &[&(dyn ToSql + Sync)]); 4] = [
            (
                format!("UPDATE {s}.log SET position = $1, appended_at = $2 WHERE id = 1"),
                &[&head, &last.appended_at().as_micros()],
            ),
            (
                format!(
                    "INSERT INTO {s}.blocks (kind, name, block) SELECT DISTINCT n.kind, n.name, e.position / 32 \
                     FROM {s}.events e CROSS JOIN LATERAL \
                     (VALUES ('t'::\"char\", e.type), ('c', split_part(e.stream, '-', 1))) n(kind, name) \
                     WHERE e.position BETWEEN $1 AND $2 ON CONFLICT DO NOTHING"
                ),
                &[&first, &head],
            ),
            (
                format!(
                    "UPDATE {s}.stream_policies SET state = 0 WHERE state = 1 AND stream = ANY ($1)"
                ),
                &[&streams_of(imported)],
            ),
            (
                "SELECT pg_notify($1, $2)".to_owned(),
                &[&self.statements.channel, &head.to_string()],
            ),
        ];
        for (statement, values) in statements {
            let done = transaction.execute(&statement, values).await;
            done.map_err(of_statement)?;
        }
        Ok(())
    }
}

/// The names of the streams that are written, each once.
fn streams_of(imported: &[Imported]) -> Vec<&str> {
    let events = imported.iter().flat_map(|append| &append.events);
    let mut streams: Vec<&str> = events.map(|event| event.stream().as_str()).collect();
    streams.sort_unstable();
    streams.dedup();
    streams
}

fn invalid(message: &'static str) -> Error {
    Error::new(ErrorKind::Invalid, message)
}
