//! Aggregates and deciders over any event store of annals: load, decide, append, retry.
//!
//! A [`Repository`] folds the recorded events of an aggregate into its state, lets a command look at the
//! state and give new events, and appends them on condition that nobody wrote the aggregate meanwhile;
//! if somebody did, it loads and decides again. A command method is a plain function from a state to
//! events, so it is tested without any store.
//!
//! It is *not* a runtime or a message bus: it starts no task but to take snapshots, and reads an aggregate's
//! events each time, a page of 1000 at once; with a cache or snapshots, those after the state that is kept.
//!
//! ```
//! use std::sync::Arc;
//!
//! use annals_aggregate::Repository;
//! # use annals_aggregate::CommandError;
//! use annals_codec::JsonCodec;
//! use annals_core::{Aggregate, Refusal};
//! use annals_macros::Event;
//! use annals_store_memory::MemoryStore;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Debug, Event, Serialize, Deserialize)]
//! #[event(category = "account")]
//! enum AccountEvent {
//!     Deposited { amount: u64 },
//!     Withdrawn { amount: u64 },
//! }
//!
//! #[derive(Debug, Default)]
//! struct Account { balance: u64 }
//!
//! #[derive(Debug, PartialEq)]
//! struct Overdraft;
//!
//! impl Account {
//!     fn deposit(&self, amount: u64) -> Result<AccountEvent, Overdraft> {
//!         Ok(AccountEvent::Deposited { amount })
//!     }
//!
//!     fn withdraw(&self, amount: u64) -> Result<AccountEvent, Overdraft> {
//!         let covered = self.balance >= amount;
//!         covered.then_some(AccountEvent::Withdrawn { amount }).ok_or(Overdraft)
//!     }
//! }
//!
//! impl Aggregate for Account {
//!     type Event = AccountEvent;
//!
//!     fn apply(&mut self, event: &AccountEvent) -> Result<(), Refusal> {
//!         let balance = match event {
//!             AccountEvent::Deposited { amount } => self.balance.checked_add(*amount),
//!             AccountEvent::Withdrawn { amount } => self.balance.checked_sub(*amount),
//!         };
//!         self.balance = balance.ok_or(Refusal::new("the balance leaves its range"))?;
//!         Ok(())
//!     }
//! }
//!
//! # futures_executor::block_on(async {
//! let store = Arc::new(MemoryStore::new());
//! let accounts = Repository::<Account>::new(store, JsonCodec);
//! accounts.execute("42", |account| account.deposit(5)).await?;
//!
//! let executed = accounts.execute("42", |account| account.withdraw(3)).await?;
//! assert_eq!((executed.state.balance, executed.version.value()), (2, 2));
//!
//! let refused = accounts.execute("42", |account| account.withdraw(3)).await.unwrap_err();
//! assert_eq!(refused.refused(), Some(&Overdraft));
//! # Ok::<(), CommandError<Overdraft>>(())
//! # }).unwrap();
//! ```
//!
//! # Which way to write it
//! | you have | write |
//! |---|---|
//! | one aggregate, one command | [`Repository::execute`] |
//! | a state and a mutable view of it that shows events before they are saved | [`Repository::load`], [`Loaded::record`], [`Repository::save`] |
//! | commands as values, states as values | a [`Decider`] and [`Repository::decide`] |
//! | two aggregates that change together | [`Repository::execute_both`] |
//! | any number of them | [`Transaction`] |
//! | a rule that no aggregate holds, or that crosses many | a [`DecisionModel`] for each question, and [`Decisions::decide`] |
//! | aggregates of many events | [`Repository::with_snapshots`], [`Repository::with_cache`], a [`LoadChoice`] |
//! | a figure over all aggregates of a type | [`Repository::fold_all`] |
//! | a request that may come twice | a [`Context`] with an append id |
//! | an aggregate that many write at once | [`Repository::with_resolver`] |
//! | a process that is to be the only one who writes | a [`Context`] with the fence of a lease |
//!
//! # Limits
//! A command is tried 10 times against conflicts ([`with_attempts_max`](Repository::with_attempts_max)); in all
//! of them together appends of unknown outcome are sent again 3 times
//! ([`with_resends_max`](Repository::with_resends_max)), and those that an overloaded store refused 5 times, with
//! random pauses between of up to 250 ms ([`with_retry_policy`](Repository::with_retry_policy)). It makes at most
//! 10 + 3 + 5 = 18 appends, and a save or a commit at most 1 + 3 + 5 = 9. A load begins at most 10 times, as often
//! as a command is tried, when its stream is truncated or deleted between two pages; a command that loads
//! in each of its tries begins at most 10 x 10 loads of each aggregate. An append takes up to 65,536 events
//! and 64 MiB ([`annals_core::limits`]).

mod attempts;
mod command_error;
mod context;
mod decider;
mod decision;
mod duplicate;
mod executed;
mod fold_all;
mod into_events;
mod kept;
mod load_choice;
mod loaded;
mod reading;
mod rebase;
mod repository;
mod require;
mod skipped;
mod snapshots;
mod transaction;
mod writer;

pub use command_error::CommandError;
pub use context::Context;
pub use decider::{Decided, Decider};
pub use decision::{Decision, DecisionMade, DecisionModel, Decisions, Informed, Selected};
pub use executed::Executed;
pub use into_events::IntoEvents;
pub use load_choice::LoadChoice;
pub use loaded::Loaded;
pub use repository::Repository;
pub use require::require;
pub use skipped::Skipped;
pub use snapshots::{Divergence, SnapshotVerification};
pub use transaction::Transaction;
