//! The segments of a log as readers see them.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use crate::compress::CompressedFile;
use crate::error::{Damage, DamageKind, Error, ErrorKind, Result};
use crate::files::{Files, flawed, read_full};
use crate::format::Seed;
use crate::format::frame::{FOOTER_BYTES, Footer, FrameHeader};
use crate::format::manifest::{Archived, Closing, Entry, Form, SealedEnd};
use crate::format::segment::{HEADER_BYTES, SegmentHeader};
use crate::place::{Lost, Place, RecordAt};
use crate::vfs::{MappedFile, VfsFile};
use crate::{LogId, ReadMode};

/// How many forms of a segment are looked for that the manifest names one after the other: each is gone only when
/// the writer went over to the next one meanwhile.
pub(crate) const FORMS_TRIED_MAX: usize = 3;

/// One segment of a log.
#[derive(Debug)]
pub struct Segment {
    pub(crate) header: SegmentHeader,
    pub(crate) seed: Seed,
    /// As the manifest had it; the other one may be there by now.
    pub(crate) form: Form,
    /// As the form: where its file was when the manifest was read.
    pub(crate) archived: Option<Arc<Archived>>,
    pub(crate) lost: Vec<Lost>,
    pub(crate) sealed: OnceLock<SealedEnd>,
    bytes: OnceLock<Bytes>,
}

/// In which form a segment is kept, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) form: Form,
    pub(crate) archived: Option<Arc<Archived>>,
}

/// How a segment's bytes are had.
#[derive(Debug)]
pub(crate) enum Bytes {
    Map(Arc<dyn MappedFile>),
    File(Arc<dyn VfsFile>),
    Compressed(Arc<CompressedFile>),
}

/// Every segment of a log, by id.
#[derive(Debug)]
pub(crate) struct SegmentList {
    pub(crate) files: Files,
    pub(crate) log: LogId,
    pub(crate) segments: Vec<Arc<Segment>>,
    pub(crate) known: Known,
}

/// What is so of the segments of a list together, found when it is first asked for.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// The numbers that repairs gave up, in order.
    pub(crate) lost: OnceLock<Vec<Range<u64>>>,
    /// Whether something was reclaimed.
    pub(crate) has_reclaimed: OnceLock<bool>,
    /// Whether something is in an archive.
    pub(crate) has_archived: OnceLock<bool>,
}

impl Segment {
    pub(crate) fn new(entry: &Entry) -> Self {
        let segment = Self {
            seed: Seed::new(entry.header.salt),
            header: entry.header.clone(),
            form: entry.form,
            archived: entry.archived.clone(),
            lost: entry.lost.clone(),
            sealed: OnceLock::new(),
            bytes: OnceLock::new(),
        };
        if let Some(end) = entry.end {
            let _ = segment.sealed.set(end);
        }
        segment
    }

    /// Its id: 1 for the first, then one more each.
    pub fn id(&self) -> u32 {
        self.header.id
    }

    /// The word that the log's user gave when the segment began.
    pub fn context(&self) -> u64 {
        self.header.context
    }

    /// The number that its first numbered record has, or would have.
    pub fn first_number(&self) -> u64 {
        self.header.first_number
    }

    /// Where its records begin.
    pub fn start(&self) -> Place {
        Place {
            at: RecordAt::new(self.id(), HEADER_BYTES),
            next_number: self.first_number(),
        }
    }

    /// Where its records end, when it is sealed.
    pub fn end(&self) -> Option<RecordAt> {
        let end = self.sealed.get()?;
        Some(RecordAt::new(self.id(), end.offset))
    }

    /// Whether its records are read from a compressed form.
    pub fn is_compressed(&self) -> bool {
        self.form != Form::Plain
    }

    /// Whether it is sealed: nothing is written to it any more.
    pub fn is_sealed(&self) -> bool {
        self.sealed.get().is_some()
    }

    /// Whether some of its records no longer say what they said: see [`View::reclaim`](crate::View::reclaim).
    pub fn is_reclaimed(&self) -> bool {
        self.form.reclaimed().is_some()
    }

    /// How long its plain form is, in bytes, without what is kept free behind its end; 0 while it is not sealed.
    pub fn plain_bytes(&self) -> u64 {
        self.sealed.get().map_or(0, SealedEnd::plain_bytes)
    }

    /// How long the file of its compressed form is, in bytes, where it is compressed.
    pub fn compressed_bytes(&self) -> Option<u64> {
        match self.form {
            Form::Plain => None,
            Form::Compressed { bytes, .. } => Some(bytes),
        }
    }

    /// The location of the archive that its file is in, where it is archived.
    pub fn archive(&self) -> Option<&str> {
        self.archived.as_ref().map(|it| it.location.as_str())
    }

    /// How long its file in the archive is, in bytes, where it is archived.
    pub fn archived_bytes(&self) -> Option<u64> {
        self.archived.as_ref().map(|it| it.bytes)
    }

    /// What repair gave up in it, in order.
    pub fn lost(&self) -> &[Lost] {
        &self.lost
    }

    /// The lost range that this offset is in.
    pub(crate) fn lost_at(&self, offset: u32) -> Option<&Lost> {
        self.lost.iter().find(|lost| lost.offsets.contains(&offset))
    }

    /// Lets readers have the bytes of a file that the writer just began or checked.
    pub(crate) fn share(&self, files: &Files, file: &Arc<dyn VfsFile>) -> io::Result<()> {
        let bytes = self.bytes_of(files, file)?;
        let _ = self.bytes.set(bytes);
        Ok(())
    }

    /// Its bytes; on first use the file is opened, and its header and footer are checked.
    pub(crate) fn bytes(&self, files: &Files) -> Result<&Bytes> {
        if let Some(bytes) = self.bytes.get() {
            return Ok(bytes);
        }
        let bytes = match self.open_form(files, self.sealed.get())? {
            Opened::Compressed(file) => Bytes::Compressed(file),
            Opened::Plain(file) => {
                let path = self.path(files);
                let failed = |error| Error::io("the segment can't be mapped", &path, error);
                self.bytes_of(files, &file).map_err(failed)?
            }
        };
        Ok(self.bytes.get_or_init(|| bytes))
    }

    /// The file of the form that the manifest had.
    pub(crate) fn path(&self, files: &Files) -> PathBuf {
        let (id, form) = (self.id(), self.form);
        match &self.archived {
            Some(archived) => files.archived_path(self.header.log, id, form, archived),
            None => files.path_of(id, form),
        }
    }

    /// Opens the file to read, with its header and, where it is sealed, its length and footer checked.
    pub(crate) fn open(
        &self,
        files: &Files,
        sealed: Option<&SealedEnd>,
    ) -> Result<Arc<dyn VfsFile>> {
        Ok(match self.open_form(files, sealed)? {
            Opened::Plain(file) => file,
            Opened::Compressed(file) => file,
        })
    }

    /// What the manifest had of it.
    pub(crate) fn entry(&self) -> Entry {
        Entry {
            header: self.header.clone(),
            end: self.sealed.get().copied(),
            form: self.form,
            archived: self.archived.clone(),
            lost: self.lost.clone(),
        }
    }

    /// Opens the form that the manifest had, or the one that it has now when that is gone since, or in an archive
    /// that can't be reached any more.
    fn open_form(&self, files: &Files, sealed: Option<&SealedEnd>) -> Result<Opened> {
        let mut kept = self.kept();
        let is_gone = |kept: &Kept, error: &Error| is_missing(error) || kept.archived.is_some();
        let missing = match self.open_as(files, &kept, sealed) {
            Err(error) if is_gone(&kept, &error) && sealed.is_some() => error,
            opened => return opened,
        };
        for _ in 0..FORMS_TRIED_MAX {
            let Some(now) = files.entry_now(&self.header) else {
                break;
            };
            let kept_now = Segment::new(&now).kept();
            if kept_now == kept && kept.archived.is_some() {
                break;
            }
            kept = kept_now;
            match self.open_as(files, &kept, now.end.as_ref()) {
                Err(error) if is_gone(&kept, &error) => {}
                opened => return opened,
            }
        }
        Err(missing)
    }

    /// Whether an error says that its file is not in the archive any more, which had it when it was opened.
    pub(crate) fn is_gone_from_archive(&self, error: &Error) -> bool {
        self.archived.is_some() && error.io_kind() == Some(io::ErrorKind::NotFound)
    }

    /// In which form it is kept, and where.
    pub(crate) fn kept(&self) -> Kept {
        Kept {
            form: self.form,
            archived: self.archived.clone(),
        }
    }

    fn open_as(&self, files: &Files, kept: &Kept, sealed: Option<&SealedEnd>) -> Result<Opened> {
        let (path, file) = files.open_kept(&self.header, kept)?;
        if kept.form == Form::Plain {
            self.check_header(&path, &*file)?;
            if let Some(end) = sealed.filter(|end| end.closing == Closing::Footer) {
                self.check_footer(&path, &*file, end)?;
            }
            return Ok(Opened::Plain(file));
        }
        let file = CompressedFile::new(files, (path, file), &self.header, kept.form, sealed)?;
        Ok(Opened::Compressed(Arc::new(file)))
    }

    /// Checks that the file begins as this segment does.
    pub(crate) fn check_header(&self, path: &Path, file: &dyn VfsFile) -> Result<()> {
        let mut block = vec![0; HEADER_BYTES as usize];
        let read = read_full(file, &mut block, 0)
            .map_err(|error| Error::io("the segment can't be read", path, error))?;
        if read < block.len() {
            return Err(Error::corrupt(Damage::new(
                path,
                read as u64,
                DamageKind::Truncated,
            )));
        }
        let header = SegmentHeader::parse(&block)
            .map_err(|flaw| flawed(flaw, path, DamageKind::SegmentHeader))?;
        if header.log != self.header.log {
            return Err(Error::corrupt(Damage::new(
                path,
                0_u64,
                DamageKind::Foreign,
            )));
        }
        if header != self.header {
            return Err(Error::corrupt(Damage::new(
                path,
                0_u64,
                DamageKind::SegmentHeader,
            )));
        }
        Ok(())
    }

    fn check_footer(&self, path: &Path, file: &dyn VfsFile, end: &SealedEnd) -> Result<()> {
        let failed = |error| Error::io("the segment can't be read", path, error);
        let damaged = |kind| Error::corrupt(Damage::new(path, end.offset, kind));
        let mut frame = [0; FOOTER_BYTES as usize];
        let read = read_full(file, &mut frame, u64::from(end.offset)).map_err(failed)?;
        if read < frame.len() {
            return Err(damaged(DamageKind::Truncated));
        }
        let (head, body) = frame.split_at(crate::format::frame::FRAME_HEADER_BYTES as usize);
        let footer = FrameHeader::parse(head, self.seed, end.offset)
            .and_then(|header| Footer::parse(&header, body))
            .ok_or_else(|| damaged(DamageKind::Footer))?;
        if footer.end != end.offset || footer.digest != end.digest {
            return Err(damaged(DamageKind::Chain));
        }
        Ok(())
    }

    fn bytes_of(&self, files: &Files, file: &Arc<dyn VfsFile>) -> io::Result<Bytes> {
        if files.reads == ReadMode::Map
            && let Some(map) = file.map(u64::from(self.header.capacity))?
        {
            return Ok(Bytes::Map(map));
        }
        Ok(Bytes::File(Arc::clone(file)))
    }
}

/// A file that was opened, in its form.
enum Opened {
    Plain(Arc<dyn VfsFile>),
    Compressed(Arc<CompressedFile>),
}

/// Whether the error says that a file is not there.
pub(crate) fn is_missing(error: &Error) -> bool {
    let kind = error.damage().map(|damage| damage.kind);
    error.kind() == ErrorKind::Corrupt && kind == Some(DamageKind::Missing)
}

impl SegmentList {
    pub(crate) fn by_id(&self, id: u32) -> Option<&Arc<Segment>> {
        let first = self.segments.first()?.id();
        self.segments.get(id.checked_sub(first)? as usize)
    }

    /// The list with one more at the end.
    pub(crate) fn with(&self, segment: Arc<Segment>) -> Self {
        let mut segments = Vec::with_capacity(self.segments.len() + 1);
        segments.extend(self.segments.iter().cloned());
        segments.push(segment);
        Self {
            files: self.files.clone(),
            log: self.log,
            segments,
            known: Known::default(),
        }
    }
}
