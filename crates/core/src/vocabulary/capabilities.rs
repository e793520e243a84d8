//! What a store can do, as data.

use std::time::Duration;

use crate::EventOrdering;
use crate::limits::{APPEND_BYTES_MAX, APPEND_EVENTS_MAX, PAYLOAD_BYTES_MAX};

/// What a store guarantees and which operations it offers.
///
/// An operation outside it fails with [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) and
/// names itself; nothing degrades silently. Begin with [`MINIMAL`](Self::MINIMAL) or
/// [`COMPLETE`](Self::COMPLETE) and change what differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[expect(
    clippy::struct_excessive_bools,
    reason = "a table of independent yes and no, read by name"
)]
pub struct Capabilities {
    /// What an acknowledged append survives.
    pub durability: Durability,
    /// For how long a retry with the same append id is recognised.
    pub append_ids: AppendIdWindow,
    /// The largest payload of an event, in bytes; at most
    /// [`limits::PAYLOAD_BYTES_MAX`](crate::limits::PAYLOAD_BYTES_MAX).
    pub payload_bytes_max: usize,
    /// The most events of an append; at most
    /// [`limits::APPEND_EVENTS_MAX`](crate::limits::APPEND_EVENTS_MAX).
    pub append_events_max: usize,
    /// The largest append, in bytes; at most
    /// [`limits::APPEND_BYTES_MAX`](crate::limits::APPEND_BYTES_MAX).
    pub append_bytes_max: usize,
    /// Positions have no gaps: the n-th event of the log has position n.
    pub dense_positions: bool,
    /// All events can be read in one total order ([`EventOrdering::Total`](crate::EventOrdering)).
    pub total_order: bool,
    /// How far one append reaches: which streams it may write and check together, what its conditions may be about.
    pub append_scope: AppendScope,
    /// One append may write several streams.
    pub multi_stream_appends: bool,
    /// An append may check streams that it does not write.
    pub stream_checks: bool,
    /// An append may carry conditions (dynamic consistency boundaries).
    pub conditions: bool,
    /// An event id that the store holds already is refused, that of a hidden event included.
    pub unique_event_ids: bool,
    /// Reads may go backward.
    pub backward_reads: bool,
    /// Streams may have policies: retention, soft deletes, tombstones.
    pub stream_policies: bool,
}

/// What an acknowledged append survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Durability {
    /// Nothing: it lives in the process's memory.
    Volatile,
    /// The end of the process; a power loss may take the newest appends.
    Process,
    /// Power loss: it was synced before it was acknowledged.
    Synced,
    /// The loss of a minority of machines, each of which synced it.
    Replicated,
}

/// For how long a retry with the same append id is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AppendIdWindow {
    /// As long as the store lives.
    Forever,
    /// At least this long after the append.
    AtLeast(Duration),
}

/// How far one append reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AppendScope {
    /// The whole store.
    Store,
    /// One partition: streams of one [partition key](crate::StreamId::partition_key), and conditions each of whose items
    /// names that key by a [tag](crate::Tag::PARTITION). What goes beyond is refused, as far as it lies in another
    /// partition. Append ids are told apart in a partition, event ids too.
    PartitionKey,
}

impl Capabilities {
    /// Appends of one stream with expected versions, up to 1 MiB and 1000 events, and forward reads.
    pub const MINIMAL: Self = Self {
        durability: Durability::Volatile,
        append_ids: AppendIdWindow::AtLeast(Duration::from_mins(1)),
        payload_bytes_max: 1024 * 1024,
        append_events_max: 1000,
        append_bytes_max: 1024 * 1024,
        dense_positions: false,
        total_order: false,
        append_scope: AppendScope::Store,
        multi_stream_appends: false,
        stream_checks: false,
        conditions: false,
        unique_event_ids: false,
        backward_reads: false,
        stream_policies: false,
    };

    /// Everything in the contract, kept in memory.
    pub const COMPLETE: Self = Self {
        durability: Durability::Volatile,
        append_ids: AppendIdWindow::Forever,
        payload_bytes_max: PAYLOAD_BYTES_MAX,
        append_events_max: APPEND_EVENTS_MAX,
        append_bytes_max: APPEND_BYTES_MAX,
        dense_positions: true,
        total_order: true,
        append_scope: AppendScope::Store,
        multi_stream_appends: true,
        stream_checks: true,
        conditions: true,
        unique_event_ids: true,
        backward_reads: true,
        stream_policies: true,
    };

    /// The strongest order in which events of several streams can be read: for readers that need no more than the
    /// order of each stream, and take a better one where there is one.
    pub const fn ordering(&self) -> EventOrdering {
        if self.total_order {
            EventOrdering::Total
        } else {
            EventOrdering::PerStream
        }
    }

    /// Whether one append may write any streams of the store together.
    pub const fn writes_any_streams(&self) -> bool {
        self.multi_stream_appends && matches!(self.append_scope, AppendScope::Store)
    }
}
