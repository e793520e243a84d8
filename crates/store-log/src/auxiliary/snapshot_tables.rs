//! The tables of the snapshot file.
//!
//! | table | key | value |
//! |---|---|---|
//! | `meta` | `store` | format (u32, little-endian) and identity of the log |
//! | `snapshots` | stream, fold, version | a [row](super::row) |
//! | `chunks` | number, index | a part of a payload that is too large for its row |

use std::collections::BTreeSet;

use annals_core::{FoldId, Snapshot, SnapshotKey, StreamId, Version};
use redb::{
    Database, ReadableDatabase, ReadableTable, Table, TableDefinition, TableError, WriteTransaction,
};

use super::row::Head;
use super::snapshots::Trouble;
use annals_log::LogId;

/// The newest format that is read, and the one that is written.
pub(super) const META_FORMAT: u32 = 1;

/// Up to here a payload stands in its row.
const ROW_PAYLOAD_BYTES_MAX: usize = 32 * 1024;

/// What a chunk holds. redb gives a large value a run of pages of a power of two, which it just fills
/// with its head and key.
const CHUNK_BYTES: usize = 128 * 1024 - 128;

/// How many rows are copied in one transaction.
const COPIED_ROWS_MAX: usize = 16;

type RowKey<'a> = (&'a str, &'a str, u64);
type ChunkKey = (u64, u32);

const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
const META_KEY: &str = "store";
const SNAPSHOTS: TableDefinition<'_, RowKey<'_>, &[u8]> = TableDefinition::new("snapshots");
const CHUNKS: TableDefinition<'_, ChunkKey, &[u8]> = TableDefinition::new("chunks");

/// What was found of a key.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The newest that is whole.
    pub(super) snapshot: Option<Snapshot>,
    /// The versions of newer ones that are not.
    pub(super) damaged: Vec<Version>,
}

/// Says whose a new file is.
pub(super) fn put_meta(database: &Database, log: LogId) -> Result<(), Trouble> {
    let write = begin_write(database)?;
    let meta = [META_FORMAT.to_le_bytes().as_slice(), &log.to_bytes()].concat();
    write.open_table(META)?.insert(META_KEY, meta.as_slice())?;
    write.open_table(SNAPSHOTS)?;
    write.open_table(CHUNKS)?;
    Ok(write.commit()?)
}

/// Refuses the file of another store, or of a later version.
pub(super) fn check_meta(database: &Database, log: LogId) -> Result<(), Trouble> {
    let damaged = |how: &str| Trouble::Damaged(how.to_owned());
    let meta = database.begin_read()?.open_table(META)?;
    let meta = meta.get(META_KEY)?;
    let meta = meta.ok_or_else(|| damaged("it does not say whose it is"))?;
    let split = meta.value().split_first_chunk();
    let (format, found) = split.ok_or_else(|| damaged("it does not say its format"))?;
    match u32::from_le_bytes(*format) {
        META_FORMAT if *found == log.to_bytes() => Ok(()),
        META_FORMAT => Err(damaged("it is of another store")),
        newer => Err(Trouble::Newer(newer)),
    }
}

pub(super) fn save(database: &Database, snapshot: &Snapshot) -> Result<(), Trouble> {
    let (key, version, payload) = (snapshot.key(), snapshot.version(), snapshot.payload());
    let write = begin_write(database)?;
    {
        let mut tables = Tables::open(&write)?;
        tables.forget(key, version)?;
        if payload.len() <= ROW_PAYLOAD_BYTES_MAX {
            let mut row = Head::of(snapshot, None).encode(key, version);
            row.extend_from_slice(payload);
            tables.rows.insert(row_key(key, version), row.as_slice())?;
        } else {
            let number = tables.next_number()?;
            for (index, chunk) in (0..).zip(payload.chunks(CHUNK_BYTES)) {
                tables.chunks.insert((number, index), chunk)?;
            }
            let row = Head::of(snapshot, Some(number)).encode(key, version);
            tables.rows.insert(row_key(key, version), row.as_slice())?;
        }
    }
    Ok(write.commit()?)
}

pub(super) fn load(
    database: &Database,
    key: &SnapshotKey,
    at_most: Version,
) -> Result<Found, Trouble> {
    let read = database.begin_read()?;
    let rows = read.open_table(SNAPSHOTS)?;
    let chunks = read.open_table(CHUNKS)?;
    let mut found = Found::default();
    let span = row_key(key, Version::ABSENT)..=row_key(key, at_most);
    for entry in rows.range::<RowKey<'_>>(span)?.rev() {
        let (row_key, row) = entry?;
        let version = Version::new(row_key.value().2);
        found.snapshot = match Head::parse(key, version, row.value()) {
            Some((head, payload)) => {
                let payload = match head.chunks {
                    Some(number) => joined(&chunks, number, head.payload_bytes)?,
                    None => payload.to_vec(),
                };
                head.snapshot(key, version, payload)
            }
            None => None,
        };
        if found.snapshot.is_some() {
            break;
        }
        found.damaged.push(version);
    }
    Ok(found)
}

/// Removes these versions of a key, those that are still there.
pub(super) fn forget(
    database: &Database,
    key: &SnapshotKey,
    versions: &[Version],
) -> Result<(), Trouble> {
    let write = begin_write(database)?;
    {
        let mut tables = Tables::open(&write)?;
        for version in versions {
            tables.forget(key, *version)?;
        }
    }
    Ok(write.commit()?)
}

pub(super) fn remove(
    database: &Database,
    key: &SnapshotKey,
    keep_newest: usize,
) -> Result<usize, Trouble> {
    let write = begin_write(database)?;
    let surplus = {
        let mut tables = Tables::open(&write)?;
        let mut versions = Vec::new();
        let span = row_key(key, Version::ABSENT)..=row_key(key, Version::MAX);
        for entry in tables.rows.range::<RowKey<'_>>(span)? {
            versions.push(Version::new(entry?.0.value().2));
        }
        let surplus = versions.len().saturating_sub(keep_newest);
        for version in versions.iter().take(surplus) {
            tables.forget(key, *version)?;
        }
        surplus
    };
    if surplus > 0 {
        write.commit()?;
    } else {
        write.abort()?;
    }
    Ok(surplus)
}

/// Copies to a new database all snapshots but those of these streams, and tells how many those are. What is
/// damaged stays behind.
pub(super) fn copy_without(
    old: &Database,
    new: &Database,
    streams: &BTreeSet<&str>,
) -> Result<usize, Trouble> {
    let read = old.begin_read()?;
    let rows = read.open_table(SNAPSHOTS)?;
    let chunks = read.open_table(CHUNKS)?;
    let mut left_out = 0;
    let mut entries = rows.iter()?.peekable();
    while entries.peek().is_some() {
        let write = begin_write(new)?;
        {
            let mut tables = Tables::open(&write)?;
            for entry in entries.by_ref().take(COPIED_ROWS_MAX) {
                let (row_key, row) = entry?;
                if streams.contains(row_key.value().0) {
                    left_out += 1;
                } else {
                    tables.copy(row_key.value(), row.value(), &chunks)?;
                }
            }
        }
        write.commit()?;
    }
    Ok(left_out)
}

/// A transaction that is durable when it is committed, and that an unclean end does not make the next
/// opening walk through the whole file for.
fn begin_write(database: &Database) -> Result<WriteTransaction, Trouble> {
    let mut write = database.begin_write()?;
    write.set_quick_repair(true);
    Ok(write)
}

/// The payload of this length that stands in chunks; shorter where one is missing.
fn joined(
    chunks: &impl ReadableTable<ChunkKey, &'static [u8]>,
    number: u64,
    bytes: usize,
) -> Result<Vec<u8>, Trouble> {
    let mut payload = Vec::with_capacity(bytes);
    for entry in chunks.range((number, 0)..=(number, u32::MAX))? {
        let (_, chunk) = entry?;
        if payload.len() + chunk.value().len() > bytes {
            return Ok(Vec::new());
        }
        payload.extend_from_slice(chunk.value());
    }
    Ok(payload)
}

fn row_key(key: &SnapshotKey, version: Version) -> RowKey<'_> {
    (key.stream.as_str(), key.fold.as_str(), version.value())
}

/// The tables of a transaction that writes.
struct Tables<'t> {
    rows: Table<'t, RowKey<'static>, &'static [u8]>,
    chunks: Table<'t, ChunkKey, &'static [u8]>,
}

impl<'t> Tables<'t> {
    fn open(write: &'t WriteTransaction) -> Result<Self, TableError> {
        Ok(Self {
            rows: write.open_table(SNAPSHOTS)?,
            chunks: write.open_table(CHUNKS)?,
        })
    }

    /// Removes a snapshot. The chunks of one whose row is damaged stay: nothing tells which they are.
    fn forget(&mut self, key: &SnapshotKey, version: Version) -> Result<(), Trouble> {
        let removed = self.rows.remove(row_key(key, version))?;
        let number = removed.and_then(|row| {
            let (head, _) = Head::parse(key, version, row.value())?;
            head.chunks
        });
        if let Some(number) = number {
            self.chunks
                .retain_in((number, 0)..=(number, u32::MAX), |_, _| false)?;
        }
        Ok(())
    }

    /// Takes over a row of another database, with its chunks.
    fn copy(
        &mut self,
        key: RowKey<'_>,
        row: &[u8],
        chunks: &impl ReadableTable<ChunkKey, &'static [u8]>,
    ) -> Result<(), Trouble> {
        let (stream, fold, version) = key;
        let (Ok(stream), Ok(fold)) = (StreamId::parse(stream), FoldId::parse(fold)) else {
            return Ok(());
        };
        let snapshot_key = SnapshotKey { stream, fold };
        let Some((head, _)) = Head::parse(&snapshot_key, Version::new(version), row) else {
            return Ok(());
        };
        if let Some(number) = head.chunks {
            for entry in chunks.range((number, 0)..=(number, u32::MAX))? {
                let (chunk_key, chunk) = entry?;
                self.chunks.insert(chunk_key.value(), chunk.value())?;
            }
        }
        self.rows.insert(key, row)?;
        Ok(())
    }

    /// A number that no chunk has.
    fn next_number(&self) -> Result<u64, Trouble> {
        let last = self.chunks.last()?;
        Ok(last.map_or(1, |(key, _)| key.value().0.saturating_add(1)))
    }
}
