//! Snapshots and checkpoints.

use std::collections::{BTreeMap, BTreeSet};

use annals_core::{
    Checkpoint, CheckpointName, CheckpointSave, CheckpointStore, Cursor, Error, ErrorKind,
    Snapshot, SnapshotKey, SnapshotRemoval, SnapshotStore, Version,
};
use async_trait::async_trait;

use crate::MemoryStore;

#[async_trait]
impl SnapshotStore for MemoryStore {
    async fn save_snapshot(&self, snapshot: Snapshot) -> Result<(), Error> {
        let mut state = self.change()?;
        let kept = state.snapshots.entry(snapshot.key().clone()).or_default();
        kept.insert(snapshot.version(), snapshot);
        Ok(())
    }

    async fn load_snapshot(
        &self,
        key: &SnapshotKey,
        at_most: Version,
    ) -> Result<Option<Snapshot>, Error> {
        let state = self.look()?;
        let newest = state
            .snapshots
            .get(key)
            .and_then(|kept| kept.range(..=at_most).next_back());
        Ok(newest.map(|(_, snapshot)| snapshot.clone()))
    }

    async fn remove_snapshots(&self, removal: SnapshotRemoval) -> Result<usize, Error> {
        let mut state = self.change()?;
        match removal {
            SnapshotRemoval::Older { key, keep_newest } => {
                Ok(remove_older(&mut state.snapshots, &key, keep_newest))
            }
            SnapshotRemoval::Purged { streams } => {
                let streams: BTreeSet<_> = streams.into_iter().collect();
                let purged = state
                    .snapshots
                    .extract_if(.., |key, _| streams.contains(&key.stream));
                Ok(purged.map(|(_, kept)| kept.len()).sum())
            }
            _ => Err(Error::unsupported("remove snapshots")),
        }
    }
}

fn remove_older(
    snapshots: &mut BTreeMap<SnapshotKey, BTreeMap<Version, Snapshot>>,
    key: &SnapshotKey,
    keep_newest: usize,
) -> usize {
    let Some(kept) = snapshots.get_mut(key) else {
        return 0;
    };
    let surplus = kept.len().saturating_sub(keep_newest);
    for _ in 0..surplus {
        kept.pop_first();
    }
    if kept.is_empty() {
        snapshots.remove(key);
    }
    surplus
}

/// What is kept of a name: its newest revision, for ever, and where its reader stands.
#[derive(Debug, Default)]
pub(crate) struct SavedCheckpoint {
    revision: u64,
    cursor: Option<Cursor>,
}

#[async_trait]
impl CheckpointStore for MemoryStore {
    async fn load_checkpoint(&self, name: &CheckpointName) -> Result<Option<Checkpoint>, Error> {
        Ok(self
            .look()?
            .checkpoints
            .get(name)
            .and_then(SavedCheckpoint::checkpoint))
    }

    async fn save_checkpoint(&self, save: CheckpointSave) -> Result<Checkpoint, Error> {
        let CheckpointSave {
            name,
            cursor,
            expected_revision,
        } = save;
        let mut state = self.change()?;
        let saved = state.checkpoints.entry(name.clone()).or_default();
        saved
            .check(&name, expected_revision)
            .map_err(|error| error.during("save checkpoint"))?;
        saved.revision += 1;
        saved.cursor = Some(cursor.clone());
        Ok(Checkpoint {
            cursor,
            revision: saved.revision,
        })
    }

    async fn remove_checkpoint(
        &self,
        name: &CheckpointName,
        expected_revision: u64,
    ) -> Result<(), Error> {
        let mut state = self.change()?;
        let saved = state.checkpoints.entry(name.clone()).or_default();
        saved
            .check(name, expected_revision)
            .map_err(|error| error.during("remove checkpoint"))?;
        saved.cursor = None;
        Ok(())
    }
}

impl SavedCheckpoint {
    fn checkpoint(&self) -> Option<Checkpoint> {
        let cursor = self.cursor.clone()?;
        Some(Checkpoint {
            cursor,
            revision: self.revision,
        })
    }

    /// Refuses a caller who knows another revision.
    fn check(&self, name: &CheckpointName, expected: u64) -> Result<(), Error> {
        let actual = self.cursor.as_ref().map_or(0, |_| self.revision);
        if actual == expected {
            return Ok(());
        }
        let message = "checkpoint was changed by another reader of this name; stop one of the two";
        Err(Error::new(ErrorKind::Conflict, message)
            .with("name", name)
            .with("expected_revision", expected)
            .with("actual_revision", actual))
    }
}
