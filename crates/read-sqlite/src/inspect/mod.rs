//! Looking into models from outside, to compare versions.

mod rows;
mod value;

use std::path::{Path, PathBuf};

use annals_core::Error;
use annals_projection::{Inspect, ModelId};
use async_trait::async_trait;

pub use rows::SqliteRows;

use crate::view::SqliteView;

/// Looks into the model of one version, as a [`Rebuild`](annals_projection::Rebuild) does that compares two: by a
/// connection of its own each time, so that whoever writes the model goes on. From
/// [`SqliteSink::inspect`](crate::SqliteSink::inspect).
///
/// A row is compared as an object of its columns. Its key is written `spending ["ada"]`: the table, and the columns of its
/// primary key; all columns of a table without one. Rows are looked for by their keys in the other version, so tables
/// keep their names and keys from version to version, or are left out by [`of_tables`](Self::of_tables).
///
/// Values that JSON does not have are objects: bytes are `{"bytes": "0a0b"}` in hexadecimal digits, and of texts and bytes
/// over 4 KiB the length, the beginning and a SHA-256 stand for the whole.
///
/// ```
/// use annals_read_sqlite::SqliteSink;
/// use annals_core::CheckpointName;
/// use annals_projection::{ModelId, Partition};
///
/// let sink = SqliteSink::builder("orders-2.sqlite")
///     .schema("CREATE TABLE {orders} (id TEXT PRIMARY KEY, cents INTEGER NOT NULL) STRICT")
///     .build()?;
/// let name = CheckpointName::parse("orders")?;
/// let inspect = sink.inspect(&ModelId { name, version: 2, partition: Partition::WHOLE });
/// // Give `sink` and `inspect` to a rebuild.
/// # let _ = inspect;
/// # Ok::<(), annals_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SqliteInspect {
    path: PathBuf,
    id: ModelId,
    tables: Option<Vec<String>>,
}

impl SqliteInspect {
    /// Looks into this model of a file.
    pub fn new(path: impl AsRef<Path>, model: &ModelId) -> Self {
        Self {
            path: path.as_ref().to_owned(),
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

    fn open(&self) -> Result<SqliteRows, Error> {
        let view = SqliteView::open(&self.path, &self.id)?;
        SqliteRows::new(view, self.tables.as_deref())
    }
}

/// # Errors
/// [`Unavailable`](annals_core::ErrorKind::Unavailable) where the file or the model is not there yet, and
/// [`Invalid`](annals_core::ErrorKind::Invalid) for a file of something else, and for a table that the model does not
/// have.
#[async_trait]
impl Inspect for SqliteInspect {
    type Rows = SqliteRows;

    async fn look(&self) -> Result<SqliteRows, Error> {
        let inspect = self.clone();
        blocking::unblock(move || inspect.open()).await
    }
}
