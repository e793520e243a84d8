//! Looking into models from outside, to compare versions.

mod rows;
mod table;

use annals_core::Error;
use annals_projection::{Inspect, ModelId};
use annals_store_postgres::Connector;
use async_trait::async_trait;

pub use rows::PostgresRows;

/// Looks into the model of one version, as a [`Rebuild`](annals_projection::Rebuild) does that compares two: by a
/// connection of its own each time, so that whoever writes the model goes on. From
/// [`PostgresSink::inspect`](crate::PostgresSink::inspect).
///
/// A row is compared as an object of its columns. Its key is written `spending ["ada"]`: the table, and the columns of its
/// primary key; all columns of a table without one. Rows are looked for by their keys in the other version, so tables
/// keep their names and keys from version to version, or are left out by [`of_tables`](Self::of_tables). A key that is no
/// value of the other version's types has no row there.
///
/// Numbers, truths and texts are those of JSON; bytes are `{"bytes": "0a0b"}` in hexadecimal digits; all else is the
/// text that PostgreSQL writes, times in UTC. Of texts and bytes over 4 KiB the length, the beginning and a SHA-256 stand
/// for the whole.
///
/// ```no_run
/// use annals_core::CheckpointName;
/// use annals_projection::{ModelId, Partition};
/// use annals_read_postgres::PostgresSink;
///
/// # fn example() -> Result<(), annals_core::Error> {
/// let sink = PostgresSink::builder("postgres://app@db.example/shop")
///     .schema("CREATE TABLE {orders} (id text PRIMARY KEY, cents bigint NOT NULL)")
///     .build()?;
/// let name = CheckpointName::parse("orders")?;
/// let inspect = sink.inspect(&ModelId { name, version: 2, partition: Partition::WHOLE });
/// // Give `sink` and `inspect` to a rebuild.
/// # let _ = inspect;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct PostgresInspect {
    connector: Connector,
    schema: String,
    id: ModelId,
    tables: Option<Vec<String>>,
}

impl PostgresInspect {
    pub(crate) fn new(connector: Connector, schema: &str, model: &ModelId) -> Self {
        Self {
            connector,
            schema: schema.to_owned(),
            id: model.clone(),
            tables: None,
        }
    }

    /// The same, of these tables alone, named without what tells versions apart: for a version that adds, drops or
    /// renames others.
    #[must_use]
    pub fn of_tables<'a>(mut self, tables: impl IntoIterator<Item = &'a str>) -> Self {
        let tables = tables.into_iter().map(str::to_owned);
        self.tables = Some(tables.collect());
        self
    }

    fn open(&self) -> Result<PostgresRows, Error> {
        let opened = PostgresRows::open(
            &self.connector,
            &self.schema,
            &self.id,
            self.tables.as_deref(),
        );
        opened.map_err(|error| error.during("inspect"))
    }
}

/// # Errors
/// [`Unavailable`](annals_core::ErrorKind::Unavailable) where the database can't be reached, the model is not there
/// yet, or is just being reset, and [`Invalid`](annals_core::ErrorKind::Invalid) for a table that the model does not have, and for a role that may
/// not read its tables.
#[async_trait]
impl Inspect for PostgresInspect {
    type Rows = PostgresRows;

    async fn look(&self) -> Result<PostgresRows, Error> {
        let inspect = self.clone();
        blocking::unblock(move || inspect.open()).await
    }
}
