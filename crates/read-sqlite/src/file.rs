//! A file of read models: how it is opened, and what of it is the sink's.

use std::path::Path;

use annals_core::{Error, ErrorKind};
use rusqlite::hooks::AuthContext;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::access::Access;
use crate::errors;
use crate::settings::SqliteSettings;

/// What a file of annals has as its application id: `annl`.
const APPLICATION_ID: i32 = 0x616e_6e6c;

/// The format of the sink's own tables, kept as the file's user version.
pub(crate) const FORMAT: i32 = 1;

/// The sink's own tables.
const TABLES: &str = "
CREATE TABLE annals_progress (
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    partition INTEGER NOT NULL,
    partitions INTEGER NOT NULL,
    cursor TEXT NOT NULL,
    skipped INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    schema TEXT NOT NULL,
    PRIMARY KEY (name, version, partition, partitions)
) STRICT, WITHOUT ROWID;
CREATE TABLE annals_parked (
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    partition INTEGER NOT NULL,
    partitions INTEGER NOT NULL,
    place INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('failed', 'waits', 'skipped')),
    position INTEGER NOT NULL,
    stream TEXT NOT NULL,
    stream_version INTEGER NOT NULL,
    key TEXT NOT NULL,
    error TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    PRIMARY KEY (name, version, partition, partitions, place)
) STRICT, WITHOUT ROWID;";

/// Opens a file to write, and creates it where there is none.
pub(crate) fn open(
    path: &Path,
    settings: &SqliteSettings,
    access: &Access,
) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = connect(path, flags, settings)?;
    let synchronous = settings.durability.pragma();
    let set = connection.pragma_update(None, "synchronous", synchronous);
    set.map_err(|error| errors::of(error, "open"))?;
    if format_of(&connection, path)? == 0 {
        write_ahead(&connection, path)?;
        create(&mut connection, path)?;
    }
    write_ahead(&connection, path)?;
    let access = access.clone();
    let asked = connection.authorizer(Some(move |context: AuthContext<'_>| access.judge(context)));
    asked.map_err(|error| errors::of(error, "open"))?;
    Ok(connection)
}

/// Opens a file to read.
pub(crate) fn open_read_only(path: &Path, settings: &SqliteSettings) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = connect(path, flags, settings)?;
    if format_of(&connection, path)? == 0 {
        let message = "file has no read models yet; project into it first";
        return Err(Error::new(ErrorKind::Unavailable, message)
            .during("open")
            .with("file", path.display()));
    }
    Ok(connection)
}

fn connect(path: &Path, flags: OpenFlags, settings: &SqliteSettings) -> Result<Connection, Error> {
    let connected = Connection::open_with_flags(path, flags).and_then(|connection| {
        connection.busy_timeout(settings.busy_timeout)?;
        connection.set_prepared_statement_cache_capacity(settings.statements_max);
        Ok(connection)
    });
    connected.map_err(|error| errors::of(error, "open").with("file", path.display()))
}

/// The format of a file of annals; 0 for a file with nothing in it.
fn format_of(connection: &Connection, path: &Path) -> Result<i32, Error> {
    let asked = connection.query_row(
        "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema)
         FROM pragma_application_id, pragma_user_version",
        (),
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    );
    let found: (i32, i32, i64) = asked.map_err(|error| named(errors::of(error, "open"), path))?;
    match found {
        (0, 0, 0) => Ok(0),
        (APPLICATION_ID, FORMAT, _) => Ok(FORMAT),
        (APPLICATION_ID, format, _) => {
            let message =
                "read models of another format than this version of annals reads; use a newer one";
            let error = Error::new(ErrorKind::Unsupported, message).during("open");
            Err(named(
                error.with("format", format).with("reads", FORMAT),
                path,
            ))
        }
        _ => {
            let message = "SQLite file of something else than annals; give the read models a file of their own";
            Err(named(
                Error::new(ErrorKind::Invalid, message).during("open"),
                path,
            ))
        }
    }
}

/// Turns write-ahead logging on, which a file keeps.
fn write_ahead(connection: &Connection, path: &Path) -> Result<(), Error> {
    let mode = connection
        .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0));
    let mode = mode.map_err(|error| named(errors::of(error, "open"), path))?;
    if mode.eq_ignore_ascii_case("wal") {
        return Ok(());
    }
    let message =
        "no write-ahead log can be kept here, as in memory or on a network; choose a local file";
    Err(named(
        Error::new(ErrorKind::Unsupported, message).during("open"),
        path,
    ))
}

/// Makes a file with nothing in it one of annals, unless somebody else just did.
fn create(connection: &mut Connection, path: &Path) -> Result<(), Error> {
    let failed = |error| named(errors::of(error, "create"), path);
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(failed)?;
    if format_of(&transaction, path)? == 0 {
        let created = transaction
            .pragma_update(None, "application_id", APPLICATION_ID)
            .and_then(|()| transaction.pragma_update(None, "user_version", FORMAT))
            .and_then(|()| transaction.execute_batch(TABLES));
        created.map_err(failed)?;
    }
    transaction.commit().map_err(failed)
}

fn named(error: Error, path: &Path) -> Error {
    error.with("file", path.display())
}
