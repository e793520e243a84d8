//! A model at one moment, with its rows.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use annals_core::{Cursor, Error, ErrorKind};
use annals_projection::{ModelId, ModelRow, ModelRows, RowKey, sample_shares};
use annals_store_postgres::Connector;
use async_trait::async_trait;
use tokio_postgres::types::ToSql;

use super::table::Table;
use crate::errors;
use crate::model::PostgresModel;
use crate::names::Names;
use crate::progress::{self, Lock};
use crate::roles::Right;
use crate::row::PostgresRow;
use crate::schema;
use crate::session::Session;

/// What a session that looks is told: one moment, and texts that are the same whatever a role or a database is set to.
const LOOK: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL timezone = 'UTC'; \
     SET LOCAL datestyle = 'ISO, YMD'; SET LOCAL intervalstyle = 'iso_8601'; SET LOCAL extra_float_digits = 1; \
     SET LOCAL bytea_output = 'hex'";

/// A model at one moment: whatever is asked of it is of that moment, whoever writes meanwhile.
///
/// It keeps a transaction open, which keeps the server from tidying up what is deleted meanwhile: drop it when done.
pub struct PostgresRows {
    model: Arc<Mutex<PostgresModel>>,
    cursor: Cursor,
    tables: Arc<[Table]>,
}

impl PostgresRows {
    /// The rows of these tables, or of all. Blocks.
    pub(super) fn open(
        connector: &Connector,
        schema: &str,
        id: &ModelId,
        only: Option<&[String]>,
    ) -> Result<Self, Error> {
        let (session, names) = (Session::connect(connector)?, Names::new(schema, id));
        session.batch(LOOK)?;
        let lacks = |error| Right::Read.named(names.schema(), error);
        // The first read chooses the moment.
        let kept = if schema::is_made(&session, &names).map_err(lacks)? {
            let find = progress::find(names.schema(), id, Lock::None);
            progress::kept(id, &find.query(&session).map_err(lacks)?)?
        } else {
            None
        };
        let kept = kept.ok_or_else(|| {
            let message = "database does not have this model; project into it first";
            Error::new(ErrorKind::Unavailable, message).with("model", id)
        })?;
        let mut known = schema::tables_of(&session, &names, schema, &kept.made_by)?;
        for name in only.unwrap_or_default() {
            if !known.contains(name) {
                let message = "model has no table of this name; see its schema";
                let error = Error::new(ErrorKind::Invalid, message).with("table", name);
                return Err(error.with("model", id));
            }
        }
        known.retain(|name| only.is_none_or(|only| only.contains(name)));
        // From here on their names mean one thing; that of the moment, if nobody was in between.
        let locked = schema::lock(&session, &names, &known, "ACCESS SHARE");
        let is_replaced = match locked {
            Err(error) if errors::is_no_table(&error) => true,
            locked => {
                locked.map_err(lacks)?;
                schema::are_replaced(&session, &names, schema, &known)?
            }
        };
        if is_replaced {
            let message = "tables of the model were just made anew; look again";
            return Err(Error::new(ErrorKind::Unavailable, message).with("model", id));
        }
        let mut model = PostgresModel::looked_at(session, names)?;
        let tables: Result<Arc<[Table]>, Error> = known
            .into_iter()
            .map(|name| Table::new(&mut model, schema, name))
            .collect();
        Ok(Self {
            tables: tables?,
            model: Arc::new(Mutex::new(model)),
            cursor: kept.progress.cursor,
        })
    }

    /// Asks the model whatever SQL can ask, as a condition of a rebuild does: all questions are of the one moment. Names
    /// of the model stand in braces.
    ///
    /// It blocks while the runtime of the sink asks the database: on a runtime of one thread alone, ask from another.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] where the database refuses the statement; nothing can be asked of the look after that.
    pub fn query(
        &self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<PostgresRow>, Error> {
        lock(&self.model).query(sql, params)
    }

    /// Asks on a thread that may block.
    async fn ask<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&mut PostgresModel, &[Table]) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (model, tables) = (Arc::clone(&self.model), Arc::clone(&self.tables));
        let asked = blocking::unblock(move || ask(&mut lock(&model), &tables)).await;
        asked.map_err(|error| error.during("inspect"))
    }
}

#[async_trait]
impl ModelRows for PostgresRows {
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
        self.ask(move |model, tables| {
            let rows: Vec<u64> = tables.iter().map(|table| table.rows).collect();
            let mut sample = Vec::new();
            for (table, share) in tables.iter().zip(sample_shares(rows_max, &rows)) {
                sample.extend(table.sample(model, share, seed)?);
            }
            Ok(sample)
        })
        .await
    }

    async fn row(&self, key: &str) -> Result<Option<ModelRow>, Error> {
        let key: RowKey = key.parse()?;
        self.ask(move |model, tables| {
            let table = tables.iter().find(|table| table.name == key.table);
            match table {
                Some(table) => table.find(model, &key),
                None => Ok(None),
            }
        })
        .await
    }
}

fn lock(model: &Mutex<PostgresModel>) -> MutexGuard<'_, PostgresModel> {
    // A question that panicked left the look as it was.
    model.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for PostgresRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresRows")
            .field("cursor", &self.cursor)
            .field("tables", &self.tables)
            .finish_non_exhaustive()
    }
}
