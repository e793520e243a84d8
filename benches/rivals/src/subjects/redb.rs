//! redb as an event log: events by position, and the positions of each stream by version.
//!
//! Settings: defaults (one sync a commit, a cache of 1 GiB).

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use crate::batcher::{Batcher, Engine};
use crate::event::{self, Seen};
use crate::subject::{Answer, Guard, Import, NewAppend, Subject};
use crate::subjects::{stream_key, stream_prefix, version_of};

const EVENTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("events");
const STREAMS: TableDefinition<'_, &[u8], u64> = TableDefinition::new("streams");

/// redb as a subject.
pub struct Redb {
    database: Arc<Database>,
    writer: Batcher<RedbWriter>,
}

struct RedbWriter {
    database: Arc<Database>,
    position: u64,
}

impl Subject for Redb {
    const IMPORT: Import = Import {
        events: 1000,
        in_flight: 8,
    };

    fn open(dir: &Path) -> Result<Self> {
        let file = dir.join("events.redb");
        let is_new = !file.exists();
        let database = Arc::new(Database::create(file)?);
        if is_new {
            let write = database.begin_write()?;
            write.open_table(EVENTS)?;
            write.open_table(STREAMS)?;
            write.commit()?;
        }
        let writer = RedbWriter {
            position: last_position(&database)?,
            database: Arc::clone(&database),
        };
        Ok(Self {
            database,
            writer: Batcher::new(writer),
        })
    }

    async fn append(&self, append: NewAppend) -> Result<Answer> {
        if let Guard::Stream(known) = append.guard {
            let streams = self.database.begin_read()?.open_table(STREAMS)?;
            if version(&streams, append.lines[0].order)? != known.version {
                return Ok(Answer::Refused);
            }
        }
        self.writer.append(append).await
    }

    fn read_stream(&self, order: u64, mut see: impl FnMut(Seen<'_>)) -> Result<()> {
        let read = self.database.begin_read()?;
        let (events, streams) = (read.open_table(EVENTS)?, read.open_table(STREAMS)?);
        let (first, last) = (stream_key(order, 0), stream_key(order, u64::MAX));
        for entry in streams.range(first.as_slice()..=last.as_slice())? {
            let event = events.get(entry?.1.value())?;
            see(event::decode(event.context("an event is missing")?.value())?.0);
        }
        Ok(())
    }

    fn read_all(&self, mut see: impl FnMut(Seen<'_>)) -> Result<()> {
        let events = self.database.begin_read()?.open_table(EVENTS)?;
        for entry in events.iter()? {
            see(event::decode(entry?.1.value())?.0);
        }
        Ok(())
    }

    fn head(&self) -> Result<u64> {
        last_position(&self.database)
    }

    fn close(self) -> Result<()> {
        drop(self.writer.into_engine()?);
        let database = Arc::into_inner(self.database).context("the database is in use")?;
        Ok(database.close()?)
    }
}

impl Engine for RedbWriter {
    fn commit(&mut self, batch: &[NewAppend]) -> Result<Vec<Answer>> {
        let write = self.database.begin_write()?;
        let mut answers = Vec::with_capacity(batch.len());
        let mut position = self.position;
        {
            let (mut events, mut streams) = (write.open_table(EVENTS)?, write.open_table(STREAMS)?);
            let mut bytes = Vec::new();
            for append in batch {
                if let Guard::Stream(known) = append.guard
                    && version(&streams, append.lines[0].order)? != known.version
                {
                    answers.push(Answer::Refused);
                    continue;
                }
                for line in &append.lines {
                    let version = version(&streams, line.order)? + 1;
                    position += 1;
                    bytes.clear();
                    line.encode(&mut bytes);
                    events.insert(position, bytes.as_slice())?;
                    streams.insert(stream_key(line.order, version).as_slice(), position)?;
                }
                answers.push(Answer::Recorded(position));
            }
        }
        write.commit()?;
        self.position = position;
        Ok(answers)
    }
}

fn version(streams: &impl ReadableTable<&'static [u8], u64>, order: u64) -> Result<u64> {
    let (prefix, last) = (stream_prefix(order), stream_key(order, u64::MAX));
    let newest = streams
        .range(prefix.as_slice()..=last.as_slice())?
        .next_back();
    newest.map_or(Ok(0), |entry| Ok(version_of(entry?.0.value())))
}

fn last_position(database: &Database) -> Result<u64> {
    let events = database.begin_read()?.open_table(EVENTS)?;
    Ok(events.last()?.map_or(0, |(position, _)| position.value()))
}
