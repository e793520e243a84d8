//! Snapshots of folded states, and a bounded cache of the hot ones: so that a load costs the tail of a
//! stream, not its length.
//!
//! A snapshot is the state of a fold at a version, kept as bytes in any
//! [`SnapshotStore`](annals_core::SnapshotStore). It is derived: it may be lost, it is never the truth, and
//! one that does not fit is passed over and the events are folded. [`Snapshots`] says when they are taken and
//! where the work is done, [`StateCache`] holds states that were used lately in memory. A repository of
//! `annals-aggregate` takes both; they can also be used alone, over any fold.
//!
//! It is *not* a store, and nothing here reads events: whoever folds the tail does.
//!
//! ```
//! use std::sync::Arc;
//! use annals_codec::JsonCodec;
//! use annals_core::{StreamId, Timestamp, Version};
//! use annals_snapshot::{Fold, Folded, SnapshotPolicy, Snapshots};
//! use annals_store_memory::MemoryStore;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
//! struct Account { balance: u64 }
//!
//! # futures_executor::block_on(async {
//! let store = Arc::new(MemoryStore::new());
//! let snapshots = Snapshots::<Account>::new(store, JsonCodec, Fold::version(1))
//!     .with_policy(SnapshotPolicy::every_events(50));
//!
//! let stream = StreamId::parse("account-42")?;
//! let folded = Folded {
//!     state: Account { balance: 7 },
//!     begins_at: Version::FIRST,
//!     version: Version::new(50),
//! };
//! snapshots.take(stream.clone(), folded.clone(), Timestamp::EPOCH); // returns at once
//! snapshots.flush().await;
//!
//! let (found, _) = snapshots.load(&stream, Version::MAX).await.unwrap();
//! assert_eq!(found, folded);
//! # Ok::<(), annals_core::Error>(())
//! # }).unwrap();
//! ```
//!
//! # Never trusted
//! A snapshot is found under its stream and the fingerprint of its fold: what the state's type reads from
//! bytes (fields, their types and names, variants), the form of the bytes, and the version that the
//! application declares ([`Fold`]). Another fingerprint is another key, so a snapshot of other code is not
//! even read; it is removed when the newer fold takes its own. One whose bytes are damaged is passed over.
//!
//! The events that are folded in it may be hidden since: a stream may be truncated, deleted, or kept by
//! count or age. Each state therefore remembers the first event that it holds, and is dropped where a fold
//! from the beginning would begin elsewhere ([`Folded::validity`]). A stream that is kept by count has a
//! fold that begins anew with each event beyond the count: snapshots and caches are of no use to it then,
//! and of no harm.
//!
//! A snapshot knows its stream by name and version only. After events were restored from an older backup,
//! one of a version that the stream has not reached is dropped, but one of a version that was reached again
//! by other events is not told apart: restore a store and its snapshots together, or remove the snapshots.
//!
//! # Off the path
//! After an append the policy is asked; where a snapshot is due, the state is copied into a bounded queue, and
//! one worker encodes, saves and removes what is old. It runs where [`Spawn`] says: no runtime is named. A
//! failure is counted ([`Snapshots::counts`]) and logged, and no command hears of it.
//!
//! # Is it right?
//! The law is that a snapshot and the tail after it give the fold from the beginning. `annals-testkit` holds
//! an aggregate to it (`laws::a_snapshot_and_its_tail_are_the_whole`), and a repository's `verify_snapshots`
//! folds streams again beside the snapshots that a store holds.
//!
//! # Limits
//! 64 snapshots wait at most ([`Snapshots::with_waiting_max`]), 2 of each stream are kept
//! ([`Snapshots::with_keep_newest`]); a cache holds 10,000 states and 64 MiB by estimate ([`CacheSettings`]).
//! A snapshot has up to 64 MiB ([`annals_core::limits`]).

mod cache;
mod counts;
mod envelope;
mod fold;
mod folded;
mod keeper;
mod kept_states;
mod policy;
mod queue;
mod schema;
mod snapshots;

/// Where snapshots are encoded and saved.
pub use annals_concurrency::{BlockingThreads, Spawn};
pub use cache::{CacheCounts, CacheSettings, StateCache};
pub use counts::SnapshotCounts;
pub use fold::Fold;
pub use folded::{Folded, SnapshotMark, Validity};
pub use policy::{Occasion, SnapshotPolicy};
pub use snapshots::Snapshots;
