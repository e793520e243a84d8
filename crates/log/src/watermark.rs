//! The watermark file: two slots, of which one is always durable.
//!
//! The slot that was synced last is never overwritten before the other one is synced in its turn, so
//! that a power loss leaves at least that one.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::LogId;
use crate::error::{Damage, DamageKind, Error, Result};
use crate::files::{Files, WATERMARK, flawed, read_full, write_full};
use crate::format::Flaw;
use crate::format::watermark::{Ended, FILE_BYTES, SLOT_BYTES, SLOT_OFFSETS, Slot};
use crate::place::Tip;
use crate::planted::{self, Bug};
use crate::vfs::{Access, VfsFile};

/// The writer's hold on the file.
#[derive(Debug)]
pub(crate) struct Watermark {
    file: Arc<dyn VfsFile>,
    pub(crate) path: PathBuf,
    /// The slot as it was written last.
    pub(crate) slot: Slot,
    /// Which slot is written next.
    hot: Side,
    /// Whether the slot that is not written next is known to be on the disk.
    kept: Kept,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    /// It was synced.
    Durably,
    /// Another process wrote it, and may have been stopped before the sync.
    Perhaps,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

impl Watermark {
    /// Begins the file of a new log, both slots synced.
    pub(crate) fn create(files: &Files, log: LogId, segment: u32, tip: Tip) -> io::Result<Self> {
        let path = files.path(WATERMARK);
        files.remove(&path)?;
        let file = files.vfs.open(&path, Access::Create)?;
        let slot = Slot {
            log,
            sequence: 1,
            ended: Ended::Openly,
            segment,
            durable: tip,
            served_offset: tip.offset,
            served_number: tip.next_number,
        };
        let mut bytes = vec![0; FILE_BYTES];
        for (place, block) in SLOT_OFFSETS
            .iter()
            .zip(SLOT_OFFSETS.map(|at| slot.encode(at)))
        {
            let place = usize::try_from(*place).unwrap_or(0);
            let slots = bytes.iter_mut().skip(place);
            slots.zip(block).for_each(|(byte, new)| *byte = new);
        }
        write_full(&*file, &bytes, 0)?;
        file.sync_all()?;
        Ok(Self {
            file,
            path,
            slot,
            hot: Side::Right,
            kept: Kept::Durably,
        })
    }

    /// Opens the file of a log to write.
    pub(crate) fn open(files: &Files, log: LogId) -> Result<Self> {
        let path = files.path(WATERMARK);
        let file = files.open(&path, Access::Write)?;
        // A sync that failed leaves a slot in memory that is not on the disk.
        file.forget_cached(0..FILE_BYTES as u64)
            .map_err(|error| Error::io("the watermark can't be read", &path, error))?;
        let (slot, side) = read(files, &*file, log)?;
        Ok(Self {
            file,
            path,
            slot,
            hot: side.other(),
            kept: Kept::Perhaps,
        })
    }

    /// Notes what is durable and what is served. Not synced: the note may be lost, never be ahead.
    pub(crate) fn note(&mut self, segment: u32, durable: Tip, served: Tip) -> io::Result<()> {
        self.write(segment, durable, served, Ended::Openly)?;
        if planted::is_active(Bug::WatermarkBothAtOnce) {
            self.kept = Kept::Durably;
            self.hot = self.hot.other();
        }
        Ok(())
    }

    /// Notes what is durable, and makes the note durable.
    pub(crate) fn seal(&mut self, segment: u32, durable: Tip, ended: Ended) -> io::Result<()> {
        self.write(segment, durable, durable, ended)?;
        self.file.sync_data()?;
        self.hot = self.hot.other();
        Ok(())
    }

    fn write(&mut self, segment: u32, durable: Tip, served: Tip, ended: Ended) -> io::Result<()> {
        let slot = Slot {
            log: self.slot.log,
            sequence: self.slot.sequence + 1,
            ended,
            segment,
            durable,
            served_offset: served.offset,
            served_number: served.next_number,
        };
        if self.kept == Kept::Perhaps {
            self.file.sync_data()?;
            self.kept = Kept::Durably;
        }
        write_full(
            &*self.file,
            &slot.encode(self.hot.offset()),
            self.hot.offset(),
        )?;
        self.slot = slot;
        Ok(())
    }
}

impl Side {
    fn other(self) -> Self {
        match self {
            Self::Left => Self::Right,
            Self::Right => Self::Left,
        }
    }

    fn offset(self) -> u64 {
        let [left, right] = SLOT_OFFSETS;
        match self {
            Self::Left => left,
            Self::Right => right,
        }
    }
}

/// The newest valid slot.
pub(crate) fn read_slot(files: &Files, file: &dyn VfsFile, log: LogId) -> Result<Slot> {
    read(files, file, log).map(|(slot, _)| slot)
}

fn read(files: &Files, file: &dyn VfsFile, log: LogId) -> Result<(Slot, Side)> {
    let path = files.path(WATERMARK);
    let mut found: Option<(Slot, Side)> = None;
    for side in [Side::Left, Side::Right] {
        let mut block = [0; SLOT_BYTES];
        let read = read_full(file, &mut block, side.offset())
            .map_err(|error| Error::io("the watermark can't be read", &path, error))?;
        match Slot::parse(block.get(..read).unwrap_or_default(), side.offset()) {
            Ok(slot) if slot.log != log => {
                let damage = Damage::new(&path, side.offset(), DamageKind::Foreign);
                return Err(Error::corrupt(damage));
            }
            Ok(slot) => {
                if found.is_none_or(|(best, _)| best.sequence < slot.sequence) {
                    found = Some((slot, side));
                }
            }
            Err(flaw @ Flaw::Newer(_)) => {
                return Err(flawed(flaw, &path, DamageKind::Watermark));
            }
            Err(_) => {}
        }
    }
    found.ok_or_else(|| Error::corrupt(Damage::new(&path, 0_u64, DamageKind::Watermark)))
}
