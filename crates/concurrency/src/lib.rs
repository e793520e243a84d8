//! Commands under concurrency over any event store of annals: control, retries, resolution, leases.
//!
//! Nothing in annals is locked: an append names the versions that it was decided on, and of two that collide
//! the store takes one. This crate is what the other one does next. [`OptimisticConcurrency`] judges versions;
//! a [`Retrier`] tries again by a [`RetryPolicy`]; a [`ConflictResolver`] says whether what came between matters;
//! [`explain`] says what came between; `Leases` (feature `lease`) let one process be the only one for a time,
//! with a [`Fence`] that the store checks.
//!
//! It is *not* a lock manager or a runtime: it starts no task, and time, chance and pauses come in through
//! handles ([`Timer`], [`Chance`]), and what runs beside a caller runs where [`Spawn`] says. Repositories of `annals-aggregate` have all of it built in.
//!
//! ```
//! use annals_concurrency::{ManualTimer, Retrier, RetryPolicy};
//! # use annals_core::{Append, ContentType, EventStore, EventType, Expected, Ids, NewEvent, StreamId, UuidIds};
//! # use annals_store_memory::MemoryStore;
//!
//! # futures_executor::block_on(async {
//! # let store = MemoryStore::new();
//! # let event = NewEvent::new(EventType::from_static("opened"), ContentType::JSON, "{}")?;
//! # let append = Append::builder(UuidIds::default().append_id())
//! #     .write(StreamId::parse("account-42")?, Expected::NoStream, [event])
//! #     .build()?;
//! let retrier = Retrier::new(RetryPolicy::DEFAULT, ManualTimer::default())?;
//! let receipt = retrier.append(&store, &append).await?; // sent again while its outcome is unknown
//! assert!(!receipt.is_duplicate());
//! # Ok::<(), annals_core::Error>(())
//! # }).unwrap();
//! ```
//!
//! # Limits
//! A policy has 10 attempts, 3 resends and 5 sends after an overload unless it says otherwise, and pauses of up to
//! 250 ms, an hour at most. A conflict is explained by up to 16 events for each failed check. A lease lives for up to
//! a day without a renewal.
//!
//! # Features
//! | feature | default | gives |
//! |---|---|---|
//! | `lease` | no | `Leases` |
//! | `serde` | no | `Serialize` and `Deserialize` for settings and explained conflicts |
//! | `threads` | no | `BlockingThreads`, on which work off a caller's path runs |
//! | `timer` | no | `SystemTimer`, which sleeps under any executor |

mod chance;
mod explain;
mod fence;
#[cfg(feature = "lease")]
mod lease;
mod optimistic;
mod resolver;
mod retry;
mod spawn;
#[cfg(feature = "timer")]
mod system_timer;
mod timer;

pub use chance::{Chance, SeededChance, SystemChance};
pub use explain::{ExplainedCheck, Explanation, InterveningEvent, explain};
pub use fence::{Fence, FencingToken};
#[cfg(feature = "lease")]
pub use lease::{Acquired, Lease, LeaseSettings, Leases};
pub use optimistic::OptimisticConcurrency;
pub use resolver::{CommutingPairs, ConflictResolver, Resolution};
pub use retry::policy::{Jitter, RetryPolicy};
pub use retry::retrier::Retrier;
pub use retry::tries::{Tries, can_pass};
#[cfg(feature = "threads")]
pub use spawn::BlockingThreads;
pub use spawn::Spawn;
#[cfg(feature = "timer")]
pub use system_timer::SystemTimer;
pub use timer::{ManualTimer, Timer};
