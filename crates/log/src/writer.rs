//! The writer of a log.

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::LogId;
use crate::error::{Error, ErrorKind, Result, is_no_space};
use crate::files::{Files, write_full, write_zeros};
use crate::format::frame::{END_BYTES, FRAME_HEADER_BYTES, FrameHeader, FrameKind, frame_bytes};
use crate::format::manifest::Manifest;
use crate::format::watermark::Ended;
use crate::frame_builder::FrameBuilder;
use crate::grow::{GrowError, Growth, Room};
use crate::place::{Place, Tip};
use crate::planted::{self, Bug};
use crate::rotate::capacity_for;
use crate::segments::{Segment, SegmentList};
use crate::settings::{Durability, LogSettings};
use crate::vfs::{Rng, VfsFile, VfsLock};
use crate::view::View;
use crate::watermark::Watermark;

/// The one writer of a log: single-threaded, and without a will of its own. It holds the directory's
/// lock until it is dropped.
///
/// [`reserve`](Self::reserve) makes room, [`frame`](Self::frame) builds and writes a batch,
/// [`sync`](Self::sync) makes it durable and gives the [`View`] that shows it. Dropping a log without
/// [`close`](Self::close) loses nothing that was synced; the next opening recovers.
#[derive(Debug)]
pub struct Log {
    pub(crate) files: Files,
    pub(crate) rng: Arc<dyn Rng>,
    pub(crate) settings: LogSettings,
    pub(crate) manifest: Manifest,
    pub(crate) list: Arc<SegmentList>,
    pub(crate) active: Active,
    pub(crate) watermark: Watermark,
    pub(crate) view: View,
    pub(crate) buffer: Vec<u8>,
    pub(crate) poisoned: bool,
    pub(crate) _lock: Box<dyn VfsLock>,
}

/// The segment that is written to.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) segment: Arc<Segment>,
    pub(crate) file: Arc<dyn VfsFile>,
    pub(crate) room: Arc<Room>,
    /// How far the file is known to be filled.
    pub(crate) grown: u32,
    pub(crate) written: Tip,
    pub(crate) durable: Tip,
    /// Whether nothing was written since the last marker.
    pub(crate) marked: bool,
}

/// The segment that the next frame goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Its id.
    pub id: u32,
    /// The word that was given when it began.
    pub context: u64,
    /// The number that its first numbered record has, or will have.
    pub first_number: u64,
}

impl Drop for Log {
    fn drop(&mut self) {
        // A step of growth that comes later would write where the next writer has its frames.
        self.active.room.close();
    }
}

impl Log {
    /// The identity of the log.
    pub fn id(&self) -> LogId {
        self.manifest.log
    }

    /// The end of what is written, durable or not.
    pub fn place(&self) -> Place {
        self.active.written.place(self.active.segment.id())
    }

    /// What is durable: see [`View`].
    pub fn view(&self) -> View {
        if planted::is_active(Bug::ServedBeforeDurable) {
            return View::new(Arc::clone(&self.list), self.place());
        }
        self.view.clone()
    }

    /// The segment that the next frame goes to, as of now.
    pub fn segment(&self) -> SegmentInfo {
        let segment = &self.active.segment;
        SegmentInfo {
            id: segment.id(),
            context: segment.context(),
            first_number: segment.first_number(),
        }
    }

    /// Makes room for a frame of `bytes` body bytes, which are each record's own and
    /// [`RECORD_HEADER_BYTES`](crate::RECORD_HEADER_BYTES) more. Seals the segment and begins another
    /// one with this context where the frame would not fit; all that is written is durable then.
    ///
    /// # Errors
    ///
    /// `NoSpace`: nothing was done, the log goes on. `Invalid`: no segment can be so long. `Unknown`
    /// and `Poisoned`: the log is stopped.
    pub fn reserve(&mut self, bytes: usize, context: impl FnOnce() -> u64) -> Result<SegmentInfo> {
        self.check_usable()?;
        let frame = u32::try_from(bytes).ok().and_then(frame_bytes);
        let needed = frame.and_then(|frame| {
            let capacity = capacity_for(frame, self.settings.segment_bytes)?;
            Some((frame, capacity))
        });
        let Some((frame, capacity)) = needed else {
            return Err(Error::new(
                ErrorKind::Invalid,
                "the batch is longer than a segment can be; split it",
            ));
        };
        if !self.has_room(frame) {
            self.mark_open()?;
            self.rotate(capacity, context())?;
        }
        self.ensure_grown(frame)?;
        Ok(self.segment())
    }

    /// Begins a frame at the end of the log. Nothing is written before [`FrameBuilder::write`].
    pub fn frame(&mut self) -> FrameBuilder<'_> {
        FrameBuilder::new(self)
    }

    /// Makes everything that is written durable, notes it in the watermark, and gives the view that
    /// shows it. With [`Durability::Process`] it only gives the view.
    ///
    /// # Errors
    ///
    /// `Unknown`: what was written since the last sync may be durable or not; the log is stopped for
    /// good, views go on. `Poisoned`: it was stopped before.
    pub fn sync(&mut self) -> Result<View> {
        if let Err(error) = self.check_usable() {
            let in_doubt = self.active.written != self.active.durable;
            return Err(if in_doubt {
                error.into_unknown()
            } else {
                error
            });
        }
        let active = &self.active;
        if active.written == active.durable && self.view.end() == self.place() {
            return Ok(self.view());
        }
        if planted::is_active(Bug::WatermarkAhead) {
            self.note_watermark(self.active.written)?;
        }
        if self.settings.durability == Durability::Sync {
            self.sync_written()?;
        }
        self.note_watermark(self.active.durable)?;
        self.publish();
        Ok(self.view())
    }

    /// Tells recovery that all is well, to be called when nothing was written for a while: a marker
    /// frame and a synced watermark, unless nothing was written since the last one. Everything written
    /// is durable afterwards.
    pub fn idle(&mut self) -> Result<()> {
        self.check_usable()?;
        if self.active.marked && self.active.written == self.active.durable {
            return Ok(());
        }
        self.sync_written()?;
        self.mark()?;
        self.seal_watermark(Ended::Openly)?;
        self.publish();
        Ok(())
    }

    /// A step of growth to run ahead on another thread, when the room is getting short.
    pub fn growth(&mut self) -> Option<Growth> {
        let active = &self.active;
        active.room.offer(
            &self.files.vfs,
            || self.files.segment(active.segment.id()),
            active.written.offset,
            active.segment.header.capacity,
        )
    }

    /// Takes a step back that was run, or was not.
    #[expect(clippy::needless_pass_by_value, reason = "the step ends here")]
    pub fn grown(&mut self, growth: Growth) {
        growth.withdraw();
    }

    /// How many bytes of the segment are written and not yet synced.
    pub fn unsynced_bytes(&self) -> u64 {
        let (written, durable) = (self.active.written.offset, self.active.durable.offset);
        u64::from(written.saturating_sub(durable))
    }

    /// Whether the log is stopped: every later call of the writer is refused, reads go on.
    pub fn is_poisoned(&self) -> bool {
        self.poisoned
    }

    /// Makes all durable and says so in the files, so that the next opening has nothing to recover.
    pub fn close(mut self) -> Result<()> {
        self.active.room.close();
        self.check_usable()?;
        if self.watermark.slot.ended == Ended::Cleanly {
            return Ok(());
        }
        self.sync_written()?;
        if !self.active.marked {
            self.mark()?;
        }
        self.seal_watermark(Ended::Cleanly)
    }

    /// Refuses when an earlier failure stopped the writer; what its manifest says can't be told then.
    ///
    /// # Errors
    /// `Poisoned`.
    pub fn check_usable(&mut self) -> Result<()> {
        self.poisoned |= self.active.room.sync_failed();
        if self.poisoned && !planted::is_active(Bug::PoisonIgnored) {
            return Err(Error::new(
                ErrorKind::Poisoned,
                "the writer stopped after an earlier failure; open the log again",
            )
            .at(&self.files.directory));
        }
        Ok(())
    }

    /// Stops the writer for good.
    pub(crate) fn poison(&mut self, what: &'static str, path: &Path, error: io::Error) -> Error {
        tracing::error!(%error, path = %path.display(), "the log is stopped: {what}");
        self.poisoned = true;
        Error::unknown(what, path, error)
    }

    pub(crate) fn active_path(&self) -> std::path::PathBuf {
        self.files.segment(self.active.segment.id())
    }

    /// Writes a whole frame at the end.
    pub(crate) fn write_frame(
        &mut self,
        bytes: &[u8],
        after: Tip,
        kind: FrameKind,
    ) -> Result<Place> {
        self.check_usable()?;
        let length = after.offset - self.active.written.offset;
        if !self.has_room(length) && kind == FrameKind::Data {
            return Err(Error::new(
                ErrorKind::Invalid,
                "the frame has no room in the segment; reserve its length first",
            ));
        }
        self.mark_open()?;
        self.ensure_grown(length)?;
        let offset = u64::from(self.active.written.offset);
        if let Err(error) = write_full(&*self.active.file, bytes, offset) {
            if is_no_space(&error) && planted::is_active(Bug::ShortWriteIgnored) {
                self.active.written = after;
                return Ok(self.place());
            }
            return Err(self.write_failed(length, error));
        }
        self.active.written = after;
        self.active.marked = kind == FrameKind::Marker;
        Ok(self.place())
    }

    /// Makes what is written durable.
    pub(crate) fn sync_written(&mut self) -> Result<()> {
        if self.active.written == self.active.durable {
            return Ok(());
        }
        if !planted::is_active(Bug::AcknowledgedBeforeSync) {
            let mut synced = self.active.file.sync_data();
            if planted::is_active(Bug::FailedSyncRetried) && synced.is_err() {
                synced = self.active.file.sync_data();
            }
            if let Err(error) = synced {
                let path = self.active_path();
                return Err(self.poison("the sync failed", &path, error));
            }
        }
        self.active.durable = self.active.written;
        Ok(())
    }

    /// Shows readers what may be served by now.
    pub(crate) fn publish(&mut self) {
        self.view = View::new(Arc::clone(&self.list), self.place());
    }

    fn has_room(&self, frame: u32) -> bool {
        let end = self.active.written.offset.checked_add(frame);
        let end = end.and_then(|end| end.checked_add(END_BYTES));
        end.is_some_and(|end| end <= self.active.segment.header.capacity)
    }

    /// Has the file filled for a frame and for what ends a segment.
    fn ensure_grown(&mut self, frame: u32) -> Result<()> {
        let capacity = self.active.segment.header.capacity;
        let needed = self.active.written.offset.saturating_add(frame);
        let needed = needed.saturating_add(END_BYTES).min(capacity);
        if needed <= self.active.grown {
            return Ok(());
        }
        match self
            .active
            .room
            .ensure(&*self.active.file, needed, capacity)
        {
            Ok(grown) => {
                self.active.grown = grown;
                Ok(())
            }
            Err(GrowError::Write(error)) if is_no_space(&error) => Err(Error::io(
                "there is no room for the segment to grow",
                &self.active_path(),
                error,
            )),
            Err(GrowError::Write(error) | GrowError::Sync(error)) => {
                let path = self.active_path();
                Err(self.poison("the segment could not grow", &path, error))
            }
        }
    }

    /// Says in the watermark that the log is being written, before the first write.
    fn mark_open(&mut self) -> Result<()> {
        if self.watermark.slot.ended == Ended::Openly || planted::is_active(Bug::CleanFlagKept) {
            return Ok(());
        }
        self.seal_watermark(Ended::Openly)
    }

    /// Writes a marker and makes it durable.
    fn mark(&mut self) -> Result<()> {
        let active = &self.active;
        let header = FrameHeader {
            kind: FrameKind::Marker,
            body_bytes: 0,
            records: 0,
            first_number: active.written.next_number,
            durable_upto: active.written.offset,
            body_checksum: 0,
        };
        let bytes = header.encode(active.segment.seed, active.written.offset);
        let after = tip_after(&active.written, &header, &bytes, FRAME_HEADER_BYTES, 0);
        self.write_frame(&bytes, after, FrameKind::Marker)?;
        self.sync_written()
    }

    fn note_watermark(&mut self, durable: Tip) -> Result<()> {
        let noted = self
            .watermark
            .note(self.active.segment.id(), durable, self.active.written);
        noted.map_err(|error| {
            let path = self.watermark.path.clone();
            self.poison("the watermark could not be written", &path, error)
        })
    }

    fn seal_watermark(&mut self, ended: Ended) -> Result<()> {
        let sealed = self
            .watermark
            .seal(self.active.segment.id(), self.active.durable, ended);
        sealed.map_err(|error| {
            let path = self.watermark.path.clone();
            self.poison("the watermark could not be synced", &path, error)
        })
    }

    /// Rolls a frame back that the disk had no room for.
    fn write_failed(&mut self, length: u32, error: io::Error) -> Error {
        let path = self.active_path();
        if !is_no_space(&error) {
            return self.poison("the frame could not be written", &path, error);
        }
        if planted::is_active(Bug::RollbackSkipped) {
            return Error::io("there is no room for the frame", &path, error);
        }
        let start = u64::from(self.active.written.offset);
        let file = &self.active.file;
        let undone = write_zeros(&**file, start..start + u64::from(length));
        // Synced at once: a frame that was refused must not show after a crash.
        match undone.and_then(|()| file.sync_data()) {
            Ok(()) => {
                self.active.durable = self.active.written;
                Error::io("there is no room for the frame", &path, error)
            }
            Err(error) => self.poison("the frame could not be taken back", &path, error),
        }
    }
}

/// The tip after a frame of this header.
pub(crate) fn tip_after(
    before: &Tip,
    header: &FrameHeader,
    header_bytes: &[u8],
    frame_bytes: u32,
    numbered: u32,
) -> Tip {
    Tip {
        offset: before.offset + frame_bytes,
        next_number: before.next_number + u64::from(numbered),
        digest: FrameHeader::chain(before.digest, header_bytes),
        frames: before.frames + 1,
        records: before.records + u64::from(header.records),
    }
}
