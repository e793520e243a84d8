//! SQLite as an event log: a table by position with an index by stream and version.
//!
//! Settings: write-ahead log, synchronous FULL, a memory map of 2 GiB for reads, prepared statements, a connection
//! for each reading thread.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::Result;
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::batcher::{Batcher, Engine};
use crate::event::{self, EVENT_TYPE, Seen};
use crate::subject::{Answer, Guard, Import, NewAppend, Subject};

const SETTINGS: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA mmap_size = 2147483648;
    PRAGMA cache_size = -65536;
    PRAGMA temp_store = MEMORY;
";
const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS events (
        position INTEGER PRIMARY KEY,
        stream TEXT NOT NULL,
        version INTEGER NOT NULL,
        type TEXT NOT NULL,
        metadata TEXT NOT NULL,
        payload BLOB NOT NULL
    );
    CREATE UNIQUE INDEX IF NOT EXISTS streams ON events (stream, version);
";
const INSERT: &str = "INSERT INTO events (position, stream, version, type, metadata, payload)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
const VERSION: &str = "SELECT max(version) FROM events WHERE stream = ?1";
const STREAM: &str = "SELECT type, payload FROM events WHERE stream = ?1 ORDER BY version";
const ALL: &str = "SELECT type, payload FROM events ORDER BY position";
const HEAD: &str = "SELECT max(position) FROM events";

/// SQLite as a subject.
#[derive(Debug)]
pub struct Sqlite {
    file: PathBuf,
    readers: Mutex<Vec<Connection>>,
    writer: Batcher<SqliteWriter>,
}

#[derive(Debug)]
struct SqliteWriter {
    connection: Connection,
    position: u64,
}

impl Subject for Sqlite {
    const IMPORT: Import = Import {
        events: 1000,
        in_flight: 8,
    };

    fn open(dir: &Path) -> Result<Self> {
        let file = dir.join("events.sqlite");
        let connection = connect(&file)?;
        connection.execute_batch(SCHEMA)?;
        let writer = SqliteWriter {
            position: last_position(&connection)?,
            connection,
        };
        Ok(Self {
            file,
            readers: Mutex::new(Vec::new()),
            writer: Batcher::new(writer),
        })
    }

    async fn append(&self, append: NewAppend) -> Result<Answer> {
        if let Guard::Stream(known) = append.guard {
            let stream = append.lines[0].stream();
            if self.reading(|reader| version(reader, &stream))? != known.version {
                return Ok(Answer::Refused);
            }
        }
        self.writer.append(append).await
    }

    fn read_stream(&self, order: u64, mut see: impl FnMut(Seen<'_>)) -> Result<()> {
        self.reading(|reader| {
            let mut statement = reader.prepare_cached(STREAM)?;
            let mut rows = statement.query(params![event::stream(order)])?;
            while let Some(row) = rows.next()? {
                see(Seen {
                    event_type: row.get_ref(0)?.as_str()?,
                    payload: row.get_ref(1)?.as_blob()?,
                });
            }
            Ok(())
        })
    }

    fn read_all(&self, mut see: impl FnMut(Seen<'_>)) -> Result<()> {
        self.reading(|reader| {
            let mut statement = reader.prepare_cached(ALL)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                see(Seen {
                    event_type: row.get_ref(0)?.as_str()?,
                    payload: row.get_ref(1)?.as_blob()?,
                });
            }
            Ok(())
        })
    }

    fn head(&self) -> Result<u64> {
        self.reading(last_position)
    }

    fn close(self) -> Result<()> {
        drop(self.readers);
        let writer = self.writer.into_engine()?;
        writer.connection.close().map_err(|(_, error)| error)?;
        Ok(())
    }
}

impl Sqlite {
    /// Lends a connection that no other thread uses.
    fn reading<T>(&self, read: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let readers = || self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        let free = readers().pop();
        let reader = match free {
            Some(reader) => reader,
            None => connect(&self.file)?,
        };
        let result = read(&reader)?;
        readers().push(reader);
        Ok(result)
    }
}

impl Engine for SqliteWriter {
    fn commit(&mut self, batch: &[NewAppend]) -> Result<Vec<Answer>> {
        let write = self.connection.transaction()?;
        let mut answers = Vec::with_capacity(batch.len());
        let mut position = self.position;
        {
            let mut insert = write.prepare_cached(INSERT)?;
            for append in batch {
                if let Guard::Stream(known) = append.guard
                    && version(&write, &append.lines[0].stream())? != known.version
                {
                    answers.push(Answer::Refused);
                    continue;
                }
                for line in &append.lines {
                    let stream = line.stream();
                    let version = version(&write, &stream)? + 1;
                    position += 1;
                    insert.execute(params![
                        i64::try_from(position)?,
                        stream,
                        i64::try_from(version)?,
                        EVENT_TYPE,
                        line.metadata(),
                        &line.payload()[..],
                    ])?;
                }
                answers.push(Answer::Recorded(position));
            }
        }
        write.commit()?;
        self.position = position;
        Ok(answers)
    }
}

fn connect(file: &Path) -> Result<Connection> {
    let connection = Connection::open(file)?;
    connection.execute_batch(SETTINGS)?;
    Ok(connection)
}

fn version(connection: &Connection, stream: &str) -> Result<u64> {
    let mut statement = connection.prepare_cached(VERSION)?;
    let version = statement.query_row(params![stream], |row| row.get::<_, Option<i64>>(0));
    Ok(u64::try_from(version.optional()?.flatten().unwrap_or(0))?)
}

fn last_position(connection: &Connection) -> Result<u64> {
    let position = connection.query_row(HEAD, [], |row| row.get::<_, Option<i64>>(0))?;
    Ok(u64::try_from(position.unwrap_or(0))?)
}
