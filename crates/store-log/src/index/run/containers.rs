//! Long sets of ordinals: a container for each 65,536 of them that has any, as in Roaring bitmaps
//! (Lemire et al., arXiv:1603.06549).

use annals_core::Direction;

use super::super::Result;
use super::bytes::{u16_at, u32_at, u64_at};
use super::output::Output;
use super::source::SectionView;

/// A long set in a section of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Long<'a> {
    section: SectionView<'a>,
    start: u64,
    directory: &'a [u8],
    count: u32,
}

/// Key, number of ordinals less one, ordinals before it, where it begins.
const ENTRY_BYTES: usize = 12;
/// Up to this many ordinals stand one by one, two bytes each; more are a bitmap.
const ARRAY_MAX: u32 = 4096;
const BITMAP_BYTES: usize = 8192;
const BITMAP_WORDS: u32 = 1024;

/// The ordinals that share their upper 16 bits.
#[derive(Clone, Copy, Debug)]
struct Container<'a> {
    key: u32,
    /// How many ordinals it has.
    count: u32,
    /// How many ordinals are in containers before it.
    before: u32,
    bytes: &'a [u8],
}

/// A place in a long set that moves in one direction.
#[derive(Debug)]
pub(crate) struct LongCursor<'a> {
    long: Long<'a>,
    /// The containers that are still ahead.
    ahead: std::ops::Range<usize>,
    current: Option<Container<'a>>,
    /// Where in an array the last ordinal was found.
    near: u32,
}

impl<'a> Long<'a> {
    /// How long a set of so many containers is at least, in bytes, is told by its directory: it ends the
    /// set.
    pub(crate) fn new(
        section: SectionView<'a>,
        (start, length): (u64, u64),
        containers: u32,
        count: u32,
    ) -> Result<Self> {
        let bytes = u64::from(containers) * ENTRY_BYTES as u64;
        let directory = start.saturating_add(length).checked_sub(bytes);
        let Some(directory) = directory.filter(|directory| *directory >= start) else {
            return Err(section.damaged("a set is shorter than its directory"));
        };
        let length = usize::try_from(bytes).unwrap_or(usize::MAX);
        Ok(Self {
            section,
            start,
            directory: section.bytes(directory, length)?,
            count,
        })
    }

    /// How many ordinals it has.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// A cursor before its first ordinal, or after its last.
    pub(crate) fn cursor(&self) -> LongCursor<'a> {
        LongCursor {
            long: *self,
            ahead: 0..self.containers(),
            current: None,
            near: 0,
        }
    }

    /// The ordinal that has so many before it.
    pub(crate) fn select(&self, rank: u32) -> Result<Option<u32>> {
        let mut low = 0;
        let mut high = self.containers();
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.container(middle)?.before <= rank {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let Some(index) = low.checked_sub(1) else {
            return Ok(None);
        };
        let container = self.container(index)?;
        Ok(container.select(rank - container.before))
    }

    fn containers(&self) -> usize {
        self.directory.len() / ENTRY_BYTES
    }

    fn key(&self, index: usize) -> u32 {
        u16_at(self.directory, index * ENTRY_BYTES).map_or(u32::MAX, u32::from)
    }

    fn container(&self, index: usize) -> Result<Container<'a>> {
        let entry = index * ENTRY_BYTES;
        let header = (
            u16_at(self.directory, entry),
            u16_at(self.directory, entry + 2),
            u32_at(self.directory, entry + 4),
            u32_at(self.directory, entry + 8),
        );
        let (Some(key), Some(last), Some(before), Some(offset)) = header else {
            return Err(self.section.damaged("a set has no such container"));
        };
        let count = u32::from(last) + 1;
        let length = container_bytes(count);
        Ok(Container {
            key: key.into(),
            count,
            before,
            bytes: self
                .section
                .bytes(self.start.saturating_add(offset.into()), length)?,
        })
    }
}

impl LongCursor<'_> {
    /// The first ordinal at the target or past it, in this direction; targets never go back.
    pub(crate) fn seek(&mut self, target: u32, direction: Direction) -> Result<Option<u32>> {
        match direction {
            Direction::Forward => self.seek_forward(target),
            Direction::Backward => self.seek_backward(target),
        }
    }

    fn seek_forward(&mut self, target: u32) -> Result<Option<u32>> {
        let key = target >> 16;
        if let Some(current) = self.current
            && current.key >= key
            && let Some(found) = current.at_or_after(lows(target, current.key, 0), &mut self.near)
        {
            return Ok(Some(found));
        }
        self.ahead.start = self.first_from(key);
        for index in self.ahead.clone() {
            self.ahead.start = index + 1;
            self.near = 0;
            let container = self.long.container(index)?;
            self.current = Some(container);
            let low = lows(target, container.key, 0);
            if let Some(found) = container.at_or_after(low, &mut self.near) {
                return Ok(Some(found));
            }
        }
        self.current = None;
        Ok(None)
    }

    fn seek_backward(&mut self, target: u32) -> Result<Option<u32>> {
        let key = target >> 16;
        if let Some(current) = self.current
            && current.key <= key
            && let Some(found) =
                current.at_or_before(lows(target, current.key, u32::from(u16::MAX)))
        {
            return Ok(Some(found));
        }
        self.ahead.end = self.first_from(key + 1);
        while let Some(index) = self.ahead.next_back() {
            let container = self.long.container(index)?;
            self.current = Some(container);
            let low = lows(target, container.key, u32::from(u16::MAX));
            if let Some(found) = container.at_or_before(low) {
                return Ok(Some(found));
            }
        }
        self.current = None;
        Ok(None)
    }

    /// The first container ahead whose key is this or higher.
    fn first_from(&self, key: u32) -> usize {
        let near = self.ahead.start;
        if near >= self.ahead.end || self.long.key(near) >= key {
            return near;
        }
        partition(self.ahead.clone(), |index| self.long.key(index) < key)
    }
}

impl Container<'_> {
    fn is_array(&self) -> bool {
        self.count <= ARRAY_MAX
    }

    fn whole(&self, low: u32) -> u32 {
        self.key << 16 | low
    }

    fn item(&self, index: usize) -> u32 {
        u16_at(self.bytes, index * 2).map_or(u32::MAX, u32::from)
    }

    fn word(&self, index: u32) -> u64 {
        u64_at(self.bytes, index as usize * 8).unwrap_or(0)
    }

    /// The first ordinal whose low bits are these or higher. In an array it begins where the last was
    /// found.
    fn at_or_after(&self, low: u32, near: &mut u32) -> Option<u32> {
        if self.is_array() {
            let count = self.count as usize;
            let mut reach = 1;
            let mut start = *near as usize;
            while start + reach < count && self.item(start + reach - 1) < low {
                start += reach;
                reach *= 2;
            }
            let index = partition(start..count.min(start + reach), |index| {
                self.item(index) < low
            });
            *near = u32::try_from(index).unwrap_or(u32::MAX);
            return (index < count).then(|| self.whole(self.item(index)));
        }
        let first = low / 64;
        let head = self.word(first) & (u64::MAX << (low % 64));
        let (index, word) = std::iter::once((first, head))
            .chain((first + 1..BITMAP_WORDS).map(|index| (index, self.word(index))))
            .find(|(_, word)| *word != 0)?;
        Some(self.whole(index * 64 + word.trailing_zeros()))
    }

    /// The last ordinal whose low bits are these or lower.
    fn at_or_before(&self, low: u32) -> Option<u32> {
        if self.is_array() {
            let kept = partition(0..self.count as usize, |index| self.item(index) <= low);
            return kept
                .checked_sub(1)
                .map(|index| self.whole(self.item(index)));
        }
        let first = low / 64;
        let head = self.word(first) & (u64::MAX >> (63 - low % 64));
        let (index, word) = std::iter::once((first, head))
            .chain((0..first).rev().map(|index| (index, self.word(index))))
            .find(|(_, word)| *word != 0)?;
        Some(self.whole(index * 64 + 63 - word.leading_zeros()))
    }

    fn select(&self, mut rank: u32) -> Option<u32> {
        if self.is_array() {
            return (rank < self.count).then(|| self.whole(self.item(rank as usize)));
        }
        for index in 0..BITMAP_WORDS {
            let mut word = self.word(index);
            if rank < word.count_ones() {
                for _ in 0..rank {
                    word &= word - 1;
                }
                return Some(self.whole(index * 64 + word.trailing_zeros()));
            }
            rank -= word.count_ones();
        }
        None
    }
}

/// Writes one long set, in order.
#[derive(Debug, Default)]
pub(crate) struct LongWriter {
    start: u64,
    key: u32,
    lows: Vec<u16>,
    before: u32,
    directory: Vec<u8>,
    bitmap: Vec<u8>,
}

impl LongWriter {
    /// Begins a set at the end of what is written.
    pub(crate) fn begin(&mut self, out: &Output) {
        self.start = out.offset();
        self.key = 0;
        self.before = 0;
        self.lows.clear();
        self.directory.clear();
    }

    pub(crate) fn push(&mut self, out: &mut Output, ordinal: u32) -> Result<()> {
        let [a, b, c, d] = ordinal.to_le_bytes();
        let key = u32::from(u16::from_le_bytes([c, d]));
        if key != self.key {
            self.end_container(out)?;
            self.key = key;
        }
        self.lows.push(u16::from_le_bytes([a, b]));
        Ok(())
    }

    /// Ends the set: where it is and how many containers it has.
    pub(crate) fn finish(&mut self, out: &mut Output) -> Result<((u64, u64), u32)> {
        self.end_container(out)?;
        out.write(&self.directory)?;
        let containers = self.directory.len() / ENTRY_BYTES;
        let length = out.offset() - self.start;
        Ok((
            (self.start, length),
            u32::try_from(containers).unwrap_or(u32::MAX),
        ))
    }

    fn end_container(&mut self, out: &mut Output) -> Result<()> {
        let Some(last) = self.lows.len().checked_sub(1) else {
            return Ok(());
        };
        let count = u32::try_from(self.lows.len()).unwrap_or(u32::MAX);
        let offset = u32::try_from(out.offset() - self.start).unwrap_or(u32::MAX);
        let low = |number: u32| number.to_le_bytes().into_iter().take(2);
        self.directory.extend(low(self.key));
        self.directory
            .extend(low(u32::try_from(last).unwrap_or(u32::MAX)));
        self.directory.extend(self.before.to_le_bytes());
        self.directory.extend(offset.to_le_bytes());
        self.bitmap.clear();
        if count <= ARRAY_MAX {
            self.bitmap
                .extend(self.lows.iter().flat_map(|low| low.to_le_bytes()));
        } else {
            self.bitmap.resize(BITMAP_BYTES, 0);
            for low in &self.lows {
                if let Some(byte) = self.bitmap.get_mut(usize::from(*low) / 8) {
                    *byte |= 1 << (low % 8);
                }
            }
        }
        out.write(&self.bitmap)?;
        self.before += count;
        self.lows.clear();
        Ok(())
    }
}

/// How long the set of these ordinals is, in bytes.
pub(crate) fn long_bytes(ordinals: &[u32]) -> usize {
    ordinals
        .chunk_by(|a, b| a >> 16 == b >> 16)
        .map(|chunk| ENTRY_BYTES + container_bytes(u32::try_from(chunk.len()).unwrap_or(u32::MAX)))
        .sum()
}

fn container_bytes(count: u32) -> usize {
    if count <= ARRAY_MAX {
        count as usize * 2
    } else {
        BITMAP_BYTES
    }
}

/// The low bits from which to look in a container with this key: the target's own in its container, else
/// the edge.
fn lows(target: u32, key: u32, edge: u32) -> u32 {
    if target >> 16 == key {
        target & 0xffff
    } else {
        edge
    }
}

/// The first index for which the order does not hold.
fn partition(range: std::ops::Range<usize>, before: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (range.start, range.end);
    while low < high {
        let middle = usize::midpoint(low, high);
        if before(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}
