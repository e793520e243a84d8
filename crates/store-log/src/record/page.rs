//! Events of a page, made from their records in blocks.

use std::sync::Arc;

use annals_core::{
    BlockKind, EventBlock, EventBlockBuilder, EventBlocks, Placement, Position, RecordedEvent,
    StreamId, Tags,
};

use super::bad_record::{BadRecord, Part};
use super::kind::{KindCode, KindRef, Kinds};
use super::metadata::parse_metadata;
use super::view::EventView;

/// Gathers the events of a page in blocks, so that an event costs no allocation of its own.
#[derive(Debug)]
pub(crate) struct PageBuilder<'a> {
    kinds: &'a Kinds,
    /// Those whose block is full.
    events: Vec<RecordedEvent>,
    block: EventBlockBuilder,
    /// The kind of the block that was used last, and its code.
    last_kind: Option<(KindCode, BlockKind)>,
    /// Where large blocks are made.
    pool: Option<Arc<EventBlocks>>,
    bytes: usize,
}

impl<'a> PageBuilder<'a> {
    /// An event of more bytes has a block of its own.
    const SHARED_BYTES_MAX: usize = EventBlock::BYTES_MAX / 8;
    /// What an event of unknown size is taken for, in bytes.
    const EVENT_BYTES: usize = 320;

    /// An empty page of events whose kinds are in this dictionary, about so many.
    pub(crate) fn new(kinds: &'a Kinds, events: usize) -> Self {
        let bytes = (events * Self::EVENT_BYTES).min(EventBlock::BYTES_MAX);
        Self::in_block(kinds, EventBlockBuilder::with_capacity(events, bytes), None)
    }

    /// An empty page of many events, in the memory of pages that are gone.
    pub(crate) fn large(kinds: &'a Kinds, events: usize, pool: &Arc<EventBlocks>) -> Self {
        let mut block = EventBlockBuilder::in_pool(pool);
        block.reserve(events, EventBlock::BYTES_MAX);
        Self::in_block(kinds, block, Some(Arc::clone(pool)))
    }

    fn in_block(
        kinds: &'a Kinds,
        block: EventBlockBuilder,
        pool: Option<Arc<EventBlocks>>,
    ) -> Self {
        Self {
            kinds,
            events: Vec::new(),
            block,
            last_kind: None,
            pool,
            bytes: 0,
        }
    }

    /// Adds the event of this record, which stands at this position.
    #[inline]
    pub(crate) fn push(
        &mut self,
        view: &EventView<'_>,
        position: Position,
    ) -> Result<(), BadRecord> {
        let payload = view.payload();
        let bytes = payload.len() + 2 * view.metadata().map_or(0, <[u8]>::len);
        let is_large = bytes > Self::SHARED_BYTES_MAX;
        if self.block.is_full_for(bytes) || (is_large && !self.block.is_empty()) {
            self.next_block(bytes);
        }
        let kind = self.kind(view.kind())?;
        let tags = if view.has_tags() {
            view.tags().into_tags()?
        } else {
            Tags::EMPTY
        };
        if let Some(metadata) = view.metadata() {
            parse_metadata(metadata, &mut self.block)?;
        }
        let placement = Placement {
            id: view.id(),
            stream: self.stream(view)?,
            version: view.version(),
            position,
            recorded_at: view.recorded_at(),
            appended_at: view.appended_at(),
        };
        let pushed = self.block.push(kind, payload, tags, placement);
        self.bytes += pushed.map_err(|_| BadRecord::Range(Part::Payload))?;
        if is_large {
            self.next_block(0);
        }
        Ok(())
    }

    /// How many events there are so far.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.events.len() + self.block.len()
    }

    /// The bytes of the events so far, counted as [`RecordedEvent::bytes`] does.
    #[inline]
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The events.
    pub(crate) fn finish(mut self) -> Vec<RecordedEvent> {
        self.events.reserve_exact(self.block.len());
        self.block.finish(&mut self.events);
        self.events
    }

    /// The block's number of a kind.
    #[inline]
    fn kind(&mut self, kind: KindRef<'_>) -> Result<BlockKind, BadRecord> {
        match (kind, self.last_kind) {
            (KindRef::Code(code), Some((last, number))) if code == last => Ok(number),
            (kind, _) => self.other_kind(kind),
        }
    }

    fn other_kind(&mut self, kind: KindRef<'_>) -> Result<BlockKind, BadRecord> {
        match kind {
            KindRef::Code(code) => {
                let kind = self.kinds.kind(code).ok_or(BadRecord::UnknownKind(code))?;
                let number =
                    self.block
                        .kind(&kind.event_type, kind.schema_version, &kind.content_type);
                self.last_kind = Some((code, number));
                Ok(number)
            }
            KindRef::Inline(texts) => {
                let kind = texts.to_kind()?;
                self.last_kind = None;
                Ok(self
                    .block
                    .kind(&kind.event_type, kind.schema_version, &kind.content_type))
            }
        }
    }

    /// The stream of the event: that of the event before, as it often is, or a new one.
    #[inline]
    fn stream(&self, view: &EventView<'_>) -> Result<StreamId, BadRecord> {
        match self.block.last() {
            Some(last) if view.is_of(last.stream.as_str()) => Ok(last.stream.clone()),
            _ => StreamId::parse(view.stream()?).map_err(|_| BadRecord::Name(Part::Stream)),
        }
    }

    /// Begins another block, for an event of this many bytes at first.
    #[cold]
    fn next_block(&mut self, bytes: usize) {
        let next = match &self.pool {
            Some(pool) if bytes <= Self::SHARED_BYTES_MAX => {
                let mut next = EventBlockBuilder::in_pool(pool);
                next.reserve(0, EventBlock::BYTES_MAX);
                next
            }
            _ => EventBlockBuilder::with_capacity(1, bytes),
        };
        std::mem::replace(&mut self.block, next).finish(&mut self.events);
        self.last_kind = None;
    }
}
