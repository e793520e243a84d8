//! Every limit of the vocabulary, by name and unit.
//!
//! A constructor that refuses a value names the constant it broke, so that the message leads here.
//! Backends may accept less (see [`Capabilities`](crate::Capabilities)), never more.

/// The longest stream id, in bytes of UTF-8.
pub const STREAM_ID_BYTES_MAX: usize = 1024;

/// The longest category, event type, tag, content type, header name or other name, in bytes of UTF-8.
pub const NAME_BYTES_MAX: usize = 1024;

/// The longest append id, in bytes of UTF-8.
pub const APPEND_ID_BYTES_MAX: usize = 64;

/// The most tags that one event, or one item of criteria, carries.
pub const TAGS_MAX: usize = 64;

/// The largest metadata of one event: names and values of all headers plus both ids, in bytes.
pub const METADATA_BYTES_MAX: usize = 64 * 1024;

/// The largest payload of one event, in bytes.
pub const PAYLOAD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The most events that one append records.
pub const APPEND_EVENTS_MAX: usize = 65_536;

/// The largest append: payloads, names, tags and metadata of all its events, and the names in its checks
/// and conditions, in bytes.
pub const APPEND_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The most checks on streams that an append does not write.
pub const APPEND_CHECKS_MAX: usize = 1024;

/// The most conditions of one append.
pub const APPEND_CONDITIONS_MAX: usize = 64;

/// The most items of one criteria.
pub const CRITERIA_ITEMS_MAX: usize = 128;

/// The most event types of one item of criteria.
pub const CRITERIA_TYPES_MAX: usize = 256;

/// The most events of one page.
pub const PAGE_EVENTS_MAX: usize = 10_000;

/// The most bytes that a page may be asked for, counted as for an append; a page holds at least one event
/// all the same.
pub const PAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How many positions of offending events a conflict lists for each failing check.
pub const CONFLICT_POSITIONS_MAX: usize = 16;

/// The largest snapshot, in bytes of payload.
pub const SNAPSHOT_BYTES_MAX: usize = 64 * 1024 * 1024;
