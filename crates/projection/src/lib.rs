//! Read models of a store's events, kept current, and reactions to them.
//!
//! A [`Projection`] folds events into a read model, which a [`Sink`] keeps together with how far it got; a
//! [`Processor`] feeds any number of them in one pass over the store, first with what was recorded, then with what is
//! appended. [`MemorySink`] keeps a model in memory, for readers that take no lock.
//!
//! It is *not* a database of read models: sinks on databases are crates of their own. It names no runtime: work runs
//! where an [`annals_concurrency::Spawn`] says.
//!
//! A new version of a projection is built beside the one that is read, and cut over to ([`Rebuild`]); several processes
//! share a subscription as a group ([`GroupMember`]); appends wait for their projections through [`Inline`].
//!
//! See [`Processor`] for an example.
//!
//! # Limits
//! All of a processor stand in [`ProcessorSettings`], all of a consumer's setbacks in [`FailurePolicy`], what a
//! rebuild waits for in [`RebuildSettings`], and how a group shares in [`GroupSettings`].

pub mod conformance;

mod contract;
mod decoder;
mod derived;
mod errors;
mod group;
mod inline;
mod key_rule;
mod memory;
mod panics;
mod process;
mod processor;
mod projection;
mod reaction;
mod rebuild;
mod sql_names;
mod sync;
mod timers;

pub use contract::batch::Batch;
pub use contract::choice::EventChoice;
pub use contract::consumer::{Consumer, Handled, Prepare};
pub use contract::failure_policy::{AfterRetries, FailurePolicy};
pub use contract::model_id::ModelId;
pub use contract::page::FeedPage;
pub use contract::parked::{ParkedCause, ParkedEvent, ParkedEvents, SkippedEvent};
pub use contract::partition::Partition;
pub use contract::progress::{Progress, Step};
pub use contract::sink::Sink;
pub use group::held::HeldPartition;
pub use group::member::{GroupHandle, GroupMember, GroupStatus};
pub use group::settings::GroupSettings;
pub use inline::store::Inline;
pub use memory::sink::MemorySink;
pub use memory::view::{MemoryView, ReadModel};
pub use memory::views::MemoryViews;
pub use process::builder::ProcessManagerBuilder;
pub use process::key::ProcessKey;
pub use process::manager::ProcessManager;
pub use process::remembered::ProcessState;
pub use processor::builder::{Processor, ProcessorBuilder};
pub use processor::handle::ProcessorHandle;
pub use processor::settings::ProcessorSettings;
pub use processor::status::{ConsumerState, ConsumerStatus, Lag};
pub use projection::builder::ProjectionBuilder;
pub use projection::consumer::ProjectionConsumer;
pub use projection::definition::Projection;
pub use reaction::builder::ReactionBuilder;
pub use reaction::consumer::ReactionConsumer;
pub use reaction::definition::Reaction;
pub use reaction::delivery::Delivery;
pub use reaction::start::Start;
pub use rebuild::comparison::{Comparison, TableRows};
pub use rebuild::difference::RowDifference;
pub use rebuild::live::{Live, LiveReader};
pub use rebuild::memory::{MemoryInspect, MemoryRows};
pub use rebuild::plan::{RebuildPlan, RebuildStep};
pub use rebuild::rows::{Inspect, ModelRow, ModelRows, ModelVersion};
pub use rebuild::running::{Rebuild, RebuildStatus};
pub use rebuild::settings::{ComparedFields, RebuildSettings};
pub use rebuild::value::{ModelValue, RowKey, sample_shares};
pub use rebuild::versions::{Checks, ProjectionVersions, RecordedVersions, VersionStanding};
pub use sql_names::{ExpandedSql, SqlDialect};
pub use timers::change::TimerChange;
pub use timers::event::{TimerCodec, TimerEvent, TimerId};
pub use timers::handle::TimersHandle;
pub use timers::service::Timers;
pub use timers::settings::TimerSettings;
