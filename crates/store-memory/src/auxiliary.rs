//! Snapshots and checkpoints.

use annals_core::{
    Checkpoint, CheckpointName, CheckpointSave, CheckpointStore, Error, ErrorKind, Snapshot,
    SnapshotKey, SnapshotRemoval, SnapshotStore, Version,
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
        let Some(kept) = state.snapshots.get_mut(&removal.key) else {
            return Ok(0);
        };
        let surplus = kept.len().saturating_sub(removal.keep_newest);
        for _ in 0..surplus {
            kept.pop_first();
        }
        if kept.is_empty() {
            state.snapshots.remove(&removal.key);
        }
        Ok(surplus)
    }
}

#[async_trait]
impl CheckpointStore for MemoryStore {
    async fn load_checkpoint(&self, name: &CheckpointName) -> Result<Option<Checkpoint>, Error> {
        Ok(self.look()?.checkpoints.get(name).cloned())
    }

    async fn save_checkpoint(&self, save: CheckpointSave) -> Result<Checkpoint, Error> {
        let CheckpointSave {
            name,
            cursor,
            expected_revision,
        } = save;
        let mut state = self.change()?;
        state
            .check_not_ahead(&cursor)
            .map_err(|error| error.during("save checkpoint"))?;
        let revision = state
            .checkpoints
            .get(&name)
            .map_or(0, |saved| saved.revision);
        if revision != expected_revision {
            let message =
                "checkpoint was saved by another reader of this name; stop one of the two";
            return Err(Error::new(ErrorKind::Conflict, message)
                .during("save checkpoint")
                .with("name", name)
                .with("expected_revision", expected_revision)
                .with("actual_revision", revision));
        }
        let checkpoint = Checkpoint {
            cursor,
            revision: revision + 1,
        };
        state.checkpoints.insert(name, checkpoint.clone());
        Ok(checkpoint)
    }

    async fn remove_checkpoint(&self, name: &CheckpointName) -> Result<bool, Error> {
        Ok(self.change()?.checkpoints.remove(name).is_some())
    }
}
