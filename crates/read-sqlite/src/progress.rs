//! The progress of a model, as rows.

use annals_core::{Cursor, Error, ErrorKind, Position, StreamId, Version};
use annals_projection::{
    ModelId, ParkedCause, ParkedEvent, ParkedEvents, Progress, SkippedEvent, Step,
};
use rusqlite::{Connection, OptionalExtension, Row, ToSql};

use crate::errors;

/// What is kept of a model beside its rows.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) progress: Progress,
    /// Grows with each step, so that a second writer is seen.
    pub(crate) revision: i64,
    /// What made its tables.
    pub(crate) schema: String,
}

const KEY: &str = "name = ?1 AND version = ?2 AND partition = ?3 AND partitions = ?4";

/// The columns that name a model.
type Key<'a> = (&'a str, u32, u32, u32);

fn key(model: &ModelId) -> Key<'_> {
    let partition = model.partition;
    (
        model.name.as_str(),
        model.version,
        partition.index(),
        partition.count(),
    )
}

/// What is kept of a model; `None` where the file does not have it.
pub(crate) fn load(connection: &Connection, model: &ModelId) -> Result<Option<Kept>, Error> {
    let query =
        format!("SELECT cursor, skipped, revision, schema FROM annals_progress WHERE {KEY}");
    let columns = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
    let found: Option<(String, i64, i64, String)> = connection
        .query_row(&query, key(model), columns)
        .optional()
        .map_err(|error| errors::of(error, "open"))?;
    let Some((cursor, skipped, revision, schema)) = found else {
        return Ok(None);
    };
    let cursor = cursor
        .parse()
        .map_err(|error: Error| damaged(model).caused_by(error))?;
    let parked = load_parked(connection, model, skipped)?;
    Ok(Some(Kept {
        progress: Progress { cursor, parked },
        revision,
        schema,
    }))
}

/// Which step a model is at; `None` where the file does not have it.
pub(crate) fn revision(connection: &Connection, model: &ModelId) -> Result<Option<i64>, Error> {
    let query = format!("SELECT revision FROM annals_progress WHERE {KEY}");
    let found = connection.query_row(&query, key(model), |row| row.get(0));
    found.optional().map_err(|error| errors::of(error, "begin"))
}

/// Notes a new model, at the start.
pub(crate) fn create(connection: &Connection, model: &ModelId, schema: &str) -> Result<(), Error> {
    let (name, version, partition, partitions) = key(model);
    let start = Cursor::START.to_string();
    let created = connection.execute(
        "INSERT INTO annals_progress VALUES (?1, ?2, ?3, ?4, ?5, 0, 0, ?6)",
        (name, version, partition, partitions, start, schema),
    );
    created.map(drop).map_err(|error| errors::of(error, "open"))
}

/// Forgets a model.
pub(crate) fn remove(connection: &Connection, model: &ModelId) -> Result<(), Error> {
    for table in ["annals_progress", "annals_parked"] {
        let delete = format!("DELETE FROM {table} WHERE {KEY}");
        let deleted = connection.execute(&delete, key(model));
        deleted.map_err(|error| errors::of(error, "drop"))?;
    }
    Ok(())
}

/// Sets a model back to the start, with this schema.
pub(crate) fn reset(connection: &Connection, model: &ModelId, schema: &str) -> Result<(), Error> {
    let failed = |error| errors::of(error, "reset");
    let delete = format!("DELETE FROM annals_parked WHERE {KEY}");
    connection.execute(&delete, key(model)).map_err(failed)?;
    let update = format!(
        "UPDATE annals_progress SET cursor = ?5, skipped = 0, revision = revision + 1, schema = ?6 WHERE {KEY}"
    );
    let (name, version, partition, partitions) = key(model);
    let start = Cursor::START.to_string();
    let values = (name, version, partition, partitions, start, schema);
    connection
        .execute(&update, values)
        .map(drop)
        .map_err(failed)
}

/// Saves a step; `false` where another writer was at the model since this revision.
pub(crate) fn save(
    connection: &Connection,
    model: &ModelId,
    revision: i64,
    step: &Step<'_>,
) -> Result<bool, Error> {
    let skipped = step.parked.map(ParkedEvents::skipped_count);
    let skipped = skipped.map(number).transpose()?;
    let update = format!(
        "UPDATE annals_progress SET cursor = ?5, revision = revision + 1, skipped = coalesce(?6, skipped) \
         WHERE {KEY} AND revision = ?7"
    );
    let (name, version, partition, partitions) = key(model);
    let cursor = step.cursor.to_string();
    let values = (
        name, version, partition, partitions, cursor, skipped, revision,
    );
    let changed = connection
        .execute(&update, values)
        .map_err(|error| errors::of(error, "commit"))?;
    if let Some(parked) = step.parked {
        save_parked(connection, model, parked)?;
    }
    Ok(changed == 1)
}

fn save_parked(
    connection: &Connection,
    model: &ModelId,
    parked: &ParkedEvents,
) -> Result<(), Error> {
    let failed = |error| errors::of(error, "commit");
    let delete = format!("DELETE FROM annals_parked WHERE {KEY}");
    connection.execute(&delete, key(model)).map_err(failed)?;
    let mut insert = connection
        .prepare(
            "INSERT INTO annals_parked VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )
        .map_err(failed)?;
    let (name, version, partition, partitions) = key(model);
    let events = parked.events().iter().map(ParkedRow::of_event);
    let skipped = parked.skipped().iter().map(ParkedRow::of_skipped);
    for (row, place) in events.chain(skipped).zip(0_i64..) {
        let (position, stream_version) = (number(row.position)?, number(row.version)?);
        let values: [&dyn ToSql; 12] = [
            &name,
            &version,
            &partition,
            &partitions,
            &place,
            &row.state,
            &position,
            &row.stream,
            &stream_version,
            &row.key,
            &row.error,
            &row.attempts,
        ];
        insert.execute(values).map_err(failed)?;
    }
    Ok(())
}

/// A row of `annals_parked`.
struct ParkedRow<'a> {
    state: &'a str,
    position: u64,
    stream: &'a str,
    version: u64,
    key: &'a str,
    error: &'a str,
    attempts: u32,
}

impl<'a> ParkedRow<'a> {
    fn of_event(event: &'a ParkedEvent) -> Self {
        let (state, error, attempts) = match &event.cause {
            ParkedCause::Failed { error, attempts } => ("failed", error.as_str(), *attempts),
            ParkedCause::Waits => ("waits", "", 0),
        };
        Self {
            state,
            position: event.position.value(),
            stream: event.stream.as_str(),
            version: event.version.value(),
            key: &event.key,
            error,
            attempts,
        }
    }

    fn of_skipped(event: &'a SkippedEvent) -> Self {
        Self {
            state: "skipped",
            position: event.position.value(),
            stream: event.stream.as_str(),
            version: event.version.value(),
            key: "",
            error: &event.error,
            attempts: 0,
        }
    }
}

fn load_parked(
    connection: &Connection,
    model: &ModelId,
    skipped_count: i64,
) -> Result<ParkedEvents, Error> {
    let failed = |error| errors::of(error, "open");
    let query = format!(
        "SELECT state, position, stream, stream_version, key, error, attempts FROM annals_parked \
         WHERE {KEY} ORDER BY place"
    );
    let mut query = connection.prepare(&query).map_err(failed)?;
    let mut rows = query.query(key(model)).map_err(failed)?;
    let (mut events, mut skipped) = (Vec::new(), Vec::new());
    while let Some(row) = rows.next().map_err(failed)? {
        match parked_row(row).map_err(failed)?.into_event(model)? {
            ParkedOrSkipped::Parked(event) => events.push(event),
            ParkedOrSkipped::Skipped(event) => skipped.push(event),
        }
    }
    let skipped_count = u64::try_from(skipped_count).map_err(|_| damaged(model))?;
    Ok(ParkedEvents::from_parts(events, skipped, skipped_count))
}

enum ParkedOrSkipped {
    Parked(ParkedEvent),
    Skipped(SkippedEvent),
}

/// A row of `annals_parked` as it was read.
struct ReadRow {
    state: String,
    position: i64,
    stream: String,
    version: i64,
    key: String,
    error: String,
    attempts: u32,
}

fn parked_row(row: &Row<'_>) -> rusqlite::Result<ReadRow> {
    Ok(ReadRow {
        state: row.get(0)?,
        position: row.get(1)?,
        stream: row.get(2)?,
        version: row.get(3)?,
        key: row.get(4)?,
        error: row.get(5)?,
        attempts: row.get(6)?,
    })
}

impl ReadRow {
    fn into_event(self, model: &ModelId) -> Result<ParkedOrSkipped, Error> {
        let number = |number: i64| u64::try_from(number).map_err(|_| damaged(model));
        let position = Position::new(number(self.position)?);
        let version = Version::new(number(self.version)?);
        let stream = StreamId::parse(&self.stream)?;
        let cause = match self.state.as_str() {
            "failed" => ParkedCause::Failed {
                error: self.error,
                attempts: self.attempts,
            },
            "waits" => ParkedCause::Waits,
            _ => {
                let error = self.error;
                return Ok(ParkedOrSkipped::Skipped(SkippedEvent {
                    position,
                    stream,
                    version,
                    error,
                }));
            }
        };
        Ok(ParkedOrSkipped::Parked(ParkedEvent {
            position,
            stream,
            version,
            key: self.key,
            cause,
        }))
    }
}

fn number(number: u64) -> Result<i64, Error> {
    i64::try_from(number).map_err(|source| {
        let message = "number is over what SQLite holds (2^63 - 1)";
        Error::new(ErrorKind::Invalid, message).caused_by(source)
    })
}

fn damaged(model: &ModelId) -> Error {
    let message = "progress of the model does not read; reset the projection";
    Error::new(ErrorKind::Corrupt, message).with("model", model)
}
