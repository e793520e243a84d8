//! Tests of an application on annals: given-when-then, laws, and a world that a test holds in its hand.
//!
//! A [`Scenario`] tests commands: given these events, when this command comes, then these events or this
//! error. The [`laws`] hold an aggregate and its codec to what every store, cache and replay relies on, a
//! line each. [`ManualClock`] and [`CountingIds`] make time and identities foreseeable, and a
//! [`FaultyStore`] fails at the call that a test chooses. At a [`MeetingStore`] races come about each time.
//!
//! A [`schema::Ledger`] holds samples of every event that was ever written, and proves on every build that they
//! still mean the same.
//!
//! It is *not* for authors of stores (that is `annals-conformance`), names no store of its own, and
//! starts no runtime: a scenario and most laws are plain functions, the others futures for any executor.
//!
//! ```
//! # use annals_codec::JsonCodec;
//! # use annals_core::{Aggregate, Refusal};
//! # use annals_macros::Event;
//! # use serde::{Deserialize, Serialize};
//! use annals_testkit::{Scenario, laws};
//! use AccountEvent::{Deposited, Withdrawn};
//!
//! #[derive(Debug, PartialEq, Event, Serialize, Deserialize)]
//! #[event(category = "account")]
//! enum AccountEvent { Deposited(u64), Withdrawn(u64) }
//!
//! #[derive(Debug, Default, PartialEq)]
//! struct Account { balance: u64 }
//!
//! #[derive(Debug, PartialEq)]
//! struct Overdraft;
//!
//! impl Account {
//!     fn withdraw(&self, amount: u64) -> Result<AccountEvent, Overdraft> {
//!         if amount <= self.balance { Ok(Withdrawn(amount)) } else { Err(Overdraft) }
//!     }
//! }
//!
//! // impl Aggregate for Account: `apply` adds what is deposited, subtracts what is withdrawn.
//! # impl Aggregate for Account {
//! #     type Event = AccountEvent;
//! #     fn apply(&mut self, event: &AccountEvent) -> Result<(), Refusal> {
//! #         let balance = match event {
//! #             Deposited(amount) => self.balance.checked_add(*amount),
//! #             Withdrawn(amount) => self.balance.checked_sub(*amount),
//! #         };
//! #         self.balance = balance.ok_or(Refusal::new("the balance leaves its range"))?;
//! #         Ok(())
//! #     }
//! # }
//!
//! Scenario::<Account>::given([Deposited(100)])
//!     .when(|account| account.withdraw(70))
//!     .then([Withdrawn(70)])
//!     .when(|account| account.withdraw(70))
//!     .then_error(Overdraft)
//!     .then_state_is(Account { balance: 30 });
//!
//! laws::check_all::<Account>(&JsonCodec, &[[Deposited(9), Withdrawn(2)]]);
//! ```
//!
//! What fails panics at the line of the test, and shows what was given, the state, and the difference:
//!
//! ```text
//! the command decided other events than expected
//!
//! given:
//!     1. Deposited(100)
//!
//! state before the command:
//!     Account {
//!         balance: 100,
//!     }
//!
//! difference (- expected, + actual):
//!     Withdrawn(
//!   -     70,
//!   +     71,
//!     )
//!
//! what to do:
//!     correct the command, or the expectation where the rule has changed
//! ```
//!
//! The difference is coloured on a terminal, unless `NO_COLOR` is set.
//!
//! # Limits
//! A report shows up to 20 events of a history. A law splits a history at up to 65 places.
//!
//! # Features
//! | feature | default | gives |
//! |---|---|---|
//! | `proptest` | no | `laws::generated`: the laws on generated histories, shrunk, with their seed |

mod counting_ids;
mod faulty_store;
pub mod laws;
mod meeting_store;
mod report;
mod scenario;
pub mod schema;
mod then;

pub use annals_core::ManualClock;
pub use counting_ids::CountingIds;
pub use faulty_store::{Fault, FaultyStore};
pub use meeting_store::MeetingStore;
pub use scenario::Scenario;
pub use then::Then;
