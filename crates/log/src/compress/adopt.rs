//! Going over from one form of a segment to another.

use std::io;
use std::sync::Arc;

use super::Rewritten;
use crate::error::{Error, ErrorKind, Result};
use crate::files::{MANIFEST_NEW, name_of};
use crate::segments::{Kept, Known, Segment, SegmentList};
use crate::view::View;
use crate::writer::Log;

impl Log {
    /// Goes on with this form of the segment: names it in the manifest, durably, and gives the view that
    /// reads it. Takes as long as three syncs of small files. The file of the other form stays until
    /// [`Rewritten::remove_replaced`]; views that were given before read whichever there is.
    ///
    /// # Errors
    /// `Invalid` when the segment is not as it was when the form was written, or the log's key in archives not the one
    /// that it was archived with, `NoSpace` and `Io`: the log
    /// goes on with the form that it had. `Unknown` and `Poisoned`: the log is stopped, and either form may
    /// be named when it is opened again.
    pub fn adopt(&mut self, rewritten: &Rewritten) -> Result<View> {
        self.check_usable()?;
        let mut manifest = self.manifest.clone();
        let entry = manifest.entry_mut(rewritten.segment()).filter(|entry| {
            entry.lost.is_empty() && Segment::new(entry).kept() == rewritten.replaced
        });
        let entry = entry.filter(|_| {
            let archived = rewritten.kept.archived.as_ref();
            archived.is_none_or(|archived| Some(archived.key) == self.manifest.archive_key)
        });
        let Some(entry) = entry else {
            let message = "the segment changed since its other form was written; begin again";
            return Err(Error::new(ErrorKind::Invalid, message));
        };
        entry.form = rewritten.kept.form;
        entry.archived.clone_from(&rewritten.kept.archived);
        entry.end = Some(rewritten.end);
        let segment = Arc::new(Segment::new(entry));
        let staged = self.files.stage_manifest(&manifest);
        staged.map_err(|error| self.staging_failed(error))?;
        let path = self.files.path(MANIFEST_NEW);
        self.files
            .commit_manifest()
            .map_err(|error| self.poison("the manifest could not be put in place", &path, error))?;
        self.manifest = manifest;
        self.list = Arc::new(self.list.replaced(&segment));
        self.view = View::new(Arc::clone(&self.list), self.view.end());
        Ok(self.view())
    }

    /// The manifest that is in place is untouched.
    pub(crate) fn staging_failed(&self, error: io::Error) -> Error {
        let path = self.files.path(MANIFEST_NEW);
        if let Err(error) = self.files.remove(&path) {
            tracing::debug!(%error, "an unfinished manifest stays for now");
        }
        Error::io("the manifest could not be written", &path, error)
    }
}

impl SegmentList {
    /// The list with this segment in place of the one of its id.
    fn replaced(&self, segment: &Arc<Segment>) -> Self {
        let segments = self.segments.iter().map(|known| {
            if known.id() == segment.id() {
                Arc::clone(segment)
            } else {
                Arc::clone(known)
            }
        });
        Self {
            files: self.files.clone(),
            log: self.log,
            segments: segments.collect(),
            known: Known::default(),
        }
    }
}

impl Rewritten {
    /// Removes the form that was written, which the log did not go over to. Where that fails the next opening
    /// does it. A copy in an archive stays: a copy of the log's directory may count on it by now, and the next move
    /// takes it over.
    pub fn discard(self) {
        if self.kept.archived.is_some() {
            return;
        }
        if let Err(error) = self.remove(&self.kept) {
            let segment = self.segment();
            tracing::debug!(%error, segment, "an unfinished file stays for now");
        }
    }

    /// Removes the file that is not in use any more, after [`Log::adopt`]. Where that fails the next opening does it; in
    /// an archive it stays until [`View::sweep_archive`](crate::View::sweep_archive).
    ///
    /// # Errors
    /// `Io`.
    pub fn remove_replaced(self) -> Result<()> {
        self.remove(&self.replaced).map_err(|error| {
            let path = self.files.path_of(self.segment(), self.replaced.form);
            Error::io("the file can't be removed", &path, error)
        })
    }

    fn remove(&self, kept: &Kept) -> io::Result<()> {
        let Some(archived) = &kept.archived else {
            let path = self.files.path_of(self.segment(), kept.form);
            return self.files.remove(&path);
        };
        let archive = self.files.archive_of(self.header.log, archived)?;
        archive.remove(&name_of(self.segment(), kept.form))
    }
}
