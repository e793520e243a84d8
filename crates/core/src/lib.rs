//! The vocabulary, the contracts and the pure theory of annals: an application's state is a fold over
//! its recorded history.
//!
//! This crate is what every other crate of annals speaks: names and numbers that are checked once
//! ([`StreamId`], [`EventType`], [`Tag`], [`Version`], [`Position`], ...), what is appended and read
//! ([`Append`], [`Receipt`], [`ReadRequest`], [`Page`]), what a backend implements ([`EventStore`],
//! [`SnapshotStore`], [`CheckpointStore`]), and the theory without any store ([`Event`], [`CommutingEvent`], [`Aggregate`],
//! [`fold`](fn@fold), [`EventStream`], [`EventSourcingSystem`]).
//!
//! It is *not* a store, a format or a runtime: it knows no disk, no network, no serialization, no
//! executor. Take it alone to write a backend or a pure model; take the facade `annals` for an
//! application.
//!
//! ```
//! use annals_core::{Append, ContentType, EventType, Expected, Ids, NewEvent, StreamId, UuidIds};
//!
//! let account = StreamId::parse("account-42")?;
//! let opened = NewEvent::new(EventType::parse("opened")?, ContentType::JSON, r#"{"owner":"Ada"}"#)?;
//! let append = Append::builder(UuidIds::default().append_id())
//!     .write(account, Expected::NoStream, [opened])
//!     .build()?;
//! assert_eq!(append.event_count(), 1);
//! # Ok::<(), annals_core::Error>(())
//! ```
//!
//! # Limits
//! A name has up to 1 KiB, a payload up to 16 MiB, an append up to 64 MiB and 65,536 events; all
//! limits stand in [`limits`], and an error names the one that was broken.
//!
//! # Features
//! | feature | default | gives |
//! |---|---|---|
//! | `serde` | no | `Serialize` and `Deserialize` for names, numbers, ids, times and cursors |

mod contract;
mod error;
pub mod limits;
mod theory;
mod vocabulary;

pub use contract::checkpoint_store::{Checkpoint, CheckpointName, CheckpointSave, CheckpointStore};
pub use contract::event_store::EventStore;
pub use contract::event_store_ext::{DecodedEvent, EventStoreExt};
pub use contract::history::{HistoryEntry, HistoryReader, RecordedAppend};
pub use contract::observer::{
    ConsumerStanding, Observed, Observer, Work, WorkEvents, WorkKind, WorkOutcome,
};
pub use contract::optimizable::{
    Optimizable, ReclaimEstimate, RewritePace, SegmentArchiving, SegmentCompression,
    SegmentReclaim, SegmentRewrite, SegmentState, SegmentSummary,
};
pub use contract::snapshot_store::{FoldId, Snapshot, SnapshotKey, SnapshotRemoval, SnapshotStore};
pub use contract::state_keeper::{KeptState, StateKeeper};
pub use contract::vitals::{StoreVitals, WriterState};
pub use error::{BoxError, Error, ErrorKind, LimitExceeded};
pub use theory::aggregate::{Aggregate, Refusal};
pub use theory::commuting::CommutingEvent;
pub use theory::event::Event;
pub use theory::event_stream::{EventStream, StreamEntry};
pub use theory::fold::{FoldError, fold, fold_from};
pub use theory::system::EventSourcingSystem;
pub use vocabulary::append::{Append, AppendBuilder, Condition, StreamCheck, StreamWrite};
pub use vocabulary::capabilities::{AppendIdWindow, AppendScope, Capabilities, Durability};
pub use vocabulary::conflict::{Conflict, FailedCheck};
pub use vocabulary::criteria::{Criteria, CriteriaItem};
pub use vocabulary::cursor::Cursor;
pub use vocabulary::event::{ContentRef, NewEvent, Placement};
pub use vocabulary::event_block::{
    BlockEvent, BlockKind, EventBlock, EventBlockBuilder, EventBlocks, MetadataForm, MetadataWriter,
};
pub use vocabulary::event_type::{ContentType, EventKind, EventType, SchemaVersion};
pub use vocabulary::expected::Expected;
pub use vocabulary::ids::{AppendId, EventId, Ids, UuidIds};
pub use vocabulary::manual_clock::ManualClock;
pub use vocabulary::metadata::{CausationId, CorrelationId, Metadata, MetadataRef};
pub use vocabulary::number::{Position, Version};
pub use vocabulary::policy::{PolicyAction, PolicyChange, StreamHead, StreamPolicy, StreamState};
pub use vocabulary::read::{
    ConsistencyLevel, Direction, EventOrdering, Page, ReadRequest, Selection,
};
pub use vocabulary::receipt::{Answer, Outcome, Receipt, StreamReceipt};
pub use vocabulary::recorded_event::RecordedEvent;
pub use vocabulary::stream_id::{Category, StreamId};
pub use vocabulary::tag::{Tag, Tags};
pub use vocabulary::time::{Clock, SystemClock, Timestamp};
