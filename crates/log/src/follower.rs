//! Reading a log that another process writes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::LogId;
use crate::error::{Damage, DamageKind, Error, Result};
use crate::files::{Files, MANIFEST, WATERMARK};
use crate::format::manifest::Manifest;
use crate::format::watermark::{Ended, Slot};
use crate::place::Place;
use crate::segments::{Known, Segment, SegmentList};
use crate::settings::{Parts, ReadMode};
use crate::vfs::{Access, VfsFile, Watch};
use crate::view::View;
use crate::watermark::read_slot;

/// After how many looks that found something new the manifest is read again: to let go of segments that were
/// compressed since, which are read from files without a name until then.
const NEWS_BETWEEN_LOOKS: u32 = 256;

/// A reader of a log in any process, beside the one that writes. It takes no lock and writes nothing.
///
/// It sees what the watermark says is there: all that the writer's [`sync`](crate::Log::sync) returned
/// for, a moment later.
#[derive(Debug)]
pub struct Follower {
    files: Files,
    watermark: Arc<dyn VfsFile>,
    list: Arc<SegmentList>,
    sequence: u64,
    ended: Ended,
    /// How often there was something new.
    news: u32,
    view: View,
}

impl Follower {
    /// Opens the log in the directory to read.
    ///
    /// # Errors
    ///
    /// `NotFound` when there is none, `Corrupt`, `NewerFormat`, `Io`.
    pub fn open(parts: &Parts, directory: &Path, reads: ReadMode) -> Result<Self> {
        let files = Files::new(parts, directory, reads);
        let manifest = files.read_manifest()?;
        let watermark = files.open(&files.path(WATERMARK), Access::Read)?;
        let list = Arc::new(SegmentList {
            files: files.clone(),
            log: manifest.log,
            segments: Vec::new(),
            known: Known::default(),
        });
        let nowhere = Place {
            at: crate::RecordAt::new(0, 0),
            next_number: 0,
        };
        let view = View::new(Arc::clone(&list), nowhere);
        let mut follower = Self {
            files,
            watermark,
            list,
            sequence: 0,
            ended: Ended::Openly,
            news: 0,
            view,
        };
        follower.take_over(&manifest);
        follower.refresh()?;
        Ok(follower)
    }

    /// Keeps at most so many bytes of compressed segments in plain form, in place of
    /// [`BLOCK_CACHE_BYTES_DEFAULT`](crate::LogSettings::BLOCK_CACHE_BYTES_DEFAULT).
    pub fn limit_block_cache(&self, bytes_max: usize) {
        self.files.cache.limit(bytes_max);
    }

    /// The identity of the log.
    pub fn log_id(&self) -> LogId {
        self.list.log
    }

    /// The view as of the last refresh.
    pub fn view(&self) -> View {
        self.view.clone()
    }

    /// Looks at the watermark and gives the view of what is there now. A look that finds nothing new
    /// reads two small blocks.
    pub fn refresh(&mut self) -> Result<View> {
        let slot = read_slot(&self.files, &*self.watermark, self.list.log)?;
        // A slot that is being written reads as damaged, and the other one is older.
        if slot.sequence <= self.sequence {
            return Ok(self.view());
        }
        self.news = self.news.wrapping_add(1);
        let is_new = self.list.by_id(slot.segment).is_none();
        if is_new || self.news.is_multiple_of(NEWS_BETWEEN_LOOKS) {
            let manifest = self.files.read_manifest()?;
            self.take_over(&manifest);
        }
        self.check_there(&slot)?;
        self.sequence = slot.sequence;
        self.ended = slot.ended;
        let place = Place {
            at: slot.served(),
            next_number: slot.served_number,
        };
        self.view = View::new(Arc::clone(&self.list), place);
        Ok(self.view())
    }

    /// Whether the last writer closed the log, as of the last refresh. Else one writes it, or was stopped: then the
    /// watermark may be older than what was synced, which the next one to open the log finds.
    pub fn ended_cleanly(&self) -> bool {
        self.ended == Ended::Cleanly
    }

    /// A watch that tells when a refresh may find something new.
    pub fn watch(&self) -> Result<Box<dyn Watch>> {
        let path = self.files.path(WATERMARK);
        let watch = self.files.vfs.watch(&path);
        watch.map_err(|error| Error::io("the watermark can't be watched", &path, error))
    }

    /// Takes the segments of a manifest over, and keeps those that are known already.
    fn take_over(&mut self, manifest: &Manifest) {
        let segments = manifest.segments.iter().map(|entry| {
            let known = self
                .list
                .by_id(entry.header.id)
                .filter(|known| known.header == entry.header && known.lost == entry.lost)
                .filter(|known| known.form == entry.form && known.archived == entry.archived);
            let Some(known) = known else {
                return Arc::new(Segment::new(entry));
            };
            if let Some(end) = entry.end {
                let _ = known.sealed.set(end);
            }
            Arc::clone(known)
        });
        self.list = Arc::new(SegmentList {
            files: self.files.clone(),
            log: manifest.log,
            segments: segments.collect(),
            known: Known::default(),
        });
    }

    /// Checks that the segment is as long as the watermark says: a map of it must not reach beyond.
    fn check_there(&self, slot: &Slot) -> Result<()> {
        let path: PathBuf = self.files.segment(slot.segment);
        if self.list.by_id(slot.segment).is_none() {
            let manifest = self.files.path(MANIFEST);
            return Err(Error::corrupt(Damage::new(
                &manifest,
                0_u64,
                DamageKind::Chain,
            )));
        }
        let file = self.files.open(&path, Access::Read)?;
        let length = file
            .length()
            .map_err(|error| Error::io("the segment can't be read", &path, error))?;
        if length < u64::from(slot.served_offset) {
            return Err(Error::corrupt(Damage::new(
                &path,
                length,
                DamageKind::Truncated,
            )));
        }
        Ok(())
    }
}
