//! Event sourcing for Rust: an application's state is a fold over its recorded history.
//!
//! annals records what happened as events, decides under optimistic concurrency, and gives the state of
//! anything, now or at any earlier version, by folding its events. This crate is the one dependency of an
//! application: it gathers the layers, which can also be taken one by one.
//!
//! It is *not* a message broker, an ORM or a server to run.
//!
//! ```
//! use std::sync::Arc;
//! use annals::prelude::*;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Event, Serialize, Deserialize)]
//! #[event(category = "account")]
//! enum AccountEvent {
//!     Deposited { cents: u64 },
//!     Withdrawn { cents: u64 },
//! }
//!
//! #[derive(Default)]
//! struct Account(u64);
//!
//! impl Account {
//!     fn withdraw(&self, cents: u64) -> Result<AccountEvent, &'static str> {
//!         if cents > self.0 { Err("overdraft") } else { Ok(AccountEvent::Withdrawn { cents }) }
//!     }
//! }
//!
//! impl Aggregate for Account {
//!     type Event = AccountEvent;
//!     fn apply(&mut self, event: &AccountEvent) -> Result<(), Refusal> {
//!         let balance = match event {
//!             AccountEvent::Deposited { cents } => self.0.checked_add(*cents),
//!             AccountEvent::Withdrawn { cents } => self.0.checked_sub(*cents),
//!         };
//!         self.0 = balance.ok_or(Refusal::new("the balance leaves its range"))?;
//!         Ok(())
//!     }
//! }
//!
//! # futures_executor::block_on(async {
//! let directory = tempfile::tempdir().unwrap(); // in earnest, a path that stays
//! let store = LogStore::builder(directory.path()).open_or_create()?;
//! let accounts = Repository::<Account>::new(Arc::new(store), JsonCodec);
//! accounts.execute("ada", |_| Ok(AccountEvent::Deposited { cents: 100 })).await?;
//! accounts.execute("ada", |account| account.withdraw(30)).await?;
//! let refused = accounts.execute("ada", |account| account.withdraw(99)).await;
//! assert!(matches!(refused, Err(CommandError::Refused("overdraft"))));
//! assert_eq!(accounts.load_at("ada", Version::FIRST).await?.state().0, 100);
//! # Ok::<(), CommandError<&'static str>>(())
//! # }).unwrap();
//! ```
//!
//! What is appended to a [`LogStore`] is on disk when the call returns, and there again when the directory is
//! opened the next time.
//!
//! # Rules that cross streams
//! A rule that no aggregate holds is a *decision* (a dynamic consistency boundary): it says which events it is
//! about, and is recorded on condition that no more of them were recorded since it read. [`Decisions`] makes
//! the condition of what was read.
//!
//! ```
//! use std::sync::Arc;
//! use annals::prelude::*;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Debug, Event, Serialize, Deserialize)]
//! #[event(category = "user")]
//! enum UserEvent {
//!     Registered { #[event(tag)] name: String },
//! }
//!
//! struct NameTaken<'a> { name: &'a str, is_taken: bool }
//!
//! impl DecisionModel for NameTaken<'_> {
//!     type Event = UserEvent;
//!     fn criteria(&self) -> Result<Criteria, annals::Error> {
//!         Criteria::of_kinds::<UserEvent>(["registered"])?.tagged([Tag::from_parts("name", self.name)?])
//!     }
//!     fn apply(&mut self, _: &UserEvent) -> Result<(), Refusal> {
//!         self.is_taken = true;
//!         Ok(())
//!     }
//! }
//!
//! # futures_executor::block_on(async {
//! let decisions = Decisions::new(Arc::new(MemoryStore::new()), JsonCodec);
//! let register = |NameTaken { name, is_taken }: &NameTaken<'_>| match is_taken {
//!     true => Err("the name is taken"),
//!     false => Ok(UserEvent::Registered { name: name.to_string() }),
//! };
//! decisions.decide(NameTaken { name: "ada", is_taken: false }, register).await?;
//! let again = decisions.decide(NameTaken { name: "ada", is_taken: false }, register).await;
//! assert_eq!(again.unwrap_err().refused(), Some(&"the name is taken"));
//! # Ok::<(), CommandError<&'static str>>(())
//! # }).unwrap();
//! ```
//!
//! # Many at once
//! A command that meets another on the same aggregate is decided again, after a pause by a [`RetryPolicy`]; where
//! the events that came between commute with its own, [`Repository::with_resolver`] appends it without a new
//! decision. [`explain`] says who came between. [`Leases`] let one process be the only one who writes, with a
//! [`Fence`] that the store checks.
//!
//! # Following along
//! [`EventStoreExt::into_subscription`] gives the pages of a selection from a cursor on, then new ones as
//! they come; keep [`Page::cursor`] to go on there after a restart. [`StreamExt`] has `next`.
//!
//! ```
//! use std::sync::Arc;
//! use annals::prelude::*;
//!
//! async fn follow(store: Arc<dyn EventStore>, mut after: Cursor) -> Result<(), annals::Error> {
//!     let mut pages = store.into_subscription(ReadRequest::all().after(after.clone()));
//!     while let Some(page) = pages.next().await {
//!         let page = page?;
//!         for event in &page.events {
//!             println!("{} {}", event.stream(), event.event_type());
//!         }
//!         after = page.cursor;
//!     }
//!     Ok(())
//! }
//! ```
//!
//! # Back in time
//! The log has every state that ever was. `Replay` gives one as of a version, a position or a time, tells what each
//! event changed, finds the event since which something is so, and shows what would be if it had gone otherwise: see
//! the module `replay`.
//!
//! # Events of three years ago
//! What was recorded is never changed; the code goes on. A kind of event says its version and how an older one
//! becomes the next, [`Evolving`] reads all of them, and a schema ledger (`annals-testkit`) proves on every build
//! that what was ever recorded still means the same.
//!
//! ```
//! use annals::codec::{EvolutionError, Value};
//! use annals::prelude::*;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Event, Serialize, Deserialize)]
//! #[event(category = "account")]
//! enum AccountEvent {
//!     #[event(version = 2, upcast(1 => in_cents), was = "paid-in")]
//!     Deposited { cents: u64 },
//! }
//!
//! fn in_cents(mut old: Value) -> Value {
//!     old.rename("amount", "cents");
//!     old
//! }
//!
//! fn codec() -> Result<Evolving<AccountEvent, JsonCodec>, EvolutionError> {
//!     Evolving::of(JsonCodec)
//! }
//! # assert!(codec().is_ok());
//! ```
//!
//! # The layers
//! | module | is |
//! |---|---|
//! | [`core`] | the vocabulary, the contracts of stores, the pure theory |
//! | [`codec`] | typed events to named bytes and back, across the versions of their schemas |
//! | [`concurrency`] | retries, conflicts that resolve and explain themselves, leases |
//! | [`aggregate`] | repositories, deciders, transactions, decisions |
//! | `optimize` (feature) | makes a store smaller while it works: plans, background runs, undo |
//! | `partitioned` (feature) | one store over several, each stream in one of them |
//! | `profile` (feature) | counts, latencies, the heaviest streams, spans, metrics and health |
//! | [`projection`] | read models, reactions, process managers and timers, and what feeds them |
//! | [`snapshot`] | snapshots and a cache, so that a load costs the tail of a stream, not its length |
//! | [`replay`] | time travel: as of then, what changed, since when, what if |
//! | [`embedded`] | the durable store, in one directory, without a server |
//! | `nats` (feature) | the store on NATS JetStream, one server or a cluster |
//! | [`open`] | a store of the kind that an address names: `memory:`, `log:<directory>`, `postgres://...`, `nats://...` |
//! | `postgres` (feature) | the store on PostgreSQL, for several processes |
//! | [`memory`] | the reference store, in memory, for tests: nothing survives the process |
//!
//! For tests of an application take `annals-testkit` as a dev-dependency, for a backend of your own
//! `annals-conformance`.
//!
//! # Limits
//! A name has up to 1 KiB, a payload up to 16 MiB, an append up to 64 MiB and 65,536 events: all limits
//! stand in [`core::limits`].
//!
//! # Features
//! | feature | default | gives |
//! |---|---|---|
//! | `embedded` | yes | [`LogStore`] |
//! | `json` | yes | [`JsonCodec`] |
//! | `lease` | yes | [`Leases`] |
//! | `macros` | yes | `#[derive(Event)]` |
//! | `memory` | yes | [`MemoryStore`] |
//! | `projection` | yes | [`projection`]: read models, reactions, process managers, and what feeds them |
//! | `replay` | yes | [`replay`]: time travel |
//! | `bincode` | no | [`BincodeCodec`] |
//! | `cbor` | no | [`CborCodec`] |
//! | `encryption` | no | [`privacy`]: personal data under keys that can be erased |
//! | `messagepack` | no | [`MessagePackCodec`] |
//! | `nats` | no | `NatsStore`; it needs a tokio runtime, and takes a C compiler to build |
//! | `optimize` | no | `optimize`: makes a store smaller while it works |
//! | `partitioned` | no | `Partitioned`: one store over several |
//! | `postcard` | no | [`PostcardCodec`] |
//! | `postgres` | no | `PostgresStore`; it needs a tokio runtime, and takes a C compiler to build |
//! | `postgres-sqlx` | no | `append_in_sqlx` of `PostgresStore` and `PostgresInline`: appends within transactions of sqlx |
//! | `postgres-models` | no | `postgres_models`: read models in PostgreSQL, in the transaction of the append too |
//! | `metrics` | no | `profile::Metrics`: metrics by the facade of the crate `metrics` |
//! | `opentelemetry` | no | `profile::OpenTelemetryTraces`: trace contexts of `tracing-opentelemetry` |
//! | `profile` | no | `profile`: counts, latencies, the heaviest streams, spans and health |
//! | `prometheus` | no | `profile::Prometheus` and `profile::Endpoint`: the metrics as text, and who asks for them |
//! | `serde` | no | `Serialize` and `Deserialize` for the vocabulary, settings and explained conflicts |
//! | `sqlite` | no | [`sqlite`]: read models in SQLite; it takes a C compiler to build |
//! | `zstd` | no | [`Compressed`]; it takes a C compiler to build |

mod address;
#[cfg(any(
    feature = "embedded",
    feature = "memory",
    feature = "nats",
    feature = "postgres"
))]
mod any_store;
mod nats_address;

pub use annals_aggregate as aggregate;
pub use annals_codec as codec;
pub use annals_concurrency as concurrency;
pub use annals_core as core;
#[cfg(feature = "optimize")]
pub use annals_optimize as optimize;
#[cfg(feature = "partitioned")]
pub use annals_partitioned as partitioned;
#[cfg(feature = "profile")]
pub use annals_profile as profile;
#[cfg(feature = "projection")]
pub use annals_projection as projection;
#[cfg(feature = "postgres-models")]
pub use annals_read_postgres as postgres_models;
#[cfg(feature = "sqlite")]
pub use annals_read_sqlite as sqlite;
#[cfg(feature = "replay")]
pub use annals_replay as replay;
pub use annals_snapshot as snapshot;
#[cfg(feature = "embedded")]
pub use annals_store_log as embedded;
#[cfg(feature = "memory")]
pub use annals_store_memory as memory;
#[cfg(feature = "nats")]
pub use annals_store_nats as nats;
#[cfg(feature = "postgres")]
pub use annals_store_postgres as postgres;

#[cfg(feature = "macros")]
pub use annals_macros::Event;

/// What streams of events are used with: `next`, `map` and the rest, from `futures-util`.
pub use address::StoreAddress;
pub use annals_aggregate::*;
#[cfg(feature = "bincode")]
pub use annals_codec::BincodeCodec;
#[cfg(feature = "cbor")]
pub use annals_codec::CborCodec;
#[cfg(feature = "json")]
pub use annals_codec::JsonCodec;
#[cfg(feature = "messagepack")]
pub use annals_codec::MessagePackCodec;
#[cfg(feature = "postcard")]
pub use annals_codec::PostcardCodec;
#[cfg(feature = "encryption")]
pub use annals_codec::privacy;
pub use annals_codec::{
    Codecs, Decoded, EventCodec, EventCodecExt, Evolution, Evolving, EvolvingEvent,
};
#[cfg(feature = "zstd")]
pub use annals_codec::{Compressed, Dictionary};
#[cfg(feature = "lease")]
pub use annals_concurrency::{Acquired, Lease, LeaseSettings, Leases};
pub use annals_concurrency::{
    BlockingThreads, CommutingPairs, ConflictResolver, Fence, Resolution, RetryPolicy, Spawn,
    SystemTimer, Timer, explain,
};
pub use annals_core::*;
#[cfg(feature = "partitioned")]
pub use annals_partitioned::{Partitioned, PartitionedBuilder};
#[cfg(feature = "profile")]
pub use annals_profile::{Monitor, ProfiledCodec, ProfiledStore, Profiler};
#[cfg(feature = "projection")]
pub use annals_projection::{
    AfterRetries, Checks, ConsumerState, ConsumerStatus, Delivery, EventChoice, FailurePolicy,
    GroupMember, GroupSettings, Inline, Live, MemorySink, MemoryView, MemoryViews, ModelVersion,
    ParkedCause, ParkedEvent, ProcessKey, ProcessManager, Processor, ProcessorHandle,
    ProcessorSettings, Projection, ProjectionConsumer, ProjectionVersions, Reaction, ReadModel,
    Rebuild, RebuildSettings, Sink, Start, TimerChange, TimerEvent, TimerId, Timers, TimersHandle,
};
pub use annals_snapshot::{CacheSettings, Fold, SnapshotPolicy, Snapshots};
#[cfg(feature = "embedded")]
pub use annals_store_log::{LogFollower, LogStore, LogStoreBuilder};
#[cfg(feature = "memory")]
pub use annals_store_memory::{MemoryStore, MemoryStoreBuilder};
#[cfg(feature = "nats")]
pub use annals_store_nats::{NatsStore, NatsStoreBuilder};
#[cfg(feature = "postgres")]
pub use annals_store_postgres::{PostgresStore, PostgresStoreBuilder};
#[cfg(any(
    feature = "embedded",
    feature = "memory",
    feature = "nats",
    feature = "postgres"
))]
pub use any_store::{AnyStore, AnyStoreBuilder, open};
pub use nats_address::{NatsAddress, NatsSync};

pub use futures_util::StreamExt;

/// What most applications use, to be had by `use annals::prelude::*`.
pub mod prelude {
    pub use crate::{
        Aggregate, Append, AppendId, CacheSettings, CommandError, ConsistencyLevel, ContentType,
        Context, Criteria, Cursor, Decided, Decider, Decision, DecisionMade, DecisionModel,
        Decisions, Decoded, ErrorKind, Event, EventCodec, EventCodecExt, EventStore, EventStoreExt,
        EventType, Evolution, Evolving, EvolvingEvent, Executed, Expected, Fold, Ids, IntoEvents,
        LoadChoice, Metadata, NewEvent, Page, Position, ReadRequest, Receipt, RecordedEvent,
        Refusal, Repository, SnapshotPolicy, Snapshots, StreamExt, StreamId, Tag, Tags, Timestamp,
        UuidIds, Version, require,
    };

    #[cfg(feature = "json")]
    pub use crate::JsonCodec;
    #[cfg(feature = "embedded")]
    pub use crate::LogStore;
    #[cfg(feature = "memory")]
    pub use crate::MemoryStore;
    #[cfg(feature = "nats")]
    pub use crate::NatsStore;
    #[cfg(feature = "postgres")]
    pub use crate::PostgresStore;
    #[cfg(feature = "projection")]
    pub use crate::{Delivery, FailurePolicy, MemorySink, Processor, Projection, Reaction, Start};
}
