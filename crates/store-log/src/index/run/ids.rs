//! From ids to ordinals by a few bits of their hashes: about five bytes an id.

use super::super::Result;
use super::super::hash::TAG_BITS;
use super::bytes::{low_bytes, number, u32_at};
use super::header::Section;
use super::output::Output;
use super::source::SectionView;

/// How many buckets a group has, where there are that many.
const GROUP_BUCKETS: u32 = 64;
/// A bucket has twice this many entries at most, on average.
const BUCKET_ENTRIES_LOG: u32 = 3;

/// After how many groups the memory behind them is let go of.
const RELEASE_GROUPS: u64 = 64;

/// How a table of so many ids over so many positions is laid out.
///
/// A hash's top bits tell the bucket, the rest of its tag stands in the entry above the ordinal.
#[derive(Clone, Copy, Debug)]
struct Layout {
    bucket_bits: u32,
    ordinal_bits: u32,
    width: usize,
    group_buckets: u32,
}

impl Layout {
    fn new(entries: u64, positions: u64) -> Self {
        let bucket_bits = entries
            .checked_ilog2()
            .unwrap_or(0)
            .saturating_sub(BUCKET_ENTRIES_LOG)
            .min(TAG_BITS - 1);
        let ordinal_bits = u64::BITS - positions.saturating_sub(1).leading_zeros();
        Self {
            bucket_bits,
            ordinal_bits,
            width: (TAG_BITS - bucket_bits + ordinal_bits).div_ceil(8) as usize,
            group_buckets: 1 << bucket_bits.min(GROUP_BUCKETS.ilog2()),
        }
    }

    fn bucket(&self, tag: u64) -> u64 {
        tag >> (TAG_BITS - self.bucket_bits)
    }

    /// Which group a bucket is in, and which of its buckets it is.
    fn place(&self, bucket: u64) -> (u64, u32) {
        let buckets = u64::from(self.group_buckets);
        (
            bucket / buckets,
            u32::try_from(bucket % buckets).unwrap_or(0),
        )
    }

    fn groups(&self, entries: u64) -> u64 {
        let buckets = if entries == 0 {
            0
        } else {
            1 << self.bucket_bits
        };
        self.place(buckets).0
    }

    /// The tag's bits that the bucket does not tell.
    fn rest(&self, tag: u64) -> u64 {
        tag & ((1 << (TAG_BITS - self.bucket_bits)) - 1)
    }

    fn entry(&self, tag: u64, ordinal: u32) -> u64 {
        self.rest(tag) << self.ordinal_bits | u64::from(ordinal)
    }

    /// Rest and ordinal of an entry.
    fn parts(&self, entry: u64) -> (u64, u64) {
        (
            entry >> self.ordinal_bits,
            entry & ((1 << self.ordinal_bits) - 1),
        )
    }
}

/// Appends the ordinals that were entered under this tag.
pub(crate) fn find(
    ids: &SectionView<'_>,
    positions: u64,
    tag: u64,
    mut found: impl FnMut(u64),
) -> Result<()> {
    let section = ids.section();
    if section.entries == 0 {
        return Ok(());
    }
    let layout = Layout::new(section.entries, positions);
    let bucket = layout.bucket(tag);
    for entry in bucket_entries(ids, &layout, bucket)?.chunks_exact(layout.width) {
        let (rest, ordinal) = layout.parts(number(entry));
        if rest == layout.rest(tag) && ordinal < positions {
            found(ordinal);
        }
    }
    Ok(())
}

/// The entries of one bucket.
fn bucket_entries<'a>(ids: &SectionView<'a>, layout: &Layout, bucket: u64) -> Result<&'a [u8]> {
    let (group, within) = layout.place(bucket);
    let within = within as usize;
    let group = ids.group(group)?;
    let ends = ids.bytes(group, layout.group_buckets as usize * 4)?;

    let start = within
        .checked_sub(1)
        .map_or(Some(0), |before| u32_at(ends, before * 4));
    let end = u32_at(ends, within * 4);
    let (Some(start), Some(end)) = (start, end) else {
        return Err(ids.damaged("a bucket of ids is cut"));
    };
    let at = group + ends.len() as u64 + u64::from(start) * layout.width as u64;
    ids.bytes(at, end.saturating_sub(start) as usize * layout.width)
}

/// All ids of a run in the order of their tags.
#[derive(Debug)]
pub(crate) struct Ids<'a> {
    section: SectionView<'a>,
    layout: Layout,
    buckets: u64,
    /// The next bucket.
    bucket: u64,
    entries: &'a [u8],
    released: u64,
}

impl<'a> Ids<'a> {
    pub(crate) fn new(ids: SectionView<'a>, positions: u64) -> Self {
        let section = ids.section();
        let layout = Layout::new(section.entries, positions);
        let buckets = if section.entries == 0 {
            0
        } else {
            1 << layout.bucket_bits
        };
        Self {
            section: ids,
            layout,
            buckets,
            bucket: 0,
            entries: &[],
            released: 0,
        }
    }

    /// The tag and the ordinal of the next id.
    pub(crate) fn next(&mut self) -> Result<Option<(u64, u32)>> {
        while self.entries.is_empty() {
            if self.bucket == self.buckets {
                return Ok(None);
            }
            let (group, within) = self.layout.place(self.bucket);
            if within == 0 && group.is_multiple_of(RELEASE_GROUPS) {
                let group = self.section.group(group)?;
                self.section.release(self.released, group);
                self.released = group;
            }
            self.entries = bucket_entries(&self.section, &self.layout, self.bucket)?;
            self.bucket += 1;
        }
        let (entry, rest) = self
            .entries
            .split_at_checked(self.layout.width)
            .ok_or_else(|| self.section.damaged("an id is cut"))?;
        self.entries = rest;
        let (rest, ordinal) = self.layout.parts(number(entry));
        let bucket = self.bucket - 1;
        let tag = bucket << (TAG_BITS - self.layout.bucket_bits) | self.layout.rest(rest);
        Ok(Some((tag, u32::try_from(ordinal).unwrap_or(u32::MAX))))
    }
}

/// Writes the section, in the order of the tags.
#[derive(Debug)]
pub(crate) struct IdsWriter {
    start: u64,
    layout: Layout,
    entries: u64,
    /// The group that is being written.
    group: u64,
    ends: Vec<u32>,
    data: Vec<u8>,
    groups: Vec<u64>,
}

impl IdsWriter {
    /// For so many ids over so many positions.
    pub(crate) fn new(out: &Output, entries: u64, positions: u64) -> Self {
        Self {
            start: out.offset(),
            layout: Layout::new(entries, positions),
            entries,
            group: 0,
            ends: Vec::new(),
            data: Vec::new(),
            groups: Vec::new(),
        }
    }

    pub(crate) fn push(&mut self, out: &mut Output, tag: u64, ordinal: u32) -> Result<()> {
        let bucket = self.layout.bucket(tag);
        let (group, within) = self.layout.place(bucket);
        while group > self.group {
            self.end_group(out)?;
        }
        self.end_buckets(within);
        let entry = self.layout.entry(tag, ordinal).to_le_bytes();
        self.data
            .extend_from_slice(low_bytes(&entry, self.layout.width));
        Ok(())
    }

    pub(crate) fn finish(mut self, out: &mut Output) -> Result<Section> {
        while self.group < self.layout.groups(self.entries) {
            self.end_group(out)?;
        }
        out.end_section(self.start, self.entries, &self.groups)
    }

    /// Ends the buckets of this group before this one.
    fn end_buckets(&mut self, before: u32) {
        let end = u32::try_from(self.data.len() / self.layout.width).unwrap_or(u32::MAX);
        self.ends.resize(self.ends.len().max(before as usize), end);
    }

    fn end_group(&mut self, out: &mut Output) -> Result<()> {
        self.end_buckets(self.layout.group_buckets);
        self.groups.push(out.offset() - self.start);
        for end in self.ends.drain(..) {
            out.write(&end.to_le_bytes())?;
        }
        out.write(&self.data)?;
        self.data.clear();
        self.group += 1;
        Ok(())
    }
}
