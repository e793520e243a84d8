//! The reference event store of annals, in memory.
//!
//! [`MemoryStore`] implements every contract of `annals-core` in full: streams and all expectations,
//! appends over several streams, checks, conditions (dynamic consistency boundaries), append ids,
//! reads in both directions by everything, subscriptions, stream policies, snapshots and checkpoints.
//! It is what other stores are held against, and what tests and small tools run on.
//!
//! It is *not* durable: everything is gone with the process. It needs no async runtime.
//!
//! ```
//! use annals_core::{
//!     Append, ContentType, EventStore, EventStoreExt, EventType, Expected, Ids, NewEvent, ReadRequest,
//!     StreamId, UuidIds,
//! };
//! use annals_store_memory::MemoryStore;
//!
//! # futures_executor::block_on(async {
//! let store = MemoryStore::new();
//! let account = StreamId::parse("account-42")?;
//! let opened = NewEvent::new(EventType::parse("opened")?, ContentType::JSON, "{}")?;
//! let append = Append::builder(UuidIds::default().append_id())
//!     .write(account.clone(), Expected::NoStream, [opened])
//!     .build()?;
//!
//! let receipt = store.append(append.clone()).await?;
//! assert_eq!(receipt.version_of(&account), Some(1.into()));
//! assert!(store.append(append).await?.is_duplicate());
//! assert_eq!(store.collect(ReadRequest::all()).await?.len(), 1);
//! # Ok::<(), annals_core::Error>(())
//! # }).unwrap();
//! ```
//!
//! # Limits
//! Memory: some 700 bytes for an event beside its payload, some 400 for an append. One writer at a
//! time; readers share. Criteria are answered from indexes of tags and types.

mod auxiliary;
mod read;
mod restore;
mod state;
mod store;

pub use restore::MemoryRestore;
pub use store::{MemoryStore, MemoryStoreBuilder};
