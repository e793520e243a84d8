//! Many records of one view, read after another.

use std::hint::black_box;

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
        // Not mapped, or something is wrong there, which this tells.
        self.view.record(at, scratch)
    }

    /// The context of the segment of this place; 0 when the view has no such segment.
    #[inline]
    pub fn context(&mut self, at: RecordAt) -> u64 {
        match self.segment(at.segment()) {
            Some(mapped) => mapped.context,
            None => self.view.segment(at.segment()).map_or(0, Segment::context),
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
