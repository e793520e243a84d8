//! The models of a file.

use std::path::Path;

use annals_core::{CheckpointName, Cursor, Error, ErrorKind};
use annals_projection::{ModelId, Partition};

use crate::access::Access;
use crate::settings::SqliteSettings;
use crate::{errors, file, names, progress, schema};

/// A row of the progress: name, version, partition, partitions, cursor.
type Found = (String, u32, u32, u32, String);

/// The models of a file, each with how far it is.
///
/// # Errors
/// [`ErrorKind::Unavailable`] where the file is not there, [`ErrorKind::Invalid`] where it is of something else.
pub fn models(path: impl AsRef<Path>) -> Result<Vec<(ModelId, Cursor)>, Error> {
    let connection = file::open_read_only(path.as_ref(), &SqliteSettings::DEFAULT)?;
    let query = "SELECT name, version, partition, partitions, cursor FROM annals_progress";
    let found = connection.prepare(query).and_then(|mut query| {
        let rows = query.query_map((), |row| Found::try_from(row))?;
        rows.collect::<rusqlite::Result<Vec<Found>>>()
    });
    let found = found.map_err(|error| errors::of(error, "read"))?;
    let models = found
        .into_iter()
        .map(|(name, version, index, count, cursor)| {
            let id = ModelId {
                name: CheckpointName::parse(&name)?,
                version,
                partition: Partition::new(index, count)?,
            };
            Ok((id, cursor.parse()?))
        });
    models.collect()
}

/// Drops a model with its tables, in one step; whoever projects into it is told so. `false` where there is none.
///
/// # Errors
/// As for [`models`], and [`ErrorKind::Overloaded`] where another writer has the file for long.
pub fn drop_model(path: impl AsRef<Path>, model: &ModelId) -> Result<bool, Error> {
    let path = path.as_ref();
    if !path.exists() {
        let message = "file of read models is not there";
        let error = Error::new(ErrorKind::Unavailable, message).during("drop");
        return Err(error.with("file", path.display()));
    }
    let mut connection = file::open(path, &SqliteSettings::DEFAULT, &Access::default())?;
    let failed = |error| errors::of(error, "drop");
    let transaction = connection
        .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
        .map_err(failed)?;
    let Some(kept) = progress::load(&transaction, model)? else {
        return Ok(false);
    };
    schema::drop_all(&transaction, &kept.schema, &names::suffix(model))?;
    progress::remove(&transaction, model)?;
    transaction.commit().map_err(errors::of_commit)?;
    Ok(true)
}
