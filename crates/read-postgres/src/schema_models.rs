//! The models of a schema.

use annals_core::{CheckpointName, Cursor, Error, ErrorKind};
use annals_projection::{ModelId, Partition};
use annals_store_postgres::Connector;
use tokio::runtime::Handle;

use crate::names::Names;
use crate::progress::{self, Lock};
use crate::roles::Right;
use crate::schema;
use crate::session::Session;

/// The models of a schema of this database, each with how far it is.
///
/// # Errors
/// [`ErrorKind::Unavailable`] where the database can't be reached, or the schema has no models; [`ErrorKind::Invalid`]
/// outside of a tokio runtime, for an address that is none, and for a role that may not read the schema.
pub async fn models(url: &str, schema: &str) -> Result<Vec<(ModelId, Cursor)>, Error> {
    let (connector, schema) = (connector(url)?, schema.to_owned());
    let read = blocking::unblock(move || {
        let names = Names::of_any(&schema);
        let session = opened(&connector, &names)?;
        let found = progress::all(names.schema()).query(&session);
        let found = found.map_err(|error| Right::Rows.named(names.schema(), error))?;
        let models = found.iter().map(|row| {
            let (name, cursor): (&str, &str) = (row.get(0)?, row.get(4)?);
            let number = |place: usize| {
                let number: i64 = row.get(place)?;
                u32::try_from(number).map_err(|source| {
                    let message = "progress of a model does not read; drop the model";
                    Error::new(ErrorKind::Corrupt, message).caused_by(source)
                })
            };
            let id = ModelId {
                name: CheckpointName::parse(name)?,
                version: number(1)?,
                partition: Partition::new(number(2)?, number(3)?)?,
            };
            Ok((id, cursor.parse()?))
        });
        models.collect()
    });
    let read: Result<_, Error> = read.await;
    read.map_err(|error| error.during("read"))
}

/// Drops a model with its tables, in one transaction; whoever projects into it is told so, and an append whose inline
/// model it was is refused. `false` where there is none.
///
/// It waits for the step that is under way, and for readers of the tables.
///
/// # Errors
/// As for [`models`]; [`ErrorKind::Invalid`] too where something of the application's, as a view, hangs on the tables, or
/// the role did not make them.
pub async fn drop_model(url: &str, schema: &str, model: &ModelId) -> Result<bool, Error> {
    let (connector, schema, id) = (connector(url)?, schema.to_owned(), model.clone());
    let dropped = blocking::unblock(move || {
        let names = Names::new(&schema, &id);
        let session = opened(&connector, &names)?;
        // What is not committed ends with the session.
        session.batch("BEGIN")?;
        let find = progress::find(names.schema(), &id, Lock::UntilTheEnd);
        let found = find.query(&session);
        let found = found.map_err(|error| Right::Rows.named(names.schema(), error))?;
        let Some(kept) = progress::kept(&id, &found)? else {
            return Ok(false);
        };
        let dropped = schema::drop_all(&session, &names, &schema, &kept.made_by);
        dropped.map_err(|error| Right::DropTables.named(names.schema(), error))?;
        let removed = progress::remove(names.schema(), &id).execute(&session);
        removed.map_err(|error| Right::Rows.named(names.schema(), error))?;
        session.commit()?;
        Ok(true)
    });
    let dropped: Result<bool, Error> = dropped.await;
    dropped.map_err(|error| error.during("drop"))
}

fn connector(url: &str) -> Result<Connector, Error> {
    let runtime = Handle::try_current().map_err(|source| {
        let message = "no tokio runtime here; call it on one";
        Error::new(ErrorKind::Invalid, message).caused_by(source)
    })?;
    Connector::new(url, runtime)
}

/// A session in a database that has a schema of models.
fn opened(connector: &Connector, names: &Names) -> Result<Session, Error> {
    let session = Session::connect(connector)?;
    let is_made = schema::is_made(&session, names);
    if is_made.map_err(|error| Right::Rows.named(names.schema(), error))? {
        return Ok(session);
    }
    let message = "schema has no read models; project into it first";
    Err(Error::new(ErrorKind::Unavailable, message).with("schema", names.schema()))
}
