//! The contract of an annals event store as executable cases, for authors of backends and of layers
//! around them.
//!
//! Three checks, each a line in a test, each giving a [`Report`]:
//!
//! - [`check`] runs some two hundred cases by subject: appends, expectations, conflicts, idempotency,
//!   boundaries, reads, cursors, pages, subscriptions, limits, events, policies, capabilities,
//!   concurrency, snapshots, checkpoints. [`check_only`] runs a subject or a single case.
//! - [`check_model`] takes generated steps on the store and on a plain model, and compares every answer;
//!   what differs is shrunk to the fewest steps that show it.
//! - [`check_histories`] lets clients act at the same time, some of whose answers are lost, and holds what
//!   they were told against the log that the store ended with. [`Recorder`] and [`History`] do the same
//!   for a workload of yours.
//!
//! A store is right when all three pass. It is *not* a benchmark, and it does not crash the store or
//! fail its disk: durability is proved elsewhere. For a backend's tests that do, [`load`] has the writers and the
//! look at the log afterwards.
//!
//! ```
//! use std::sync::Arc;
//!
//! use annals_conformance::{HistorySettings, ManualClock, Stores, check, check_histories, check_model};
//! use annals_store_memory::MemoryStore;
//!
//! fn stores(clock: ManualClock) -> Stores {
//!     let store = MemoryStore::builder().clock(Arc::new(clock)).build();
//!     Stores::complete(store).on_the_clock()
//! }
//!
//! // In a test:
//! check(stores).assert_passed();
//! check_model(stores, 100).assert_passed();
//! check_histories(stores, HistorySettings::default()).assert_passed();
//! ```
//!
//! # What a backend brings
//! A function from a clock to [`Stores`], or a [`Backend`] where opening may fail or a runtime is needed.
//! Every case gets a store of its own, with nothing in it. Without a snapshot store, a checkpoint store or
//! the suite's clock, the cases that need them are skipped, and the report says so. So are cases outside
//! the store's [`Capabilities`](annals_core::Capabilities); what it does not offer it must refuse as
//! [`Unsupported`](annals_core::ErrorKind::Unsupported).
//!
//! ```
//! use annals_conformance::{Backend, ManualClock, Stores};
//! use annals_core::Error;
//! use annals_store_memory::MemoryStore;
//! use async_trait::async_trait;
//! use futures_util::future::BoxFuture;
//!
//! struct OnARuntime;
//!
//! #[async_trait]
//! impl Backend for OnARuntime {
//!     async fn open(&self, _: ManualClock) -> Result<Stores, Error> {
//!         Ok(Stores::new(MemoryStore::new()))
//!     }
//!
//!     fn block_on(&self, future: BoxFuture<'_, ()>) {
//!         // With tokio, `self.runtime.block_on(future)`.
//!         futures_executor::block_on(future);
//!     }
//! }
//! # annals_conformance::check_only(OnARuntime, "append.gives_a_receipt").assert_passed();
//! ```
//!
//! # Reproducing
//! The random checks print a seed; `ANNALS_SEED=<seed>` repeats it. How threads take turns can't be
//! repeated. A case that panics has failed; so has one that hangs, after
//! [`Backend::case_timeout`].

mod backend;
mod bench;
mod case;
mod cases;
mod failure;
mod history;
pub mod load;
mod model;
mod names;
mod pages;
mod report;
mod run;
mod seed;
mod spread;

pub use annals_core::ManualClock;
pub use backend::{Backend, Stores};
pub use failure::Failure;
pub use history::{History, HistorySettings, Recorder, Violation, check_histories};
pub use model::check_model;
pub use report::{CaseOutcome, CaseResult, Report};
pub use run::{check, check_only};
pub use spread::Spread;
