//! The bytes of a run file, each checked before its first use.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use annals_log::checksum::crc32c;
use annals_log::vfs::{MappedFile, VfsFile, load, missing_bytes};

use super::super::{Result, RunError, RunErrorKind};
use super::bytes::number;
use super::header::{BLOCK_BYTES, HEADER_BYTES, Header, Section};
use crate::planted::{self, Bug};

/// The body of a run file: a map of it, or its bytes where files can't be mapped.
///
/// The body is cut into blocks, and a block is held against its checksum when it is first used. A mapped
/// block is read for that by a read call, so that only what is then looked at becomes resident.
#[derive(Debug)]
pub(crate) struct Source {
    path: PathBuf,
    file: Arc<dyn VfsFile>,
    data: Data,
    end: u64,
    checksums: Vec<u32>,
    /// A bit for each block that was found good.
    good: Vec<AtomicU64>,
}

#[derive(Debug)]
enum Data {
    Map(Arc<dyn MappedFile>),
    Owned(Vec<u8>),
}

/// One section of a run file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SectionView<'a> {
    source: &'a Source,
    section: Section,
    /// All of it, good or not; none when the file is too short for it.
    unchecked: &'a [u8],
}

/// How bytes of a run are reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum RunReads {
    /// Through a map of the file where there can be one.
    #[default]
    Map,
    /// From memory, read in when the run is opened.
    Owned,
}

impl Source {
    /// The body of the file with this header.
    pub(crate) fn open(
        path: &Path,
        file: Arc<dyn VfsFile>,
        header: &Header,
        reads: RunReads,
    ) -> Result<Self> {
        let failed = |what| move |error| RunError::io(path, what, error);
        let checksums = read_checksums(path, file.as_ref(), header)?;
        let map = match reads {
            RunReads::Map => file
                .map(header.body_end)
                .map_err(failed("can't be mapped"))?,
            RunReads::Owned => None,
        };
        let data = match map {
            Some(map) => Data::Map(map),
            None => Data::Owned(
                read(file.as_ref(), 0, header.body_end).map_err(failed("can't be read"))?,
            ),
        };
        let good = (0..checksums.len().div_ceil(64))
            .map(|_| AtomicU64::new(0))
            .collect();
        Ok(Self {
            path: path.to_path_buf(),
            file,
            data,
            end: header.body_end,
            checksums,
            good,
        })
    }

    /// One section of it.
    pub(crate) fn section(&self, section: Section) -> SectionView<'_> {
        SectionView {
            source: self,
            section,
            unchecked: self.unchecked(section).unwrap_or_default(),
        }
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The error that says that the run is damaged.
    #[cold]
    pub(crate) fn damaged(&self, what: &'static str) -> RunError {
        RunError::new(RunErrorKind::Damaged, &self.path, what)
    }

    /// Lets go of the memory behind these bytes, if they are mapped.
    pub(crate) fn release(&self, start: u64, end: u64) {
        if let (Data::Map(map), Ok(start), Ok(end)) =
            (&self.data, usize::try_from(start), usize::try_from(end))
        {
            map.release(start..end);
        }
    }

    /// About how many bytes of the body are not in memory.
    pub(crate) fn missing_bytes(&self) -> usize {
        match &self.data {
            Data::Map(map) => {
                let end = usize::try_from(self.end);
                end.map_or(usize::MAX, |end| missing_bytes(&**map, end))
            }
            Data::Owned(_) => 0,
        }
    }

    /// Reads what of the body is not in memory.
    pub(crate) fn load(&self) {
        if let (Data::Map(map), Ok(end)) = (&self.data, usize::try_from(self.end)) {
            load(&**map, end);
        }
    }

    /// Holds every block against its checksum.
    pub(crate) fn check_all(&self) -> Result<()> {
        (0..self.checksums.len()).try_for_each(|block| self.check(block))
    }

    fn unchecked(&self, section: Section) -> Option<&[u8]> {
        let end = section.offset.checked_add(section.length)?;
        if section.offset < HEADER_BYTES as u64 || end > self.end {
            return None;
        }
        let range = usize::try_from(section.offset).ok()?..usize::try_from(end).ok()?;
        match &self.data {
            Data::Map(map) => map.bytes(range),
            Data::Owned(bytes) => bytes.get(range),
        }
    }

    /// Holds the blocks of these bytes against their checksums, where that was not done before.
    #[inline]
    fn check_range(&self, start: u64, length: usize) -> Result<()> {
        let Some(further) = (length as u64).checked_sub(1) else {
            return Ok(());
        };
        for block in block_of(start)..=block_of(start + further) {
            if !self.is_good(block) {
                self.check(block)?;
            }
        }
        Ok(())
    }

    #[inline]
    fn is_good(&self, block: usize) -> bool {
        let word = self.good.get(block / 64);
        word.is_some_and(|word| word.load(Ordering::Acquire) >> (block % 64) & 1 == 1)
    }

    #[cold]
    fn check(&self, block: usize) -> Result<()> {
        let start = HEADER_BYTES as u64 + block as u64 * u64::from(BLOCK_BYTES);
        let end = self.end.min(start + u64::from(BLOCK_BYTES));
        let Some(expected) = self.checksums.get(block) else {
            return if start >= end {
                Ok(())
            } else {
                Err(self.damaged("a checksum is missing"))
            };
        };
        let found = match &self.data {
            Data::Map(_) => {
                let bytes = read(self.file.as_ref(), start, end)
                    .map_err(|error| RunError::io(&self.path, "can't be read", error))?;
                crc32c(&bytes)
            }
            Data::Owned(bytes) => {
                let range = usize::try_from(start).unwrap_or(usize::MAX)
                    ..usize::try_from(end).unwrap_or(usize::MAX);
                crc32c(bytes.get(range).unwrap_or_default())
            }
        };
        if found != *expected && !planted::is_active(Bug::IndexUnchecked) {
            return Err(self.damaged("a block does not match its checksum"));
        }
        if let Some(word) = self.good.get(block / 64) {
            word.fetch_or(1 << (block % 64), Ordering::AcqRel);
        }
        Ok(())
    }
}

impl<'a> SectionView<'a> {
    /// A byte of it, good or not, for its line to be in the processor's cache; 0 where there is none.
    #[inline]
    pub(crate) fn peek(&self, offset: u64) -> u8 {
        let byte = usize::try_from(offset)
            .ok()
            .and_then(|offset| self.unchecked.get(offset));
        byte.copied().unwrap_or_default()
    }

    /// Bytes of the section.
    #[inline]
    pub(crate) fn bytes(&self, start: u64, length: usize) -> Result<&'a [u8]> {
        let found = usize::try_from(start)
            .ok()
            .and_then(|start| self.unchecked.get(start..)?.get(..length));
        let Some(found) = found else {
            return Err(self.damaged("it points past the end of a section"));
        };
        self.source
            .check_range(self.section.offset + start, length)?;
        Ok(found)
    }

    /// A 64-bit number of the section.
    #[inline]
    pub(crate) fn u64(&self, at: u64) -> Result<u64> {
        Ok(number(self.bytes(at, 8)?))
    }

    /// What the header says of the section.
    pub(crate) fn section(&self) -> Section {
        self.section
    }

    /// Where this group begins; `group` is below the number of groups. One more gives the end of the last.
    #[inline]
    pub(crate) fn group(&self, group: u64) -> Result<u64> {
        let directory = self.section.length.saturating_sub(self.section.groups * 8);
        if group >= self.section.groups {
            return Ok(directory);
        }
        let start = self.u64(directory + group * 8)?;
        if start > directory {
            return Err(self.damaged("a group is out of its section"));
        }
        Ok(start)
    }

    /// Where this group begins and ends; `group` is below the number of groups.
    #[inline]
    pub(crate) fn group_range(&self, group: u64) -> Result<(u64, u64)> {
        if group + 1 >= self.section.groups {
            return Ok((self.group(group)?, self.group(group + 1)?));
        }
        let directory = self.section.length.saturating_sub(self.section.groups * 8);
        let starts = self.bytes(directory + group * 8, 16)?;
        let (start, end) = starts.split_at_checked(8).unwrap_or_default();
        let (start, end) = (number(start), number(end));
        if start > end || end > directory {
            return Err(self.damaged("a group is out of its section"));
        }
        Ok((start, end))
    }

    /// The error that says that the run is damaged.
    #[cold]
    pub(crate) fn damaged(&self, what: &'static str) -> RunError {
        self.source.damaged(what)
    }

    /// Lets go of the memory behind these bytes of the section.
    pub(crate) fn release(&self, start: u64, end: u64) {
        let offset = self.section.offset;
        self.source
            .release(offset.saturating_add(start), offset.saturating_add(end));
    }
}

fn block_of(at: u64) -> usize {
    usize::try_from(at.saturating_sub(HEADER_BYTES as u64) / u64::from(BLOCK_BYTES))
        .unwrap_or(usize::MAX)
}

fn read_checksums(path: &Path, file: &dyn VfsFile, header: &Header) -> Result<Vec<u32>> {
    let bytes = read(file, header.body_end, header.file_length)
        .map_err(|error| RunError::io(path, "can't be read", error))?;
    if crc32c(&bytes) != header.checksums_checksum {
        let what = "the checksums do not match theirs";
        return Err(RunError::new(RunErrorKind::Damaged, path, what));
    }
    let (numbers, _) = bytes.as_chunks::<4>();
    Ok(numbers
        .iter()
        .map(|bytes| u32::from_le_bytes(*bytes))
        .collect())
}

/// The bytes of the file in this range, which it is known to have.
pub(crate) fn read(file: &dyn VfsFile, start: u64, end: u64) -> io::Result<Vec<u8>> {
    let length =
        usize::try_from(end.saturating_sub(start)).map_err(|_| io::ErrorKind::OutOfMemory)?;
    let mut bytes = vec![0; length];
    let mut done = 0;
    while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, start + done as u64) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(bytes)
}
