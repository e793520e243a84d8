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
//! impl Aggregate for Account {
//!     type Event = AccountEvent;
//!
//!     fn apply(&mut self, event: &AccountEvent) -> Result<(), Refusal> {
//!         match event {
//!             AccountEvent::Deposited { cents } => self.0 += cents,
//!             AccountEvent::Withdrawn { cents } => self.0 -= cents,
//!         }
//!         Ok(())
//!     }
//! }
//!
//! impl Account {
//!     fn deposit(&self, cents: u64) -> Result<AccountEvent, &'static str> {
//!         if cents == 0 { Err("a deposit is not empty") } else { Ok(AccountEvent::Deposited { cents }) }
//!     }
//!
//!     fn withdraw(&self, cents: u64) -> Result<AccountEvent, &'static str> {
//!         if cents > self.0 { Err("overdraft") } else { Ok(AccountEvent::Withdrawn { cents }) }
//!     }
//! }
//!
//! # futures_executor::block_on(async {
//! let accounts = Repository::<Account>::new(Arc::new(MemoryStore::new()), JsonCodec);
//! accounts.execute("ada", |account| account.deposit(100)).await?;
//! accounts.execute("ada", |account| account.withdraw(30)).await?;
//! let refused = accounts.execute("ada", |account| account.withdraw(99)).await;
//! assert!(matches!(refused, Err(CommandError::Refused("overdraft"))));
//! assert_eq!(accounts.load("ada").await?.state().0, 70);
//! assert_eq!(accounts.load_at("ada", Version::FIRST).await?.state().0, 100);
//! # Ok::<(), CommandError<&'static str>>(())
//! # }).unwrap();
//! ```
//!
//! # The layers
//! | module | is |
//! |---|---|
//! | [`core`] | the vocabulary, the contracts of stores, the pure theory |
//! | [`codec`] | typed events to named bytes and back |
//! | [`aggregate`] | repositories, deciders, transactions |
//! | [`memory`] | the reference store, in memory: nothing survives the process |
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
//! | `json` | yes | [`JsonCodec`] |
//! | `macros` | yes | `#[derive(Event)]` |
//! | `memory` | yes | [`MemoryStore`] |
//! | `serde` | no | `Serialize` and `Deserialize` for the vocabulary |

pub use annals_aggregate as aggregate;
pub use annals_codec as codec;
pub use annals_core as core;
#[cfg(feature = "memory")]
pub use annals_store_memory as memory;

#[cfg(feature = "macros")]
pub use annals_macros::Event;

pub use annals_aggregate::{
    CommandError, Context, Decided, Decider, Executed, Loaded, Repository, Transaction,
};
pub use annals_codec::EventCodec;
#[cfg(feature = "json")]
pub use annals_codec::JsonCodec;
pub use annals_core::{
    Aggregate, Append, AppendId, Capabilities, Category, ConsistencyLevel, CorrelationId, Criteria,
    Cursor, Error, ErrorKind, Event, EventSourcingSystem, EventStore, EventStoreExt, EventStream,
    Expected, Metadata, NewEvent, Page, Position, ReadRequest, Receipt, RecordedEvent, Refusal,
    StreamId, Tag, Tags, Timestamp, Version, fold, fold_from,
};
#[cfg(feature = "memory")]
pub use annals_store_memory::MemoryStore;

/// What most applications use, to be had by `use annals::prelude::*`.
pub mod prelude {
    pub use crate::{
        Aggregate, Append, CommandError, Context, Criteria, Decided, Decider, Event, EventCodec,
        EventStore, EventStoreExt, Expected, Metadata, ReadRequest, Refusal, Repository, StreamId,
        Tag, Version,
    };

    #[cfg(feature = "json")]
    pub use crate::JsonCodec;
    #[cfg(feature = "memory")]
    pub use crate::MemoryStore;
}
