//! Frames and the records in them.

use super::{Fields, Seed, is_zero};
use crate::checksum::{crc32c, crc32c_append};

/// How many bytes the header of a frame takes; its body follows.
pub(crate) const FRAME_HEADER_BYTES: u32 = 40;

/// How many bytes a record takes beside its body.
pub const RECORD_HEADER_BYTES: usize = 8;

/// How many bytes the footer frame takes, header included.
pub(crate) const FOOTER_BYTES: u32 = FRAME_HEADER_BYTES + FOOTER_BODY_BYTES;

/// What a segment keeps free for its end: a marker and the footer.
pub(crate) const END_BYTES: u32 = FRAME_HEADER_BYTES + FOOTER_BYTES;

const MAGIC: u32 = u32::from_le_bytes(*b"ANFR");
const FOOTER_BODY_BYTES: u32 = 40;
const NOTE: u32 = 1 << 31;

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameKind {
    /// It holds records.
    Data,
    /// It holds nothing, and says that all before it is durable.
    Marker,
    /// It ends a sealed segment.
    Footer,
}

/// Whether a record takes a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// It takes the next number of the log.
    Numbered,
    /// It takes none.
    Note,
}

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) kind: FrameKind,
    pub(crate) body_bytes: u32,
    pub(crate) records: u32,
    /// The number of the next numbered record where the frame begins.
    pub(crate) first_number: u64,
    /// The offset up to which the segment was durable when the frame was written.
    pub(crate) durable_upto: u32,
    pub(crate) body_checksum: u32,
}

impl FrameHeader {
    pub(crate) fn encode(&self, seed: Seed, offset: u32) -> [u8; FRAME_HEADER_BYTES as usize] {
        let kind: u8 = match self.kind {
            FrameKind::Data => 1,
            FrameKind::Marker => 2,
            FrameKind::Footer => 3,
        };
        let mut bytes = Vec::with_capacity(FRAME_HEADER_BYTES as usize);
        bytes.extend_from_slice(&MAGIC.to_le_bytes());
        bytes.extend_from_slice(&[kind, 0, 0, 0]);
        bytes.extend_from_slice(&self.body_bytes.to_le_bytes());
        bytes.extend_from_slice(&self.records.to_le_bytes());
        bytes.extend_from_slice(&self.first_number.to_le_bytes());
        bytes.extend_from_slice(&u64::from(self.durable_upto).to_le_bytes());
        bytes.extend_from_slice(&self.body_checksum.to_le_bytes());
        bytes.extend_from_slice(&seed.checksum(offset, &bytes).to_le_bytes());
        let mut header = [0; FRAME_HEADER_BYTES as usize];
        header.copy_from_slice(&bytes);
        header
    }

    /// Whether a header may begin with these bytes: a look that is cheaper than at all of it.
    #[inline]
    pub(crate) fn may_begin(bytes: &[u8]) -> bool {
        bytes.first_chunk() == Some(&MAGIC.to_le_bytes())
    }

    /// The header at this offset; `None` when there is none that is whole and belongs there.
    pub(crate) fn parse(bytes: &[u8], seed: Seed, offset: u32) -> Option<Self> {
        let header = bytes.first_chunk::<{ FRAME_HEADER_BYTES as usize }>()?;
        let (covered, checksum) = header.split_last_chunk::<4>()?;
        let mut fields = Fields::new(covered);
        if fields.u32().ok()? != MAGIC
            || seed.checksum(offset, covered) != u32::from_le_bytes(*checksum)
        {
            return None;
        }
        let kind = match fields.array::<4>().ok()? {
            [1, 0, 0, 0] => FrameKind::Data,
            [2, 0, 0, 0] => FrameKind::Marker,
            [3, 0, 0, 0] => FrameKind::Footer,
            _ => return None,
        };
        let header = Self {
            kind,
            body_bytes: fields.u32().ok()?,
            records: fields.u32().ok()?,
            first_number: fields.u64().ok()?,
            durable_upto: u32::try_from(fields.u64().ok()?).ok()?,
            body_checksum: fields.u32().ok()?,
        };
        header.is_sane(offset).then_some(header)
    }

    /// How many bytes the frame takes, header and padding included; `None` past what offsets can say.
    pub(crate) fn frame_bytes(&self) -> Option<u32> {
        frame_bytes(self.body_bytes)
    }

    /// The bytes that the chain of checksums takes in for this frame.
    pub(crate) fn chain(digest: u32, header: &[u8]) -> u32 {
        let checksum = header
            .get(36..FRAME_HEADER_BYTES as usize)
            .unwrap_or_default();
        crc32c_append(digest, checksum)
    }

    fn is_sane(&self, offset: u32) -> bool {
        let body = match self.kind {
            FrameKind::Data => self.records > 0 && self.body_bytes > 0,
            FrameKind::Marker => self.records == 0 && self.body_bytes == 0,
            FrameKind::Footer => self.records == 0 && self.body_bytes == FOOTER_BODY_BYTES,
        };
        body && self.first_number > 0 && self.durable_upto <= offset
    }
}

/// How many bytes a frame of this body takes, header and padding included.
pub(crate) fn frame_bytes(body_bytes: u32) -> Option<u32> {
    body_bytes
        .checked_add(FRAME_HEADER_BYTES)?
        .checked_next_multiple_of(8)
}

/// What a sealed segment says of itself at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Footer {
    /// The number after the segment's last.
    pub(crate) next_number: u64,
    pub(crate) frames: u64,
    pub(crate) records: u64,
    /// Where the footer begins.
    pub(crate) end: u32,
    /// The checksums of the segment's header and of all frames before the footer, chained.
    pub(crate) digest: u32,
}

impl Footer {
    /// The footer frame.
    pub(crate) fn encode(&self, seed: Seed, durable_upto: u32) -> Vec<u8> {
        let mut body = Vec::with_capacity(FOOTER_BODY_BYTES as usize);
        body.extend_from_slice(&self.next_number.to_le_bytes());
        body.extend_from_slice(&self.frames.to_le_bytes());
        body.extend_from_slice(&self.records.to_le_bytes());
        body.extend_from_slice(&u64::from(self.end).to_le_bytes());
        body.extend_from_slice(&self.digest.to_le_bytes());
        body.extend_from_slice(&[0; 4]);
        let header = FrameHeader {
            kind: FrameKind::Footer,
            body_bytes: FOOTER_BODY_BYTES,
            records: 0,
            first_number: self.next_number,
            durable_upto,
            body_checksum: crc32c(&body),
        };
        let mut frame = header.encode(seed, self.end).to_vec();
        frame.append(&mut body);
        frame
    }

    /// The footer in the body of a footer frame.
    pub(crate) fn parse(header: &FrameHeader, body: &[u8]) -> Option<Self> {
        if header.kind != FrameKind::Footer || crc32c(body) != header.body_checksum {
            return None;
        }
        let mut fields = Fields::new(body);
        let footer = Self {
            next_number: fields.u64().ok()?,
            frames: fields.u64().ok()?,
            records: fields.u64().ok()?,
            end: u32::try_from(fields.u64().ok()?).ok()?,
            digest: fields.u32().ok()?,
        };
        is_zero(fields.rest()).then_some(footer)
    }
}

/// A record as it stands in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RawRecord<'a> {
    pub(crate) kind: Kind,
    pub(crate) checksum: u32,
    pub(crate) body: &'a [u8],
    word: u32,
}

impl<'a> RawRecord<'a> {
    /// The record at the beginning of these bytes, its checksum not checked.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let head = RecordHead::parse(bytes)?;
        let body = bytes
            .get(RECORD_HEADER_BYTES..)?
            .get(..head.body_bytes as usize)?;
        Some(head.with_body(body))
    }

    /// Whether it is whole and belongs at this offset.
    pub(crate) fn is_valid(&self, seed: Seed, offset: u32) -> bool {
        seed.record(offset, self.word, self.body) == self.checksum
    }
}

/// The first bytes of a record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordHead {
    pub(crate) body_bytes: u32,
    word: u32,
    checksum: u32,
}

impl RecordHead {
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields::new(bytes);
        let word = fields.u32().ok()?;
        Some(Self {
            body_bytes: word & !NOTE,
            word,
            checksum: fields.u32().ok()?,
        })
    }

    /// The record of this head, whose body these bytes are.
    pub(crate) fn with_body(self, body: &[u8]) -> RawRecord<'_> {
        RawRecord {
            kind: if self.word & NOTE == 0 {
                Kind::Numbered
            } else {
                Kind::Note
            },
            checksum: self.checksum,
            body,
            word: self.word,
        }
    }
}

/// Fills in the head of a record whose body is in place; `None` when the body is too long to say.
pub(crate) fn finish_record(record: &mut [u8], kind: Kind, seed: Seed, offset: u32) -> Option<u32> {
    let (head, body) = record.split_at_mut_checked(RECORD_HEADER_BYTES)?;
    let length = u32::try_from(body.len()).ok().filter(|l| l & NOTE == 0)?;
    let word = match kind {
        Kind::Numbered => length,
        Kind::Note => length | NOTE,
    };
    let checksum = seed.record(offset, word, body);
    let (length, sum) = head.split_at_mut_checked(4)?;
    length.copy_from_slice(&word.to_le_bytes());
    sum.copy_from_slice(&checksum.to_le_bytes());
    Some(checksum)
}

/// What a whole body holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BodySummary {
    pub(crate) numbered: u32,
}

/// Checks a data or marker frame's body and padding, `bytes` being all of the frame after its header.
/// `None` when anything in it is not as it was written.
pub(crate) fn check_body(
    header: &FrameHeader,
    bytes: &[u8],
    seed: Seed,
    offset: u32,
) -> Option<BodySummary> {
    let (body, padding) = bytes.split_at_checked(header.body_bytes as usize)?;
    let mut at = offset.checked_add(FRAME_HEADER_BYTES)?;
    let (mut rest, mut records, mut numbered, mut sums) = (body, 0_u32, 0, Sums::default());
    while !rest.is_empty() {
        let record = RawRecord::parse(rest)?;
        if !record.is_valid(seed, at) {
            return None;
        }
        sums.push(record.checksum);
        records = records.checked_add(1)?;
        numbered += u32::from(record.kind == Kind::Numbered);
        let taken = RECORD_HEADER_BYTES + record.body.len();
        rest = rest.get(taken..)?;
        at = at.checked_add(u32::try_from(taken).ok()?)?;
    }
    let checksum = sums.checksum();
    let whole = records == header.records && checksum == header.body_checksum && is_zero(padding);
    whole.then_some(BodySummary { numbered })
}

/// How many checksums of records are taken in at once.
const SUMS: usize = 32;

/// The checksum of checksums, which takes in many at once.
#[derive(Debug, Default)]
struct Sums {
    taken: u32,
    waiting: [[u8; 4]; SUMS],
    count: usize,
}

impl Sums {
    fn push(&mut self, sum: u32) {
        if let Some(place) = self.waiting.get_mut(self.count) {
            *place = sum.to_le_bytes();
            self.count += 1;
        }
        if self.count == SUMS {
            self.taken = self.checksum();
            self.count = 0;
        }
    }

    fn checksum(&self) -> u32 {
        let waiting = self.waiting.get(..self.count).unwrap_or_default();
        crc32c_append(self.taken, waiting.as_flattened())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: Seed = Seed(77);

    fn frame(offset: u32) -> Vec<u8> {
        let mut frame = vec![0; 40];
        let mut checksum = 0;
        for (kind, body) in [
            (Kind::Numbered, &b"first"[..]),
            (Kind::Note, b""),
            (Kind::Numbered, b"last"),
        ] {
            let start = frame.len();
            frame.extend_from_slice(&[0; 8]);
            frame.extend_from_slice(body);
            let at = offset + u32::try_from(start).unwrap();
            let record = finish_record(&mut frame[start..], kind, SEED, at).unwrap();
            checksum = crc32c_append(checksum, &record.to_le_bytes());
        }
        let header = FrameHeader {
            kind: FrameKind::Data,
            body_bytes: u32::try_from(frame.len() - 40).unwrap(),
            records: 3,
            first_number: 9,
            durable_upto: offset,
            body_checksum: checksum,
        };
        frame.resize(header.frame_bytes().unwrap() as usize, 0);
        frame[..40].copy_from_slice(&header.encode(SEED, offset));
        frame
    }

    fn check(frame: &[u8], offset: u32) -> Option<u32> {
        let header = FrameHeader::parse(frame, SEED, offset)?;
        let bytes = frame.get(40..header.frame_bytes()? as usize)?;
        check_body(&header, bytes, SEED, offset).map(|summary| summary.numbered)
    }

    #[test]
    fn a_frame_is_whole_in_its_place_only() {
        let frame = frame(4096);
        assert_eq!(check(&frame, 4096), Some(2));
        assert_eq!(check(&frame, 4104), None);
        for bit in 0..frame.len() * 8 {
            let mut bad = frame.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(check(&bad, 4096), None, "bit {bit}");
        }
        for length in 0..frame.len() {
            assert_eq!(check(&frame[..length], 4096), None, "length {length}");
        }
    }

    #[test]
    fn a_footer_is_parsed_as_it_was_encoded() {
        let footer = Footer {
            next_number: 5,
            frames: 3,
            records: 4,
            end: 8192,
            digest: 99,
        };
        let frame = footer.encode(SEED, 8000);
        assert_eq!(frame.len(), FOOTER_BYTES as usize);
        let header = FrameHeader::parse(&frame, SEED, 8192).unwrap();
        assert_eq!(Footer::parse(&header, &frame[40..]), Some(footer));
        let mut bad = frame.clone();
        bad[79] = 1;
        assert_eq!(Footer::parse(&header, &bad[40..]), None);
    }
}
