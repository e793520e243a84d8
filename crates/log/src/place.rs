//! Where things stand in a log.

use std::fmt;
use std::ops::Range;

use crate::format::segment::{HEADER_BYTES, SegmentHeader};

/// The identity of a log, drawn when it is created; every file of the log carries it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LogId([u8; 16]);

impl LogId {
    /// The identity of these bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogId({self})")
    }
}

/// Where a record or a frame begins: a segment and an offset in its file. Orders as the log does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordAt {
    segment: u32,
    offset: u32,
}

impl RecordAt {
    /// The place at this offset of this segment.
    pub const fn new(segment: u32, offset: u32) -> Self {
        Self { segment, offset }
    }

    /// The segment's id.
    pub const fn segment(self) -> u32 {
        self.segment
    }

    /// The offset in the segment's file, in bytes.
    pub const fn offset(self) -> u32 {
        self.offset
    }

    /// Both in one word, the segment on top; orders as the place does.
    pub const fn to_bits(self) -> u64 {
        (self.segment as u64) << 32 | self.offset as u64
    }

    /// The place of such a word.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "each half of the word is taken on its own"
    )]
    pub const fn from_bits(bits: u64) -> Self {
        Self {
            segment: (bits >> 32) as u32,
            offset: bits as u32,
        }
    }
}

impl fmt::Display for RecordAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "segment {} offset {}", self.segment, self.offset)
    }
}

/// A boundary of frames, where a scan can begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// Where the frame begins, or would begin.
    pub at: RecordAt,
    /// The number that the next numbered record from here on has.
    pub next_number: u64,
}

/// A boundary of frames in one segment, and everything before it in that segment, summed up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tip {
    pub(crate) offset: u32,
    pub(crate) next_number: u64,
    /// The checksums of the segment's header and of the frames, chained.
    pub(crate) digest: u32,
    pub(crate) frames: u64,
    pub(crate) records: u64,
}

impl Tip {
    /// Where the frames of this segment begin.
    pub(crate) fn start(header: &SegmentHeader) -> Self {
        Self {
            offset: HEADER_BYTES,
            next_number: header.first_number,
            digest: header.digest(),
            frames: 0,
            records: 0,
        }
    }

    pub(crate) fn place(&self, segment: u32) -> Place {
        Place {
            at: RecordAt::new(segment, self.offset),
            next_number: self.next_number,
        }
    }
}

/// A range of a segment that repair gave up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The offsets in the segment's file, in bytes.
    pub offsets: Range<u32>,
    /// The numbers that stood there; may be empty when only notes did.
    pub numbers: Range<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_order_as_places_do() {
        let places = [(1, 0), (1, u32::MAX), (2, 0), (u32::MAX, 7)];
        let places = places.map(|(segment, offset)| RecordAt::new(segment, offset));
        assert!(places.is_sorted() && places.map(RecordAt::to_bits).is_sorted());
        assert_eq!(places.map(|at| RecordAt::from_bits(at.to_bits())), places);
    }
}
