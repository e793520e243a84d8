//! A store of whatever kind an address names.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::{
    Append, AppendId, Capabilities, Checkpoint, CheckpointName, CheckpointSave, CheckpointStore,
    Clock, ConsistencyLevel, Cursor, Error, EventStore, Page, PolicyChange, ReadRequest, Receipt,
    Snapshot, SnapshotKey, SnapshotRemoval, SnapshotStore, StoreAddress, StreamHead, StreamId,
    Version,
};

/// A store of a kind that is chosen while the program runs, with its snapshots and checkpoints. A clone is the same
/// store.
///
/// What only one kind has, such as the vitals of the embedded store, is asked of the variant. A store with settings of
/// its own is opened by its own builder, and put into its variant.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum AnyStore {
    /// In memory.
    #[cfg(feature = "memory")]
    Memory(Arc<crate::MemoryStore>),
    /// In a directory.
    #[cfg(feature = "embedded")]
    Log(Arc<crate::LogStore>),
    /// On PostgreSQL.
    #[cfg(feature = "postgres")]
    Postgres(Arc<crate::PostgresStore>),
    /// On NATS JetStream.
    #[cfg(feature = "nats")]
    Nats(Arc<crate::NatsStore>),
}

/// Chooses the parts of an [`AnyStore`].
#[derive(Clone)]
#[must_use = "call `open` or `open_or_create` to have a store"]
pub struct AnyStoreBuilder {
    address: StoreAddress,
    clock: Option<Arc<dyn Clock>>,
}

/// Opens the store at an address, made first where there is none; see [`StoreAddress`] for what it may be.
///
/// ```
/// use annals::prelude::*;
///
/// # async fn example() -> Result<(), annals::Error> {
/// let store = annals::open("memory:").await?;
/// assert!(store.capabilities().conditions);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As for the address, and for [`AnyStoreBuilder::open_or_create`].
pub async fn open(address: &str) -> Result<AnyStore, Error> {
    AnyStore::at(address.parse()?).open_or_create().await
}

/// Whether a store that is not there is made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    Refuse,
    Create,
}

impl AnyStore {
    /// Begins a store at this address.
    pub fn at(address: StoreAddress) -> AnyStoreBuilder {
        AnyStoreBuilder {
            address,
            clock: None,
        }
    }
}

impl AnyStoreBuilder {
    /// With this clock, in place of the one that the kind of store has by default.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Opens the store that is there. One in memory is new.
    ///
    /// A store on PostgreSQL or NATS works on a tokio runtime: the one that this is polled on, or that is entered meanwhile.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) for a kind that this build is without, and those of
    /// the store's own builder.
    pub async fn open(self) -> Result<AnyStore, Error> {
        self.open_with(Missing::Refuse).await
    }

    /// Opens the store, made first where there is none.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub async fn open_or_create(self) -> Result<AnyStore, Error> {
        self.open_with(Missing::Create).await
    }

    #[cfg_attr(
        not(any(feature = "nats", feature = "postgres")),
        expect(
            clippy::unused_async,
            reason = "the stores of this build are opened without waiting"
        )
    )]
    async fn open_with(self, missing: Missing) -> Result<AnyStore, Error> {
        let Self { address, clock } = self;
        match address {
            #[cfg(feature = "memory")]
            StoreAddress::Memory => {
                let mut builder = crate::MemoryStore::builder();
                if let Some(clock) = clock {
                    builder = builder.clock(clock);
                }
                Ok(AnyStore::Memory(Arc::new(builder.build())))
            }
            #[cfg(feature = "embedded")]
            StoreAddress::Log(directory) => {
                let mut builder = crate::LogStore::builder(directory);
                if let Some(clock) = clock {
                    builder = builder.clock(clock);
                }
                let store = match missing {
                    Missing::Refuse => builder.open()?,
                    Missing::Create => builder.open_or_create()?,
                };
                Ok(AnyStore::Log(Arc::new(store)))
            }
            #[cfg(feature = "postgres")]
            StoreAddress::Postgres { url, schema } => {
                let mut builder = crate::PostgresStore::builder(&url);
                if let Some(clock) = clock {
                    builder = builder.clock(clock);
                }
                if let Some(schema) = schema {
                    builder = builder.schema(&schema);
                }
                let store = match missing {
                    Missing::Refuse => builder.open().await?,
                    Missing::Create => builder.open_or_create().await?,
                };
                Ok(AnyStore::Postgres(Arc::new(store)))
            }
            #[cfg(feature = "nats")]
            StoreAddress::Nats(address) => {
                let mut builder = address.builder().await?;
                if let Some(clock) = clock {
                    builder = builder.clock(clock);
                }
                let store = match missing {
                    Missing::Refuse => builder.open().await?,
                    Missing::Create => builder.open_or_create().await?,
                };
                Ok(AnyStore::Nats(Arc::new(store)))
            }
            #[cfg(not(all(
                feature = "memory",
                feature = "embedded",
                feature = "postgres",
                feature = "nats"
            )))]
            other => {
                let _ = (clock, missing);
                Err(is_without(&other))
            }
        }
    }
}

/// The error for a kind of store that this build is without.
#[cfg(not(all(
    feature = "memory",
    feature = "embedded",
    feature = "postgres",
    feature = "nats"
)))]
fn is_without(address: &StoreAddress) -> Error {
    let feature = match address {
        StoreAddress::Memory => "memory",
        StoreAddress::Log(_) => "embedded",
        StoreAddress::Postgres { .. } => "postgres",
        StoreAddress::Nats(_) => "nats",
    };
    let message = "this build is without such stores; build annals with the feature";
    Error::new(crate::ErrorKind::Unsupported, message)
        .with("feature", feature)
        .with("store", address)
}

/// Asks the store that it is.
macro_rules! ask {
    ($any:expr, $store:ident => $answer:expr) => {
        match $any {
            #[cfg(feature = "memory")]
            AnyStore::Memory($store) => $answer,
            #[cfg(feature = "embedded")]
            AnyStore::Log($store) => $answer,
            #[cfg(feature = "postgres")]
            AnyStore::Postgres($store) => $answer,
            #[cfg(feature = "nats")]
            AnyStore::Nats($store) => $answer,
        }
    };
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl EventStore for AnyStore {
    fn capabilities(&self) -> Capabilities {
        ask!(self, store => store.capabilities())
    }

    async fn append(&self, append: Append) -> Result<Receipt, Error> {
        ask!(self, store => store.append(append).await)
    }

    async fn receipt(&self, id: &AppendId) -> Result<Option<Receipt>, Error> {
        ask!(self, store => store.receipt(id).await)
    }

    async fn read(&self, request: ReadRequest) -> Result<Page, Error> {
        ask!(self, store => store.read(request).await)
    }

    async fn head(&self, consistency: ConsistencyLevel) -> Result<Cursor, Error> {
        ask!(self, store => store.head(consistency).await)
    }

    async fn stream_head(&self, stream: &StreamId) -> Result<StreamHead, Error> {
        ask!(self, store => store.stream_head(stream).await)
    }

    async fn change_stream_policy(&self, change: PolicyChange) -> Result<StreamHead, Error> {
        ask!(self, store => store.change_stream_policy(change).await)
    }

    async fn changed_since(&self, cursor: &Cursor) -> Result<Cursor, Error> {
        ask!(self, store => store.changed_since(cursor).await)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl SnapshotStore for AnyStore {
    async fn save_snapshot(&self, snapshot: Snapshot) -> Result<(), Error> {
        ask!(self, store => store.save_snapshot(snapshot).await)
    }

    async fn load_snapshot(
        &self,
        key: &SnapshotKey,
        at_most: Version,
    ) -> Result<Option<Snapshot>, Error> {
        ask!(self, store => store.load_snapshot(key, at_most).await)
    }

    async fn remove_snapshots(&self, removal: SnapshotRemoval) -> Result<usize, Error> {
        ask!(self, store => store.remove_snapshots(removal).await)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl CheckpointStore for AnyStore {
    async fn load_checkpoint(&self, name: &CheckpointName) -> Result<Option<Checkpoint>, Error> {
        ask!(self, store => store.load_checkpoint(name).await)
    }

    async fn save_checkpoint(&self, save: CheckpointSave) -> Result<Checkpoint, Error> {
        ask!(self, store => store.save_checkpoint(save).await)
    }

    async fn remove_checkpoint(
        &self,
        name: &CheckpointName,
        expected_revision: u64,
    ) -> Result<(), Error> {
        ask!(self, store => store.remove_checkpoint(name, expected_revision).await)
    }
}

impl fmt::Debug for AnyStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyStoreBuilder")
            .field("address", &self.address)
            .field("clock", &self.clock)
            .finish()
    }
}
