//! An event as it is written.

use annals_core::{AppendId, EventId, NewEvent, StreamId, Timestamp, Version};
use uuid::Uuid;

use super::kind::{KindCode, kind_bytes_max, put_kind};
use super::metadata::{metadata_bytes_max, put_metadata};
use super::tags::{put_tags, tags_bytes_max};
use super::wire::{VARINT_BYTES_MAX, put_identity, put_text, put_varint, put_zigzag};

/// The record is the first of an append and has its header.
pub(super) const FIRST_OF_APPEND: u8 = 1;
/// The event id is a difference of milliseconds and ten bytes, not sixteen.
pub(super) const SHORT_ID: u8 = 1 << 1;
/// The application gave the time at which the event happened.
pub(super) const RECORDED_AT: u8 = 1 << 2;
/// There are tags.
pub(super) const TAGS: u8 = 1 << 3;
/// There is metadata.
pub(super) const METADATA: u8 = 1 << 4;
/// Every flag that has a meaning.
pub(super) const KNOWN_FLAGS: u8 = FIRST_OF_APPEND | SHORT_ID | RECORDED_AT | TAGS | METADATA;

/// What the first event of an append says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AppendHeader {
    /// The identity of the append.
    pub(crate) id: AppendId,
    /// How many events it has; they follow each other in the log.
    pub(crate) events: u32,
}

/// An event to write, with what the store adds to it.
#[derive(Clone, Debug)]
pub(crate) struct EventRecord<'a> {
    /// What to record; its own id is not looked at.
    pub(crate) event: &'a NewEvent,
    /// The identity of the event: the application's, or the store's.
    pub(crate) id: EventId,
    /// The stream that takes it.
    pub(crate) stream: &'a StreamId,
    /// Its place in the stream.
    pub(crate) version: Version,
    /// When the store records it.
    pub(crate) appended_at: Timestamp,
    /// The code of its kind; `None` to spell the kind out.
    pub(crate) code: Option<KindCode>,
    /// On the first event of an append.
    pub(crate) append: Option<AppendHeader>,
}

impl EventRecord<'_> {
    /// Appends the record's body; `base` is the time of the segment's beginning, which a reader needs too.
    pub(crate) fn encode(&self, base: Timestamp, out: &mut Vec<u8>) {
        let event = self.event;
        let short_id = short_id(self.id, self.appended_at);
        let recorded_at = event.recorded_at().filter(|time| *time != self.appended_at);
        out.reserve(self.bytes_max());
        let mut flags = 0;
        flags |= self.append.map_or(0, |_| FIRST_OF_APPEND);
        flags |= short_id.map_or(0, |_| SHORT_ID);
        flags |= recorded_at.map_or(0, |_| RECORDED_AT);
        flags |= if event.tags().is_empty() { 0 } else { TAGS };
        flags |= if event.metadata().is_empty() {
            0
        } else {
            METADATA
        };
        out.push(flags);
        put_varint(self.code.map_or(0, |code| code.value().into()), out);
        if self.code.is_none() {
            let parts = (
                event.event_type(),
                event.schema_version(),
                event.content_type(),
            );
            put_kind(parts, out);
        }
        if let Some(append) = &self.append {
            put_identity(append.id.as_str(), out);
            put_varint(append.events.into(), out);
        }
        put_varint(self.version.value(), out);
        put_zigzag(difference(self.appended_at, base), out);
        match short_id {
            Some((millis, rest)) => {
                put_zigzag(millis, out);
                out.extend_from_slice(&rest);
            }
            None => out.extend_from_slice(self.id.as_uuid().as_bytes()),
        }
        if let Some(time) = recorded_at {
            put_zigzag(difference(time, self.appended_at), out);
        }
        put_text(self.stream.as_str(), out);
        if !event.tags().is_empty() {
            put_tags(event.tags(), out);
        }
        if !event.metadata().is_empty() {
            put_metadata(event.metadata(), out);
        }
        out.extend_from_slice(event.payload());
    }

    /// An upper bound of the bytes that [`encode`](Self::encode) appends.
    pub(crate) fn bytes_max(&self) -> usize {
        const FIXED_BYTES: usize = 1 + 5 * VARINT_BYTES_MAX + size_of::<Uuid>();
        let event = self.event;
        let mut bytes = FIXED_BYTES + self.stream.as_str().len() + event.payload().len();
        if self.code.is_none() {
            let parts = (
                event.event_type(),
                event.schema_version(),
                event.content_type(),
            );
            bytes += kind_bytes_max(parts);
        }
        if let Some(append) = &self.append {
            bytes += 2 * VARINT_BYTES_MAX + append.id.as_str().len();
        }
        if !event.tags().is_empty() {
            bytes += tags_bytes_max(event.tags());
        }
        if !event.metadata().is_empty() {
            bytes += metadata_bytes_max(event.metadata());
        }
        bytes
    }
}

/// The microseconds from `earlier` to `later`. It wraps around, and so does [`moved`]: any two moments
/// come back.
#[inline]
const fn difference(later: Timestamp, earlier: Timestamp) -> i64 {
    later.as_micros().wrapping_sub(earlier.as_micros())
}

/// The moment this many microseconds after `from`.
#[inline]
pub(super) const fn moved(from: Timestamp, micros: i64) -> Timestamp {
    Timestamp::from_micros(from.as_micros().wrapping_add(micros))
}

/// The bits of a UUID before its time.
const TIME_SHIFT: u32 = 80;

/// A UUID of version 7 as the milliseconds from the event's time to its own, and its other bytes; `None`
/// where sixteen bytes are shorter.
#[inline]
fn short_id(id: EventId, appended_at: Timestamp) -> Option<(i64, [u8; 10])> {
    /// A zigzag varint of a difference within it has at most five bytes.
    const MILLIS_MAX: u64 = 1 << 33;
    const VERSION: u8 = 7;
    let uuid = id.as_uuid();
    let [_, _, _, _, _, _, rest @ ..] = uuid.into_bytes();
    let [version, ..] = rest;
    let time = i64::try_from(uuid.as_u128() >> TIME_SHIFT).ok()?;
    let millis = time - whole_millis(appended_at);
    (version >> 4 == VERSION && millis.unsigned_abs() < MILLIS_MAX).then_some((millis, rest))
}

/// The UUID that [`short_id`] shortened; `None` where its time has no place in a UUID.
#[inline]
pub(super) fn long_id(millis: i64, rest: [u8; 10], appended_at: Timestamp) -> Option<u128> {
    const TIME_BITS: u32 = 128 - TIME_SHIFT;
    let time = whole_millis(appended_at).checked_add(millis)?;
    let time = u64::try_from(time)
        .ok()
        .filter(|time| time >> TIME_BITS == 0)?;
    let [high @ .., _, _, _, _, _, _, _, _] = rest;
    let [_, _, low @ ..] = rest;
    let high = u128::from(u16::from_be_bytes(high)) << 64;
    Some(u128::from(time) << TIME_SHIFT | high | u128::from(u64::from_be_bytes(low)))
}

/// The milliseconds that have passed since 1970.
#[inline]
const fn whole_millis(time: Timestamp) -> i64 {
    time.as_micros().div_euclid(1_000)
}
