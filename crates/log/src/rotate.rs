//! Beginning segments and sealing them.

use std::io;
use std::sync::Arc;

use crate::error::{Error, Result, is_no_space};
use crate::files::{Files, MANIFEST_NEW, write_full, write_zeros};
use crate::format::frame::END_BYTES;
use crate::format::manifest::{Closing, Entry, Form, Manifest, SealedEnd};
use crate::format::segment::{HEADER_BYTES, SegmentHeader};
use crate::format::watermark::Ended;
use crate::grow::{Room, first_end};
use crate::place::Tip;
use crate::planted::{self, Bug};
use crate::reader::footer_at;
use crate::segments::Segment;
use crate::vfs::{Access, VfsFile};
use crate::writer::{Active, Log};

impl Log {
    /// Seals the active segment and begins another of this capacity.
    ///
    /// What can fail for want of space comes first and is taken back; from the footer on, a failure
    /// leaves the log poisoned, and recovery finds the old state or the new one.
    pub(crate) fn rotate(&mut self, capacity: u32, context: u64) -> Result<()> {
        self.sync_written()?;
        let header = self.next_header(capacity, context)?;
        let path = self.files.segment(header.id);
        let (file, grown) = begin_segment(&self.files, &header)
            .map_err(|error| self.begin_failed(header.id, error))?;
        let manifest = self.manifest_after(&header);
        if let Err(error) = self.files.stage_manifest(&manifest) {
            return Err(self.begin_failed(header.id, error));
        }
        let sealed = self.seal_active();
        let sealed =
            sealed.map_err(|error| self.poison("the segment could not be sealed", &path, error))?;
        self.files
            .commit_manifest()
            .map_err(|error| self.poison("the manifest could not be put in place", &path, error))?;
        let _ = self.active.segment.sealed.set(sealed);
        self.active.room.close();
        self.manifest = manifest;
        self.activate(header, file, grown)
    }

    /// Goes on in a segment that was just begun.
    fn activate(
        &mut self,
        header: SegmentHeader,
        file: Arc<dyn VfsFile>,
        grown: u32,
    ) -> Result<()> {
        let tip = Tip::start(&header);
        let path = self.files.segment(header.id);
        let entry = Entry {
            header,
            end: None,
            form: Form::Plain,
            archived: None,
            lost: Vec::new(),
        };
        let segment = Arc::new(Segment::new(&entry));
        let shared = segment.share(&self.files, &file);
        shared.map_err(|error| self.poison("the segment could not be mapped", &path, error))?;
        self.list = Arc::new(self.list.with(Arc::clone(&segment)));
        self.active = Active {
            segment,
            file,
            room: Room::new(grown),
            grown,
            written: tip,
            durable: tip,
            marked: true,
        };
        let id = self.active.segment.id();
        let noted = self.watermark.seal(id, tip, Ended::Openly);
        let path = self.watermark.path.clone();
        noted.map_err(|error| self.poison("the watermark could not be synced", &path, error))?;
        self.publish();
        Ok(())
    }

    fn next_header(&self, capacity: u32, context: u64) -> Result<SegmentHeader> {
        let before = &self.active.segment.header;
        let Some(id) = before.id.checked_add(1) else {
            return Err(Error::new(
                crate::ErrorKind::Invalid,
                "the log has as many segments as it can; begin another log",
            ));
        };
        let salt = self.rng.next_u64().map_err(|error| {
            Error::io(
                "no random number could be had",
                &self.files.directory,
                error,
            )
        })?;
        Ok(SegmentHeader {
            log: before.log,
            id,
            capacity,
            salt,
            first_number: self.active.written.next_number,
            context,
            previous_digest: self.active.written.digest,
        })
    }

    fn manifest_after(&self, header: &SegmentHeader) -> Manifest {
        let mut manifest = self.manifest.clone();
        if let Some(last) = manifest.segments.last_mut() {
            last.end = Some(sealed_end(&self.active.written));
        }
        manifest.segments.push(Entry {
            header: header.clone(),
            end: None,
            form: Form::Plain,
            archived: None,
            lost: Vec::new(),
        });
        manifest
    }

    /// Writes the footer and makes the whole segment durable.
    fn seal_active(&self) -> io::Result<SealedEnd> {
        let active = &self.active;
        let frame = footer_at(&active.written).encode(active.segment.seed, active.durable.offset);
        write_full(&*active.file, &frame, u64::from(active.written.offset))?;
        if !planted::is_active(Bug::SealNotSynced) {
            active.file.sync_data()?;
        }
        Ok(sealed_end(&active.written))
    }

    /// Takes back a segment that could not be begun.
    fn begin_failed(&mut self, id: u32, error: io::Error) -> Error {
        let path = self.files.segment(id);
        let manifest = self.files.path(MANIFEST_NEW);
        let removed = self
            .files
            .remove(&manifest)
            .and_then(|()| self.files.remove(&path));
        if is_no_space(&error) && removed.is_ok() {
            return Error::io("there is no room for another segment", &path, error);
        }
        self.poison("the segment could not be begun", &path, error)
    }
}

/// How long the file of a segment must be for a frame of this length.
pub(crate) fn capacity_for(frame_bytes: u32, segment_bytes: u32) -> Option<u32> {
    let needed = HEADER_BYTES
        .checked_add(frame_bytes)?
        .checked_add(END_BYTES)?
        .checked_next_multiple_of(4096)?;
    Some(needed.max(segment_bytes))
}

/// Writes the file of a new segment: its header and the first zeros, durable with the file's name.
pub(crate) fn begin_segment(
    files: &Files,
    header: &SegmentHeader,
) -> io::Result<(Arc<dyn VfsFile>, u32)> {
    let file = files.vfs.open(&files.segment(header.id), Access::Create)?;
    let grown = first_end(header.capacity, 0);
    write_full(&*file, &header.encode(), 0)?;
    write_zeros(&*file, u64::from(HEADER_BYTES)..u64::from(grown))?;
    file.sync_all()?;
    if !planted::is_active(Bug::DirectoryNotSynced) {
        files.vfs.sync_directory(&files.directory)?;
    }
    Ok((file, grown))
}

fn sealed_end(tip: &Tip) -> SealedEnd {
    SealedEnd {
        offset: tip.offset,
        digest: tip.digest,
        closing: Closing::Footer,
    }
}
