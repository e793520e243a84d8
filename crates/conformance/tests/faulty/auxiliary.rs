//! Lies about snapshots and checkpoints.

use annals_core::{
    Checkpoint, CheckpointName, CheckpointSave, CheckpointStore, Error, ErrorKind, FoldId,
    Snapshot, SnapshotKey, SnapshotRemoval, SnapshotStore, Version,
};
use async_trait::async_trait;

use super::{Bug, Faulty, lock};

impl Faulty {
    fn key(&self, key: &SnapshotKey) -> SnapshotKey {
        let mut key = key.clone();
        if self.has(Bug::SnapshotOfAnyFold) {
            key.fold = FoldId::from_static("any");
        }
        key
    }
}

#[async_trait]
impl SnapshotStore for Faulty {
    async fn save_snapshot(&self, snapshot: Snapshot) -> Result<(), Error> {
        let key = self.key(snapshot.key());
        let version = snapshot.version();
        if self.has(Bug::SnapshotNotReplaced) {
            let kept = self.store.load_snapshot(&key, version).await?;
            if kept.is_some_and(|kept| kept.version() == version) {
                return Ok(());
            }
        }
        let (kind, payload) = (snapshot.content_type().clone(), snapshot.payload().clone());
        let snapshot = Snapshot::new(key, version, kind, payload, snapshot.taken_at())?;
        self.store.save_snapshot(snapshot).await
    }

    async fn load_snapshot(
        &self,
        key: &SnapshotKey,
        at_most: Version,
    ) -> Result<Option<Snapshot>, Error> {
        let newer = self.has(Bug::SnapshotNewerThanAsked);
        let at_most = if newer { Version::MAX } else { at_most };
        self.store.load_snapshot(&self.key(key), at_most).await
    }

    async fn remove_snapshots(&self, mut removal: SnapshotRemoval) -> Result<usize, Error> {
        match &mut removal {
            SnapshotRemoval::Older { key, keep_newest } => {
                *key = self.key(key);
                if self.has(Bug::SnapshotRemovalTakesOneMore) {
                    *keep_newest = keep_newest.saturating_sub(1);
                }
            }
            SnapshotRemoval::Purged { streams } if self.has(Bug::SnapshotPurgeForgetsAStream) => {
                streams.pop();
            }
            _ => {}
        }
        self.store.remove_snapshots(removal).await
    }
}

impl Faulty {
    /// How many revisions a store with this bug has forgotten.
    fn forgotten(&self, name: &CheckpointName) -> u64 {
        lock(&self.removed).get(name).copied().unwrap_or(0)
    }

    fn told(&self, name: &CheckpointName, mut checkpoint: Checkpoint) -> Checkpoint {
        checkpoint.revision -= self.forgotten(name);
        checkpoint
    }

    fn meant(&self, name: &CheckpointName, revision: u64) -> u64 {
        if revision == 0 {
            return 0;
        }
        revision.saturating_add(self.forgotten(name))
    }
}

#[async_trait]
impl CheckpointStore for Faulty {
    async fn load_checkpoint(&self, name: &CheckpointName) -> Result<Option<Checkpoint>, Error> {
        let loaded = self.store.load_checkpoint(name).await?;
        Ok(loaded.map(|loaded| self.told(name, loaded)))
    }

    async fn save_checkpoint(&self, mut save: CheckpointSave) -> Result<Checkpoint, Error> {
        let name = save.name.clone();
        save.expected_revision = self.meant(&name, save.expected_revision);
        let before = self.store.load_checkpoint(&name).await?;
        if let Some(before) = before.filter(|_| self.has(Bug::CheckpointNeverGoesBack))
            && before.cursor.covers(&save.cursor)
        {
            save.cursor = before.cursor;
        }
        let unchecked = self.has(Bug::CheckpointRevisionUnchecked);
        match self.store.save_checkpoint(save.clone()).await {
            Err(error) if unchecked && error.kind() == ErrorKind::Conflict => {
                let now = self.store.load_checkpoint(&name).await?;
                save.expected_revision = now.map_or(0, |now| now.revision);
                self.store.save_checkpoint(save).await
            }
            answer => answer.map(|saved| self.told(&name, saved)),
        }
    }

    async fn remove_checkpoint(
        &self,
        name: &CheckpointName,
        expected_revision: u64,
    ) -> Result<(), Error> {
        if self.has(Bug::CheckpointNotRemoved) {
            return Ok(());
        }
        let expected = self.meant(name, expected_revision);
        self.store.remove_checkpoint(name, expected).await?;
        if self.has(Bug::CheckpointRevisionsComeAgain) && expected > 0 {
            lock(&self.removed).insert(name.clone(), expected);
        }
        Ok(())
    }
}
