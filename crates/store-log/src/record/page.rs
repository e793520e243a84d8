//! Events of a page, made from their records into one buffer.

use annals_core::{NewEvent, Placement, Position, RecordedEvent, StreamId};
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
        let stream = self.stream(view.stream())?;
        let payload = self.payload(view.payload());
        let mut content =
            NewEvent::new(kind.event_type.clone(), kind.content_type.clone(), payload)
                .map_err(|_| BadRecord::Range(Part::Payload))?
                .with_schema_version(kind.schema_version);
        if view.tags().len() > 0 {
            content = content.with_tags(view.tags().into_tags()?);
        }
        if let Some(metadata) = view.metadata() {
            content = content.with_metadata(parse_metadata(metadata)?);
        }
        self.bytes += content.bytes();
        let placement = Placement {
            id: view.id(),
            stream,
            version: view.version(),
            position,
            recorded_at: view.recorded_at(),
            appended_at: view.appended_at(),
        };
        self.events.push(RecordedEvent::new(content, placement));
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
