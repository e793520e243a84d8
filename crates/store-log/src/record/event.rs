//! An event as it is written.

use annals_core::{AppendId, EventId, NewEvent, StreamId, Timestamp, Version};
use uuid::Uuid;

use super::kind::{KindCode, Parts, kind_bytes_max, put_kind};
use super::metadata::put_metadata;
use super::tags::put_tags;
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
/// Metadata and payload are gone; zeros stand in their place.
pub(super) const RECLAIMED: u8 = 1 << 5;
/// Every flag that has a meaning.
pub(super) const KNOWN_FLAGS: u8 =
    FIRST_OF_APPEND | SHORT_ID | RECORDED_AT | TAGS | METADATA | RECLAIMED;

/// What the first event of an append says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AppendHeader {
    /// The identity of the append.
    pub(crate) id: AppendId,
    /// How many events it has; they follow each other in the log.
    pub(crate) events: u32,
}

/// An event to write, with what the store adds to it.
#[cfg(any(test, feature = "fuzzing"))]
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

/// The part of an event's record that needs nothing of the store, made by whoever brings the event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EventContent {
    flags: u8,
    recorded_at: Option<Timestamp>,
}

/// What stands before the content in an event's record, and what only the committer knows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordHead<'a> {
    /// What goes with the bytes of the content.
    pub(crate) content: EventContent,
    /// What the kind of the event is called.
    pub(crate) kind: KindName<'a>,
    /// On the first event of an append: what [`encode_append`] wrote.
    pub(crate) append: Option<&'a [u8]>,
    /// The identity of the event.
    pub(crate) id: EventId,
    /// Its place in the stream.
    pub(crate) version: Version,
    /// When the store records it.
    pub(crate) appended_at: Timestamp,
}

/// How a record names the kind of its event.
#[derive(Clone, Copy, Debug)]
pub(crate) enum KindName<'a> {
    /// By its code.
    Code(KindCode),
    /// Spelled out, as this event has it.
    Inline(&'a NewEvent),
}

#[cfg(any(test, feature = "fuzzing"))]
impl EventRecord<'_> {
    /// Appends the record's body; `base` is the time of the segment's beginning, which a reader needs too.
    pub(crate) fn encode(&self, base: Timestamp, out: &mut Vec<u8>) {
        let (mut append, mut bytes) = (Vec::new(), Vec::new());
        if let Some(header) = &self.append {
            encode_append(header, &mut append);
        }
        let head = RecordHead {
            content: EventContent::encode(self.stream, self.event, &mut bytes),
            kind: self
                .code
                .map_or(KindName::Inline(self.event), KindName::Code),
            append: self.append.map(|_| append.as_slice()),
            id: self.id,
            version: self.version,
            appended_at: self.appended_at,
        };
        head.encode(base, out);
        out.extend_from_slice(&bytes);
    }

    /// An upper bound of the bytes that [`encode`](Self::encode) appends.
    #[cfg(test)]
    pub(super) fn bytes_max(&self) -> usize {
        let mut bytes = Vec::new();
        EventContent::encode(self.stream, self.event, &mut bytes);
        if let Some(header) = &self.append {
            encode_append(header, &mut bytes);
        }
        let kind = self
            .code
            .map_or_else(|| inline_kind_bytes_max(self.event), |_| 0);
        RecordHead::BYTES_MAX + bytes.len() + kind
    }
}

impl EventContent {
    /// Appends the bytes of the content.
    pub(crate) fn encode(stream: &StreamId, event: &NewEvent, out: &mut Vec<u8>) -> Self {
        let (tags, metadata) = (event.tags(), event.metadata());
        let mut flags = 0;
        put_text(stream.as_str(), out);
        if !tags.is_empty() {
            flags |= TAGS;
            put_tags(tags, out);
        }
        if !metadata.is_empty() {
            flags |= METADATA;
            put_metadata(metadata, out);
        }
        out.extend_from_slice(event.payload());
        Self {
            flags,
            recorded_at: event.recorded_at(),
        }
    }
}

impl RecordHead<'_> {
    /// The most bytes that [`encode`](Self::encode) appends, but for those of the append and of a kind that
    /// is spelled out.
    pub(crate) const BYTES_MAX: usize = 1 + 4 * VARINT_BYTES_MAX + size_of::<Uuid>();

    /// Appends what stands before the content; `base` is the time of the segment's beginning, which a reader
    /// needs too.
    pub(crate) fn encode(&self, base: Timestamp, out: &mut Vec<u8>) {
        let short_id = short_id(self.id, self.appended_at);
        let recorded_at = self.content.recorded_at;
        let recorded_at = recorded_at.filter(|time| *time != self.appended_at);
        let mut flags = self.content.flags;
        flags |= self.append.map_or(0, |_| FIRST_OF_APPEND);
        flags |= short_id.map_or(0, |_| SHORT_ID);
        flags |= recorded_at.map_or(0, |_| RECORDED_AT);
        out.push(flags);
        match self.kind {
            KindName::Code(code) => put_varint(code.value().into(), out),
            KindName::Inline(event) => {
                put_varint(0, out);
                put_kind(kind_parts(event), out);
            }
        }
        out.extend_from_slice(self.append.unwrap_or_default());
        put_varint(self.version.value(), out);
        put_zigzag(difference(self.appended_at, base), out);
        match short_id {
            Some((millis, rest)) => {
                put_zigzag(millis, out);
                out.extend_from_slice(&rest);
            }
            None => out.extend_from_slice(&self.id.number().to_be_bytes()),
        }
        if let Some(time) = recorded_at {
            put_zigzag(difference(time, self.appended_at), out);
        }
    }
}

/// Appends what the record of the first event of an append says of it.
pub(crate) fn encode_append(header: &AppendHeader, out: &mut Vec<u8>) {
    put_identity(header.id.as_str(), out);
    put_varint(header.events.into(), out);
}

/// The most bytes that a record takes more where the kind of its event is spelled out.
pub(crate) fn inline_kind_bytes_max(event: &NewEvent) -> usize {
    kind_bytes_max(kind_parts(event))
}

fn kind_parts(event: &NewEvent) -> Parts<'_> {
    (
        event.event_type(),
        event.schema_version(),
        event.content_type(),
    )
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
    let [_, _, _, _, _, _, rest @ ..] = id.number().to_be_bytes();
    let [version, ..] = rest;
    let time = i64::try_from(id.number() >> TIME_SHIFT).ok()?;
    let millis = time - whole_millis(appended_at);
    (version >> 4 == VERSION && millis.unsigned_abs() < MILLIS_MAX).then_some((millis, rest))
}

/// The UUID that [`short_id`] shortened, from the first two and the last eight of its other bytes; `None` where its
/// time has no place in a UUID.
#[inline]
pub(super) fn long_id(millis: i64, high: u16, low: u64, appended_at: Timestamp) -> Option<u128> {
    const TIME_BITS: u32 = 128 - TIME_SHIFT;
    let time = whole_millis(appended_at).checked_add(millis)?;
    let time = u64::try_from(time)
        .ok()
        .filter(|time| time >> TIME_BITS == 0)?;
    Some(u128::from(time) << TIME_SHIFT | u128::from(high) << 64 | u128::from(low))
}

/// The milliseconds that have passed since 1970.
#[inline]
const fn whole_millis(time: Timestamp) -> i64 {
    time.as_micros().div_euclid(1_000)
}
