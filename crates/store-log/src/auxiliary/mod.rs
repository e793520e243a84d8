//! Snapshots and checkpoints, in files beside the log.
//!
//! | file | what | when it is damaged |
//! |---|---|---|
//! | `snapshots.redb` | snapshots, in a redb database | a snapshot that is damaged counts as absent; a file that is damaged is set aside as `snapshots.redb.damaged-<n>` and begun anew: snapshots are derived data |
//! | `checkpoints` | every checkpoint, in one file that is replaced whole | an error, until somebody restores or removes it: a reader whose checkpoint went missing would handle everything again |
//! | `checkpoints.kept` | a note that there were checkpoints, so that the loss of `checkpoints` is noticed | not read |
//!
//! The two are apart because the second must not suffer for the first, and because a database's own
//! checks are too weak for it: a flipped bit in the header of a redb file shows the commit before the
//! newest, and a reader would go back in silence. Each file names the log that it belongs to.
//!
//! Nothing is opened before it is asked for, and nothing created before the first save. Files are
//! touched on the `blocking` crate's threads, so that no runtime thread waits for a disk; a call whose
//! future is dropped happens whole or not at all.

mod backend;
mod checkpoint_file;
mod checkpoints;
mod failure;
mod row;
mod snapshot_tables;
mod snapshots;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use annals_core::{
    Checkpoint, CheckpointName, CheckpointSave, CheckpointStore, Error, ErrorKind, Snapshot,
    SnapshotKey, SnapshotRemoval, SnapshotStore, Version,
};
use annals_log::LogId;
use annals_log::vfs::Vfs;
use async_trait::async_trait;
use blocking::unblock;

#[cfg(feature = "fuzzing")]
pub(crate) use self::checkpoint_file::fuzzing::{check_checkpoint_file, sample_checkpoint_file};
use self::checkpoints::Checkpoints;
use self::snapshots::Snapshots;

/// How much memory the cache of snapshots takes unless a setting says otherwise: 8 MiB.
pub(crate) const CACHE_BYTES_DEFAULT: usize = 8 * 1024 * 1024;

/// The snapshots and the checkpoints of one store; clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Auxiliary {
    files: Option<Files>,
}

#[derive(Clone, Debug)]
struct Files {
    snapshots: Arc<Snapshots>,
    checkpoints: Arc<Checkpoints>,
}

impl Auxiliary {
    /// Those of the store whose log has this identity, in this directory. Opens nothing yet.
    ///
    /// `cache_bytes` bounds the memory that holds parts of the snapshot file; a snapshot being saved or
    /// loaded stands beside it, once. Of the checkpoints all are kept in memory, some 200 bytes each.
    pub(crate) fn open(
        vfs: &Arc<dyn Vfs>,
        directory: &Path,
        log: LogId,
        cache_bytes: usize,
    ) -> Self {
        let snapshots = Snapshots::new(Arc::clone(vfs), directory, log, cache_bytes);
        let checkpoints = Checkpoints::new(Arc::clone(vfs), directory, log);
        Self {
            files: Some(Files {
                snapshots: Arc::new(snapshots),
                checkpoints: Arc::new(checkpoints),
            }),
        }
    }

    /// Those of a follower, which has none: the files have one owner, as the log has one writer.
    pub(crate) fn of_follower() -> Self {
        Self { files: None }
    }

    /// Every checkpoint that is saved there, in the order of their names. Blocks.
    pub(crate) fn all_checkpoints(
        vfs: &Arc<dyn Vfs>,
        directory: &Path,
        log: LogId,
    ) -> Result<Vec<(CheckpointName, Checkpoint)>, Error> {
        Checkpoints::new(Arc::clone(vfs), directory, log).list()
    }

    /// Writes what is open to its file, and closes it. A later call opens it again. Blocks.
    pub(crate) fn close(&self) {
        if let Some(Files { snapshots, .. }) = &self.files {
            snapshots.close();
        }
    }

    fn snapshots(&self, operation: &'static str) -> Result<Arc<Snapshots>, Error> {
        let files = self.files.as_ref();
        let files = files.ok_or_else(|| follower("snapshots").during(operation))?;
        Ok(Arc::clone(&files.snapshots))
    }

    fn checkpoints(&self, operation: &'static str) -> Result<Arc<Checkpoints>, Error> {
        let files = self.files.as_ref();
        let files = files.ok_or_else(|| follower("checkpoints").during(operation))?;
        Ok(Arc::clone(&files.checkpoints))
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl SnapshotStore for Auxiliary {
    async fn save_snapshot(&self, snapshot: Snapshot) -> Result<(), Error> {
        const OPERATION: &str = "save snapshot";
        let snapshots = self.snapshots(OPERATION)?;
        let saved = unblock(move || snapshots.save(&snapshot)).await;
        saved.map_err(|error| error.during(OPERATION))
    }

    async fn load_snapshot(
        &self,
        key: &SnapshotKey,
        at_most: Version,
    ) -> Result<Option<Snapshot>, Error> {
        const OPERATION: &str = "load snapshot";
        let (snapshots, key) = (self.snapshots(OPERATION)?, key.clone());
        let loaded = unblock(move || snapshots.load(&key, at_most)).await;
        loaded.map_err(|error| error.during(OPERATION))
    }

    async fn remove_snapshots(&self, removal: SnapshotRemoval) -> Result<usize, Error> {
        const OPERATION: &str = "remove snapshots";
        let snapshots = self.snapshots(OPERATION)?;
        let removed = unblock(move || snapshots.remove(&removal)).await;
        removed.map_err(|error| error.during(OPERATION))
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl CheckpointStore for Auxiliary {
    async fn load_checkpoint(&self, name: &CheckpointName) -> Result<Option<Checkpoint>, Error> {
        const OPERATION: &str = "load checkpoint";
        let checkpoints = self.checkpoints(OPERATION)?;
        if let Ok(known) = checkpoints.known(name) {
            return Ok(known);
        }
        let name = name.clone();
        let loaded = unblock(move || checkpoints.load(&name)).await;
        loaded.map_err(|error| error.during(OPERATION))
    }

    async fn save_checkpoint(&self, save: CheckpointSave) -> Result<Checkpoint, Error> {
        const OPERATION: &str = "save checkpoint";
        let checkpoints = self.checkpoints(OPERATION)?;
        let saved = unblock(move || checkpoints.save(save)).await;
        saved.map_err(|error| error.during(OPERATION))
    }

    async fn remove_checkpoint(
        &self,
        name: &CheckpointName,
        expected_revision: u64,
    ) -> Result<(), Error> {
        const OPERATION: &str = "remove checkpoint";
        let (checkpoints, name) = (self.checkpoints(OPERATION)?, name.clone());
        let removed = unblock(move || checkpoints.remove(&name, expected_revision)).await;
        removed.map_err(|error| error.during(OPERATION))
    }
}

fn follower(what: &str) -> Error {
    let message = format!(
        "a read-only store has no {what}; open it for writing, or keep them in a store of their own"
    );
    Error::new(ErrorKind::Unsupported, message)
}
