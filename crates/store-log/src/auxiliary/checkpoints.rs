//! Checkpoints: all of them in memory, and in one file that every change replaces whole.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use annals_core::{Checkpoint, CheckpointName, CheckpointSave, Error, ErrorKind};
use annals_log::vfs::{Access, Vfs};

use super::backend::{read_exact, write_all};
use super::checkpoint_file::{self, BadFile, FORMAT, Saved, SavedCheckpoint};
use super::failure;
use annals_log::LogId;

/// The largest checkpoint file: beyond it no further name is taken.
pub(super) const FILE_BYTES_MAX: usize = 64 * 1024 * 1024;

pub(super) const FILE: &str = "checkpoints";
const NEW_FILE: &str = "checkpoints.new";
pub(super) const KEPT_FILE: &str = "checkpoints.kept";

/// What the note says to whoever finds it.
const KEPT_TEXT: &[u8] =
    b"Readers have saved checkpoints in this store. Where the file `checkpoints` is missing \
they are refused rather than begun anew. To begin them anew, remove this file too.\n";

/// The checkpoints of one store.
#[derive(Debug)]
pub(super) struct Checkpoints {
    vfs: Arc<dyn Vfs>,
    directory: PathBuf,
    log: LogId,
    /// Held by whoever reads or replaces the file.
    file: Mutex<()>,
    /// What the file holds for certain; nothing before it was read.
    known: RwLock<Option<Saved>>,
}

/// The file was not read yet.
#[derive(Debug)]
pub(super) struct NotRead;

impl Checkpoints {
    pub(super) fn new(vfs: Arc<dyn Vfs>, directory: &Path, log: LogId) -> Self {
        Self {
            vfs,
            directory: directory.to_owned(),
            log,
            file: Mutex::new(()),
            known: RwLock::new(None),
        }
    }

    /// The checkpoint of this name, where the file was read already: waits for no disk.
    pub(super) fn known(&self, name: &CheckpointName) -> Result<Option<Checkpoint>, NotRead> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let known = known.as_ref().ok_or(NotRead)?;
        Ok(known.get(name).and_then(checkpoint))
    }

    /// The checkpoint of this name.
    pub(super) fn load(&self, name: &CheckpointName) -> Result<Option<Checkpoint>, Error> {
        let _file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(self.all()?.get(name).and_then(checkpoint))
    }

    /// Every checkpoint, in the order of their names.
    pub(super) fn list(&self) -> Result<Vec<(CheckpointName, Checkpoint)>, Error> {
        let _file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let all = self.all()?.into_iter();
        Ok(all
            .filter_map(|(name, saved)| Some((name, checkpoint(&saved)?)))
            .collect())
    }

    /// Saves a checkpoint durably.
    pub(super) fn save(&self, save: CheckpointSave) -> Result<Checkpoint, Error> {
        let CheckpointSave {
            name,
            cursor,
            expected_revision,
        } = save;
        let _file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = self.all()?;
        let saved = all.entry(name.clone()).or_default();
        check(&name, saved, expected_revision)?;
        saved.revision = saved.revision.saturating_add(1);
        saved.cursor = Some(cursor.clone());
        let revision = saved.revision;
        self.replace(all)?;
        Ok(Checkpoint { cursor, revision })
    }

    /// Forgets a checkpoint durably, but not its revision.
    pub(super) fn remove(
        &self,
        name: &CheckpointName,
        expected_revision: u64,
    ) -> Result<(), Error> {
        let _file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = self.all()?;
        let Some(saved) = all.get_mut(name) else {
            return check(name, &SavedCheckpoint::default(), expected_revision);
        };
        check(name, saved, expected_revision)?;
        if saved.cursor.take().is_some() {
            self.replace(all)?;
        }
        Ok(())
    }

    /// Every checkpoint, from the file at the first time.
    fn all(&self) -> Result<Saved, Error> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.clone() {
            return Ok(known);
        }
        drop(known);
        let saved = self.read()?;
        self.publish(saved.clone());
        Ok(saved)
    }

    /// Nobody who looks waits longer than this takes.
    fn publish(&self, saved: Saved) {
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Some(saved);
    }

    fn read(&self) -> Result<Saved, Error> {
        let path = self.directory.join(FILE);
        let bytes = match self.bytes(&path) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return self.none(&path),
            Err(error) => return Err(failure::of_io(error, &path)),
        };
        checkpoint_file::parse(self.log, &bytes).map_err(|bad| match bad {
            BadFile::Newer(format) => failure::newer_format(&path, format, FORMAT),
            BadFile::OtherStore => lost(&path, "it is of another store"),
            BadFile::Damaged(how) => lost(&path, how),
        })
    }

    /// The whole file; `None` when there is none.
    fn bytes(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        let file = match self.vfs.open(path, Access::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let length = usize::try_from(file.length()?).unwrap_or(usize::MAX);
        // A file that is too long is cut here, and its checksum is not right then.
        let mut bytes = vec![0; length.min(FILE_BYTES_MAX)];
        read_exact(&*file, &mut bytes, 0)?;
        Ok(Some(bytes))
    }

    /// No checkpoint at all, unless there were some.
    fn none(&self, path: &Path) -> Result<Saved, Error> {
        match self.vfs.open(&self.directory.join(KEPT_FILE), Access::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Saved::new()),
            Err(error) => Err(failure::of_io(error, path)),
            Ok(_) => Err(lost(path, "it is missing")),
        }
    }

    /// Puts a file with these in place of the one that is there, durably. After an error the file is the
    /// old one or the new one; what is known stays the old, so that the same save can be tried again.
    fn replace(&self, all: Saved) -> Result<(), Error> {
        let bytes = checkpoint_file::encode(self.log, &all);
        if bytes.len() > FILE_BYTES_MAX {
            let message = "there are too many checkpoints, removed ones included; use fewer names";
            return Err(Error::new(ErrorKind::Invalid, message)
                .with("bytes", bytes.len())
                .with("bytes_max", FILE_BYTES_MAX));
        }
        self.write(&bytes)
            .map_err(|error| failure::of_io(error, &self.directory.join(FILE)))?;
        self.publish(all);
        Ok(())
    }

    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let new = self.directory.join(NEW_FILE);
        self.create(&new, bytes)?;
        self.vfs.rename(&new, &self.directory.join(FILE))?;
        self.vfs.sync_directory(&self.directory)?;
        let kept = self.directory.join(KEPT_FILE);
        match self.vfs.open(&kept, Access::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.create(&kept, KEPT_TEXT)?;
                self.vfs.sync_directory(&self.directory)
            }
            opened => opened.map(drop),
        }
    }

    /// Writes a new file, in place of what a crash may have left of one.
    fn create(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        match self.vfs.remove(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = self.vfs.open(path, Access::Create)?;
        write_all(&*file, bytes, 0)?;
        file.sync_all()
    }
}

fn checkpoint(saved: &SavedCheckpoint) -> Option<Checkpoint> {
    let cursor = saved.cursor.clone()?;
    Some(Checkpoint {
        cursor,
        revision: saved.revision,
    })
}

/// Refuses a caller who knows another revision.
fn check(name: &CheckpointName, saved: &SavedCheckpoint, expected: u64) -> Result<(), Error> {
    let actual = saved.cursor.as_ref().map_or(0, |_| saved.revision);
    if actual == expected {
        return Ok(());
    }
    let message = "checkpoint was changed by another reader of this name; stop one of the two";
    Err(Error::new(ErrorKind::Conflict, message)
        .with("name", name)
        .with("expected_revision", expected)
        .with("actual_revision", actual))
}

/// The error of a reader whose checkpoint is not to be found, though there may have been one.
fn lost(path: &Path, how: &str) -> Error {
    let message = "the checkpoints are lost; restore their file, or remove it and `checkpoints.kept` so that \
                   every reader begins anew, and handles again what it has handled";
    Error::new(ErrorKind::Corrupt, message)
        .with("file", path.display())
        .with("damage", how)
}
