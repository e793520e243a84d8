//! The contract of a store of snapshots.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::error::check_limit;
use crate::vocabulary::name::name_type;
use crate::{ContentType, Error, StreamId, Timestamp, Version};

name_type! {
    /// The fold that a snapshot is of: the state's schema and the version of the code that folds it.
    ///
    /// A snapshot of another fold is never used, so that a changed fold starts from the events.
    FoldId, "fold id"
}

/// The state of a stream's fold at a version, as bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    key: SnapshotKey,
    version: Version,
    content_type: ContentType,
    payload: Bytes,
    taken_at: Timestamp,
}

/// What a snapshot is of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SnapshotKey {
    /// The stream that was folded.
    pub stream: StreamId,
    /// The fold.
    pub fold: FoldId,
}

/// Which snapshots to remove.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SnapshotRemoval {
    /// Old ones of one stream and fold.
    Older {
        /// What they are of.
        key: SnapshotKey,
        /// All but the newest this many.
        keep_newest: usize,
    },
    /// All of these streams, of every fold, for good: no file of the store holds their bytes when the call
    /// returns. What a person's erasure asks for; slower than [`Older`](Self::Older), so name all streams in
    /// one call.
    Purged {
        /// The streams, in any order.
        streams: Vec<StreamId>,
    },
}

impl Snapshot {
    /// The state after the event of this version.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a payload over
    /// [`limits::SNAPSHOT_BYTES_MAX`](crate::limits::SNAPSHOT_BYTES_MAX).
    pub fn new(
        key: SnapshotKey,
        version: Version,
        content_type: ContentType,
        payload: impl Into<Bytes>,
        taken_at: Timestamp,
    ) -> Result<Self, Error> {
        let payload = payload.into();
        check_limit!(
            "snapshot of too many bytes",
            payload.len(),
            SNAPSHOT_BYTES_MAX
        )?;
        Ok(Self {
            key,
            version,
            content_type,
            payload,
            taken_at,
        })
    }

    /// What it is of.
    pub fn key(&self) -> &SnapshotKey {
        &self.key
    }

    /// The version of the last event in it.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The form of its bytes.
    pub fn content_type(&self) -> &ContentType {
        &self.content_type
    }

    /// The state.
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// When it was taken.
    pub fn taken_at(&self) -> Timestamp {
        self.taken_at
    }
}

/// A store of snapshots: what a backend implements. Snapshots are derived data: they may be lost, and
/// are then taken again.
#[async_trait]
pub trait SnapshotStore: fmt::Debug + Send + Sync {
    /// Keeps a snapshot, in place of one of the same key and version.
    async fn save_snapshot(&self, snapshot: Snapshot) -> Result<(), Error>;

    /// The newest snapshot of this key whose version is at most `at_most`; ask for
    /// [`Version::MAX`] for the latest.
    async fn load_snapshot(
        &self,
        key: &SnapshotKey,
        at_most: Version,
    ) -> Result<Option<Snapshot>, Error>;

    /// Removes snapshots, and tells how many.
    async fn remove_snapshots(&self, removal: SnapshotRemoval) -> Result<usize, Error>;
}

macro_rules! forward {
    ($pointer:ty) => {
        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<S: SnapshotStore + ?Sized> SnapshotStore for $pointer {
            async fn save_snapshot(&self, snapshot: Snapshot) -> Result<(), Error> {
                (**self).save_snapshot(snapshot).await
            }

            async fn load_snapshot(
                &self,
                key: &SnapshotKey,
                at_most: Version,
            ) -> Result<Option<Snapshot>, Error> {
                (**self).load_snapshot(key, at_most).await
            }

            async fn remove_snapshots(&self, removal: SnapshotRemoval) -> Result<usize, Error> {
                (**self).remove_snapshots(removal).await
            }
        }
    };
}

forward!(&S);
forward!(Box<S>);
forward!(Arc<S>);
