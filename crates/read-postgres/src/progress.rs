//! The progress of a model, as a row.

use std::sync::Arc;

use annals_core::{Cursor, Error, ErrorKind};
use annals_projection::{ModelId, ParkedEvents, Progress, Step};
use tokio_postgres::types::{ToSql, Type};

use crate::row::PostgresRow;
use crate::session::{Encoded, Session};

/// What is kept of a model beside its rows.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) progress: Progress,
    /// Grows with each step, so that a second writer is seen.
    pub(crate) revision: i64,
    /// What made its tables.
    pub(crate) made_by: String,
}

/// A statement with its values.
pub(crate) struct Asked {
    pub(crate) text: Arc<str>,
    values: Vec<(Box<dyn ToSql + Sync + Send>, Type)>,
}

const KEY: &str = "name = $1 AND version = $2 AND partition = $3 AND partitions = $4";

/// What a model is marked with from when it is taken in hand until its place is saved: a version that no model has.
const IN_HAND: i64 = -1;

/// The table of the progress of a schema's models.
///
/// A model in hand refers to a row that is never there, and the reference is looked at when the transaction commits: one
/// that has rows of a model without its place can't be committed, whoever tries.
pub(crate) fn table(schema: &str) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {schema}.annals_progress (name text COLLATE \"C\" NOT NULL, version bigint NOT NULL, \
         partition bigint NOT NULL, partitions bigint NOT NULL, cursor text NOT NULL, revision bigint NOT NULL, \
         made_by text NOT NULL, parked text, in_hand bigint CHECK (in_hand = {IN_HAND}), \
         PRIMARY KEY (name, version, partition, partitions), \
         CONSTRAINT annals_model_is_brought_up FOREIGN KEY (name, in_hand, partition, partitions) \
         REFERENCES {schema}.annals_progress DEFERRABLE INITIALLY DEFERRED) WITH (fillfactor = 50)"
    )
}

/// Whether a row is locked until the transaction ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lock {
    None,
    UntilTheEnd,
}

/// Asks for what is kept of a model.
pub(crate) fn find(schema: &str, model: &ModelId, lock: Lock) -> Asked {
    let lock = match lock {
        Lock::None => "",
        Lock::UntilTheEnd => " FOR UPDATE",
    };
    let query = format!(
        "SELECT cursor, revision, made_by, parked FROM {schema}.annals_progress WHERE {KEY}{lock}"
    );
    Asked::new(&query, model)
}

/// Locks what is kept of a model until the transaction ends, marks it as in hand, and asks for it.
pub(crate) fn take_in_hand(schema: &str, model: &ModelId) -> Asked {
    let update = format!(
        "UPDATE {schema}.annals_progress SET in_hand = {IN_HAND} WHERE {KEY} \
         RETURNING cursor, revision, made_by, parked"
    );
    Asked::new(&update, model)
}

/// Lets the look at what is in hand wait for the commit, whatever the application has it do.
pub(crate) fn look_at_the_end(schema: &str) -> String {
    format!("SET CONSTRAINTS {schema}.annals_model_is_brought_up DEFERRED")
}

/// Leaves a model that was taken in hand as it was.
pub(crate) fn put_back(schema: &str, model: &ModelId) -> Asked {
    let update = format!("UPDATE {schema}.annals_progress SET in_hand = NULL WHERE {KEY}");
    Asked::new(&update, model)
}

/// Asks for all models: name, version, partition, partitions, cursor.
pub(crate) fn all(schema: &str) -> Asked {
    let query = format!(
        "SELECT name, version, partition, partitions, cursor FROM {schema}.annals_progress \
         ORDER BY name, version, partitions, partition"
    );
    Asked {
        text: query.into(),
        values: Vec::new(),
    }
}

/// Forgets a model.
pub(crate) fn remove(schema: &str, model: &ModelId) -> Asked {
    let delete = format!("DELETE FROM {schema}.annals_progress WHERE {KEY}");
    Asked::new(&delete, model)
}

/// Notes a new model, at the start, unless there is one.
pub(crate) fn create(schema: &str, model: &ModelId, made_by: &str) -> Asked {
    let insert = format!(
        "INSERT INTO {schema}.annals_progress VALUES ($1, $2, $3, $4, $5, 0, $6) ON CONFLICT DO NOTHING"
    );
    Asked::new(&insert, model)
        .with(Cursor::START.to_string(), Type::TEXT)
        .with(made_by.to_owned(), Type::TEXT)
}

/// Sets a model back to the start, with this schema.
pub(crate) fn reset(schema: &str, model: &ModelId, made_by: &str) -> Asked {
    let update = format!(
        "UPDATE {schema}.annals_progress SET cursor = $5, revision = revision + 1, made_by = $6, parked = NULL \
         WHERE {KEY}"
    );
    Asked::new(&update, model)
        .with(Cursor::START.to_string(), Type::TEXT)
        .with(made_by.to_owned(), Type::TEXT)
}

/// Saves a step; no row changes where another writer was at the model since this revision.
pub(crate) fn save(
    schema: &str,
    model: &ModelId,
    revision: i64,
    step: &Step<'_>,
) -> Result<Asked, Error> {
    let parked = match step.parked {
        Some(parked) => Some(serde_json::to_string(parked).map_err(|source| {
            let message = "what is parked can't be written as JSON; report this as a defect";
            Error::new(ErrorKind::Corrupt, message).caused_by(source)
        })?),
        None => None,
    };
    let update = format!(
        "UPDATE {schema}.annals_progress SET cursor = $5, revision = revision + 1, \
         parked = coalesce($7, parked), in_hand = NULL WHERE {KEY} AND revision = $6"
    );
    Ok(Asked::new(&update, model)
        .with(step.cursor.to_string(), Type::TEXT)
        .with(revision, Type::INT8)
        .with(parked, Type::TEXT))
}

impl Asked {
    fn new(text: &str, model: &ModelId) -> Self {
        let partition = model.partition;
        let asked = Self {
            text: text.into(),
            values: Vec::new(),
        };
        asked
            .with(model.name.as_str().to_owned(), Type::TEXT)
            .with(i64::from(model.version), Type::INT8)
            .with(i64::from(partition.index()), Type::INT8)
            .with(i64::from(partition.count()), Type::INT8)
    }

    fn with(mut self, value: impl ToSql + Sync + Send + 'static, of: Type) -> Self {
        self.values.push((Box::new(value), of));
        self
    }

    /// The values, for a client.
    pub(crate) fn typed(&self) -> Vec<(&(dyn ToSql + Sync), Type)> {
        self.values
            .iter()
            .map(|(value, of)| (&**value as &(dyn ToSql + Sync), of.clone()))
            .collect()
    }

    pub(crate) fn query(&self, session: &Session) -> Result<Vec<PostgresRow>, Error> {
        session.query(&self.text, self.encoded()?)
    }

    pub(crate) fn execute(&self, session: &Session) -> Result<u64, Error> {
        session.execute(&self.text, self.encoded()?)
    }

    fn encoded(&self) -> Result<Vec<(Encoded, Type)>, Error> {
        let values = self.values.iter().map(|(value, of)| {
            let encoded = Encoded::new(&**value, of).map_err(|source| {
                Error::new(ErrorKind::Invalid, "value does not fit; see the cause")
                    .caused_by(source)
            })?;
            Ok((encoded, of.clone()))
        });
        values.collect()
    }
}

/// What is kept of a model, by the rows that were found; `None` where there is none.
pub(crate) fn kept(model: &ModelId, rows: &[PostgresRow]) -> Result<Option<Kept>, Error> {
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let cursor: String = row.get(0)?;
    let parked: Option<String> = row.get(3)?;
    let parked = match parked {
        Some(parked) => {
            serde_json::from_str(&parked).map_err(|source| damaged(model).caused_by(source))?
        }
        None => ParkedEvents::default(),
    };
    let cursor = cursor
        .parse()
        .map_err(|source: Error| damaged(model).caused_by(source))?;
    Ok(Some(Kept {
        progress: Progress { cursor, parked },
        revision: row.get(1)?,
        made_by: row.get(2)?,
    }))
}

/// The answer to who writes a model that another process has changed, or dropped.
pub(crate) fn taken_away(model: &ModelId) -> Error {
    let message = "another process writes this model, or dropped it; stop one of the two";
    Error::new(ErrorKind::Conflict, message).with("model", model)
}

/// The answer to an append whose model is not there any more. It is no conflict: to decide anew does not help.
pub(crate) fn gone(model: &ModelId) -> Error {
    let message = "the model was dropped; open the inline projections again, which makes it anew";
    Error::new(ErrorKind::Refused, message).with("model", model)
}

fn damaged(model: &ModelId) -> Error {
    let message = "progress of the model does not read; reset the projection";
    Error::new(ErrorKind::Corrupt, message).with("model", model)
}
