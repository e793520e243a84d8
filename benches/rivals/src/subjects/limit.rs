//! What the machine gives at best: a plain file, no index on disk, no check of anything.
//!
//! Appends are one pwrite and one fdatasync on blocks that are already written, behind the batching
//! writer that the key-value stores have too. An import is large writes and one fdatasync. Reads come from a
//! memory map, by offsets that an open gathers from the file.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use anyhow::{Context, Result, bail};
use memmap2::Mmap;

use crate::batcher::{Batcher, Engine};
use crate::event::{self, Seen};
use crate::subject::{Answer, Guard, Import, NewAppend, Subject};

/// Where single appends go, round and round.
const TAIL_BYTES: u64 = 64 << 20;
/// How much an import writes at a time.
const WRITE_BYTES: usize = 1 << 20;

/// The bare file.
#[derive(Debug)]
pub struct Limit {
    log: File,
    content: RwLock<Content>,
    tail: Batcher<Tail>,
    heads: Mutex<Vec<u64>>,
}

#[derive(Debug, Default)]
struct Content {
    map: Option<Mmap>,
    events: u64,
    /// The offsets of each order's events.
    orders: Vec<Vec<usize>>,
}

#[derive(Debug)]
struct Tail {
    file: File,
    offset: u64,
    buffer: Vec<u8>,
    position: u64,
}

impl Subject for Limit {
    const IMPORT: Import = Import {
        events: 1000,
        in_flight: 1,
    };

    fn open(dir: &Path) -> Result<Self> {
        let log = file(&dir.join("log"))?;
        let content = Content::read(&log)?;
        let tail = Tail::open(&dir.join("tail"), content.events)?;
        let heads = content.orders.iter().map(|offsets| offsets.len() as u64);
        Ok(Self {
            heads: Mutex::new(heads.collect()),
            log,
            content: RwLock::new(content),
            tail: Batcher::new(tail),
        })
    }

    async fn append(&self, append: NewAppend) -> Result<Answer> {
        if let Guard::Stream(known) = append.guard {
            let order = usize::try_from(append.lines[0].order)?;
            let heads = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
            if heads.get(order) != Some(&known.version) {
                return Ok(Answer::Refused);
            }
        }
        self.tail.append(append).await
    }

    fn import(
        self: &Arc<Self>,
        appends: impl Iterator<Item = NewAppend> + Send + 'static,
    ) -> Result<()> {
        let mut offset = self.log.metadata()?.len();
        let mut buffer = Vec::with_capacity(2 * WRITE_BYTES);
        let mut write = |buffer: &mut Vec<u8>| -> Result<()> {
            self.log.write_all_at(buffer, offset)?;
            offset += buffer.len() as u64;
            buffer.clear();
            Ok(())
        };
        for append in appends {
            for line in &append.lines {
                line.encode(&mut buffer);
            }
            if buffer.len() >= WRITE_BYTES {
                write(&mut buffer)?;
            }
        }
        write(&mut buffer)?;
        self.log.sync_data()?;
        Ok(())
    }

    fn read_stream(&self, order: u64, mut see: impl FnMut(Seen<'_>)) -> Result<()> {
        let content = self.content.read().unwrap_or_else(PoisonError::into_inner);
        let Some(map) = &content.map else {
            bail!("nothing was imported before the open");
        };
        let offsets = content.orders.get(usize::try_from(order)?);
        for offset in offsets.into_iter().flatten() {
            let (seen, _) = event::decode(&map[*offset..])?;
            see(seen);
        }
        Ok(())
    }

    fn read_all(&self, mut see: impl FnMut(Seen<'_>)) -> Result<()> {
        let content = self.content.read().unwrap_or_else(PoisonError::into_inner);
        let mut rest = content.map.as_deref().unwrap_or_default();
        while !rest.is_empty() {
            let (seen, length) = event::decode(rest)?;
            see(seen);
            rest = &rest[length..];
        }
        Ok(())
    }

    fn head(&self) -> Result<u64> {
        let content = self.content.read().unwrap_or_else(PoisonError::into_inner);
        Ok(content.events)
    }

    fn close(self) -> Result<()> {
        drop(self.tail.into_engine()?);
        Ok(())
    }
}

impl Content {
    #[expect(
        unsafe_code,
        reason = "nobody cuts the file while it is mapped: an import ends before the open that maps it"
    )]
    fn read(log: &File) -> Result<Self> {
        if log.metadata()?.len() == 0 {
            return Ok(Self::default());
        }
        // SAFETY: see the reason above.
        let map = unsafe { Mmap::map(log)? };
        let mut orders: Vec<Vec<usize>> = Vec::new();
        let (mut offset, mut events) = (0, 0);
        while offset < map.len() {
            let bytes = &map[offset..];
            let order = usize::try_from(event::order_of(bytes)?)?;
            if orders.len() <= order {
                orders.resize_with(order + 1, Vec::new);
            }
            orders[order].push(offset);
            offset += event::decode(bytes)?.1;
            events += 1;
        }
        Ok(Self {
            map: Some(map),
            events,
            orders,
        })
    }
}

impl Tail {
    /// Opens the file with every block written, so that a sync has no metadata to bring along.
    fn open(path: &Path, position: u64) -> Result<Self> {
        let file = file(path)?;
        if file.metadata()?.len() < TAIL_BYTES {
            let zeros = vec![0; WRITE_BYTES];
            for offset in (0..TAIL_BYTES).step_by(WRITE_BYTES) {
                file.write_all_at(&zeros, offset)?;
            }
            file.sync_all()?;
        }
        Ok(Self {
            file,
            offset: 0,
            buffer: Vec::new(),
            position,
        })
    }
}

impl Engine for Tail {
    fn commit(&mut self, batch: &[NewAppend]) -> Result<Vec<Answer>> {
        self.buffer.clear();
        let mut answers = Vec::with_capacity(batch.len());
        for append in batch {
            for line in &append.lines {
                line.encode(&mut self.buffer);
            }
            self.position += append.lines.len() as u64;
            answers.push(Answer::Recorded(self.position));
        }
        let bytes = self.buffer.len() as u64;
        if self.offset + bytes > TAIL_BYTES {
            self.offset = 0;
        }
        self.file.write_all_at(&self.buffer, self.offset)?;
        self.file.sync_data()?;
        self.offset += bytes;
        Ok(answers)
    }
}

fn file(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create(true).truncate(false);
    options
        .open(path)
        .with_context(|| format!("cannot open {}", path.display()))
}
