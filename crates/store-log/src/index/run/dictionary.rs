//! From texts to values, by the texts' hashes.

use super::super::Result;
use super::super::varint::{put, take, take_bytes};
use super::bytes::u32_at;
use super::header::Section;
use super::output::Output;
use super::source::SectionView;

/// How many buckets a group has.
const GROUP_BUCKETS: u32 = 64;
/// How many keys a bucket has, on average, when their number was known.
const BUCKET_KEYS: u32 = 8;
/// How long the end of a bucket is, in bytes.
const END_BYTES: u32 = 4;
/// How many bytes are looked at before the memory behind them is let go of.
const RELEASE_BYTES: u64 = 1 << 20;

/// The value of the key `kind` and `text`, which have this hash.
pub(crate) fn find<'a>(
    dictionary: &SectionView<'a>,
    hash: u64,
    kind: Option<u8>,
    text: &str,
) -> Result<Option<&'a [u8]>> {
    let groups = dictionary.section().groups;
    if groups == 0 {
        return Ok(None);
    }
    let (group, within) = place_of(hash, groups);
    let mut records = bucket(dictionary, dictionary.group(group)?, within)?;
    let wanted = text.len() + usize::from(kind.is_some());
    while !records.is_empty() {
        let (key, value) = take_record(dictionary, &mut records)?;
        if key.len() == wanted && is_key(key, kind, text) {
            return Ok(Some(value));
        }
    }
    Ok(None)
}

/// The records of one bucket of the group that begins there.
#[inline]
fn bucket<'a>(dictionary: &SectionView<'a>, group: u64, within: u32) -> Result<&'a [u8]> {
    let ends_bytes = u64::from(GROUP_BUCKETS * END_BYTES);
    let (start, end) = match within.checked_sub(1) {
        None => (0, end_of(dictionary.bytes(group, END_BYTES as usize)?, 0)),
        Some(before) => {
            let at = group + u64::from(before * END_BYTES);
            let ends = dictionary.bytes(at, 2 * END_BYTES as usize)?;
            (end_of(ends, 0), end_of(ends, 1))
        }
    };
    let length = end.saturating_sub(start) as usize;
    dictionary.bytes(group + ends_bytes + u64::from(start), length)
}

/// All keys and values of a run's dictionary in the order of their hashes.
#[derive(Debug)]
pub(crate) struct Records<'a> {
    dictionary: SectionView<'a>,
    group: u64,
    rest: &'a [u8],
    released: u64,
}

impl<'a> Records<'a> {
    pub(crate) fn new(dictionary: SectionView<'a>) -> Self {
        Self {
            dictionary,
            group: 0,
            rest: &[],
            released: 0,
        }
    }

    /// The section.
    pub(crate) fn section(&self) -> SectionView<'a> {
        self.dictionary
    }

    /// The next key and its value.
    pub(crate) fn next(&mut self) -> Result<Option<(&'a [u8], &'a [u8])>> {
        while self.rest.is_empty() {
            if self.group == self.dictionary.section().groups {
                return Ok(None);
            }
            let start = self.dictionary.group(self.group)?;
            let ends = ends(&self.dictionary, start)?;
            let length = end_of(ends, GROUP_BUCKETS - 1) as usize;
            self.rest = self.dictionary.bytes(start + ends.len() as u64, length)?;
            self.group += 1;
            if start.saturating_sub(self.released) > RELEASE_BYTES {
                self.dictionary.release(self.released, start);
                self.released = start;
            }
        }
        take_record(&self.dictionary, &mut self.rest).map(Some)
    }
}

/// Writes the section, in the order of the hashes, and of the keys where hashes are equal.
#[derive(Debug)]
pub(crate) struct DictionaryWriter {
    start: u64,
    groups_wanted: u64,
    entries: u64,
    ends: Vec<u32>,
    records: Vec<u8>,
    groups: Vec<u64>,
}

impl DictionaryWriter {
    /// For about this many keys.
    pub(crate) fn new(out: &Output, keys: u64) -> Self {
        Self {
            start: out.offset(),
            groups_wanted: keys.div_ceil(u64::from(GROUP_BUCKETS * BUCKET_KEYS)),
            entries: 0,
            ends: Vec::new(),
            records: Vec::new(),
            groups: Vec::new(),
        }
    }

    /// Where the section begins.
    pub(crate) fn start(&self) -> u64 {
        self.start
    }

    pub(crate) fn push(
        &mut self,
        out: &mut Output,
        hash: u64,
        key: (Option<u8>, &[u8]),
        value: &[u8],
    ) -> Result<()> {
        let (group, within) = place_of(hash, self.groups_wanted.max(1));
        while group > self.groups.len() as u64 {
            self.end_group(out)?;
        }
        self.end_buckets(within);
        let (kind, text) = key;
        put(
            &mut self.records,
            (text.len() + usize::from(kind.is_some())) as u64,
        );
        self.records.extend(kind);
        self.records.extend_from_slice(text);
        put(&mut self.records, value.len() as u64);
        self.records.extend_from_slice(value);
        self.entries += 1;
        Ok(())
    }

    pub(crate) fn finish(mut self, out: &mut Output) -> Result<Section> {
        while (self.groups.len() as u64) < self.groups_wanted {
            self.end_group(out)?;
        }
        out.end_section(self.start, self.entries, &self.groups)
    }

    /// Ends the buckets of this group before this one.
    fn end_buckets(&mut self, before: u32) {
        let end = u32::try_from(self.records.len()).unwrap_or(u32::MAX);
        self.ends.resize(self.ends.len().max(before as usize), end);
    }

    fn end_group(&mut self, out: &mut Output) -> Result<()> {
        self.end_buckets(GROUP_BUCKETS);
        self.groups.push(out.offset() - self.start);
        for end in self.ends.drain(..) {
            out.write(&end.to_le_bytes())?;
        }
        out.write(&self.records)?;
        self.records.clear();
        Ok(())
    }
}

/// Which group, and which of its buckets, a hash belongs to: buckets divide the hashes evenly, in order.
fn place_of(hash: u64, groups: u64) -> (u64, u32) {
    let buckets = u128::from(groups) * u128::from(GROUP_BUCKETS);
    let bucket = u64::try_from((u128::from(hash) * buckets) >> u64::BITS).unwrap_or(0);
    let count = u64::from(GROUP_BUCKETS);
    (bucket / count, u32::try_from(bucket % count).unwrap_or(0))
}

fn ends<'a>(dictionary: &SectionView<'a>, group: u64) -> Result<&'a [u8]> {
    dictionary.bytes(group, (GROUP_BUCKETS * END_BYTES) as usize)
}

fn end_of(ends: &[u8], bucket: u32) -> u32 {
    u32_at(ends, (bucket * END_BYTES) as usize).unwrap_or(0)
}

#[inline]
fn take_record<'a>(
    dictionary: &SectionView<'a>,
    records: &mut &'a [u8],
) -> Result<(&'a [u8], &'a [u8])> {
    take_text(records)
        .and_then(|key| Some((key, take_text(records)?)))
        .ok_or_else(|| dictionary.damaged("a key is cut"))
}

#[inline]
fn take_text<'a>(records: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = take(records)?;
    take_bytes(records, usize::try_from(length).ok()?)
}

/// Whether the key is of this kind and text, whose length it has. Most texts differ at their ends.
#[inline]
fn is_key(key: &[u8], kind: Option<u8>, text: &str) -> bool {
    if key.last() != text.as_bytes().last() {
        return false;
    }
    match (kind, key.split_first()) {
        (None, _) => key == text.as_bytes(),
        (Some(kind), Some((first, rest))) => *first == kind && rest == text.as_bytes(),
        (Some(_), None) => false,
    }
}
