//! Where the record of each event is: about two bytes an event.

use super::super::Result;
use super::bytes::{low_bytes, number, u32_at, u64_at};
use super::header::Section;
use super::output::Output;
use super::source::SectionView;

/// How many events a group has.
const GROUP_EVENTS: u32 = 4096;
/// How many events share a base.
const BLOCK_EVENTS: u32 = 64;
/// An entry: the base, then how wide the block's offsets are and where in the group they begin.
const ENTRY_BYTES: u32 = 12;
const WIDTHS: [usize; 3] = [2, 3, 8];
const WIDTH_SHIFT: u32 = 28;

/// The bits of where this event's record is; the ordinal is one of the run's.
#[inline]
pub(crate) fn find(records: &SectionView<'_>, ordinal: u32) -> Result<u64> {
    let group = records.group((ordinal / GROUP_EVENTS).into())?;
    let entry = ordinal % GROUP_EVENTS / BLOCK_EVENTS * ENTRY_BYTES;
    let entry = records.bytes(group + u64::from(entry), ENTRY_BYTES as usize)?;
    let bad = || records.damaged("a block of records is out of its group");
    let (base, place) = (
        u64_at(entry, 0).ok_or_else(bad)?,
        u32_at(entry, 8).ok_or_else(bad)?,
    );
    let width = *WIDTHS
        .get((place >> WIDTH_SHIFT) as usize)
        .ok_or_else(bad)?;
    let start = u64::from(place & ((1 << WIDTH_SHIFT) - 1));
    let within = u64::from(ordinal % BLOCK_EVENTS) * width as u64;
    let offset = number(records.bytes(group + start + within, width)?);
    Ok(if width == 8 {
        offset
    } else {
        base.wrapping_add(offset)
    })
}

/// Writes the section, one event after the other.
#[derive(Debug)]
pub(crate) struct RecordsWriter {
    start: u64,
    count: u64,
    group: Vec<u64>,
    groups: Vec<u64>,
}

impl RecordsWriter {
    pub(crate) fn new(out: &Output) -> Self {
        Self {
            start: out.offset(),
            count: 0,
            group: Vec::new(),
            groups: Vec::new(),
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
        let blocks = self.group.chunks(BLOCK_EVENTS as usize);
        let mut entries = Vec::new();
        let mut data = Vec::new();
        let data_start = blocks.len() * ENTRY_BYTES as usize;
        for block in blocks {
            let base = block.first().copied().unwrap_or_default();
            let code = width_code(block, base);
            let place = u32::try_from(data_start + data.len()).unwrap_or(u32::MAX);
            entries.extend(base.to_le_bytes());
            entries.extend((code << WIDTH_SHIFT | place).to_le_bytes());
            let width = WIDTHS.get(code as usize).copied().unwrap_or(8);
            let base = if width == 8 { 0 } else { base };
            for record in block {
                let offset = record.wrapping_sub(base).to_le_bytes();
                data.extend_from_slice(low_bytes(&offset, width));
            }
        }
        out.write(&entries)?;
        out.write(&data)?;
        self.group.clear();
        Ok(())
    }
}

/// How wide the offsets from the base must be; whole records where they don't go up from it.
fn width_code(block: &[u64], base: u64) -> u32 {
    let widest = block.iter().map(|record| record.wrapping_sub(base)).max();
    match widest.unwrap_or(0) {
        ..0x1_0000 => 0,
        0x1_0000..0x100_0000 => 1,
        _ => 2,
    }
}
