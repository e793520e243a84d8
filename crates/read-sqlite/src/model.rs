//! What handlers write into.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use annals_core::{Error, ErrorKind};
use rusqlite::{CachedStatement, Connection, OptionalExtension, Params, Row};

use crate::access::{Access, Who};
use crate::settings::SqliteSettings;
use crate::{errors, file, names};

/// The tables of a model in the step that is under way: what the handlers of a projection write into.
///
/// Names of tables and indexes stand in braces, so that the models of two versions can stand beside each other:
/// `{orders}` is `orders_v2` for version 2. Values are parameters, `?1` and on; statements are prepared once and kept.
///
/// A handler reads whatever it likes and changes rows of its own tables. It neither begins nor ends a transaction, for
/// that is the sink's: SQLite itself is asked to refuse that, and whatever else is not a handler's.
///
/// ```
/// use annals_codec::JsonCodec;
/// use annals_macros::Event;
/// use annals_projection::Projection;
/// use annals_read_sqlite::SqliteModel;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Event, Serialize, Deserialize)]
/// #[event(category = "order")]
/// struct Placed { customer: String, cents: i64 }
///
/// let spending = Projection::<SqliteModel>::builder("spending", 1)?
///     .on(JsonCodec, |model, event: &Placed, _| {
///         model.execute(
///             "INSERT INTO {spending} VALUES (?1, ?2) ON CONFLICT DO UPDATE SET cents = cents + ?2",
///             (&event.customer, event.cents),
///         )?;
///         Ok(())
///     })
///     .build()?;
/// # Ok::<(), annals_core::Error>(())
/// ```
pub struct SqliteModel {
    connection: Option<Connection>,
    access: Access,
    suffix: String,
    statements_max: usize,
    /// SQL as handlers write it, and with the names of this model in it.
    expanded: HashMap<String, Arc<str>>,
    is_begun: bool,
    /// Why the step can't go on, whatever a handler makes of it.
    broken: Option<(ErrorKind, String)>,
    #[cfg(test)]
    pub(crate) faults: crate::faults::Faults,
}

impl SqliteModel {
    pub(crate) fn new(settings: &SqliteSettings) -> Self {
        Self {
            connection: None,
            access: Access::default(),
            suffix: String::new(),
            statements_max: settings.statements_max,
            expanded: HashMap::new(),
            is_begun: false,
            broken: None,
            #[cfg(test)]
            faults: crate::faults::Faults::default(),
        }
    }

    /// Runs a statement, and tells how many rows it changed.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] where SQLite refuses it: a handler passes that on, and the failure policy of the
    /// projection decides. Any other kind is of the file: the step is given up, and tried again where that helps.
    pub fn execute(&mut self, sql: &str, params: impl Params) -> Result<usize, Error> {
        self.run(sql, |statement| statement.execute(params))
    }

    /// Asks for one row; `None` where there is none.
    ///
    /// # Errors
    /// As for [`execute`](Self::execute).
    pub fn query_row<T>(
        &mut self,
        sql: &str,
        params: impl Params,
        map: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, Error> {
        self.run(sql, |statement| statement.query_row(params, map).optional())
    }

    /// Asks for rows.
    ///
    /// # Errors
    /// As for [`execute`](Self::execute).
    pub fn query<T>(
        &mut self,
        sql: &str,
        params: impl Params,
        map: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, Error> {
        self.run(sql, |statement| statement.query_map(params, map)?.collect())
    }

    fn run<T>(
        &mut self,
        sql: &str,
        call: impl FnOnce(&mut CachedStatement<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        self.refuse_outside()?;
        let text = self.expand(sql)?;
        let connection = self.connection.as_ref().ok_or_else(not_open)?;
        #[cfg(test)]
        self.faults.at_statement()?;
        let ran = self.access.as_who(Who::Handler, || {
            let mut statement = connection.prepare_cached(&text)?;
            call(&mut statement)
        });
        ran.map_err(|error| {
            let error = errors::of(error, "project");
            if errors::is_of_file(error.kind()) {
                self.broken = Some((error.kind(), error.to_string()));
            }
            error
        })
    }

    fn expand(&mut self, sql: &str) -> Result<Arc<str>, Error> {
        if let Some(text) = self.expanded.get(sql) {
            return Ok(Arc::clone(text));
        }
        let text: Arc<str> = names::expand(sql, &self.suffix)?.text.into();
        if self.expanded.len() >= self.statements_max {
            self.expanded.clear();
        }
        self.expanded.insert(sql.to_owned(), Arc::clone(&text));
        Ok(text)
    }

    /// Refuses what would be outside of the step: SQLite ends a transaction by itself after some errors, and by the
    /// clause `ON CONFLICT ROLLBACK`.
    pub(crate) fn refuse_outside(&mut self) -> Result<(), Error> {
        self.unbroken()?;
        let is_over = self
            .connection
            .as_ref()
            .is_none_or(Connection::is_autocommit);
        if self.is_begun && is_over {
            let message = "step was rolled back by a statement before; use no ON CONFLICT ROLLBACK"
                .to_owned();
            self.broken = Some((ErrorKind::Invalid, message));
            return self.unbroken();
        }
        if self.is_begun {
            Ok(())
        } else {
            Err(not_open())
        }
    }

    fn unbroken(&self) -> Result<(), Error> {
        match &self.broken {
            Some((kind, message)) => Err(Error::new(*kind, message.clone())),
            None => Ok(()),
        }
    }

    /// Opens the file anew.
    pub(crate) fn connect(
        &mut self,
        path: &Path,
        settings: &SqliteSettings,
        suffix: String,
    ) -> Result<(), Error> {
        self.close();
        self.suffix = suffix;
        self.expanded.clear();
        self.connection = Some(file::open(path, settings, &self.access)?);
        Ok(())
    }

    pub(crate) fn close(&mut self) {
        self.connection = None;
        self.is_begun = false;
        self.broken = None;
    }

    pub(crate) fn connection(&self) -> Result<&Connection, Error> {
        self.connection.as_ref().ok_or_else(not_open)
    }

    pub(crate) fn access(&self) -> &Access {
        &self.access
    }

    /// Begins a transaction that writes.
    pub(crate) fn begin(&mut self) -> Result<(), Error> {
        #[cfg(test)]
        self.faults.at_statement()?;
        let begun = self.connection()?.execute_batch("BEGIN IMMEDIATE");
        begun.map_err(|error| errors::of(error, "begin"))?;
        self.is_begun = true;
        Ok(())
    }

    /// Commits what was begun.
    pub(crate) fn commit(&mut self) -> Result<(), Error> {
        self.refuse_outside()?;
        #[cfg(test)]
        self.faults.at_statement()?;
        let committed = self.connection()?.execute_batch("COMMIT");
        committed.map_err(errors::of_commit)?;
        self.is_begun = false;
        #[cfg(test)]
        self.faults.at_statement()?;
        Ok(())
    }

    /// Rolls back what was begun, and tells of what broke it, so that a failure of the file is not taken for one of
    /// an event.
    pub(crate) fn roll_back(&mut self) -> Result<(), Error> {
        self.is_begun = false;
        let broken = self.broken.take();
        let connection = self.connection()?;
        if !connection.is_autocommit() {
            let rolled_back = connection.execute_batch("ROLLBACK");
            rolled_back.map_err(|error| errors::of(error, "roll back"))?;
        }
        match broken {
            Some((kind, message)) if errors::is_of_file(kind) => {
                Err(Error::new(kind, message).during("roll back"))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn is_begun(&self) -> bool {
        self.is_begun
    }

    pub(crate) fn suffix(&self) -> &str {
        &self.suffix
    }
}

fn not_open() -> Error {
    let message = "model is used outside of a step; open the sink and begin one";
    Error::new(ErrorKind::Unavailable, message)
}

impl fmt::Debug for SqliteModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteModel")
            .field("suffix", &self.suffix)
            .field("is_begun", &self.is_begun)
            .finish_non_exhaustive()
    }
}
