//! The embedded event store of annals: durable, indexed, in one directory, with no server to run.
//!
//! [`LogStore`] implements every contract of `annals-core` in full, on disk: streams and all expectations,
//! atomic appends over several streams, checks, conditions (dynamic consistency boundaries), append ids that
//! are known for as long as the store lives, reads in both directions by everything and by time,
//! subscriptions, stream policies, snapshots and checkpoints. An acknowledged append survives power loss.
//! [`LogFollower`] reads and follows a store that another process writes.
//!
//! It is *not* a network service, and one process writes at a time. It is not replicated: keep backups.
//!
//! ```
//! use annals_core::{
//!     Append, ContentType, EventStore, EventStoreExt, EventType, Expected, Ids, NewEvent, ReadRequest,
//!     StreamId, UuidIds,
//! };
//! use annals_store_log::LogStore;
//!
//! # futures_executor::block_on(async {
//! # let directory = tempfile::tempdir().unwrap();
//! # let directory = directory.path().join("store");
//! let store = LogStore::builder(&directory).open_or_create()?;
//! let account = StreamId::parse("account-42")?;
//! let opened = NewEvent::new(EventType::parse("opened")?, ContentType::JSON, "{}")?;
//! let append = Append::builder(UuidIds::default().append_id())
//!     .write(account.clone(), Expected::NoStream, [opened])
//!     .build()?;
//! store.append(append).await?;
//! store.close()?;
//!
//! let store = LogStore::builder(&directory).open()?;
//! assert_eq!(store.collect(ReadRequest::stream(account)).await?.len(), 1);
//! # Ok::<(), annals_core::Error>(())
//! # }).unwrap();
//! ```
//!
//! # Durability
//! By default ([`Durability::Sync`]) the data is synced to the disk before an append is acknowledged, and
//! nobody sees it before. Many appends at once share one write and one sync. After a failed sync the store
//! takes no more appends until it is opened again; reads go on. How each fault is answered, and how that is
//! proved, stands in `docs/guarantees.md` and `RELIABILITY.md` of the project.
//!
//! # Files
//! | in the directory | holds | if lost |
//! |---|---|---|
//! | `log/` | every event and policy (`docs/format/log.md`, `docs/format/event.md`) | the history is lost |
//! | `index/` | where what stands (`docs/format/index.md`) | built again from the log |
//! | `snapshots.redb` | snapshots | taken again |
//! | `checkpoints`, `checkpoints.kept` | where readers stand | an error says so; readers begin again |
//!
//! # Limits
//! Memory: the index of the newest events, up to three times [`Settings::index_bytes_max`]; what waits in the
//! queue, up to twice [`Settings::queue_bytes_max`], as it was sent and as it will be written; the batch being
//! written, three times [`Settings::batch_bytes_max`]; the cache of snapshots,
//! [`Settings::auxiliary_bytes_max`], and that of compressed segments, [`Settings::block_cache_bytes_max`]; up to 8 pages made ahead ([`Settings::read_ahead_pages`]) and the storage
//! of 4 that are gone; some 200 bytes for each segment, index file and checkpoint; the dictionary of event
//! types, up to 4095 of them. The number of streams and events adds nothing. Files are read through memory
//! maps, whose pages count as resident where they were read and are the system's to take back.
//!
//! A commit runs on the task that finds the store free and blocks its thread for the time of a sync; with
//! [`CommitterThread::Own`] it never does.

mod auxiliary;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod index;
#[cfg(feature = "planted")]
pub mod planted;
#[cfg(not(feature = "planted"))]
mod planted;
mod record;
mod store;

pub use annals_log::{
    Archive, ArchivedSegments, Archives, CompressedSegments, Damage, DamageKind, LostRange,
    OpenArchive, Parts, Progress, Repair, Verification, VerifySettings, vfs,
};
pub use store::{
    ArchiveSummary, CommitterThread, DamagedIndex, Durability, LogFollower, LogStore,
    LogStoreBuilder, Losses, LostEvents, Maintenance, ReadMode, Settings, StoreFork, StoreHistory,
    StoreVerification, is_locked, is_lost,
};
