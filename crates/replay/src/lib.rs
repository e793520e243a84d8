//! Time travel over any event store of annals: the state of anything as of any moment, what each event changed,
//! which event broke it, and what would be if it had gone otherwise.
//!
//! A [`Replay`] is a history (a stream, a category, what criteria select, or the whole log) with a fold. It gives
//! the state as of a version, a position or a time ([`Replay::as_of`]), each event with what it changed
//! ([`Replay::transitions`]), the first event at which something turned true ([`Replay::bisect`]), and the
//! comparison with a history that went otherwise ([`Replay::what_if`]). [`play`] gives a history back at a chosen
//! speed; `MemoryFork` (feature `memory`) copies a store as of a position, to experiment with.
//!
//! It is *not* a debugger of commands, and it writes nothing, to no store.
//!
//! ```
//! use std::sync::Arc;
//! use annals_codec::JsonCodec;
//! use annals_core::{Aggregate, Refusal, Version};
//! # use annals_codec::EventCodec;
//! # use annals_core::{Append, EventStore, Expected, Ids, StreamId, UuidIds};
//! use annals_macros::Event;
//! use annals_replay::{AlteredEvents, Replay, WhatIf};
//! use annals_store_memory::MemoryStore;
//! # use futures_util::TryStreamExt;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Debug, Event, Serialize, Deserialize)]
//! #[event(category = "account")]
//! enum AccountEvent {
//!     Deposited { cents: u64 },
//!     Withdrawn { cents: u64 },
//! }
//!
//! #[derive(Clone, Debug, Default, PartialEq, Serialize)]
//! struct Account { cents: u64 }
//!
//! impl Aggregate for Account {
//!     type Event = AccountEvent;
//!     fn apply(&mut self, event: &AccountEvent) -> Result<(), Refusal> {
//!         let cents = match event {
//!             AccountEvent::Deposited { cents } => self.cents.checked_add(*cents),
//!             AccountEvent::Withdrawn { cents } => self.cents.checked_sub(*cents),
//!         };
//!         self.cents = cents.ok_or(Refusal::new("the balance leaves its range"))?;
//!         Ok(())
//!     }
//! }
//!
//! # futures_executor::block_on(async {
//! # let store = Arc::new(MemoryStore::new());
//! # let events = [
//! #     AccountEvent::Deposited { cents: 100 },
//! #     AccountEvent::Withdrawn { cents: 30 },
//! #     AccountEvent::Deposited { cents: 5 },
//! # ];
//! # let events = events.iter().map(|event| JsonCodec.encode(event).unwrap());
//! # let append = Append::builder(UuidIds::default().append_id())
//! #     .write(StreamId::from_static("account-ada"), Expected::Any, events)
//! #     .build()?;
//! # store.append(append).await?;
//! // 100 deposited, 30 withdrawn, 5 deposited
//! let ada = Replay::<Account, _>::of_aggregate(store, JsonCodec, "ada")?;
//! assert_eq!(ada.as_of(Version::new(2)).await?.state.cents, 70);
//!
//! let transitions: Vec<_> = ada.transitions().try_collect().await?;
//! assert_eq!(transitions[1].diff.to_string(), "cents: 100 -> 70");
//!
//! let found = ada.bisect(|account| account.cents > 70).await?;
//! assert_eq!(found.turning_point().unwrap().event.version(), Version::new(1));
//!
//! let without = WhatIf::new().without(AlteredEvents::Version(Version::new(2)));
//! let compared = ada.what_if(&without).await?;
//! assert_eq!(compared.diff.to_string(), "cents: 75 -> 105");
//! # Ok::<(), annals_core::Error>(())
//! # }).unwrap();
//! ```
//!
//! # Which way to ask
//! | question | ask |
//! |---|---|
//! | what was it then? | [`Replay::as_of`] with an [`AsOf`] |
//! | what did each event change? | [`Replay::transitions`], [`Replay::transitions_from`] |
//! | since which event is it so? | [`Replay::bisect`]; [`Replay::scan`] and [`Replay::flips`] where it may go to and fro |
//! | what if? | [`Replay::what_if`] with a [`WhatIf`] |
//! | how was it to watch? | [`play`] at a [`Pace`] |
//! | what would a command do? | `MemoryFork`, and a repository over the copy; `LogStoreBuilder::fork` for a copy on disk |
//!
//! # Which time
//! An event has two: `appended_at`, when the store had it, never goes back; [`AsOf::Appended`] is what was known
//! then. `recorded_at`, when it happened, is by the application's clocks; [`AsOf::Recorded`] is what had happened
//! then, as it is known now.
//!
//! # What a state shows
//! Diffs compare states as serde writes them, so what serde skips is not compared, and a `HashSet`, which comes as a
//! list in an order of its own each time, shows changes where there are none: take a `BTreeSet`. The fields of
//! maps and structs are compared by their names, in whatever order they come. Events that a stream's policy hides
//! are not in any state, as of any moment.
//!
//! # Limits
//! A state that is compared has up to 1,048,576 values ([`annals_codec::VALUE_NODES_MAX`]), 127 deep
//! ([`annals_codec::DEPTH_MAX`]). A diff is as large as what changed, and prints at most 20 lines of at most 60
//! characters for a value ([`StateDiff::LINES_MAX`], [`StateDiff::VALUE_CHARS_MAX`]). A bisection keeps two states, a
//! what-if up to four and 256 events; both read pages of 1000 events.
//!
//! # Features
//! | feature | default | gives |
//! |---|---|---|
//! | `memory` | no | `MemoryFork` |

mod as_of;
mod bisect;
mod diff;
mod flips;
mod fold;
#[cfg(feature = "memory")]
mod fork;
mod observer;
mod play;
mod reading;
mod replay;
mod transitions;
mod what_if;

pub use as_of::AsOf;
pub use bisect::{Bisection, Turned, TurningPoint};
pub use diff::{Change, PathStep, StateDiff, StatePath, value_of};
pub use flips::Flip;
pub use fold::ReplayFold;
#[cfg(feature = "memory")]
pub use fork::MemoryFork;
pub use observer::{ReplayObserver, ReplayProgress};
pub use play::{Pace, PacedBy, play};
pub use replay::{Reconstructed, Replay};
pub use transitions::Transition;
pub use what_if::{
    AlteredEvents, Comparison, FirstDivergence, OnRefusal, Refused, RefusedKind, WhatIf,
};
