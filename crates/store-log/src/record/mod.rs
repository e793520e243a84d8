//! The bodies of the log's records: events, and the notes between them.
//!
//! Pure: bytes in, values out, byte by byte as docs/format/event.md says. Bodies are checked by the log's
//! CRC before they come here, and still nothing is believed: any bytes give a value or a [`BadRecord`].

mod bad_record;
mod event;
mod kind;
mod metadata;
mod note;
mod page;
mod tags;
mod view;
mod wire;

#[cfg(test)]
mod tests;

pub(crate) use bad_record::BadRecord;
#[cfg(test)]
pub(crate) use bad_record::Part;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use event::EventRecord;
pub(crate) use event::{
    AppendHeader, EventContent, KindName, RecordHead, encode_append, inline_kind_bytes_max,
};
pub(crate) use kind::{EventKind, KindCode, KindRef, Kinds};
pub(crate) use note::{Note, encode_kind, encode_policy};
pub(crate) use page::PageBuilder;
pub(crate) use view::{EventView, reclaim};
