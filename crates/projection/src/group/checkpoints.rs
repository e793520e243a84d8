//! Checkpoints that only the holder of a lease can move.

use std::sync::Arc;

use annals_concurrency::{Fence, Retrier};
use annals_core::{
    Append, Category, Checkpoint, CheckpointName, CheckpointSave, CheckpointStore, ContentType,
    Cursor, Error, ErrorKind, EventStore, EventStoreExt, EventType, Expected, Ids, NewEvent,
    RecordedEvent, StreamId, Version,
};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};

const CATEGORY: Category = Category::from_static("group_checkpoint");
const SAVED: EventType = EventType::from_static("checkpoint-saved");
const REMOVED: EventType = EventType::from_static("checkpoint-removed");

/// Checkpoints in streams `group_checkpoint-<name>` of the event store, so that the store judges the fence of a lease
/// in the same step: who lost the lease does not move them, however late it finds out.
///
/// A revision is the version of the event that saved it. The events accumulate; a policy that keeps the newest alone
/// suits their streams.
#[derive(Debug)]
pub(super) struct FencedCheckpoints {
    pub(super) store: Arc<dyn EventStore>,
    pub(super) ids: Arc<dyn Ids>,
    pub(super) retrier: Retrier,
    pub(super) fence: Fence,
}

/// What is saved.
#[derive(Serialize, Deserialize)]
struct Saved {
    cursor: Cursor,
    /// Under which grant of the lease.
    token: u64,
}

/// The newest event of a checkpoint.
struct Newest {
    version: Version,
    saved: Option<Saved>,
}

impl FencedCheckpoints {
    async fn newest(&self, stream: &StreamId) -> Result<Newest, Error> {
        let Some(event) = self.store.last_event(stream).await? else {
            let version = self.store.stream_head(stream).await?.version;
            return Ok(Newest {
                version,
                saved: None,
            });
        };
        let saved = if *event.event_type() == SAVED {
            let saved = serde_json::from_slice(event.payload());
            Some(saved.map_err(|source| foreign(&event).caused_by(source))?)
        } else if *event.event_type() == REMOVED {
            None
        } else {
            return Err(foreign(&event));
        };
        Ok(Newest {
            version: event.version(),
            saved,
        })
    }

    /// The version of the stream at which a revision is the newest; 0 stands for no checkpoint.
    async fn expected(&self, stream: &StreamId, revision: u64) -> Result<Version, Error> {
        if revision > 0 {
            return Ok(Version::new(revision));
        }
        let newest = self.newest(stream).await?;
        if newest.saved.is_some() {
            let message = "checkpoint was saved by somebody else; load it again";
            return Err(Error::new(ErrorKind::Conflict, message).with("stream", stream));
        }
        Ok(newest.version)
    }

    async fn append(
        &self,
        stream: StreamId,
        expected: Version,
        event: NewEvent,
    ) -> Result<u64, Error> {
        let append = self
            .fence
            .guard(Append::builder(self.ids.append_id()))
            .write(stream.clone(), Expected::Exactly(expected), [event])
            .build()?;
        let receipt = self.retrier.append(&self.store, &append).await?;
        let version = receipt.version_of(&stream).unwrap_or(expected.next());
        Ok(version.value())
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl CheckpointStore for FencedCheckpoints {
    async fn load_checkpoint(&self, name: &CheckpointName) -> Result<Option<Checkpoint>, Error> {
        let newest = self.newest(&stream(name)?).await?;
        Ok(newest.saved.map(|saved| Checkpoint {
            cursor: saved.cursor,
            revision: newest.version.value(),
        }))
    }

    async fn save_checkpoint(&self, save: CheckpointSave) -> Result<Checkpoint, Error> {
        let stream = stream(&save.name)?;
        let expected = self.expected(&stream, save.expected_revision).await?;
        let saved = Saved {
            cursor: save.cursor.clone(),
            token: self.fence.token().value(),
        };
        let payload = serde_json::to_vec(&saved).map_err(|source| {
            let message = "checkpoint does not encode";
            Error::new(ErrorKind::Invalid, message).caused_by(source)
        })?;
        let event = NewEvent::new(SAVED, ContentType::JSON, payload)?;
        Ok(Checkpoint {
            cursor: save.cursor,
            revision: self.append(stream, expected, event).await?,
        })
    }

    async fn remove_checkpoint(
        &self,
        name: &CheckpointName,
        expected_revision: u64,
    ) -> Result<(), Error> {
        let stream = stream(name)?;
        let expected = self.expected(&stream, expected_revision).await?;
        if expected_revision == 0 {
            return Ok(());
        }
        let event = NewEvent::new(REMOVED, ContentType::JSON, "{}")?;
        self.append(stream, expected, event).await.map(drop)
    }
}

fn stream(name: &CheckpointName) -> Result<StreamId, Error> {
    StreamId::new(&CATEGORY, name.as_str())
}

fn foreign(event: &RecordedEvent) -> Error {
    let message = "not an event of a checkpoint; nobody else may write its stream";
    Error::new(ErrorKind::Undecodable, message)
        .with("stream", event.stream())
        .with("version", event.version())
}

#[cfg(test)]
mod tests {
    use annals_concurrency::{Acquired, Leases, ManualTimer};
    use annals_core::{Position, UuidIds};
    use annals_store_memory::MemoryStore;
    use futures_executor::block_on;

    use super::*;

    async fn hold(store: &Arc<dyn EventStore>) -> (Leases, annals_concurrency::Lease) {
        let timer = Arc::new(ManualTimer::default());
        let leases = Leases::new(Arc::clone(store), timer);
        match leases.acquire("part", "me").await.unwrap() {
            Acquired::Granted(lease) => (leases, lease),
            other => panic!("{other:?}"),
        }
    }

    fn checkpoints(store: &Arc<dyn EventStore>, fence: &Fence) -> FencedCheckpoints {
        FencedCheckpoints {
            store: Arc::clone(store),
            ids: Arc::new(UuidIds::default()),
            retrier: Retrier::default_with(Arc::new(ManualTimer::default())),
            fence: fence.clone(),
        }
    }

    fn save(position: u64, expected_revision: u64) -> CheckpointSave {
        CheckpointSave {
            name: CheckpointName::from_static("reader"),
            cursor: Cursor::at(Position::new(position)),
            expected_revision,
        }
    }

    #[test]
    fn revisions_grow_and_are_checked() {
        let store: Arc<dyn EventStore> = Arc::new(MemoryStore::new());
        let name = CheckpointName::from_static("reader");
        block_on(async {
            let (_, lease) = hold(&store).await;
            let checkpoints = checkpoints(&store, lease.fence());
            assert_eq!(checkpoints.load_checkpoint(&name).await.unwrap(), None);
            checkpoints.remove_checkpoint(&name, 0).await.unwrap();
            let first = checkpoints.save_checkpoint(save(3, 0)).await.unwrap();
            let loaded = checkpoints.load_checkpoint(&name).await.unwrap();
            assert_eq!(loaded, Some(first.clone()));
            for wrong in [0, first.revision + 1] {
                let error = checkpoints
                    .save_checkpoint(save(4, wrong))
                    .await
                    .unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Conflict);
                let error = checkpoints
                    .remove_checkpoint(&name, wrong)
                    .await
                    .unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Conflict);
            }
            checkpoints
                .remove_checkpoint(&name, first.revision)
                .await
                .unwrap();
            assert_eq!(checkpoints.load_checkpoint(&name).await.unwrap(), None);
            let later = checkpoints.save_checkpoint(save(1, 0)).await.unwrap();
            assert!(later.revision > first.revision);
        });
    }

    #[test]
    fn who_lost_the_lease_saves_nothing() {
        let store: Arc<dyn EventStore> = Arc::new(MemoryStore::new());
        let name = CheckpointName::from_static("reader");
        block_on(async {
            let (leases, lease) = hold(&store).await;
            let old = checkpoints(&store, lease.fence());
            let saved = old.save_checkpoint(save(3, 0)).await.unwrap();
            leases.release(lease).await.unwrap();
            let (_, lease) = hold(&store).await;
            let refused = old.save_checkpoint(save(4, saved.revision)).await;
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::Conflict);
            let refused = old.remove_checkpoint(&name, saved.revision).await;
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::Conflict);
            let new = checkpoints(&store, lease.fence());
            new.save_checkpoint(save(4, saved.revision)).await.unwrap();
        });
    }
}
