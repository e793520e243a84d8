//! Where the record of each event is: about two bytes an event.

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
/// How wide offsets can be, in bytes. At eight the base is zero.
const WIDTHS: [u32; 3] = [2, 3, 8];

/// The bits of where this event's record is; the ordinal is one of the run's.
///
/// A group's width follows from its length, so that base and offset are found by one look at the directory
/// and then at once.
#[inline]
pub(crate) fn find(records: &SectionView<'_>, ordinal: u32) -> Result<u64> {
    let group = ordinal / GROUP_EVENTS;
    let (start, end) = records.group_range(group.into())?;
    let events = group_events(records.section().entries, group);
    let width = width_of(end.saturating_sub(start), events)
        .ok_or_else(|| records.damaged("a group of records has an odd length"))?;
    let block = u64::from(ordinal % GROUP_EVENTS / BLOCK_EVENTS);
    let within = ordinal % BLOCK_EVENTS;
    let stride = u64::from(BASE_BYTES + BLOCK_EVENTS * width);
    let bytes = (BASE_BYTES + (within + 1) * width) as usize;
    let block = records.bytes(start + block * stride, bytes)?;
    let (base, offsets) = block
        .split_at_checked(BASE_BYTES as usize)
        .unwrap_or_default();
    let offset = offsets.get((within * width) as usize..).unwrap_or_default();
    Ok(number(base).wrapping_add(number(offset)))
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
