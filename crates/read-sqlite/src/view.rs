//! Reading models while they are written.

use std::fmt::{self, Write as _};
use std::path::Path;

use annals_core::{Error, ErrorKind};
use annals_projection::{ModelId, Progress};
use rusqlite::{Connection, OptionalExtension, Params, Row};

use crate::settings::SqliteSettings;
use crate::table::SqlValue;
use crate::{errors, file, names, progress, schema};

/// Reads the model of one version of a projection, by a connection of its own, while the model is written: whole steps,
/// never half of one.
///
/// Opened for reading, so that nothing is changed by it. For many threads open one for each.
///
/// ```no_run
/// use annals_core::CheckpointName;
/// use annals_projection::{ModelId, Partition};
/// use annals_read_sqlite::SqliteView;
///
/// let id = ModelId {
///     name: CheckpointName::parse("orders")?,
///     version: 1,
///     partition: Partition::WHOLE,
/// };
/// let view = SqliteView::open("orders.sqlite", &id)?;
/// let cents: Option<i64> =
///     view.query_row("SELECT cents FROM {orders} WHERE id = ?1", ["order-7"], |row| row.get(0))?;
/// # Ok::<(), annals_core::Error>(())
/// ```
pub struct SqliteView {
    connection: Connection,
    id: ModelId,
    suffix: String,
}

/// The number of a row in a sample.
const NUMBER: &str = "annals_number";

/// How many rows a sample is taken of.
const COUNT: &str = "annals_count";

/// A row with the names of its columns, in the order of the table.
pub type NamedRow = Vec<(String, SqlValue)>;

impl SqliteView {
    /// Opens a model.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] where the file or the model is not there yet, and
    /// [`ErrorKind::Invalid`] for a file of something else.
    pub fn open(path: impl AsRef<Path>, model: &ModelId) -> Result<Self, Error> {
        let connection = file::open_read_only(path.as_ref(), &SqliteSettings::DEFAULT)?;
        let view = Self {
            connection,
            id: model.clone(),
            suffix: names::suffix(model),
        };
        view.progress()?;
        Ok(view)
    }

    /// Which model it reads.
    pub fn model_id(&self) -> &ModelId {
        &self.id
    }

    /// Asks for one row; `None` where there is none. Names of the model stand in braces.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] where SQLite refuses the statement.
    pub fn query_row<T>(
        &self,
        sql: &str,
        params: impl Params,
        map: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, Error> {
        let text = names::expand(sql, &self.suffix)?.text;
        let read = self.connection.prepare_cached(&text);
        let read = read.and_then(|mut query| query.query_row(params, map).optional());
        read.map_err(|error| errors::of(error, "read"))
    }

    /// Asks for rows. Names of the model stand in braces.
    ///
    /// # Errors
    /// As for [`query_row`](Self::query_row).
    pub fn query<T>(
        &self,
        sql: &str,
        params: impl Params,
        map: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, Error> {
        let text = names::expand(sql, &self.suffix)?.text;
        let read = self.connection.prepare_cached(&text);
        let read = read.and_then(|mut query| query.query_map(params, map)?.collect());
        read.map_err(|error| errors::of(error, "read"))
    }

    /// Asks several questions about one and the same moment.
    ///
    /// # Errors
    /// Those of the questions.
    pub fn at_once<T>(&self, ask: impl FnOnce(&Self) -> Result<T, Error>) -> Result<T, Error> {
        let _end = Ending(&self.connection);
        let begun = self.connection.execute_batch("BEGIN");
        begun.map_err(|error| errors::of(error, "read"))?;
        ask(self)
    }

    /// How far the model is, and which events are not in it.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] where the model is not there.
    pub fn progress(&self) -> Result<Progress, Error> {
        Ok(self.kept()?.progress)
    }

    /// The names of its tables, without what tells versions apart.
    ///
    /// # Errors
    /// As for [`progress`](Self::progress).
    pub fn tables(&self) -> Result<Vec<String>, Error> {
        schema::tables(&self.connection, &self.kept()?.schema, &self.suffix)
    }

    /// How many rows each of its tables has, to compare two versions.
    ///
    /// # Errors
    /// As for [`progress`](Self::progress).
    pub fn row_counts(&self) -> Result<Vec<(String, u64)>, Error> {
        let mut counts = Vec::new();
        for table in self.tables()? {
            let query = format!("SELECT count(*) FROM {{{table}}}");
            let count: Option<i64> = self.query_row(&query, (), |row| row.get(0))?;
            counts.push((
                table,
                u64::try_from(count.unwrap_or_default()).unwrap_or_default(),
            ));
        }
        Ok(counts)
    }

    /// Up to so many rows of a table, at even distances in the order of its key, to compare two versions.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a table that there is not.
    pub fn sample(&self, table: &str, rows_max: u32) -> Result<Vec<NamedRow>, Error> {
        self.sample_from(table, rows_max, 0, named)
    }

    /// The same, beginning at another place with another seed, each row read as told.
    pub(crate) fn sample_from<T>(
        &self,
        table: &str,
        rows_max: u32,
        seed: u32,
        map: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, Error> {
        let key = self.key_columns(table)?;
        let order = match key.as_slice() {
            [] => "rowid".to_owned(),
            key => quoted(key).join(", "),
        };
        // A row is taken wherever its share of the sample goes up by one.
        let query = format!(
            "SELECT * FROM (SELECT *, row_number() OVER (ORDER BY {order}) AS {NUMBER}, \
             count(*) OVER () AS {COUNT} FROM {{{table}}}) \
             WHERE ({NUMBER} + ?2 % {COUNT}) * ?1 / {COUNT} > ({NUMBER} + ?2 % {COUNT} - 1) * ?1 / {COUNT} \
             ORDER BY {NUMBER} LIMIT ?1"
        );
        self.query(&query, [rows_max, seed], map)
    }

    /// The names of the columns of a table, in its order.
    pub(crate) fn columns(&self, table: &str) -> Result<Vec<String>, Error> {
        let table = format!("{}{}", names::check(table)?, self.suffix);
        let query = "SELECT name FROM pragma_table_info(?1) ORDER BY cid";
        self.query(query, [table], |row| row.get(0))
    }

    /// The row of a table with these values; `None` where there is none. Of several, one.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a table or a column that there is not.
    pub fn find(
        &self,
        table: &str,
        values: &[(String, SqlValue)],
    ) -> Result<Option<NamedRow>, Error> {
        self.find_as(table, values, named)
    }

    /// The same, the row read as told.
    pub(crate) fn find_as<T>(
        &self,
        table: &str,
        values: &[(String, SqlValue)],
        map: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, Error> {
        let mut query = format!("SELECT * FROM {{{}}} WHERE true", names::check(table)?);
        for ((column, _), place) in values.iter().zip(1..) {
            let quoted = quoted_name(column);
            // Writing into a text does not fail.
            let _ = write!(query, " AND {quoted} IS ?{place}");
        }
        let values = values.iter().map(|(_, value)| value);
        self.query_row(&query, rusqlite::params_from_iter(values), map)
    }

    /// The columns of the primary key of a table; none where it is the row's number.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for what is no name.
    pub fn key_columns(&self, table: &str) -> Result<Vec<String>, Error> {
        let table = format!("{}{}", names::check(table)?, self.suffix);
        let query = "SELECT name FROM pragma_table_info(?1) WHERE pk > 0 ORDER BY pk";
        self.query(query, [table], |row| row.get(0))
    }

    /// Begins to read at one moment, for as long as the view lives.
    pub(crate) fn stand_still(&self) -> Result<(), Error> {
        let begun = self.connection.execute_batch("BEGIN");
        begun.map_err(|error| errors::of(error, "read"))
    }

    fn kept(&self) -> Result<progress::Kept, Error> {
        progress::load(&self.connection, &self.id)?.ok_or_else(|| {
            let message = "file does not have this model; project into it first";
            Error::new(ErrorKind::Unavailable, message).with("model", &self.id)
        })
    }
}

/// Ends a transaction, whatever came of it.
struct Ending<'a>(&'a Connection);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        if !self.0.is_autocommit() {
            // It read and no more; closing the connection ends it too.
            let _ = self.0.execute_batch("ROLLBACK");
        }
    }
}

fn named(row: &Row<'_>) -> rusqlite::Result<NamedRow> {
    let columns = own_columns(row);
    columns
        .map(|(index, name)| Ok((name.to_owned(), row.get(index)?)))
        .collect()
}

/// The columns of a row that are its table's, with their places.
pub(crate) fn own_columns<'r>(row: &'r Row<'_>) -> impl Iterator<Item = (usize, &'r str)> {
    let columns = row.as_ref().column_names().enumerate();
    columns.filter(|(_, name)| ![NUMBER, COUNT].contains(name))
}

fn quoted(names: &[String]) -> Vec<String> {
    names.iter().map(|name| quoted_name(name)).collect()
}

/// A name as SQLite takes any.
fn quoted_name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl fmt::Debug for SqliteView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteView")
            .field("model", &self.id)
            .finish_non_exhaustive()
    }
}
