//! The sink.

use std::fmt;
use std::path::{Path, PathBuf};

use annals_core::{Error, ErrorKind};
use annals_projection::{ModelId, Progress, Sink, Step};

use crate::inspect::SqliteInspect;
use crate::model::SqliteModel;
use crate::settings::SqliteSettings;
use crate::table::Table;
use crate::{names, progress, schema};

/// Keeps the model of a projection in a SQLite file: rows, progress and parked events in one transaction, so that every
/// event is in the rows exactly once, whenever the process dies.
///
/// A file can hold the models of many projections and versions: the tables of each have its version in their names
/// ([`SqliteModel`]). It is written by one step at a time, so projections that are to run beside each other want a
/// file each. Readers have connections of their own ([`SqliteView`](crate::SqliteView)) and see whole steps.
///
/// One process at a time writes a model. A second one that does is told so by [`ErrorKind::Conflict`] before it changes
/// anything, whichever of the two comes later.
///
/// ```
/// use annals_read_sqlite::{SqliteSink, Table};
///
/// # let directory = tempfile::tempdir().unwrap();
/// # let path = directory.path().join("orders.sqlite");
/// let sink = SqliteSink::builder(path)
///     .schema("CREATE TABLE {orders} (id TEXT PRIMARY KEY, cents INTEGER NOT NULL) STRICT")
///     .schema("CREATE INDEX {orders_by_cents} ON {orders} (cents)")
///     .build()?;
/// # Ok::<(), annals_core::Error>(())
/// ```
///
/// # Durability
/// As [`SqliteSettings::durability`] says. Rows and progress go together in each of them, so a projection
/// that lost its newest steps takes their events again.
pub struct SqliteSink {
    path: PathBuf,
    settings: SqliteSettings,
    schema: String,
    model: SqliteModel,
    opened: Option<Opened>,
}

/// Which model is open, and at which of its steps.
#[derive(Debug)]
struct Opened {
    id: ModelId,
    revision: i64,
    /// What made the tables, which may be another schema than the present one.
    made_by: String,
}

/// A [`SqliteSink`] in the making.
#[must_use = "call `build` to have a sink"]
#[derive(Debug)]
pub struct SqliteSinkBuilder {
    path: PathBuf,
    settings: SqliteSettings,
    schema: String,
}

impl SqliteSink {
    /// Begins a sink in this file, which is created when the sink is opened, if need be; its directory is not.
    pub fn builder(path: impl Into<PathBuf>) -> SqliteSinkBuilder {
        SqliteSinkBuilder {
            path: path.into(),
            settings: SqliteSettings::DEFAULT,
            schema: String::new(),
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What looks into a model of this file from outside, as a [`Rebuild`](annals_projection::Rebuild) does that
    /// compares two versions.
    pub fn inspect(&self, model: &ModelId) -> SqliteInspect {
        SqliteInspect::new(&self.path, model)
    }

    /// Does something in a transaction that is the whole of it.
    fn at_once<T>(&mut self, call: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        self.model.begin()?;
        let done = call(self).and_then(|answer| {
            self.model.commit()?;
            Ok(answer)
        });
        if done.is_err() {
            // The first error is the one that tells.
            let _ = self.model.roll_back();
        }
        done
    }

    /// What the file has of a model, which is made where there is nothing.
    fn load(&mut self, id: &ModelId) -> Result<progress::Kept, Error> {
        if let Some(kept) = progress::load(self.model.connection()?, id)? {
            return Ok(kept);
        }
        self.at_once(|sink| {
            let connection = sink.model.connection()?;
            // Another process may have been faster.
            if progress::load(connection, id)?.is_none() {
                let access = sink.model.access();
                schema::create(connection, access, &sink.schema, sink.model.suffix())?;
                progress::create(connection, id, &sink.schema)?;
            }
            Ok(())
        })?;
        progress::load(self.model.connection()?, id)?.ok_or_else(|| taken_away(id))
    }

    fn opened(&self) -> Result<&Opened, Error> {
        self.opened.as_ref().ok_or_else(not_open)
    }

    /// Refuses to go on where another writer was at the model.
    fn refuse_second_writer(&self) -> Result<(), Error> {
        let Opened { id, revision, .. } = self.opened()?;
        match progress::revision(self.model.connection()?, id)? {
            Some(found) if found == *revision => Ok(()),
            _ => Err(taken_away(id)),
        }
    }

    fn reset_tables(&self) -> Result<(), Error> {
        let Opened { id, made_by, .. } = self.opened()?;
        let (connection, suffix) = (self.model.connection()?, self.model.suffix());
        schema::drop_all(connection, made_by, suffix)?;
        schema::create(connection, self.model.access(), &self.schema, suffix)?;
        progress::reset(connection, id, &self.schema)
    }
}

impl SqliteSinkBuilder {
    /// Adds a part of the schema, which makes the tables of the model when it is new: statements that create tables,
    /// indexes, views and triggers, their names in braces, as `{orders}`.
    ///
    /// Raise the version of the projection where you change it: the sink refuses the tables of another schema.
    pub fn schema(mut self, sql: &str) -> Self {
        let sql = sql.trim().trim_end_matches(';');
        self.schema.push_str(sql);
        self.schema.push_str(";\n");
        self
    }

    /// Adds a declared table.
    pub fn table(self, table: &Table) -> Self {
        self.schema(table.schema())
    }

    /// Writes by these settings.
    pub fn settings(mut self, settings: SqliteSettings) -> Self {
        self.settings = settings;
        self
    }

    /// The sink.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a schema that names nothing in braces, or what is no name, and for settings that
    /// make no sense.
    pub fn build(self) -> Result<SqliteSink, Error> {
        self.settings.validate()?;
        if names::expand(&self.schema, "_v1")?.names.is_empty() {
            let message =
                "schema makes no table; write its name in braces, as CREATE TABLE {orders} (...)";
            return Err(Error::new(ErrorKind::Invalid, message).during("sqlite sink"));
        }
        Ok(SqliteSink {
            model: SqliteModel::new(&self.settings),
            path: self.path,
            settings: self.settings,
            schema: self.schema,
            opened: None,
        })
    }
}

impl Sink for SqliteSink {
    type Model = SqliteModel;

    fn open(&mut self, model: &ModelId) -> Result<Progress, Error> {
        self.opened = None;
        let suffix = names::suffix(model);
        self.model.connect(&self.path, &self.settings, suffix)?;
        let kept = self.load(model)?;
        let opened = self.opened.insert(Opened {
            id: model.clone(),
            revision: kept.revision,
            made_by: kept.schema,
        });
        model.check_schema(&opened.made_by, &self.schema)?;
        let (connection, access) = (self.model.connection()?, self.model.access());
        schema::allow(connection, access, &self.schema, self.model.suffix())?;
        Ok(kept.progress)
    }

    fn begin(&mut self) -> Result<(), Error> {
        let Opened { id, made_by, .. } = self.opened()?;
        id.check_schema(made_by, &self.schema)?;
        if self.model.is_begun() {
            self.model.roll_back()?;
        }
        self.model.begin()?;
        let alone = self.refuse_second_writer();
        if alone.is_err() {
            self.model.roll_back()?;
        }
        alone
    }

    fn model(&mut self) -> &mut SqliteModel {
        &mut self.model
    }

    fn commit(&mut self, step: &Step<'_>) -> Result<(), Error> {
        self.model.refuse_outside()?;
        #[cfg(test)]
        self.model.faults.at_statement()?;
        let Opened { id, revision, .. } = self.opened()?;
        if !progress::save(self.model.connection()?, id, *revision, step)? {
            return Err(taken_away(id));
        }
        self.model.commit()?;
        if let Some(opened) = &mut self.opened {
            opened.revision += 1;
        }
        Ok(())
    }

    fn second_copy(&mut self) -> Option<&mut SqliteModel> {
        None
    }

    fn roll_back(&mut self) -> Result<(), Error> {
        if self.opened.is_none() {
            return Ok(());
        }
        self.model.roll_back()
    }

    fn reset(&mut self) -> Result<(), Error> {
        self.roll_back()?;
        self.at_once(|sink| {
            sink.refuse_second_writer()?;
            sink.reset_tables()
        })?;
        if let Some(opened) = &mut self.opened {
            opened.revision += 1;
            opened.made_by.clone_from(&self.schema);
        }
        let (connection, access) = (self.model.connection()?, self.model.access());
        schema::allow(connection, access, &self.schema, self.model.suffix())
    }

    fn puts_off(&self) -> bool {
        // An open step is a transaction, which keeps other writers of the file out.
        false
    }

    fn blocks(&self) -> bool {
        true
    }
}

fn not_open() -> Error {
    Error::new(ErrorKind::Unavailable, "sink is not open; open it first")
}

fn taken_away(id: &ModelId) -> Error {
    let message = "another process writes this model, or dropped it; stop one of the two";
    Error::new(ErrorKind::Conflict, message).with("model", id)
}

impl fmt::Debug for SqliteSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteSink")
            .field("path", &self.path)
            .field("settings", &self.settings)
            .field("opened", &self.opened)
            .finish_non_exhaustive()
    }
}
