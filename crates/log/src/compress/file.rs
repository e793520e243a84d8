//! Reading a compressed segment.

use std::borrow::Cow;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use zstd::dict::DecoderDictionary;
use zstd::zstd_safe::DCtx;

use super::cache::{BlockCache, Cached};
use crate::ReadMode;
use crate::error::{Damage, DamageKind, Error, Result};
use crate::files::{Files, flawed, read_full};
use crate::format::Seed;
use crate::format::compressed::{
    BlockEntry, COMPRESSED_HEADER_BYTES, CompressedHeader, ENTRY_BYTES, checksum, restore,
};
use crate::format::manifest::{Form, SealedEnd};
use crate::format::segment::{HEADER_BYTES, SegmentHeader};
use crate::planted::{self, Bug};
use crate::segments::Kept;
use crate::vfs::{self, MappedFile, VfsFile};

/// The key of a dictionary in the cache, where that of a block is its index.
const DICTIONARY: u32 = u32::MAX;

/// A compressed segment that is open to be read. As a file it is the plain segment, without the zeros
/// behind its footer; a block that is damaged reads as zeros there, which are no frame.
#[derive(Debug)]
pub(crate) struct CompressedFile {
    path: PathBuf,
    file: Arc<dyn VfsFile>,
    map: Option<Arc<dyn MappedFile>>,
    header: CompressedHeader,
    seed: Seed,
    blocks: Vec<Placed>,
    cache: Arc<BlockCache>,
    opening: u64,
}

/// A block, and where it stands in both files.
#[derive(Clone, Copy, Debug)]
struct Placed {
    plain_at: u32,
    stored_at: u64,
    entry: BlockEntry,
}

/// A block in plain form.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    /// Where it begins in the plain segment.
    pub(crate) at: u32,
    pub(crate) bytes: Arc<[u8]>,
}

/// Why a block can't be had.
#[derive(Debug)]
pub(crate) enum Unreadable {
    Io(io::Error),
    /// Its bytes are not those that were written; where they stand in the file.
    Damaged(u64),
}

impl Block {
    /// What stands from this offset of the plain segment on.
    #[inline]
    pub(crate) fn from(&self, offset: u32) -> Option<&[u8]> {
        self.bytes.get(offset.checked_sub(self.at)? as usize..)
    }
}

impl CompressedFile {
    /// Opens a segment that is kept in compressed form, and checks all of it but the blocks. `end` is that of the
    /// manifest, where it knows one.
    pub(crate) fn open(
        files: &Files,
        segment: &SegmentHeader,
        kept: &Kept,
        end: Option<&SealedEnd>,
    ) -> Result<Self> {
        let opened = files.open_kept(segment, kept)?;
        Self::new(files, opened, segment, kept.form, end)
    }

    /// The same, of a file that was opened.
    pub(crate) fn new(
        files: &Files,
        (path, file): (PathBuf, Arc<dyn VfsFile>),
        segment: &SegmentHeader,
        form: Form,
        end: Option<&SealedEnd>,
    ) -> Result<Self> {
        let failed = |error| Error::io("the segment can't be read", &path, error);
        let damaged = |at: u64, kind| Error::corrupt(Damage::new(&path, at, kind));
        let header = read_header(&*file)
            .map_err(failed)?
            .map_err(|flaw| flawed(flaw, &path, DamageKind::SegmentHeader))?;
        if header.segment.log != segment.log {
            return Err(damaged(0, DamageKind::Foreign));
        }
        if header.segment != *segment {
            return Err(damaged(0, DamageKind::SegmentHeader));
        }
        let is_other =
            end.is_some_and(|end| (end.offset, end.digest) != (header.end, header.digest));
        if is_other || header.reclaimed != form.reclaimed() {
            return Err(damaged(0, DamageKind::Chain));
        }
        let length = file.length().map_err(failed)?;
        if length < header.file_bytes() {
            return Err(damaged(length, DamageKind::Truncated));
        }
        let blocks = read_table(&*file, &header).map_err(failed)?;
        let blocks = blocks.ok_or_else(|| damaged(header.table_at, DamageKind::Block))?;
        let map = match files.reads {
            ReadMode::Map => file.map(header.file_bytes()).map_err(failed)?,
            ReadMode::Pread => None,
        };
        Ok(Self {
            seed: Seed::new(segment.salt),
            path,
            file,
            map,
            header,
            blocks,
            opening: files.cache.next_opening(),
            cache: Arc::clone(&files.cache),
        })
    }

    pub(crate) fn path(&self) -> &PathBuf {
        &self.path
    }

    pub(crate) fn header(&self) -> &CompressedHeader {
        &self.header
    }

    /// How many bytes stand behind what belongs to the file.
    pub(crate) fn residue(&self) -> io::Result<u64> {
        Ok(self.file.length()?.saturating_sub(self.header.file_bytes()))
    }

    /// The block that holds this offset of the plain segment; `None` where none does.
    pub(crate) fn block_of(&self, offset: u32) -> Option<std::result::Result<Block, Unreadable>> {
        let after = self
            .blocks
            .partition_point(|block| block.plain_at <= offset);
        let index = after.checked_sub(1)?;
        let placed = self.blocks.get(index)?;
        if u64::from(offset) >= u64::from(placed.plain_at) + u64::from(placed.entry.plain_bytes) {
            return None;
        }
        Some(self.block(u32::try_from(index).ok()?, placed))
    }

    /// About how many of its bytes are not in memory.
    pub(crate) fn missing_bytes(&self) -> usize {
        let length = usize::try_from(self.header.file_bytes()).unwrap_or(usize::MAX);
        self.map
            .as_ref()
            .map_or(usize::MAX, |map| vfs::missing_bytes(&**map, length))
    }

    /// Reads what is not in memory, so that it is then.
    pub(crate) fn load(&self) {
        let length = usize::try_from(self.header.file_bytes()).unwrap_or(0);
        if let Some(map) = &self.map {
            vfs::load(&**map, length);
        }
    }

    fn block(&self, index: u32, placed: &Placed) -> std::result::Result<Block, Unreadable> {
        let at = placed.plain_at;
        let key = (self.opening, index);
        if let Some(Cached::Block(bytes)) = self.cache.find(key) {
            return Ok(Block { at, bytes });
        }
        let bytes: Arc<[u8]> = self.read_block(placed)?.into();
        self.cache.keep(key, Cached::Block(Arc::clone(&bytes)));
        Ok(Block { at, bytes })
    }

    /// Reads a block, checks it, and brings it into plain form.
    fn read_block(&self, placed: &Placed) -> std::result::Result<Vec<u8>, Unreadable> {
        let entry = &placed.entry;
        let damaged = || Unreadable::Damaged(placed.stored_at);
        let stored = self
            .stored(placed.stored_at, entry.stored_bytes)
            .map_err(Unreadable::Io)?;
        if !self.is_whole(placed, &stored) && !planted::is_active(Bug::BlockUnchecked) {
            return Err(damaged());
        }
        let dictionary = self.dictionary()?;
        let mut plain = Vec::with_capacity(entry.plain_bytes as usize);
        let written = self.cache.with_context(|context| {
            decompress(context, &mut plain, &stored, dictionary.as_deref())
        });
        if written != Some(entry.plain_bytes as usize) {
            return Err(damaged());
        }
        restore(&mut plain, placed.plain_at, entry.open_bytes, self.seed).ok_or_else(damaged)?;
        Ok(plain)
    }

    /// Whether every byte that is stored is as it was written, by the checksums that it is under: those of the dictionary
    /// and of the blocks; header and table were checked when it was opened.
    pub(crate) fn is_as_stored(&self) -> io::Result<bool> {
        let dictionary = self.header.dictionary_bytes;
        if dictionary > 0 {
            let stored = self.stored(u64::from(COMPRESSED_HEADER_BYTES), dictionary)?;
            if checksum(&stored) != self.header.dictionary_checksum {
                return Ok(false);
            }
        }
        for placed in &self.blocks {
            let stored = self.stored(placed.stored_at, placed.entry.stored_bytes)?;
            if !self.is_whole(placed, &stored) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether these are the bytes of the block.
    fn is_whole(&self, placed: &Placed, stored: &[u8]) -> bool {
        stored.len() == placed.entry.stored_bytes as usize
            && self.seed.checksum(placed.plain_at, stored) == placed.entry.checksum
    }

    fn stored(&self, at: u64, bytes: u32) -> io::Result<Cow<'_, [u8]>> {
        let start = usize::try_from(at).unwrap_or(usize::MAX);
        if let Some(map) = &self.map
            && let Some(stored) = map.bytes(start..start.saturating_add(bytes as usize))
        {
            return Ok(Cow::Borrowed(stored));
        }
        let mut buffer = vec![0; bytes as usize];
        let read = read_full(&*self.file, &mut buffer, at)?;
        buffer.truncate(read);
        Ok(Cow::Owned(buffer))
    }

    fn dictionary(
        &self,
    ) -> std::result::Result<Option<Arc<DecoderDictionary<'static>>>, Unreadable> {
        let bytes = self.header.dictionary_bytes;
        if bytes == 0 {
            return Ok(None);
        }
        let key = (self.opening, DICTIONARY);
        if let Some(Cached::Dictionary(dictionary, _)) = self.cache.find(key) {
            return Ok(Some(dictionary));
        }
        let at = u64::from(COMPRESSED_HEADER_BYTES);
        let stored = self.stored(at, bytes).map_err(Unreadable::Io)?;
        if checksum(&stored) != self.header.dictionary_checksum {
            return Err(Unreadable::Damaged(at));
        }
        let dictionary = Arc::new(DecoderDictionary::copy(&stored));
        let cached = Cached::Dictionary(Arc::clone(&dictionary), 2 * bytes as usize);
        self.cache.keep(key, cached);
        Ok(Some(dictionary))
    }

    /// Reads as much as the part of the file has that stands at this offset; zeros for a damaged block.
    fn read_part(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let Some(offset) = u32::try_from(offset).ok() else {
            return Ok(0);
        };
        if offset < HEADER_BYTES {
            let header = self.header.segment.encode();
            return Ok(copy(buffer, header.get(offset as usize..)));
        }
        match self.block_of(offset) {
            None => Ok(0),
            Some(Ok(block)) => Ok(copy(buffer, block.from(offset))),
            Some(Err(Unreadable::Io(error))) => Err(error),
            Some(Err(Unreadable::Damaged(_))) => Ok(self.zeros(buffer, offset)),
        }
    }

    fn zeros(&self, buffer: &mut [u8], offset: u32) -> usize {
        let after = self
            .blocks
            .partition_point(|block| block.plain_at <= offset);
        let end = self
            .blocks
            .get(after)
            .map_or(self.header.plain_bytes(), |next| u64::from(next.plain_at));
        let rest = usize::try_from(end.saturating_sub(u64::from(offset))).unwrap_or(0);
        let zeros = buffer.get_mut(..rest.min(buffer.len()));
        zeros.map_or(0, |zeros| {
            zeros.fill(0);
            zeros.len()
        })
    }
}

impl VfsFile for CompressedFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.header.plain_bytes())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut read = 0;
        while let Some(rest) = buffer.get_mut(read..).filter(|rest| !rest.is_empty()) {
            match self.read_part(rest, offset + read as u64)? {
                0 => break,
                more => read += more,
            }
        }
        Ok(read)
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn set_length(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    fn forget_cached(&self, _: Range<u64>) -> io::Result<()> {
        self.file.forget_cached(0..self.header.file_bytes())
    }

    fn map(&self, _: u64) -> io::Result<Option<Arc<dyn MappedFile>>> {
        Ok(None)
    }
}

/// What the file says of itself.
pub(crate) fn read_header(
    file: &dyn VfsFile,
) -> io::Result<std::result::Result<CompressedHeader, crate::format::Flaw>> {
    let mut block = [0; COMPRESSED_HEADER_BYTES as usize];
    let read = read_full(file, &mut block, 0)?;
    Ok(CompressedHeader::parse(
        block.get(..read).unwrap_or_default(),
    ))
}

/// The blocks; `None` when the table is not what was written.
fn read_table(file: &dyn VfsFile, header: &CompressedHeader) -> io::Result<Option<Vec<Placed>>> {
    // The file was seen to be so long, which bounds the memory that is taken.
    let mut table = vec![0; header.blocks as usize * ENTRY_BYTES];
    let read = read_full(file, &mut table, header.table_at)?;
    if read < table.len() || checksum(&table) != header.table_checksum {
        return Ok(None);
    }
    let Ok(entries) = BlockEntry::parse_all(&table) else {
        return Ok(None);
    };
    let mut plain_at = u64::from(HEADER_BYTES);
    let mut stored_at = u64::from(COMPRESSED_HEADER_BYTES) + u64::from(header.dictionary_bytes);
    let mut blocks = Vec::with_capacity(entries.len());
    for entry in entries {
        let Ok(at) = u32::try_from(plain_at) else {
            return Ok(None);
        };
        blocks.push(Placed {
            plain_at: at,
            stored_at,
            entry,
        });
        plain_at += u64::from(entry.plain_bytes);
        stored_at += u64::from(entry.stored_bytes);
    }
    let is_whole = plain_at == header.plain_bytes() && stored_at == header.table_at;
    Ok(is_whole.then_some(blocks))
}

fn decompress(
    context: &mut DCtx<'static>,
    plain: &mut Vec<u8>,
    stored: &[u8],
    dictionary: Option<&DecoderDictionary<'static>>,
) -> Option<usize> {
    let written = match dictionary {
        Some(dictionary) => context.decompress_using_ddict(plain, stored, dictionary.as_ddict()),
        None => context.decompress(plain, stored),
    };
    written.ok()
}

fn copy(buffer: &mut [u8], bytes: Option<&[u8]>) -> usize {
    let bytes = bytes.unwrap_or_default();
    let length = bytes.len().min(buffer.len());
    if let (Some(to), Some(from)) = (buffer.get_mut(..length), bytes.get(..length)) {
        to.copy_from_slice(from);
    }
    length
}
