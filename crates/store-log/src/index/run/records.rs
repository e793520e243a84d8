//! Where the record of each event is: about two bytes an event.

use std::hint::black_box;

use super::super::Result;
use super::bytes::{low_bytes, number};
use super::header::Section;
use super::output::Output;
use super::source::SectionView;

/// How many events a group has; the last may have fewer.
const GROUP_EVENTS: u32 = 4096;
/// How many events share a base; the last block may have fewer.
const BLOCK_EVENTS: u32 = 64;
/// How long a base is, in bytes; the offsets from it follow.
const BASE_BYTES: u32 = 8;
/// How many places are fetched together, at most.
const FETCH_MAX: usize = 64;
/// How wide offsets can be, in bytes. At eight the base is zero.
const WIDTHS: [u32; 3] = [2, 3, 8];

/// Finds where records are, and remembers the block where it found the last one.
///
/// A group's width follows from its length, so that base and offset are found by one look at the directory
/// and then at once.
#[derive(Debug)]
pub(crate) struct Places<'a> {
    records: SectionView<'a>,
    /// Which block of the section it is that stands below; of no ordinal at first.
    block: u32,
    base: u64,
    offsets: &'a [u8],
    width: u32,
}

/// A block of the section: where it begins, its length, and how wide its offsets are.
#[derive(Clone, Copy)]
struct Block {
    start: u64,
    bytes: usize,
    width: u32,
}

impl<'a> Places<'a> {
    pub(crate) fn new(records: SectionView<'a>) -> Self {
        Self {
            records,
            block: u32::MAX,
            base: 0,
            offsets: &[],
            width: 8,
        }
    }

    /// The bits of where this event's record is; the ordinal is one of the run's.
    #[inline]
    pub(crate) fn find(&mut self, ordinal: u32) -> Result<u64> {
        if ordinal / BLOCK_EVENTS != self.block {
            self.turn_to(ordinal)?;
        }
        let start = (ordinal % BLOCK_EVENTS * self.width) as usize;
        let rest = self.offsets.get(start..).unwrap_or_default();
        let offset = match (rest.first_chunk(), rest.get(..self.width as usize)) {
            // A whole word is had at once, and what is not of this offset is cut off it.
            (Some(word), Some(_)) => {
                u64::from_le_bytes(*word) & (u64::MAX >> (64 - 8 * self.width))
            }
            (None, Some(offset)) => number(offset),
            (_, None) => return Err(self.records.damaged("a block of records is cut")),
        };
        Ok(self.base.wrapping_add(offset))
    }

    /// Has the processor fetch where these events are told, all at once: one after another would wait for memory
    /// each time.
    pub(crate) fn fetch(&self, ordinals: impl Iterator<Item = u32>) {
        let mut last = None;
        let mut sum = 0;
        for ordinal in ordinals.take(FETCH_MAX) {
            if last.replace(ordinal / BLOCK_EVENTS) == Some(ordinal / BLOCK_EVENTS) {
                continue;
            }
            if let Ok(block) = self.block_of(ordinal) {
                let offset = BASE_BYTES + ordinal % BLOCK_EVENTS * block.width;
                sum ^= self.records.peek(block.start);
                sum ^= self.records.peek(block.start + u64::from(offset));
            }
        }
        black_box(sum);
    }

    fn turn_to(&mut self, ordinal: u32) -> Result<()> {
        let Block {
            start,
            bytes,
            width,
        } = self.block_of(ordinal)?;
        let block = self.records.bytes(start, bytes)?;
        let (base, offsets) = block
            .split_at_checked(BASE_BYTES as usize)
            .unwrap_or_default();
        self.block = ordinal / BLOCK_EVENTS;
        (self.base, self.offsets, self.width) = (number(base), offsets, width);
        Ok(())
    }

    /// Where the block of this event is.
    fn block_of(&self, ordinal: u32) -> Result<Block> {
        let group = ordinal / GROUP_EVENTS;
        let (start, end) = self.records.group_range(group.into())?;
        let events = group_events(self.records.section().entries, group);
        let width = width_of(end.saturating_sub(start), events)
            .ok_or_else(|| self.records.damaged("a group of records has an odd length"))?;
        let within = ordinal % GROUP_EVENTS / BLOCK_EVENTS;
        let events = events
            .saturating_sub(within * BLOCK_EVENTS)
            .min(BLOCK_EVENTS);
        let stride = u64::from(BASE_BYTES + BLOCK_EVENTS * width);
        Ok(Block {
            start: start + u64::from(within) * stride,
            bytes: (BASE_BYTES + events * width) as usize,
            width,
        })
    }
}

/// Writes the section, one event after the other.
#[derive(Debug)]
pub(crate) struct RecordsWriter {
    start: u64,
    count: u64,
    group: Vec<u64>,
    groups: Vec<u64>,
    data: Vec<u8>,
}

impl RecordsWriter {
    pub(crate) fn new(out: &Output) -> Self {
        Self {
            start: out.offset(),
            count: 0,
            group: Vec::new(),
            groups: Vec::new(),
            data: Vec::new(),
        }
    }

    pub(crate) fn push(&mut self, out: &mut Output, record: u64) -> Result<()> {
        self.group.push(record);
        self.count += 1;
        if self.group.len() == GROUP_EVENTS as usize {
            self.end_group(out)?;
        }
        Ok(())
    }

    pub(crate) fn finish(mut self, out: &mut Output) -> Result<Section> {
        if !self.group.is_empty() {
            self.end_group(out)?;
        }
        out.end_section(self.start, self.count, &self.groups)
    }

    fn end_group(&mut self, out: &mut Output) -> Result<()> {
        self.groups.push(out.offset() - self.start);
        let blocks = || self.group.chunks(BLOCK_EVENTS as usize);
        let width = blocks().map(width_for).max().unwrap_or(8);
        self.data.clear();
        for block in blocks() {
            let base = block.first().copied().filter(|_| width < 8).unwrap_or(0);
            self.data.extend(base.to_le_bytes());
            for record in block {
                let offset = record.wrapping_sub(base).to_le_bytes();
                self.data
                    .extend_from_slice(low_bytes(&offset, width as usize));
            }
        }
        out.write(&self.data)?;
        self.group.clear();
        Ok(())
    }
}

/// How wide the offsets of a block must be. They don't always go up from the base: a segment may begin, and
/// lost events are at zero.
fn width_for(block: &[u64]) -> u32 {
    let base = block.first().copied().unwrap_or(0);
    let widest = block.iter().map(|record| record.wrapping_sub(base)).max();
    match widest.unwrap_or(0) {
        ..0x1_0000 => 2,
        0x1_0000..0x100_0000 => 3,
        _ => 8,
    }
}

/// How many events this group of a run has.
fn group_events(entries: u64, group: u32) -> u32 {
    let before = u64::from(group) * u64::from(GROUP_EVENTS);
    let events = entries.saturating_sub(before).min(GROUP_EVENTS.into());
    u32::try_from(events).unwrap_or(GROUP_EVENTS)
}

/// How wide the offsets are in a group of this length.
fn width_of(length: u64, events: u32) -> Option<u32> {
    let blocks = u64::from(events.div_ceil(BLOCK_EVENTS));
    let offsets = length.checked_sub(blocks * u64::from(BASE_BYTES))?;
    let is_width = |width: &u32| u64::from(events * width) == offsets;
    WIDTHS.into_iter().find(is_width)
}
