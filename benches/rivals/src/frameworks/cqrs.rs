//! cqrs-es over SQLite.
//!
//! The repository of events is ours: that of sqlite-es 0.5 brings another SQLite by sqlx, which can't be linked beside
//! this one. The table and the statements are those of sqlite-es; unlike it, one connection writes, so that no two
//! transactions wait for each other's lock, statements are prepared once, no thread stands in between, and every commit
//! is synced (its pool is opened with synchronous NORMAL, which is not).

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use cqrs_es::event_sink::EventSink;
use cqrs_es::persist::{
    PersistedEventRepository, PersistedEventStore, PersistenceError, ReplayStream, SerializedEvent,
    SerializedSnapshot,
};
use cqrs_es::{Aggregate, CqrsFramework, DomainEvent, EventStore as _};
use rusqlite::types::Type;
use rusqlite::{Connection, Row, params};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Full, OrderEvent, key};
use crate::commands::{Framework, LINES_MAX};
use crate::event::OrderLine;

const SETTINGS: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA mmap_size = 2147483648;
    PRAGMA cache_size = -65536;
    PRAGMA temp_store = MEMORY;
";
const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS events (
        aggregate_type TEXT NOT NULL,
        aggregate_id TEXT NOT NULL,
        sequence INTEGER CHECK (sequence >= 0) NOT NULL,
        event_type TEXT NOT NULL,
        event_version TEXT NOT NULL,
        payload TEXT NOT NULL,
        metadata TEXT NOT NULL,
        PRIMARY KEY (aggregate_type, aggregate_id, sequence)
    ) STRICT;
";
const INSERT: &str = "INSERT INTO events
    (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
const SELECT: &str = "SELECT aggregate_id, sequence, event_type, event_version, payload, metadata
    FROM events WHERE aggregate_type = ?1 AND aggregate_id = ?2 AND sequence > ?3 ORDER BY sequence";

/// cqrs-es as a framework.
pub struct Cqrs {
    framework: CqrsFramework<Order, PersistedEventStore<Repository, Order>>,
    /// The same store once more, as the framework lends its own to nobody.
    store: PersistedEventStore<Repository, Order>,
}

/// An order as cqrs-es has it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Order {
    lines: u64,
    cents: u64,
}

/// Events in SQLite.
#[derive(Clone)]
pub struct Repository(Arc<Database>);

struct Database {
    file: PathBuf,
    writer: Mutex<Connection>,
    readers: Mutex<Vec<Connection>>,
}

// ANCHOR: aggregate
impl DomainEvent for OrderEvent {
    fn event_type(&self) -> String {
        "LineAdded".to_owned()
    }

    fn event_version(&self) -> String {
        "1.0".to_owned()
    }
}

impl Aggregate for Order {
    const TYPE: &'static str = "order";
    type Command = OrderLine;
    type Event = OrderEvent;
    type Error = Full;
    type Services = ();

    async fn handle(
        &mut self,
        line: OrderLine,
        (): &(),
        sink: &EventSink<Self>,
    ) -> Result<(), Full> {
        if self.lines >= LINES_MAX {
            return Err(Full);
        }
        sink.write(OrderEvent::LineAdded(line), self).await;
        Ok(())
    }

    fn apply(&mut self, event: OrderEvent) {
        let OrderEvent::LineAdded(line) = event;
        self.lines += 1;
        self.cents += line.cents();
    }
}
// ANCHOR_END: aggregate

impl Framework for Cqrs {
    fn open(dir: &Path) -> Result<Self> {
        let file = dir.join("events.sqlite");
        let writer = connect(&file)?;
        writer.execute_batch(SCHEMA)?;
        let repository = Repository(Arc::new(Database {
            file,
            writer: Mutex::new(writer),
            readers: Mutex::default(),
        }));
        let store = || PersistedEventStore::new_event_store(repository.clone());
        Ok(Self {
            framework: CqrsFramework::new(store(), Vec::new(), ()),
            store: store(),
        })
    }

    async fn add_line(&self, order: u64, line: OrderLine) -> Result<()> {
        Ok(self.framework.execute(&key(order), line).await?)
    }

    async fn lines(&self, order: u64) -> Result<u64> {
        let loaded = self.store.load_aggregate(&key(order)).await?;
        Ok(loaded.aggregate.lines)
    }

    fn close(self) -> Result<()> {
        Ok(())
    }
}

impl PersistedEventRepository for Repository {
    async fn get_events<A: Aggregate>(
        &self,
        aggregate_id: &str,
    ) -> Result<Vec<SerializedEvent>, PersistenceError> {
        self.select::<A>(aggregate_id, 0)
    }

    async fn get_last_events<A: Aggregate>(
        &self,
        aggregate_id: &str,
        last_sequence: usize,
    ) -> Result<Vec<SerializedEvent>, PersistenceError> {
        self.select::<A>(aggregate_id, last_sequence)
    }

    async fn get_snapshot<A: Aggregate>(
        &self,
        _: &str,
    ) -> Result<Option<SerializedSnapshot>, PersistenceError> {
        Ok(None)
    }

    async fn persist<A: Aggregate>(
        &self,
        events: &[SerializedEvent],
        _: Option<(String, Value, usize)>,
    ) -> Result<(), PersistenceError> {
        self.insert(events)
    }

    async fn stream_events<A: Aggregate>(&self, _: &str) -> Result<ReplayStream, PersistenceError> {
        Err(unused())
    }

    async fn stream_all_events<A: Aggregate>(&self) -> Result<ReplayStream, PersistenceError> {
        Err(unused())
    }
}

impl Repository {
    fn select<A: Aggregate>(
        &self,
        aggregate_id: &str,
        after: usize,
    ) -> Result<Vec<SerializedEvent>, PersistenceError> {
        self.reading(|reader| {
            let mut statement = reader.prepare_cached(SELECT)?;
            let rows =
                statement.query_map(params![A::TYPE, aggregate_id, number(after)], event::<A>)?;
            rows.collect()
        })
    }

    fn insert(&self, events: &[SerializedEvent]) -> Result<(), PersistenceError> {
        let mut writer = lock(&self.0.writer);
        let write = writer.transaction().map_err(failed)?;
        {
            let mut insert = write.prepare_cached(INSERT).map_err(failed)?;
            for event in events {
                let row = params![
                    event.aggregate_type,
                    event.aggregate_id,
                    number(event.sequence),
                    event.event_type,
                    event.event_version,
                    event.payload.to_string(),
                    event.metadata.to_string(),
                ];
                insert.execute(row).map_err(failed)?;
            }
        }
        write.commit().map_err(failed)
    }

    /// Lends a connection that no other thread uses.
    fn reading<T>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, PersistenceError> {
        let free = lock(&self.0.readers).pop();
        let reader = match free {
            Some(reader) => reader,
            None => connect(&self.0.file).map_err(failed)?,
        };
        let result = read(&reader).map_err(failed)?;
        lock(&self.0.readers).push(reader);
        Ok(result)
    }
}

fn event<A: Aggregate>(row: &Row<'_>) -> rusqlite::Result<SerializedEvent> {
    let json = |column: usize| -> rusqlite::Result<Value> {
        let text = row.get_ref(column)?.as_str()?;
        serde_json::from_str(text).map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error.into())
        })
    };
    Ok(SerializedEvent::new(
        row.get(0)?,
        usize::try_from(row.get::<_, i64>(1)?).unwrap_or_default(),
        A::TYPE.to_owned(),
        row.get(2)?,
        row.get(3)?,
        json(4)?,
        json(5)?,
    ))
}

/// A sequence number as SQLite has numbers.
fn number(sequence: usize) -> i64 {
    i64::try_from(sequence).unwrap_or(i64::MAX)
}

fn connect(file: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(file)?;
    connection.execute_batch(SETTINGS)?;
    Ok(connection)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn failed(error: rusqlite::Error) -> PersistenceError {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::ConstraintViolation) => PersistenceError::OptimisticLockError,
        _ => PersistenceError::UnknownError(error.into()),
    }
}

fn unused() -> PersistenceError {
    PersistenceError::UnknownError("no workload replays".into())
}
