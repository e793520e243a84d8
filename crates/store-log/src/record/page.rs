//! Events of a page, made from their records into one buffer.

use std::sync::{Mutex, PoisonError};

use annals_core::{Metadata, Placement, Position, RecordedEvent, StreamId, Tags};
use bytes::{Bytes, BytesMut};

use super::bad_record::{BadRecord, Part};
use super::kind::{KindRef, Kinds};
use super::metadata::parse_metadata;
use super::view::EventView;

/// Gathers the events of a page; their payloads share a few buffers, so that an event costs no allocation
/// of its own.
#[derive(Debug)]
pub(crate) struct PageBuilder<'a> {
    kinds: &'a Kinds,
    events: Vec<RecordedEvent>,
    bytes: usize,
    buffer: BytesMut,
    /// How large the next buffer is.
    buffer_bytes: usize,
}

/// Buffers of former pages: fresh memory from the system costs more than all else that a page takes.
#[derive(Debug, Default)]
pub(crate) struct Buffers(Mutex<Vec<BytesMut>>);

impl<'a> PageBuilder<'a> {
    /// The first buffer of a page that nothing is known of, in bytes.
    const BUFFER_BYTES_MIN: usize = 4 * 1024;
    /// The largest buffer that events share, in bytes: whoever keeps one event keeps its buffer.
    const BUFFER_BYTES_MAX: usize = 256 * 1024;
    /// A payload of this part of a buffer has one of its own.
    const SHARE_MIN: usize = 8;

    /// An empty page of events whose kinds are in this dictionary.
    pub(crate) fn new(kinds: &'a Kinds) -> Self {
        Self {
            kinds,
            events: Vec::new(),
            bytes: 0,
            buffer: BytesMut::new(),
            buffer_bytes: Self::BUFFER_BYTES_MIN,
        }
    }

    /// Makes a large page: in a buffer whose events are gone, or in a new one of the largest size.
    pub(crate) fn reuse(&mut self, buffers: &Buffers) {
        self.buffer_bytes = Self::BUFFER_BYTES_MAX;
        if self.events.is_empty()
            && let Some(buffer) = buffers.take()
        {
            self.buffer = buffer;
        }
    }

    /// Makes room for about this many more events.
    pub(crate) fn reserve(&mut self, events: usize) {
        self.events.reserve(events);
    }

    /// Adds the event of this record, which stands at this position.
    pub(crate) fn push(
        &mut self,
        view: &EventView<'_>,
        position: Position,
    ) -> Result<(), BadRecord> {
        let spelled_out;
        let kind = match view.kind() {
            KindRef::Code(code) => self.kinds.kind(code).ok_or(BadRecord::UnknownKind(code))?,
            KindRef::Inline(texts) => {
                spelled_out = texts.to_kind()?;
                &spelled_out
            }
        };
        let context = match (view.has_tags(), view.metadata()) {
            (false, None) => (Tags::EMPTY, Metadata::EMPTY),
            (_, metadata) => (
                view.tags().into_tags()?,
                metadata.map_or(Ok(Metadata::EMPTY), parse_metadata)?,
            ),
        };
        let stream = self.stream(view.stream())?;
        let payload = self.payload(view.payload());
        let placement = Placement {
            id: view.id(),
            stream,
            version: view.version(),
            position,
            recorded_at: view.recorded_at(),
            appended_at: view.appended_at(),
        };
        let names = (
            kind.event_type.clone(),
            kind.schema_version,
            kind.content_type.clone(),
        );
        let event = RecordedEvent::assemble(names, payload, context, placement)
            .map_err(|_| BadRecord::Range(Part::Payload))?;
        self.bytes += event.content().bytes();
        self.events.push(event);
        Ok(())
    }

    /// The events so far.
    pub(crate) fn events(&self) -> &[RecordedEvent] {
        &self.events
    }

    /// The bytes of the events so far, counted as [`NewEvent::bytes`] does.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The events.
    pub(crate) fn finish(self) -> Vec<RecordedEvent> {
        self.events
    }

    /// The events, when the buffer goes back to where it may have come from.
    pub(crate) fn finish_into(self, buffers: &Buffers) -> Vec<RecordedEvent> {
        buffers.put(self.buffer);
        self.events
    }

    /// The stream of this name: that of the event before, as it often is, or a new one.
    fn stream(&self, name: &str) -> Result<StreamId, BadRecord> {
        match self.events.last() {
            Some(last) if *last.stream() == name => Ok(last.stream().clone()),
            _ => StreamId::parse(name).map_err(|_| BadRecord::Name(Part::Stream)),
        }
    }

    /// The payload in the shared buffer, or in one of its own when it is large or a buffer would hold little
    /// else.
    #[inline]
    fn payload(&mut self, payload: &[u8]) -> Bytes {
        if payload.is_empty() {
            return Bytes::new();
        }
        if self.buffer.capacity() < payload.len() {
            if payload.len() > self.buffer_bytes / Self::SHARE_MIN {
                return Bytes::copy_from_slice(payload);
            }
            self.buffer = BytesMut::with_capacity(self.buffer_bytes);
            self.buffer_bytes = (self.buffer_bytes * 2).min(Self::BUFFER_BYTES_MAX);
        }
        self.buffer.extend_from_slice(payload);
        self.buffer.split().freeze()
    }
}

impl Buffers {
    /// How many are kept, of 256 KiB each at most.
    const KEPT_MAX: usize = 4;

    /// A buffer of which no event is left.
    fn take(&self) -> Option<BytesMut> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut buffer = kept.pop()?;
        drop(kept);
        // Where events are left it stays theirs.
        let is_free = buffer.try_reclaim(PageBuilder::BUFFER_BYTES_MAX);
        is_free.then_some(buffer)
    }

    fn put(&self, buffer: BytesMut) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < Self::KEPT_MAX {
            kept.push(buffer);
        }
    }
}
