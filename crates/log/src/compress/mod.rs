//! Compressed segments: a sealed segment in another form, from which every byte of it can be had.
//!
//! A form is written beside the one that is in use, under another name, made durable, read back past the
//! system's cache and compared; [`Log::adopt`](crate::Log::adopt) then names it in the manifest, and the
//! file of the other form is removed. A crash at any point leaves a form that is whole, and files that the
//! next opening removes. Records keep their places.

mod adopt;
mod cache;
mod file;
mod sample;
mod write;

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

pub(crate) use cache::{BlockCache, Cached};
pub(crate) use file::{Block, CompressedFile, Unreadable, read_header};
pub(crate) use write::{PIECE_BYTES, Staged, check_frames, copy, piece_bytes};

use self::write::Written;
use crate::error::{Error, ErrorKind, Result};
use crate::files::Files;
use crate::format::manifest::{Closing, Form, SealedEnd};
use crate::format::segment::SegmentHeader;
use crate::segments::{Kept, Segment};
use crate::view::View;

/// How a segment is compressed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Compression {
    /// The level of zstd, from 1 to 19: how much time is given for how few bytes. It makes reading neither
    /// faster nor slower. Default: 9.
    pub level: i32,
    /// About how many bytes of the plain segment a block holds, in bytes; from
    /// [`BLOCK_BYTES_MIN`](Self::BLOCK_BYTES_MIN) to [`BLOCK_BYTES_MAX`](Self::BLOCK_BYTES_MAX). What reads
    /// one record decompresses a block. A record that is longer has a block of its own. Default: 128 KiB.
    pub block_bytes: u32,
    /// How long a dictionary may be that is trained for the segment, in bytes; it is left out where it saves
    /// less than it takes. 0 for none. Default: 64 KiB.
    pub dictionary_bytes_max: u32,
}

impl Compression {
    /// The fewest bytes of a block.
    pub const BLOCK_BYTES_MIN: u32 = 4 * 1024;
    /// The most bytes of a block.
    pub const BLOCK_BYTES_MAX: u32 = 4 * 1024 * 1024;

    fn validate(&self) -> Result<()> {
        let blocks = Self::BLOCK_BYTES_MIN..=Self::BLOCK_BYTES_MAX;
        if (1..=19).contains(&self.level) && blocks.contains(&self.block_bytes) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Invalid,
            format!(
                "compression at level {} in blocks of {} bytes; give a level from 1 to 19, and from {} to {}",
                self.level,
                self.block_bytes,
                blocks.start(),
                blocks.end()
            ),
        ))
    }
}

impl Default for Compression {
    fn default() -> Self {
        Self {
            level: 9,
            block_bytes: 128 * 1024,
            dictionary_bytes_max: 64 * 1024,
        }
    }
}

/// What compressing a segment would save, as some of its blocks tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CompressionEstimate {
    /// How long its file is now, in bytes.
    pub plain_bytes: u64,
    /// About how long it would be, in bytes.
    pub compressed_bytes: u64,
}

/// A sealed segment in another form or another place, durable and compared, that the log does not use yet: see
/// [`Log::adopt`](crate::Log::adopt).
#[derive(Debug)]
#[must_use = "the log goes on with the form that it has until this one is adopted"]
pub struct Rewritten {
    pub(crate) files: Files,
    pub(crate) header: SegmentHeader,
    /// In which form it is from now on, and where.
    pub(crate) kept: Kept,
    /// The end of the segment in this form.
    pub(crate) end: SealedEnd,
    pub(crate) replaced: Kept,
    /// How long the file in the log's directory was, in bytes; 0 when it was archived.
    pub bytes_before: u64,
    /// How long it is now, in bytes; 0 when it is archived.
    pub bytes_after: u64,
}

/// What is made of the body of the record of this number: its bytes are changed in place, and its length stays; tells
/// whether they were. It is asked several times for each record, in no order, and makes the same of it each time.
pub type Edit<'a> = dyn FnMut(u64, &mut [u8]) -> bool + 'a;

/// What is told of the work: how many bytes were read or written since the last time. It may wait, so that
/// the work does not take all of a disk, and breaks the work off.
pub type Pace<'a> = dyn FnMut(u64) -> ControlFlow<()> + 'a;

impl View {
    /// About what [`compress`](Self::compress) would make of a segment; reads some of its blocks.
    ///
    /// # Errors
    /// As for [`compress`](Self::compress).
    pub fn estimate_compression(
        &self,
        segment: u32,
        compression: &Compression,
    ) -> Result<CompressionEstimate> {
        compression.validate()?;
        let (segment, end) = self.rewritable(segment, Wanted::Compressed)?;
        let file = segment.open(&self.list().files, Some(&end))?;
        let path = segment.path(&self.list().files);
        let failed = |error| Error::io("the segment can't be read", &path, error);
        let samples = sample::take(&file, segment, &end, compression, &mut unedited);
        let samples = samples.map_err(failed)?;
        let (plain, stored) = sample::compressed(&samples, compression, None).map_err(failed)?;
        let plain_bytes = file.length().map_err(failed)?;
        let compressed_bytes = u64::from(end.offset) * stored / plain.max(1);
        Ok(CompressionEstimate {
            plain_bytes,
            compressed_bytes: compressed_bytes.min(plain_bytes),
        })
    }

    /// Writes the compressed form of a sealed segment, durable and compared byte by byte; `None` when `pace`
    /// broke it off, and nothing is left of it then. The log goes on with what it has until the form is
    /// [adopted](crate::Log::adopt). Whoever writes the log calls it, for one segment at a time.
    ///
    /// # Errors
    /// `NotFound` when there is no such segment. `Invalid` when it is the one that is written to, has that
    /// form already, or lost something. `Corrupt` when it is damaged. `NoSpace`, `Io`.
    pub fn compress(
        &self,
        segment: u32,
        compression: &Compression,
        pace: &mut Pace<'_>,
    ) -> Result<Option<Rewritten>> {
        compression.validate()?;
        let (segment, end) = self.rewritable(segment, Wanted::Compressed)?;
        let files = &self.list().files;
        let how = (compression, 0);
        let written = write::compressed(files, segment, &end, how, &mut unedited, pace)?;
        self.rewritten(segment, written)
    }

    /// Writes the compressed form of a sealed segment in which `edit` took from some records what they said, durable and
    /// compared, as [`compress`](Self::compress) does. Whatever form the segment has, this one takes its
    /// place for good: what was taken from it can't be had again. Records keep their places, and
    /// the log stays a chain: the manifest says what the digest was when the segment was sealed.
    ///
    /// # Errors
    /// As for [`compress`](Self::compress).
    pub fn reclaim(
        &self,
        segment: u32,
        compression: &Compression,
        edit: &mut Edit<'_>,
        pace: &mut Pace<'_>,
    ) -> Result<Option<Rewritten>> {
        compression.validate()?;
        let (segment, end) = self.rewritable(segment, Wanted::Reclaimed)?;
        let files = &self.list().files;
        let how = (compression, segment.form.generation().saturating_add(1));
        let written = write::compressed(files, segment, &end, how, edit, pace)?;
        self.rewritten(segment, written)
    }

    /// Writes the plain form of a compressed segment again, as [`compress`](Self::compress) does its own.
    ///
    /// # Errors
    /// As for [`compress`](Self::compress).
    pub fn decompress(&self, segment: u32, pace: &mut Pace<'_>) -> Result<Option<Rewritten>> {
        let (segment, end) = self.rewritable(segment, Wanted::Plain)?;
        let written = write::plain(&self.list().files, segment, &end, pace)?;
        self.rewritten(segment, written)
    }

    /// The segment, where it is sealed and whole and not yet in the form that is wanted.
    pub(crate) fn rewritable(&self, id: u32, wanted: Wanted) -> Result<(&Arc<Segment>, SealedEnd)> {
        let found = self.list().by_id(id).filter(|_| self.segment(id).is_some());
        let Some(segment) = found else {
            let message = format!("the log has no segment {id}");
            return Err(Error::new(ErrorKind::NotFound, message));
        };
        let refused = |why: &str| {
            let message = format!("segment {id} {why}");
            Err(Error::new(ErrorKind::Invalid, message))
        };
        let Some(end) = segment.sealed.get() else {
            return refused("is the one that is written to; wait until it is sealed");
        };
        match (wanted, &segment.archived) {
            (Wanted::Local, None) => return refused("is not archived"),
            (Wanted::Local, _) | (_, None) => {}
            (Wanted::Archived, _) => return refused("is archived already"),
            _ => return refused("is archived; restore it first"),
        }
        match (wanted, segment.form) {
            (Wanted::Compressed, Form::Compressed { .. }) => {
                return refused("is compressed already");
            }
            (Wanted::Plain, Form::Plain) => return refused("is not compressed"),
            (Wanted::Plain, _) if segment.is_reclaimed() => {
                return refused("was reclaimed in part, which can't be undone");
            }
            _ => {}
        }
        if end.closing != Closing::Footer || !segment.lost().is_empty() {
            return refused("has lost something to damage; it stays as it is");
        }
        Ok((segment, *end))
    }

    fn rewritten(&self, segment: &Segment, written: Option<Written>) -> Result<Option<Rewritten>> {
        let Some((form, end)) = written else {
            return Ok(None);
        };
        let files = &self.list().files;
        let replaced = segment.path(files);
        let length = |path: &PathBuf| {
            let file = files.open(path, crate::vfs::Access::Read)?;
            let length = file.length();
            length.map_err(|error| Error::io("the segment can't be read", path, error))
        };
        Ok(Some(Rewritten {
            header: segment.header.clone(),
            kept: Kept {
                form,
                archived: None,
            },
            end,
            bytes_before: length(&replaced)?,
            bytes_after: length(&files.path_of(segment.id(), form))?,
            files: files.clone(),
            replaced: segment.kept(),
        }))
    }
}

impl Rewritten {
    /// The segment's id.
    pub fn segment(&self) -> u32 {
        self.header.id
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Compressed,
    Plain,
    Reclaimed,
    Archived,
    /// In the log's directory.
    Local,
}

fn unedited(_: u64, _: &mut [u8]) -> bool {
    false
}
