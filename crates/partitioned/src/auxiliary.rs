//! Snapshots beside their streams, checkpoints by their names.

use annals_core::{
    Checkpoint, CheckpointName, CheckpointSave, CheckpointStore, Error, Snapshot, SnapshotKey,
    SnapshotRemoval, SnapshotStore, StreamId, Version,
};
use async_trait::async_trait;

use crate::identity::check_name;
use crate::store::Partitioned;

impl<S> Partitioned<S> {
    /// The streams of each partition that holds any.
    fn by_partition(&self, streams: Vec<StreamId>) -> Vec<(usize, Vec<StreamId>)> {
        let mut all = vec![Vec::new(); self.count()];
        for stream in streams {
            if let Some(of_partition) = all.get_mut(self.router.of_stream(&stream)) {
                of_partition.push(stream);
            }
        }
        let all = all.into_iter().enumerate();
        all.filter(|(_, streams)| !streams.is_empty()).collect()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: SnapshotStore> SnapshotStore for Partitioned<S> {
    async fn save_snapshot(&self, snapshot: Snapshot) -> Result<(), Error> {
        let number = self.router.of_stream(&snapshot.key().stream);
        self.partition(number).save_snapshot(snapshot).await
    }

    async fn load_snapshot(
        &self,
        key: &SnapshotKey,
        at_most: Version,
    ) -> Result<Option<Snapshot>, Error> {
        let number = self.router.of_stream(&key.stream);
        self.partition(number).load_snapshot(key, at_most).await
    }

    async fn remove_snapshots(&self, removal: SnapshotRemoval) -> Result<usize, Error> {
        match removal {
            SnapshotRemoval::Older { ref key, .. } => {
                let number = self.router.of_stream(&key.stream);
                self.partition(number).remove_snapshots(removal).await
            }
            SnapshotRemoval::Purged { streams } => {
                let mut removed = 0;
                for (number, streams) in self.by_partition(streams) {
                    let removal = SnapshotRemoval::Purged { streams };
                    removed += self.partition(number).remove_snapshots(removal).await?;
                }
                Ok(removed)
            }
            other => {
                Err(Error::unsupported("remove snapshots").with("removal", format!("{other:?}")))
            }
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: CheckpointStore> CheckpointStore for Partitioned<S> {
    async fn load_checkpoint(&self, name: &CheckpointName) -> Result<Option<Checkpoint>, Error> {
        check_name(name)?;
        let number = self.router.of_checkpoint(name);
        self.partition(number).load_checkpoint(name).await
    }

    async fn save_checkpoint(&self, save: CheckpointSave) -> Result<Checkpoint, Error> {
        check_name(&save.name)?;
        let number = self.router.of_checkpoint(&save.name);
        self.partition(number).save_checkpoint(save).await
    }

    async fn remove_checkpoint(
        &self,
        name: &CheckpointName,
        expected_revision: u64,
    ) -> Result<(), Error> {
        check_name(name)?;
        let number = self.router.of_checkpoint(name);
        let partition = self.partition(number);
        partition.remove_checkpoint(name, expected_revision).await
    }
}
