//! A model at one moment, with its rows.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use annals_core::{Cursor, Error, ErrorKind};
use annals_projection::{ModelRow, ModelRows, RowKey, sample_shares};
use async_trait::async_trait;

use super::value;
use crate::table::SqlValue;
use crate::view::SqliteView;

/// A model at one moment: whatever is asked of it is of that moment, whoever writes meanwhile.
///
/// It keeps a read transaction open, in which SQLite cannot shorten the file's write-ahead log: drop it when done.
pub struct SqliteRows {
    view: Arc<Mutex<SqliteView>>,
    cursor: Cursor,
    tables: Arc<[Table]>,
}

/// A table that is compared.
#[derive(Debug)]
struct Table {
    name: String,
    /// By what its rows are told apart.
    key: Vec<String>,
    rows: u64,
}

impl SqliteRows {
    /// The rows of these tables, or of all.
    pub(super) fn new(view: SqliteView, only: Option<&[String]>) -> Result<Self, Error> {
        view.stand_still()?;
        // The first read chooses the moment.
        let cursor = view.progress()?.cursor;
        let counts = view.row_counts()?;
        for name in only.unwrap_or_default() {
            if !counts.iter().any(|(known, _)| known == name) {
                let message = "model has no table of this name; see SqliteView::tables";
                let error = Error::new(ErrorKind::Invalid, message).during("inspect");
                return Err(error.with("table", name).with("model", view.model_id()));
            }
        }
        let is_wanted = |name: &String| only.is_none_or(|only| only.contains(name));
        let counts = counts.into_iter().filter(|(name, _)| is_wanted(name));
        let tables: Result<Arc<[Table]>, Error> = counts
            .map(|(name, rows)| Table::new(&view, name, rows))
            .collect();
        Ok(Self {
            view: Arc::new(Mutex::new(view)),
            cursor,
            tables: tables?,
        })
    }

    /// Asks the model whatever SQL can ask, as a condition of a rebuild does: all questions are of the one moment, so
    /// [`SqliteView::at_once`] is of no use here.
    ///
    /// # Errors
    /// Those of the questions.
    pub fn read<T>(&self, ask: impl FnOnce(&SqliteView) -> Result<T, Error>) -> Result<T, Error> {
        ask(&lock(&self.view))
    }

    /// Asks on a thread that may block.
    async fn ask<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&SqliteView, &[Table]) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (view, tables) = (Arc::clone(&self.view), Arc::clone(&self.tables));
        blocking::unblock(move || ask(&lock(&view), &tables)).await
    }
}

#[async_trait]
impl ModelRows for SqliteRows {
    fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    async fn counts(&self) -> Result<BTreeMap<String, u64>, Error> {
        let tables = self.tables.iter();
        Ok(tables
            .map(|table| (table.name.clone(), table.rows))
            .collect())
    }

    /// Each table gets its share of the sample, and at least one row while there is room.
    async fn sample(&self, rows_max: usize, seed: u64) -> Result<Vec<ModelRow>, Error> {
        let seed = u32::try_from(seed % u64::from(u32::MAX)).unwrap_or_default();
        self.ask(move |view, tables| {
            let rows: Vec<u64> = tables.iter().map(|table| table.rows).collect();
            let mut sample = Vec::new();
            for (table, share) in tables.iter().zip(sample_shares(rows_max, &rows)) {
                sample.extend(table.sample(view, share, seed)?);
            }
            Ok(sample)
        })
        .await
    }

    async fn row(&self, key: &str) -> Result<Option<ModelRow>, Error> {
        let key: RowKey = key.parse()?;
        self.ask(move |view, tables| {
            let table = tables.iter().find(|table| table.name == key.table);
            match table.filter(|table| table.key.len() == key.values.len()) {
                Some(table) => table.find(view, key),
                None => Ok(None),
            }
        })
        .await
    }
}

impl Table {
    fn new(view: &SqliteView, name: String, rows: u64) -> Result<Self, Error> {
        let mut key = view.key_columns(&name)?;
        if key.is_empty() {
            key = view.columns(&name)?;
        }
        Ok(Self { name, key, rows })
    }

    fn sample(&self, view: &SqliteView, rows_max: u64, seed: u32) -> Result<Vec<ModelRow>, Error> {
        let rows_max = u32::try_from(rows_max).unwrap_or(u32::MAX);
        view.sample_from(&self.name, rows_max, seed, |row| {
            let key = value::key_of(row, &self.name, &self.key)?;
            Ok(ModelRow::new(key.to_string(), value::row_of(row)?))
        })
    }

    fn find(&self, view: &SqliteView, key: RowKey) -> Result<Option<ModelRow>, Error> {
        let name = key.to_string();
        let values: Option<Vec<SqlValue>> = key.values.into_iter().map(value::sql_of).collect();
        let Some(values) = values else {
            return Ok(None);
        };
        let values: Vec<_> = self.key.iter().cloned().zip(values).collect();
        let found = view.find_as(&self.name, &values, value::row_of)?;
        Ok(found.map(|row| ModelRow::new(name, row)))
    }
}

fn lock(view: &Mutex<SqliteView>) -> MutexGuard<'_, SqliteView> {
    // A question that panicked left the view as it was.
    view.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for SqliteRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteRows")
            .field("cursor", &self.cursor)
            .field("tables", &self.tables)
            .finish_non_exhaustive()
    }
}
