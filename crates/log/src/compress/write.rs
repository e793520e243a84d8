//! Writing one form of a segment from the other.

use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use zstd::bulk::Compressor;

use super::{CompressedFile, Compression, Edit, Pace, sample};
use crate::error::{Damage, DamageKind, Error, Result};
use crate::files::{Files, read_full, write_full};
use crate::format::Seed;
use crate::format::compressed::{
    BlockEntry, COMPRESSED_HEADER_BYTES, CompressedHeader, checksum, edit_frame, strip,
};
use crate::format::frame::{
    FOOTER_BYTES, FRAME_HEADER_BYTES, Footer, FrameHeader, RECORD_HEADER_BYTES, RawRecord,
};
use crate::format::manifest::{Form, Reclaimed, SealedEnd};
use crate::format::segment::HEADER_BYTES;
use crate::place::Tip;
use crate::planted::{self, Bug};
use crate::reader::{Frame, FrameRead, FrameReader};
use crate::segments::{Kept, Segment};
use crate::vfs::{Access, VfsFile};

/// After how many written bytes a sync, so that none takes long.
const SYNC_BYTES: u64 = 4 * 1024 * 1024;
/// How much is compared or copied at once, in bytes.
pub(crate) const PIECE_BYTES: usize = 256 * 1024;

/// A form that was written, and the end of the segment in it.
pub(super) type Written = (Form, SealedEnd);

/// Writes the compressed form of what `edit` makes of the records, and gives it its name; `None` when it was
/// broken off. `generation` is that of the form: 0 where nothing is edited.
pub(super) fn compressed(
    files: &Files,
    segment: &Segment,
    end: &SealedEnd,
    (compression, generation): (&Compression, u32),
    edit: &mut Edit<'_>,
    pace: &mut Pace<'_>,
) -> Result<Option<Written>> {
    let source = segment.open(files, Some(end))?;
    let path = segment.path(files);
    let failed = |error| Error::io("the segment can't be compressed", &path, error);
    let staged = files.compressed(segment.id(), generation);
    let staged = Staged::create(files, &staged).map_err(failed)?;
    let samples = sample::take(&source, segment, end, compression, edit).map_err(failed)?;
    let dictionary = sample::dictionary(&samples, end.offset, compression).map_err(failed)?;
    drop(samples);
    let mut writer = Writer::new(&staged, segment, compression, dictionary).map_err(failed)?;
    let mut edited = Edited::new(&source, segment, end, &path, &mut *edit);
    if writer.write_all(&mut edited, pace)?.is_break() {
        return Ok(None);
    }
    let sealed_digest = segment.entry().sealed_digest().unwrap_or(end.digest);
    let reclaimed = (generation > 0).then_some(Reclaimed {
        generation,
        sealed_digest,
    });
    let end = SealedEnd {
        digest: edited.digest,
        ..*end
    };
    let header = writer.finish(&end, reclaimed).map_err(failed)?;
    staged.settle().map_err(failed)?;
    let form = header.form();
    let kept = Kept {
        form,
        archived: None,
    };
    let written = CompressedFile::open(files, &segment.header, &kept, Some(&end))?;
    let mut edited = Edited::new(&source, segment, edited.frames.end(), &path, edit);
    let compared = is_what_was_meant(&mut edited, &written, pace)?;
    Ok(staged.kept_if(compared, form).map(|form| (form, end)))
}

/// Writes the plain form, and gives it its name; `None` when it was broken off.
pub(super) fn plain(
    files: &Files,
    segment: &Segment,
    end: &SealedEnd,
    pace: &mut Pace<'_>,
) -> Result<Option<Written>> {
    let source = segment.open(files, Some(end))?;
    let path = segment.path(files);
    let failed = |error| Error::io("the segment can't be decompressed", &path, error);
    check_frames(&source, segment, end, &path)?;
    let staged = Staged::create(files, &files.segment(segment.id())).map_err(failed)?;
    let length = end.plain_bytes();
    if copy(&*source, &*staged.file, length, pace)
        .map_err(failed)?
        .is_break()
    {
        return Ok(None);
    }
    staged.settle().map_err(failed)?;
    let written = files.open(&staged.path, Access::Read)?;
    let compared = is_same(&source, &written, length, pace).map_err(failed)?;
    Ok(staged
        .kept_if(compared, Form::Plain)
        .map(|form| (form, *end)))
}

/// A file that is being written under another name, and is removed unless it is kept.
pub(crate) struct Staged<'a> {
    files: &'a Files,
    pub(crate) file: Arc<dyn VfsFile>,
    path: std::path::PathBuf,
    new_path: std::path::PathBuf,
    is_kept: std::cell::Cell<bool>,
}

impl<'a> Staged<'a> {
    /// Begins a file that will have this name. What stands there is of a form that is not in use.
    pub(crate) fn create(files: &'a Files, path: &Path) -> io::Result<Self> {
        let new_path = crate::files::staged(path);
        files.remove(&new_path)?;
        files.remove(path)?;
        Ok(Self {
            file: files.vfs.open(&new_path, Access::Create)?,
            files,
            path: path.to_owned(),
            new_path,
            is_kept: std::cell::Cell::new(false),
        })
    }

    /// Makes the file durable and gives it its name, durably; nobody looks for it before the manifest says so.
    pub(crate) fn settle(&self) -> io::Result<()> {
        if !planted::is_active(Bug::FormNotSynced) {
            self.file.sync_all()?;
        }
        self.files.vfs.rename(&self.new_path, &self.path)?;
        self.files.vfs.sync_directory(&self.files.directory)?;
        // What is compared is what the disk has.
        let length = self.file.length()?;
        self.file.forget_cached(0..length)
    }

    /// The form that was written, which stays; `None` where it was broken off before all was compared.
    fn kept_if(self, compared: ControlFlow<()>, form: Form) -> Option<Form> {
        self.is_kept.set(compared.is_continue());
        compared.is_continue().then_some(form)
    }

    /// Lets the file stay.
    pub(crate) fn keep(self) {
        self.is_kept.set(true);
    }

    /// Removes it; what can't be removed now is when the log is opened.
    fn remove(&self) {
        let removed = self.files.remove(&self.new_path);
        if let Err(error) = removed.and_then(|()| self.files.remove(&self.path)) {
            tracing::debug!(%error, path = %self.path.display(), "an unfinished file stays for now");
        }
    }
}

impl Drop for Staged<'_> {
    fn drop(&mut self) {
        if !self.is_kept.get() {
            self.remove();
        }
    }
}

/// Writes blocks, one after the other.
struct Writer<'a> {
    file: &'a dyn VfsFile,
    segment: &'a Segment,
    compressor: Compressor<'static>,
    block_bytes: usize,
    dictionary: Vec<u8>,
    block: Vec<u8>,
    block_at: u32,
    /// Of the block in hand: how many bytes a frame still had where it began.
    open_bytes: u32,
    stored_at: u64,
    unsynced: u64,
    table: Vec<u8>,
    blocks: u32,
}

impl<'a> Writer<'a> {
    fn new(
        staged: &'a Staged<'_>,
        segment: &'a Segment,
        compression: &Compression,
        dictionary: Option<Vec<u8>>,
    ) -> io::Result<Self> {
        let dictionary = dictionary.unwrap_or_default();
        let blocks_at = u64::from(COMPRESSED_HEADER_BYTES) + dictionary.len() as u64;
        write_full(
            &*staged.file,
            &dictionary,
            u64::from(COMPRESSED_HEADER_BYTES),
        )?;
        Ok(Self {
            file: &*staged.file,
            segment,
            compressor: Compressor::with_dictionary(compression.level, &dictionary)?,
            block_bytes: compression.block_bytes as usize,
            dictionary,
            block: Vec::new(),
            block_at: HEADER_BYTES,
            open_bytes: 0,
            stored_at: blocks_at,
            unsynced: 0,
            table: Vec::new(),
            blocks: 0,
        })
    }

    /// Takes every frame of the segment and its footer, checked; tells whether it was broken off.
    fn write_all(
        &mut self,
        frames: &mut Edited<'_>,
        pace: &mut Pace<'_>,
    ) -> Result<ControlFlow<()>> {
        let path = frames.path;
        let failed = |error| Error::io("the segment can't be compressed", path, error);
        while let Some((frame, bytes)) = frames.next()? {
            let before = self.stored_at;
            self.take(frame.header.body_bytes, bytes).map_err(failed)?;
            if pace(u64::from(frame.bytes) + self.stored_at - before).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        self.flush(0).map_err(failed)?;
        Ok(ControlFlow::Continue(()))
    }

    /// Takes a frame: whole where it fits a block, else record by record.
    fn take(&mut self, body_bytes: u32, frame: &[u8]) -> io::Result<()> {
        if frame.len() <= self.block_bytes {
            return self.take_piece(frame, 0);
        }
        let (mut piece, mut rest) = frame.split_at(FRAME_HEADER_BYTES as usize);
        let mut body = body_bytes as usize;
        let mut open = 0;
        loop {
            self.take_piece(piece, open)?;
            open = u32::try_from(rest.len()).unwrap_or(u32::MAX);
            let record = RawRecord::parse(rest).filter(|_| body >= RECORD_HEADER_BYTES);
            let Some(record) = record else {
                // Padding, which belongs to the last record.
                self.block.extend_from_slice(rest);
                return Ok(());
            };
            let bytes = RECORD_HEADER_BYTES + record.body.len();
            body = body.saturating_sub(bytes);
            (piece, rest) = rest.split_at_checked(bytes).unwrap_or((rest, &[]));
        }
    }

    /// Takes what is not cut; `open` bytes of its frame are left where it begins.
    fn take_piece(&mut self, piece: &[u8], open: u32) -> io::Result<()> {
        if !self.block.is_empty() && self.block.len() + piece.len() > self.block_bytes {
            self.flush(open)?;
        }
        self.block.extend_from_slice(piece);
        Ok(())
    }

    /// Writes the block in hand; `open` bytes are left of the frame that the next one begins in.
    fn flush(&mut self, open: u32) -> io::Result<()> {
        let damaged = || io::Error::from(io::ErrorKind::InvalidData);
        let plain_bytes = u32::try_from(self.block.len()).map_err(|_| damaged())?;
        strip(&mut self.block, self.block_at, self.open_bytes).ok_or_else(damaged)?;
        let stored = self.compressor.compress(&self.block)?;
        let entry = BlockEntry {
            plain_bytes,
            stored_bytes: u32::try_from(stored.len()).map_err(|_| damaged())?,
            open_bytes: self.open_bytes,
            checksum: self.segment.seed.checksum(self.block_at, &stored),
        };
        write_full(self.file, &stored, self.stored_at)?;
        entry.encode(&mut self.table);
        self.blocks += 1;
        self.stored_at += stored.len() as u64;
        self.block_at = self.block_at.checked_add(plain_bytes).ok_or_else(damaged)?;
        self.open_bytes = open;
        self.block.clear();
        self.unsynced += stored.len() as u64;
        if self.unsynced >= SYNC_BYTES {
            self.unsynced = 0;
            self.file.sync_data()?;
        }
        Ok(())
    }

    /// Writes the table, and the header last.
    fn finish(self, end: &SealedEnd, reclaimed: Option<Reclaimed>) -> io::Result<CompressedHeader> {
        let header = CompressedHeader {
            segment: self.segment.header.clone(),
            end: end.offset,
            digest: end.digest,
            dictionary_bytes: u32::try_from(self.dictionary.len()).unwrap_or(0),
            dictionary_checksum: checksum(&self.dictionary),
            blocks: self.blocks,
            table_checksum: checksum(&self.table),
            table_at: self.stored_at,
            reclaimed,
        };
        write_full(self.file, &self.table, self.stored_at)?;
        write_full(self.file, &header.encode(), 0)?;
        Ok(header)
    }
}

/// The frames of a sealed segment, each checked and held against the one before; the footer is the last.
struct Frames {
    reader: FrameReader,
    tip: Tip,
    end: SealedEnd,
    is_over: bool,
}

impl Frames {
    fn new(source: &Arc<dyn VfsFile>, segment: &Segment, end: &SealedEnd) -> Self {
        let limit = end.offset.saturating_add(FOOTER_BYTES);
        Self {
            reader: FrameReader::new(Arc::clone(source), segment.seed, limit),
            tip: Tip::start(&segment.header),
            end: *end,
            is_over: false,
        }
    }

    fn end(&self) -> &SealedEnd {
        &self.end
    }

    fn next(&mut self, path: &Path) -> Result<Option<Frame>> {
        if self.is_over {
            return Ok(None);
        }
        let damaged = |tip: &Tip| Error::corrupt(Damage::new(path, tip.offset, DamageKind::Frame));
        let read = self.reader.frame(self.tip.offset);
        let read = read.map_err(|error| Error::io("the segment can't be read", path, error))?;
        let FrameRead::Whole(frame) = read else {
            return Err(damaged(&self.tip));
        };
        if frame.footer.is_some() {
            let ends = frame.ends(&self.tip)
                && (self.tip.offset, self.tip.digest) == (self.end.offset, self.end.digest);
            self.is_over = true;
            return if ends {
                Ok(Some(frame))
            } else {
                Err(damaged(&self.tip))
            };
        }
        self.tip = frame.follow(&self.tip).ok_or_else(|| damaged(&self.tip))?;
        Ok(Some(frame))
    }
}

/// The frames of a sealed segment, and its footer, as they are to be written.
struct Edited<'a> {
    frames: Frames,
    path: &'a Path,
    edit: &'a mut Edit<'a>,
    seed: Seed,
    /// Of the frames by now, as they are to be written.
    digest: u32,
    bytes: Vec<u8>,
}

impl<'a> Edited<'a> {
    fn new(
        source: &Arc<dyn VfsFile>,
        segment: &Segment,
        end: &SealedEnd,
        path: &'a Path,
        edit: &'a mut Edit<'a>,
    ) -> Self {
        Self {
            frames: Frames::new(source, segment, end),
            path,
            edit,
            seed: segment.seed,
            digest: segment.header.digest(),
            bytes: Vec::new(),
        }
    }

    /// The next frame as it was, and its bytes as they are to be.
    fn next(&mut self) -> Result<Option<(Frame, &[u8])>> {
        let Some(frame) = self.frames.next(self.path)? else {
            return Ok(None);
        };
        let failed = |error| Error::io("the segment can't be read", self.path, error);
        let bytes = self.frames.reader.bytes(frame.offset, frame.bytes);
        self.bytes.clear();
        let bytes = bytes.map_err(failed)?.unwrap_or_default();
        if let Some(footer) = frame.footer {
            let footer = Footer {
                digest: self.digest,
                ..footer
            };
            self.bytes = footer.encode(self.seed, frame.header.durable_upto);
            return Ok(Some((frame, &self.bytes)));
        }
        self.bytes.extend_from_slice(bytes);
        if edit_frame(&mut self.bytes, frame.offset, self.seed, self.edit).is_none() {
            let damage = Damage::new(self.path, frame.offset, DamageKind::Frame);
            return Err(Error::corrupt(damage));
        }
        self.digest = FrameHeader::chain(self.digest, &self.bytes);
        Ok(Some((frame, &self.bytes)))
    }
}

/// Checks every frame, and that they are those that the manifest's digest is of.
pub(crate) fn check_frames(
    source: &Arc<dyn VfsFile>,
    segment: &Segment,
    end: &SealedEnd,
    path: &Path,
) -> Result<()> {
    let mut frames = Frames::new(source, segment, end);
    while frames.next(path)?.is_some() {}
    Ok(())
}

/// Copies the first bytes of a file, synced now and then and not at the end.
pub(crate) fn copy(
    source: &dyn VfsFile,
    target: &dyn VfsFile,
    length: u64,
    pace: &mut Pace<'_>,
) -> io::Result<ControlFlow<()>> {
    let mut buffer = vec![0; PIECE_BYTES];
    let (mut at, mut unsynced) = (0, 0);
    while at < length {
        let piece = buffer
            .get_mut(..piece_bytes(length - at))
            .unwrap_or_default();
        if read_full(source, piece, at)? < piece.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        write_full(target, piece, at)?;
        let bytes = piece.len() as u64;
        (at, unsynced) = (at + bytes, unsynced + bytes);
        if unsynced >= SYNC_BYTES {
            unsynced = 0;
            target.sync_data()?;
        }
        if pace(2 * bytes).is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// Compares every frame with what was written, byte by byte; a difference is an error.
fn is_what_was_meant(
    frames: &mut Edited<'_>,
    written: &CompressedFile,
    pace: &mut Pace<'_>,
) -> Result<ControlFlow<()>> {
    let path = frames.path;
    let failed = |error| Error::io("the segment can't be compressed", path, error);
    let mut there = Vec::new();
    while let Some((frame, meant)) = frames.next()? {
        there.resize(meant.len(), 0);
        let read = read_full(written, &mut there, u64::from(frame.offset)).map_err(failed)?;
        if read < meant.len() || there != meant {
            return Err(failed(reads_differently()));
        }
        if pace(2 * meant.len() as u64).is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

fn reads_differently() -> io::Error {
    let message = "the other form of the segment reads back differently";
    io::Error::new(io::ErrorKind::InvalidData, message)
}

/// Compares two forms of a segment, byte by byte; a difference is an error.
fn is_same(
    one: &Arc<dyn VfsFile>,
    other: &Arc<dyn VfsFile>,
    length: u64,
    pace: &mut Pace<'_>,
) -> io::Result<ControlFlow<()>> {
    let (mut left, mut right) = (vec![0; PIECE_BYTES], vec![0; PIECE_BYTES]);
    let mut at = 0;
    while at < length {
        let bytes = piece_bytes(length - at);
        let a = left.get_mut(..bytes).unwrap_or_default();
        let b = right.get_mut(..bytes).unwrap_or_default();
        let read = (read_full(&**one, a, at)?, read_full(&**other, b, at)?);
        if read != (bytes, bytes) || a != b {
            return Err(reads_differently());
        }
        at += bytes as u64;
        if pace(2 * bytes as u64).is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// How much of so many bytes comes next.
pub(crate) fn piece_bytes(rest: u64) -> usize {
    usize::try_from(rest).map_or(PIECE_BYTES, |rest| rest.min(PIECE_BYTES))
}
