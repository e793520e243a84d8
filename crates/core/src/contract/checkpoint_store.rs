//! The contract of a store of checkpoints.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::vocabulary::name::name_type;
use crate::{Cursor, Error};

name_type! {
    /// Whose checkpoint: the name of a projection, a reaction or another reader.
    CheckpointName, "checkpoint name"
}

/// How far a reader got, and how often that was saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// All up to here is handled.
    pub cursor: Cursor,
    /// 1 for the first save, more for each later one. Whoever saves names the revision it knows,
    /// so that of two readers under one name the second to save finds out.
    pub revision: u64,
}

/// A checkpoint to save.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointSave {
    /// Whose.
    pub name: CheckpointName,
    /// All up to here is handled. May be before the saved one: a reader that is reset goes back. A
    /// cursor that no event store gave is taken too, and refused by the store that it is read from.
    pub cursor: Cursor,
    /// The revision that the caller loaded or saved last; 0 when there was none.
    pub expected_revision: u64,
}

/// A store of checkpoints: what a backend implements.
#[async_trait]
pub trait CheckpointStore: fmt::Debug + Send + Sync {
    /// The checkpoint of this name, if there is one.
    async fn load_checkpoint(&self, name: &CheckpointName) -> Result<Option<Checkpoint>, Error>;

    /// Saves a checkpoint and gives it with its new revision.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) when the revision is not the expected one:
    /// another reader runs under this name.
    async fn save_checkpoint(&self, save: CheckpointSave) -> Result<Checkpoint, Error>;

    /// Forgets the checkpoint of this name. A later one goes on with higher revisions, so that a reader
    /// that was left behind finds out all the same.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) when the revision is not the expected one, 0
    /// standing for no checkpoint.
    async fn remove_checkpoint(
        &self,
        name: &CheckpointName,
        expected_revision: u64,
    ) -> Result<(), Error>;
}

macro_rules! forward {
    ($pointer:ty) => {
        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<S: CheckpointStore + ?Sized> CheckpointStore for $pointer {
            async fn load_checkpoint(
                &self,
                name: &CheckpointName,
            ) -> Result<Option<Checkpoint>, Error> {
                (**self).load_checkpoint(name).await
            }

            async fn save_checkpoint(&self, save: CheckpointSave) -> Result<Checkpoint, Error> {
                (**self).save_checkpoint(save).await
            }

            async fn remove_checkpoint(
                &self,
                name: &CheckpointName,
                expected_revision: u64,
            ) -> Result<(), Error> {
                (**self).remove_checkpoint(name, expected_revision).await
            }
        }
    };
}

forward!(&S);
forward!(Box<S>);
forward!(Arc<S>);
