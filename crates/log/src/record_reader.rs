//! Many records of one view, read after another.

use std::hint::black_box;

use crate::compress::Block;
use crate::error::Result;
use crate::format::Seed;
use crate::format::frame::{FRAME_HEADER_BYTES, RawRecord};
use crate::format::segment::HEADER_BYTES;
use crate::place::RecordAt;
use crate::planted::{self, Bug};
use crate::segments::{Bytes, Segment};
use crate::view::{Record, View};

/// Reads records of a view as [`View::record`] does, and remembers the segment of the last one: records that are
/// near each other cost no look at the list of segments.
#[derive(Debug)]
pub struct RecordReader<'a> {
    view: &'a View,
    /// The segment that was asked for last, and how it is reached if it is mapped and has lost nothing.
    current: Option<(u32, Option<Mapped<'a>>)>,
    /// The block that the last record of a compressed segment was in.
    unpacked: Option<Unpacked>,
}

/// A block of a compressed segment that has lost nothing.
#[derive(Debug)]
struct Unpacked {
    segment: u32,
    seed: Seed,
    context: u64,
    block: Block,
}

/// A segment in a map.
#[derive(Clone, Copy, Debug)]
struct Mapped<'a> {
    seed: Seed,
    context: u64,
    /// From the first frame's offset to where the view ends in it.
    frames: &'a [u8],
}

impl<'a> RecordReader<'a> {
    pub(crate) const fn new(view: &'a View) -> Self {
        Self {
            view,
            current: None,
            unpacked: None,
        }
    }

    /// The record at this place, as [`View::record`] gives it.
    ///
    /// # Errors
    /// As for [`View::record`].
    #[inline]
    pub fn record<'b>(&'b mut self, at: RecordAt, scratch: &'b mut Vec<u8>) -> Result<Record<'b>> {
        if let Some(mapped) = self.segment(at.segment())
            && let Some(record) = mapped.record(at)
        {
            return Ok(record);
        }
        if self.unpack(at)
            && let Some(record) = self.unpacked.as_ref().and_then(|it| it.record(at))
        {
            return Ok(record);
        }
        // Neither mapped nor compressed, or something is wrong there, which this tells.
        let view = self.view;
        view.record(at, scratch)
    }

    /// The context of the segment of this place; 0 when the view has no such segment.
    #[inline]
    pub fn context(&mut self, at: RecordAt) -> u64 {
        match self.segment(at.segment()) {
            Some(mapped) => mapped.context,
            None => match &self.unpacked {
                Some(it) if it.segment == at.segment() => it.context,
                _ => self.view.segment(at.segment()).map_or(0, Segment::context),
            },
        }
    }

    /// Has the processor fetch the beginnings of these records, all at once: where they lie scattered, one
    /// after another would wait for memory each time.
    pub fn fetch(&mut self, places: impl IntoIterator<Item = RecordAt>) {
        /// What is fetched of each, in bytes, and how much of it comes with one byte.
        const AHEAD: std::ops::Range<usize> = 0..320;
        const LINE: usize = 64;
        let mut sum = 0_u8;
        for at in places {
            let Some(mapped) = self.segment(at.segment()) else {
                continue;
            };
            let rest = mapped.from(at.offset()).unwrap_or_default();
            let lines = AHEAD.step_by(LINE).map_while(|line| rest.get(line));
            sum = lines.fold(sum, |sum, byte| sum ^ byte);
        }
        black_box(sum);
    }

    /// Whether the record at this place may be in the block at hand, which is fetched where it is another.
    fn unpack(&mut self, at: RecordAt) -> bool {
        let holds = |it: &Unpacked| it.segment == at.segment() && it.holds(at.offset());
        if !self.unpacked.as_ref().is_some_and(holds) {
            self.unpacked = Unpacked::of(self.view, at);
        }
        self.unpacked.is_some()
    }

    #[inline]
    fn segment(&mut self, id: u32) -> Option<Mapped<'a>> {
        match self.current {
            Some((current, mapped)) if current == id => mapped,
            _ => {
                let mapped = Mapped::of(self.view, id);
                self.current = Some((id, mapped));
                mapped
            }
        }
    }
}

impl Unpacked {
    fn of(view: &View, at: RecordAt) -> Option<Self> {
        let segment = view
            .segment(at.segment())
            .filter(|segment| segment.lost.is_empty())?;
        let Ok(Bytes::Compressed(file)) = view.bytes_of(segment) else {
            return None;
        };
        let is_within = at.offset() < view.limit(segment);
        let block = file.block_of(at.offset()).filter(|_| is_within)?.ok()?;
        Some(Self {
            segment: segment.id(),
            seed: segment.seed,
            context: segment.context(),
            block,
        })
    }

    fn holds(&self, offset: u32) -> bool {
        self.block.from(offset).is_some_and(|rest| !rest.is_empty())
    }

    fn record(&self, at: RecordAt) -> Option<Record<'_>> {
        let raw = self.block.from(at.offset()).and_then(RawRecord::parse)?;
        raw.is_valid(self.seed, at.offset()).then_some(Record {
            at,
            kind: raw.kind,
            body: raw.body,
        })
    }
}

impl<'a> Mapped<'a> {
    #[cold]
    fn of(view: &'a View, id: u32) -> Option<Self> {
        let segment = view.segment(id).filter(|segment| segment.lost.is_empty())?;
        let Ok(Bytes::Map(map)) = view.bytes_of(segment) else {
            return None;
        };
        let limit = view.limit(segment) as usize;
        Some(Self {
            seed: segment.seed,
            context: segment.context(),
            frames: map.bytes(HEADER_BYTES as usize..limit)?,
        })
    }

    #[inline]
    fn record(&self, at: RecordAt) -> Option<Record<'a>> {
        let raw = self.from(at.offset()).and_then(RawRecord::parse)?;
        let is_valid =
            raw.is_valid(self.seed, at.offset()) || planted::is_active(Bug::MappedRecordUnchecked);
        is_valid.then_some(Record {
            at,
            kind: raw.kind,
            body: raw.body,
        })
    }

    /// What stands from a record's offset on.
    #[inline]
    fn from(&self, offset: u32) -> Option<&'a [u8]> {
        let start = offset.checked_sub(HEADER_BYTES)?;
        self.frames
            .get(start as usize..)
            .filter(|_| start >= FRAME_HEADER_BYTES)
    }
}
