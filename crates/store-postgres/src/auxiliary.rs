//! Snapshots and checkpoints.

use std::sync::Arc;

use annals_core::{
    Checkpoint, CheckpointName, CheckpointSave, CheckpointStore, ContentType, Error, ErrorKind,
    Snapshot, SnapshotKey, SnapshotRemoval, SnapshotStore, StreamId, Timestamp, Version,
};
use async_trait::async_trait;
use bytes::Bytes;
use tokio_postgres::Row;

use crate::PostgresStore;
use crate::command::bigint;
use crate::error::{of_change, of_statement};
use crate::store::Shared;

#[async_trait]
impl SnapshotStore for PostgresStore {
    async fn save_snapshot(&self, snapshot: Snapshot) -> Result<(), Error> {
        let save = |shared: Arc<Shared>| async move { shared.save_snapshot(snapshot).await };
        self.shared.change_aside(save).await
    }

    async fn load_snapshot(
        &self,
        key: &SnapshotKey,
        at_most: Version,
    ) -> Result<Option<Snapshot>, Error> {
        let key = key.clone();
        let load =
            move |shared: Arc<Shared>| async move { shared.load_snapshot(&key, at_most).await };
        self.shared.aside(load).await
    }

    async fn remove_snapshots(&self, removal: SnapshotRemoval) -> Result<usize, Error> {
        let remove = |shared: Arc<Shared>| async move { shared.remove_snapshots(removal).await };
        self.shared.change_aside(remove).await
    }
}

#[async_trait]
impl CheckpointStore for PostgresStore {
    async fn load_checkpoint(&self, name: &CheckpointName) -> Result<Option<Checkpoint>, Error> {
        let name = name.clone();
        let load = |shared: Arc<Shared>| async move { shared.load_checkpoint(&name).await };
        self.shared.aside(load).await
    }

    async fn save_checkpoint(&self, save: CheckpointSave) -> Result<Checkpoint, Error> {
        let save = |shared: Arc<Shared>| async move { shared.save_checkpoint(save).await };
        self.shared.change_aside(save).await
    }

    async fn remove_checkpoint(
        &self,
        name: &CheckpointName,
        expected_revision: u64,
    ) -> Result<(), Error> {
        let name = name.clone();
        let remove = move |shared: Arc<Shared>| async move {
            shared.remove_checkpoint(&name, expected_revision).await
        };
        self.shared.change_aside(remove).await
    }
}

#[async_trait]
impl SnapshotStore for Shared {
    async fn save_snapshot(&self, snapshot: Snapshot) -> Result<(), Error> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(&self.statements.auxiliary.save_snapshot)
            .await;
        let statement = statement.map_err(of_statement)?;
        let SnapshotKey { stream, fold } = snapshot.key();
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 6] = [
            &stream.as_str(),
            &fold.as_str(),
            &bigint(snapshot.version().value()),
            &snapshot.taken_at().as_micros(),
            &snapshot.content_type().as_str(),
            &&**snapshot.payload(),
        ];
        client
            .execute(&statement, &values)
            .await
            .map_err(of_change)?;
        Ok(())
    }

    async fn load_snapshot(
        &self,
        key: &SnapshotKey,
        at_most: Version,
    ) -> Result<Option<Snapshot>, Error> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(&self.statements.auxiliary.load_snapshot)
            .await;
        let statement = statement.map_err(of_statement)?;
        let (stream, fold) = (key.stream.as_str(), key.fold.as_str());
        let found = client
            .query_opt(&statement, &[&stream, &fold, &bigint(at_most.value())])
            .await;
        let found = found.map_err(of_statement)?;
        found.map(|row| snapshot_of(&row, key)).transpose()
    }

    async fn remove_snapshots(&self, removal: SnapshotRemoval) -> Result<usize, Error> {
        let removed = match removal {
            SnapshotRemoval::Older { key, keep_newest } => {
                self.remove_older(&key, keep_newest).await
            }
            SnapshotRemoval::Purged { streams } => self.purge(&streams).await,
            _ => return Err(Error::unsupported("remove snapshots")),
        };
        removed.map_err(|error| error.during("remove snapshots"))
    }
}

impl Shared {
    async fn remove_older(&self, key: &SnapshotKey, keep_newest: usize) -> Result<usize, Error> {
        let client = self.client().await?;
        let keep = i64::try_from(keep_newest).unwrap_or(i64::MAX);
        let (stream, fold) = (key.stream.as_str(), key.fold.as_str());
        let removed = client
            .execute(
                &self.statements.auxiliary.remove_older,
                &[&stream, &fold, &keep],
            )
            .await;
        counted(removed)
    }

    /// Deleting a row leaves its bytes where they are until something is written over them: the table is written anew,
    /// even where no row is left to delete, since an earlier purge may have failed after it deleted them.
    ///
    /// What a transaction can see that began before the purge, PostgreSQL keeps: those bytes go with the next purge.
    async fn purge(&self, streams: &[StreamId]) -> Result<usize, Error> {
        let client = self.client().await?;
        let names: Vec<&str> = streams.iter().map(StreamId::as_str).collect();
        let removed = client
            .execute(&self.statements.auxiliary.remove_purged, &[&names])
            .await;
        let removed = counted(removed)?;
        let owns = client
            .query_one(&self.statements.auxiliary.owns_snapshots, &[])
            .await;
        if !owns.and_then(|row| row.try_get(0)).map_err(of_statement)? {
            let message = "snapshots are deleted, but their bytes may still be in the table's files: let the \
                           owner of the schema purge them, or run VACUUM (FULL) on the table";
            return Err(Error::new(ErrorKind::Unavailable, message));
        }
        client
            .batch_execute(&self.statements.auxiliary.vacuum_snapshots)
            .await
            .map_err(of_statement)?;
        Ok(removed)
    }
}

fn counted(removed: Result<u64, tokio_postgres::Error>) -> Result<usize, Error> {
    Ok(usize::try_from(removed.map_err(of_change)?).unwrap_or(usize::MAX))
}

fn snapshot_of(row: &Row, key: &SnapshotKey) -> Result<Snapshot, Error> {
    let version: i64 = row.try_get(0).map_err(of_statement)?;
    let taken_at: i64 = row.try_get(1).map_err(of_statement)?;
    let content_type: &str = row.try_get(2).map_err(of_statement)?;
    let payload: &[u8] = row.try_get(3).map_err(of_statement)?;
    Snapshot::new(
        key.clone(),
        Version::new(u64::try_from(version).unwrap_or_default()),
        ContentType::parse(content_type)?,
        Bytes::copy_from_slice(payload),
        Timestamp::from_micros(taken_at),
    )
}

#[async_trait]
impl CheckpointStore for Shared {
    async fn load_checkpoint(&self, name: &CheckpointName) -> Result<Option<Checkpoint>, Error> {
        let client = self.client().await?;
        let found = client
            .query_opt(
                &self.statements.auxiliary.load_checkpoint,
                &[&name.as_str()],
            )
            .await;
        let Some(row) = found.map_err(of_statement)? else {
            return Ok(None);
        };
        let cursor: &str = row.try_get(0).map_err(of_statement)?;
        Ok(Some(Checkpoint {
            cursor: cursor.parse()?,
            revision: revision_of(&row, 1)?,
        }))
    }

    async fn save_checkpoint(&self, save: CheckpointSave) -> Result<Checkpoint, Error> {
        let CheckpointSave {
            name,
            cursor,
            expected_revision,
        } = save;
        let client = self.client().await?;
        let statements = &self.statements;
        let (key, text) = (name.as_str(), cursor.to_string());
        let saved = if expected_revision == 0 {
            client
                .query_opt(&statements.auxiliary.first_checkpoint, &[&key, &text])
                .await
        } else {
            let expected = bigint(expected_revision);
            client
                .query_opt(
                    &statements.auxiliary.next_checkpoint,
                    &[&key, &text, &expected],
                )
                .await
        };
        // Given back before another is asked for: there may be but one.
        drop(client);
        match saved.map_err(of_change)? {
            Some(row) => Ok(Checkpoint {
                cursor,
                revision: revision_of(&row, 0)?,
            }),
            None => Err(self
                .other_revision(&name, expected_revision)
                .await
                .during("save checkpoint")),
        }
    }

    async fn remove_checkpoint(
        &self,
        name: &CheckpointName,
        expected_revision: u64,
    ) -> Result<(), Error> {
        let client = self.client().await?;
        let remove = &self.statements.auxiliary.remove_checkpoint;
        let removed = client
            .execute(remove, &[&name.as_str(), &bigint(expected_revision)])
            .await;
        if removed.map_err(of_change)? > 0 {
            return Ok(());
        }
        drop(client);
        if expected_revision == 0 && self.load_checkpoint(name).await?.is_none() {
            return Ok(());
        }
        Err(self
            .other_revision(name, expected_revision)
            .await
            .during("remove checkpoint"))
    }
}

impl Shared {
    /// Refuses a caller who knows another revision.
    async fn other_revision(&self, name: &CheckpointName, expected: u64) -> Error {
        let message = "checkpoint was changed by another reader of this name; stop one of the two";
        let error = Error::new(ErrorKind::Conflict, message)
            .with("name", name)
            .with("expected_revision", expected);
        match self.load_checkpoint(name).await {
            Ok(actual) => error.with(
                "actual_revision",
                actual.map_or(0, |actual| actual.revision),
            ),
            Err(_) => error,
        }
    }
}

fn revision_of(row: &Row, column: usize) -> Result<u64, Error> {
    let revision: i64 = row.try_get(column).map_err(of_statement)?;
    Ok(u64::try_from(revision).unwrap_or_default())
}
