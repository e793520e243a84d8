//! fjall as an event log: events by position, and the positions of each stream by version.
//!
//! Settings: defaults but for a block cache of 256 MiB; a batch is one atomic write with fdatasync.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use crate::batcher::{Batcher, Engine};
use crate::event::{self, Seen};
use crate::subject::{Answer, Guard, Import, NewAppend, Subject};
use crate::subjects::{stream_key, stream_prefix, version_of};

const CACHE_BYTES: u64 = 256 << 20;

/// fjall as a subject.
pub struct Fjall {
    tables: Tables,
    writer: Batcher<FjallWriter>,
}

#[derive(Clone)]
struct Tables {
    database: Database,
    events: Keyspace,
    streams: Keyspace,
}

struct FjallWriter {
    tables: Tables,
    position: u64,
}

impl Subject for Fjall {
    const IMPORT: Import = Import {
        events: 1000,
        in_flight: 8,
    };

    fn open(dir: &Path) -> Result<Self> {
        let database = Database::builder(dir).cache_size(CACHE_BYTES).open()?;
        let tables = Tables {
            events: database.keyspace("events", KeyspaceCreateOptions::default)?,
            streams: database.keyspace("streams", KeyspaceCreateOptions::default)?,
            database,
        };
        let writer = FjallWriter {
            position: tables.last_position()?,
            tables: tables.clone(),
        };
        Ok(Self {
            tables,
            writer: Batcher::new(writer),
        })
    }

    async fn append(&self, append: NewAppend) -> Result<Answer> {
        if let Guard::Stream(known) = append.guard
            && self.tables.version(append.lines[0].order)? != known.version
        {
            return Ok(Answer::Refused);
        }
        self.writer.append(append).await
    }

    fn read_stream(&self, order: u64, mut see: impl FnMut(Seen<'_>)) -> Result<()> {
        for entry in self.tables.streams.prefix(stream_prefix(order)) {
            let position = entry.value()?;
            let event = self.tables.events.get(position)?;
            see(event::decode(&event.context("an event is missing")?)?.0);
        }
        Ok(())
    }

    fn read_all(&self, mut see: impl FnMut(Seen<'_>)) -> Result<()> {
        for entry in self.tables.events.iter() {
            see(event::decode(&entry.value()?)?.0);
        }
        Ok(())
    }

    fn head(&self) -> Result<u64> {
        self.tables.last_position()
    }

    fn close(self) -> Result<()> {
        drop(self.writer.into_engine()?);
        self.tables.database.persist(PersistMode::SyncAll)?;
        Ok(())
    }
}

impl Tables {
    fn version(&self, order: u64) -> Result<u64> {
        let newest = self.streams.prefix(stream_prefix(order)).next_back();
        newest.map_or(Ok(0), |entry| Ok(version_of(&entry.key()?)))
    }

    fn last_position(&self) -> Result<u64> {
        let newest = self.events.last_key_value();
        newest.map_or(Ok(0), |entry| Ok(version_of(&entry.key()?)))
    }
}

impl Engine for FjallWriter {
    fn commit(&mut self, batch: &[NewAppend]) -> Result<Vec<Answer>> {
        let tables = &self.tables;
        let mut write = tables
            .database
            .batch()
            .durability(Some(PersistMode::SyncData));
        let mut versions: HashMap<u64, u64> = HashMap::new();
        let mut answers = Vec::with_capacity(batch.len());
        let mut position = self.position;
        let mut bytes = Vec::new();
        for append in batch {
            let first = append.lines[0].order;
            let version_of = |order| match versions.get(&order) {
                Some(version) => Ok(*version),
                None => tables.version(order),
            };
            if let Guard::Stream(known) = append.guard
                && version_of(first)? != known.version
            {
                answers.push(Answer::Refused);
                continue;
            }
            for line in &append.lines {
                let version = match versions.get(&line.order) {
                    Some(version) => *version,
                    None => tables.version(line.order)?,
                } + 1;
                versions.insert(line.order, version);
                position += 1;
                bytes.clear();
                line.encode(&mut bytes);
                write.insert(&tables.events, position.to_be_bytes(), bytes.as_slice());
                let key = stream_key(line.order, version);
                write.insert(&tables.streams, key, position.to_be_bytes());
            }
            answers.push(Answer::Recorded(position));
        }
        write.commit()?;
        self.position = position;
        Ok(answers)
    }
}
