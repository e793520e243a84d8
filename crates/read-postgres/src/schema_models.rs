//! The models of a schema.

use annals_core::{BoxError, CheckpointName, Cursor, Error, ErrorKind};
use annals_projection::{ModelId, Partition};
use annals_store_postgres::Connector;
use tokio::runtime::Handle;

use crate::errors;
use crate::names::Names;
use crate::progress::{self, Lock};
use crate::roles::Right;
use crate::row::PostgresRow;
use crate::schema;
use crate::session::Session;

/// How long a drop waits for who uses the tables, while whoever comes after waits too.
const TABLES_WAIT_MILLIS: u64 = 3_000;

/// How long it then waits for a step or an append that has the progress and may want the tables: less than the server
/// takes to find that the two wait for each other (`deadlock_timeout`, 1 s), so that it is the drop that gives way.
const PROGRESS_WAIT_MILLIS: u64 = 500;

/// The models of a schema of this database, each with how far it is.
///
/// # Errors
/// [`ErrorKind::Unavailable`] where the database can't be reached, or the schema has no table of progress, which comes
/// with the first model; [`ErrorKind::Invalid`] outside of a tokio runtime, for an address that is none, and for a role
/// that may not read the schema. [`ErrorKind::Corrupt`] where the progress of a model does not read, which it names.
pub async fn models(url: &str, schema: &str) -> Result<Vec<(ModelId, Cursor)>, Error> {
    let (connector, schema) = (connector(url)?, schema.to_owned());
    let read = blocking::unblock(move || {
        let names = Names::of_any(&schema);
        let session = opened(&connector, &names)?;
        let found = progress::all(names.schema()).query(&session);
        let found = found.map_err(|error| Right::Read.named(names.schema(), error))?;
        found.iter().map(model).collect()
    });
    let read: Result<_, Error> = read.await;
    read.map_err(|error| error.during("read"))
}

/// A model, by the row of its progress.
fn model(row: &PostgresRow) -> Result<(ModelId, Cursor), Error> {
    let (name, version): (&str, i64) = (row.get(0)?, row.get(1)?);
    let parse = || -> Result<(ModelId, Cursor), BoxError> {
        let number = |place: usize| -> Result<u32, BoxError> {
            let number: i64 = row.get(place)?;
            Ok(u32::try_from(number)?)
        };
        let id = ModelId {
            name: CheckpointName::parse(name)?,
            version: number(1)?,
            partition: Partition::new(number(2)?, number(3)?)?,
        };
        let cursor: &str = row.get(4)?;
        Ok((id, cursor.parse()?))
    };
    parse().map_err(|source| {
        let message = "progress of a model does not read; reset the projection, or delete its row of annals_progress \
                       and drop its tables";
        let error = Error::new(ErrorKind::Corrupt, message).with("name", name);
        error.with("version", version).caused_by(source)
    })
}

/// Drops a model with its tables, in one transaction; whoever projects into it is told so, and an append whose inline
/// model it was is refused. `false` where there is none.
///
/// It waits some seconds for the step that is under way, and for readers of the tables; whoever would use the tables
/// meanwhile, as an append whose inline model it is, waits as long.
///
/// # Errors
/// As for [`models`]; [`ErrorKind::Conflict`] where another process drops or resets it meanwhile;
/// [`ErrorKind::Overloaded`] where somebody reads or writes the model for longer than that: nothing is
/// dropped, so try again. [`ErrorKind::Invalid`] too where something of the application's, as a view, hangs on the tables, or
/// the role did not make them.
pub async fn drop_model(url: &str, schema: &str, model: &ModelId) -> Result<bool, Error> {
    let (connector, schema, id) = (connector(url)?, schema.to_owned(), model.clone());
    let dropped = blocking::unblock(move || {
        let names = Names::new(&schema, &id);
        let session = opened(&connector, &names)?;
        // What is not committed ends with the session.
        session.batch("BEGIN")?;
        drop_in(&session, &names, &schema, &id).map_err(|error| {
            if !errors::is_locked(&error) {
                return error;
            }
            let message = "somebody reads or writes the model; try again";
            let busy = Error::new(ErrorKind::Overloaded, message);
            busy.with("model", &id).caused_by(error)
        })
    });
    let dropped: Result<bool, Error> = dropped.await;
    dropped.map_err(|error| error.during("drop"))
}

/// Drops a model in a transaction that has begun, and commits that.
fn drop_in(session: &Session, names: &Names, schema: &str, id: &ModelId) -> Result<bool, Error> {
    let find = |lock| {
        let found = progress::find(names.schema(), id, lock).query(session);
        let found = found.map_err(|error| Right::Rows.named(names.schema(), error))?;
        progress::kept(id, &found)
    };
    let Some(kept) = find(Lock::None)? else {
        return Ok(false);
    };
    // The tables before the progress: an append takes the progress while all other appends wait, so that it must not
    // find that in the hands of who waits for a reader.
    session.batch(&format!("SET LOCAL lock_timeout = {TABLES_WAIT_MILLIS}"))?;
    let locked = schema::lock_all(session, names, schema, &kept.made_by);
    locked.map_err(|error| {
        // Who was faster has dropped them meanwhile.
        if errors::is_no_table(&error) {
            return progress::taken_away(id).caused_by(error);
        }
        Right::DropTables.named(names.schema(), error)
    })?;
    session.batch(&format!("SET LOCAL lock_timeout = {PROGRESS_WAIT_MILLIS}"))?;
    match find(Lock::UntilTheEnd)? {
        Some(locked) if locked.made_by == kept.made_by => {}
        _ => return Err(progress::taken_away(id)),
    }
    let dropped = schema::drop_all(session, names, schema, &kept.made_by);
    dropped.map_err(|error| Right::DropTables.named(names.schema(), error))?;
    let removed = progress::remove(names.schema(), id).execute(session);
    removed.map_err(|error| Right::Rows.named(names.schema(), error))?;
    session.commit("the connection was lost while the drop was committed; look whether the model is there still")?;
    Ok(true)
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
    if is_made.map_err(|error| Right::Read.named(names.schema(), error))? {
        return Ok(session);
    }
    let message = "schema has no read models; project into it first";
    Err(Error::new(ErrorKind::Unavailable, message).with("schema", names.schema()))
}
