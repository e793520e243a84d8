//! An event store of annals on NATS JetStream.
//!
//! [`NatsStore`] implements every contract of `annals-core` in full: streams and all expectations, atomic appends over
//! several streams, checks, conditions (dynamic consistency boundaries), append ids that are known for as long as the log
//! lives, reads in both directions by everything and by time, subscriptions, stream policies, snapshots and checkpoints.
//! Positions have no gaps. Several processes append to one log. Whoever appends at the same time in one process shares an
//! atomic batch, and its cost.
//!
//! It is *not* a way around a broker: it needs NATS 2.12 or later with JetStream, and a tokio runtime. It is not for
//! logs of any length: see the limits.
//!
//! ```no_run
//! use annals_core::{
//!     Append, ContentType, EventStore, EventStoreExt, EventType, Expected, Ids, NewEvent, ReadRequest, StreamId,
//!     UuidIds,
//! };
//! use annals_store_nats::NatsStore;
//!
//! # async fn example() -> Result<(), annals_core::Error> {
//! let store = NatsStore::builder("nats://nats-1.example,nats://nats-2.example,nats://nats-3.example")
//!     .log("shop")
//!     .replicas(3)
//!     .assume_synced()
//!     .open_or_create()
//!     .await?;
//! let account = StreamId::parse("account-42")?;
//! let opened = NewEvent::new(EventType::parse("opened")?, ContentType::JSON, "{}")?;
//! let append = Append::builder(UuidIds::default().append_id())
//!     .write(account.clone(), Expected::NoStream, [opened])
//!     .build()?;
//! store.append(append).await?;
//! assert_eq!(store.collect(ReadRequest::stream(account)).await?.len(), 1);
//! # Ok(())
//! # }
//! ```
//!
//! # Durability
//! An append is acknowledged when the servers acknowledge it: one, or a majority of those that keep the log. Servers sync
//! what they acknowledged every two minutes, unless `sync_interval: always` is set; a loss of power takes what was not
//! synced. So it is said or asked how it is with them, see [`Sync`], and the capabilities tell. The fate of an append
//! whose answer is lost is found out, and only where that takes too long the answer is *unknown*.
//!
//! # Runtime
//! The contract knows no runtime, but the client of NATS needs tokio: the store runs its connection and its tasks on the
//! runtime that it was opened on. Its futures may be polled by any executor.
//!
//! # Limits
//! Memory: an index of some 400 bytes for an event, names and tags shared with other events where they can be; what waits
//! to be appended, [`Settings::queue_bytes_max`]; a page for each reader. Opening reads the whole log. An append has up to
//! 1000 events and 16 MiB, and an event with its headers fits into one message of the server (`max_payload`, 1 MiB). Nothing
//! is ever removed from a log: policies hide, and what has to be forgotten is encrypted.

mod auxiliary;
mod error;
mod follow;
mod history;
mod judge;
mod layout;
mod mark;
mod monitoring;
mod read;
mod record;
mod rivals;
mod select;
mod settings;
mod shared;
mod state;
mod store;
mod subject;
mod wire;
mod writer;

pub use async_nats;
pub use settings::{Settings, Sync};
pub use store::{NatsStore, NatsStoreBuilder};
