//! Makes an event store smaller while it is read and written, without a read that answers differently.
//!
//! An [`Optimizer`] makes a [`Plan`] of what an [`OptimizePolicy`] wants: segments to compress, estimated by
//! samples; events to hide by age, count or version, where no legal hold forbids it; snapshots to take and to
//! remove. The plan is a value that prints as a table and changes nothing. [`Optimizer::apply`] does it, and
//! [`Optimizer::begin`] does it in the background: at a limited rate, held up and ended at will, and safe from
//! a kill at any moment.
//!
//! It is *not* a backup, and it deletes nothing that a read shows. Hidden events are hidden at once, but the
//! room that they take on the disk is not given back yet: it shrinks by compression alone.
//!
//! ```
//! use std::sync::Arc;
//! # use annals_core::{
//! #     Append, ContentType, EventStore, EventStoreExt, EventType, Expected, Ids, NewEvent, ReadRequest, StreamId, UuidIds,
//! # };
//! use annals_optimize::{ApplySettings, Control, OptimizePolicy, Optimizer};
//! use annals_store_log::{LogStore, Settings};
//!
//! # let directory = tempfile::tempdir().unwrap();
//! # let directory = directory.path().join("store");
//! # let mut settings = Settings::default();
//! # settings.segment_bytes = 64 * 1024;
//! # let store = LogStore::builder(&directory).settings(settings).create()?;
//! # futures_executor::block_on(async {
//! # for _ in 0..40 {
//! #     let event = |n: usize| NewEvent::new(EventType::parse("read")?, ContentType::JSON, format!("{{\"meter\":{n}}}"));
//! #     let events: Vec<_> = (0..50).map(event).collect::<Result<_, _>>()?;
//! #     let append = Append::builder(UuidIds::default().append_id());
//! #     store.append(append.write(StreamId::parse("meter-1")?, Expected::Any, events).build()?).await?;
//! # }
//! # Ok::<(), annals_core::Error>(())
//! # })?;
//! # let store = Arc::new(store);
//! let optimizer = Optimizer::of(Arc::clone(&store));
//! let plan = optimizer.plan(&OptimizePolicy::default())?;
//! println!("{plan}");
//!
//! let applied = optimizer.apply(&plan, &ApplySettings::default(), &Control::new(), &mut |_| {})?;
//! assert!(applied.bytes_after < applied.bytes_before);
//! # Ok::<(), annals_core::Error>(())
//! ```
//!
//! # Limits
//! A plan looks at up to [`streams_max`](OptimizePolicy::streams_max) streams for each rule and holds their
//! names in memory. Planning rules and holds about categories reads all their events. A stream that begins after a
//! run has no rule until the next one.
//!
//! # What stays
//! Every read that the policies of the streams allow answers the same before, during and after: at the same
//! positions, with the same bytes. What is written down of a run are two events in the stream [`JOURNAL`],
//! which can be turned off.

mod age;
mod apply;
mod control;
mod journal;
mod optimizer;
mod plan;
mod planning;
mod policy;
mod run;
mod times;

pub use apply::{Applied, ApplySettings, Ended, JournalMode, Progress};
pub use control::Control;
pub use journal::{JOURNAL, JOURNAL_CATEGORY, PastEnd, PastRun};
pub use optimizer::{Optimizer, TakeSnapshot};
pub use plan::{Plan, Step, Totals};
pub use policy::{
    ArchiveRule, CompressionRule, LegalHold, OptimizePolicy, ReclaimRule, RetentionRule,
    SnapshotRule,
};
pub use run::{Run, RunProgress};
