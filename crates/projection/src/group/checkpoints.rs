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
