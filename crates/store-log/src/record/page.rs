//! Events of a page, made from their records in blocks.

use std::sync::Arc;

use annals_core::{
    BlockEvent, BlockKind, EventBlock, EventBlockBuilder, EventBlocks, Position, RecordedEvent,
    StreamId, Tags,
};

use super::bad_record::{BadRecord, Part};
use super::kind::{EventKind, KindCode, KindRef, Kinds};
use super::metadata::{check_metadata, read_metadata};
use super::view::EventView;

/// Gathers the events of a page in blocks, so that an event costs no allocation of its own.
#[derive(Debug)]
pub(crate) struct PageBuilder<'a> {
    kinds: &'a Kinds,
    /// About how many events the page will have.
    events_expected: usize,
    /// Those whose block is full.
    events: Vec<RecordedEvent>,
    block: Option<EventBlockBuilder>,
    /// Whether the block is for one large event alone.
    is_single: bool,
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
    pub(crate) const fn new(kinds: &'a Kinds, events: usize) -> Self {
        Self {
            kinds,
            events_expected: events,
            events: Vec::new(),
            block: None,
            is_single: false,
            last_kind: None,
            pool: None,
            bytes: 0,
        }
    }

    /// An empty page of many events, in the memory of pages that are gone.
    pub(crate) fn large(kinds: &'a Kinds, events: usize, pool: &Arc<EventBlocks>) -> Self {
        Self {
            pool: Some(Arc::clone(pool)),
            ..Self::new(kinds, events)
        }
    }

    /// Adds the event of this record, which stands at this position.
    #[inline]
    pub(crate) fn push(
        &mut self,
        view: &EventView<'_>,
        position: Position,
    ) -> Result<(), BadRecord> {
        let (content, stream_bytes) = view.content();
        let kinds = self.kinds;
        let (block, last_kind) = self.block_for(content.len());
        let kind = match (view.kind(), *last_kind) {
            (KindRef::Code(code), Some((last, number))) if code == last => number,
            (kind, _) => other_kind(kind, kinds, block, last_kind)?,
        };
        let tags = if view.has_tags() {
            view.tags().into_tags()?
        } else {
            Tags::EMPTY
        };
        let metadata = view.metadata().unwrap_or_default();
        let metadata_texts = if metadata.is_empty() {
            0
        } else {
            check_metadata(metadata)?
        };
        let pushed = block.push(BlockEvent {
            kind,
            id: view.id(),
            version: view.version(),
            position,
            recorded_at: view.recorded_at(),
            appended_at: view.appended_at(),
            tags,
            bytes: content,
            stream_bytes,
            metadata_bytes: metadata.len(),
            payload_bytes: view.payload().len(),
        });
        self.bytes += metadata_texts + pushed.map_err(|_| refused(view))?;
        Ok(())
    }

    /// How many events there are so far.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.events.len() + self.block.as_ref().map_or(0, EventBlockBuilder::len)
    }

    /// The bytes of the events so far, counted as [`RecordedEvent::bytes`] does.
    #[inline]
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The events.
    pub(crate) fn finish(mut self) -> Vec<RecordedEvent> {
        if let Some(block) = self.block {
            self.events.reserve_exact(block.len());
            block.finish(&mut self.events);
        }
        self.events
    }

    /// The block for an event of this many bytes, and its last kind.
    #[inline]
    fn block_for(
        &mut self,
        bytes: usize,
    ) -> (&mut EventBlockBuilder, &mut Option<(KindCode, BlockKind)>) {
        let is_single = bytes > Self::SHARED_BYTES_MAX;
        let ends =
            |block: &EventBlockBuilder| is_single || self.is_single || block.is_full_for(bytes);
        if self.block.as_ref().is_some_and(ends) {
            self.end_block();
        }
        let events = self.events_expected.saturating_sub(self.events.len());
        let block = self.block.get_or_insert_with(|| {
            self.is_single = is_single;
            let block = match &self.pool {
                _ if is_single => EventBlockBuilder::with_capacity(1, bytes),
                Some(pool) => {
                    let mut block = EventBlockBuilder::in_pool(pool);
                    block.reserve(events, EventBlock::BYTES_MAX);
                    block
                }
                None => {
                    let bytes = (events * Self::EVENT_BYTES).min(EventBlock::BYTES_MAX);
                    EventBlockBuilder::with_capacity(events, bytes)
                }
            };
            block.with_metadata_form(read_metadata)
        });
        (block, &mut self.last_kind)
    }

    #[cold]
    fn end_block(&mut self) {
        if let Some(block) = self.block.take() {
            block.finish(&mut self.events);
        }
        self.last_kind = None;
    }
}

/// The block's number of a kind that was not the last one.
fn other_kind(
    kind: KindRef<'_>,
    kinds: &Kinds,
    block: &mut EventBlockBuilder,
    last: &mut Option<(KindCode, BlockKind)>,
) -> Result<BlockKind, BadRecord> {
    let mut number =
        |kind: &EventKind| block.kind(&kind.event_type, kind.schema_version, &kind.content_type);
    match kind {
        KindRef::Code(code) => {
            let kind = kinds.kind(code).ok_or(BadRecord::UnknownKind(code))?;
            let number = number(kind);
            *last = Some((code, number));
            Ok(number)
        }
        KindRef::Inline(texts) => {
            *last = None;
            Ok(number(&texts.to_kind()?))
        }
    }
}

/// Why the block did not take an event.
#[cold]
fn refused(view: &EventView<'_>) -> BadRecord {
    match view.stream().map(StreamId::parse) {
        Err(bad) => bad,
        Ok(Err(_)) => BadRecord::Name(Part::Stream),
        Ok(Ok(_)) => BadRecord::Range(Part::Payload),
    }
}
