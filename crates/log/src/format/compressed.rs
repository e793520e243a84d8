//! A compressed segment: its header, the table of its blocks, and what is left out of a block.
//!
//! Checksums, numbers that follow from what stands before, and promises that are always the same don't
//! compress. They are taken out before a block is compressed and computed again afterwards; the length of
//! the block stays as it is, so that every record keeps its offset.

use super::frame::{FOOTER_BYTES, FRAME_HEADER_BYTES, RECORD_HEADER_BYTES, frame_bytes};
use super::manifest::{Form, Reclaimed};
use super::segment::{HEADER_BYTES, SegmentHeader};
use super::{FORMAT, Fields, Flaw, Seed, begin_block_of, end_block, is_zero, open_block_upto};
use crate::checksum::{crc32c, crc32c_append};

/// How many bytes the header takes; the dictionary and the blocks follow.
pub(crate) const COMPRESSED_HEADER_BYTES: u32 = 256;

/// How many bytes the table has for each block.
pub(crate) const ENTRY_BYTES: usize = 16;

/// The version of a compressed segment of which some was reclaimed; any other is of the first.
pub(crate) const FORMAT_RECLAIMED: u32 = 2;

const MAGIC: [u8; 8] = *b"ANNALSCS";
const FRAME_HEADER: usize = FRAME_HEADER_BYTES as usize;
const KIND_AT: usize = 4;
const FOOTER_KIND: u8 = 3;
const NOTE: u32 = 1 << 31;

/// What a compressed segment says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CompressedHeader {
    /// The header of the plain segment.
    pub(crate) segment: SegmentHeader,
    /// Where the footer stands in the plain segment.
    pub(crate) end: u32,
    /// The digest of the plain segment: of the frames that come out of the blocks.
    pub(crate) digest: u32,
    pub(crate) dictionary_bytes: u32,
    pub(crate) dictionary_checksum: u32,
    pub(crate) blocks: u32,
    pub(crate) table_checksum: u32,
    /// Where the table begins, which ends the file.
    pub(crate) table_at: u64,
    pub(crate) reclaimed: Option<Reclaimed>,
}

/// One block, as the table has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockEntry {
    pub(crate) plain_bytes: u32,
    pub(crate) stored_bytes: u32,
    /// How many bytes the frame still has that began in an earlier block; more than the block where the
    /// frame goes on after it.
    pub(crate) open_bytes: u32,
    /// Of the stored bytes, bound to the segment and to the block's offset in the plain segment.
    pub(crate) checksum: u32,
}

impl CompressedHeader {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let format = self.reclaimed.map_or(FORMAT, |_| FORMAT_RECLAIMED);
        let mut block = begin_block_of(format, MAGIC, COMPRESSED_HEADER_BYTES as usize);
        self.segment.encode_fields(&mut block);
        for word in [
            self.end,
            self.digest,
            self.dictionary_bytes,
            self.dictionary_checksum,
            self.blocks,
            self.table_checksum,
        ] {
            block.extend_from_slice(&word.to_le_bytes());
        }
        block.extend_from_slice(&self.table_at.to_le_bytes());
        if let Some(reclaimed) = self.reclaimed {
            block.extend_from_slice(&reclaimed.generation.to_le_bytes());
            block.extend_from_slice(&reclaimed.sealed_digest.to_le_bytes());
        }
        end_block(&mut block, COMPRESSED_HEADER_BYTES as usize);
        block
    }

    pub(crate) fn parse(block: &[u8]) -> Result<Self, Flaw> {
        let block = block
            .get(..COMPRESSED_HEADER_BYTES as usize)
            .ok_or(Flaw::Short)?;
        let (format, mut fields) = open_block_upto(FORMAT_RECLAIMED, block, MAGIC)?;
        let header = Self {
            segment: SegmentHeader::parse_fields(&mut fields)?,
            end: fields.u32()?,
            digest: fields.u32()?,
            dictionary_bytes: fields.u32()?,
            dictionary_checksum: fields.u32()?,
            blocks: fields.u32()?,
            table_checksum: fields.u32()?,
            table_at: fields.u64()?,
            reclaimed: match format {
                FORMAT => None,
                _ => Some(Reclaimed {
                    generation: fields.u32()?,
                    sealed_digest: fields.u32()?,
                }),
            },
        };
        let blocks_at = u64::from(COMPRESSED_HEADER_BYTES) + u64::from(header.dictionary_bytes);
        let sane = header.end >= HEADER_BYTES
            && header.end <= header.segment.capacity
            && header.blocks > 0
            && header.reclaimed.is_none_or(|it| it.generation > 0)
            && header.table_at > blocks_at;
        if !sane || !is_zero(fields.rest()) {
            return Err(Flaw::Field("end, blocks or padding"));
        }
        Ok(header)
    }

    /// How long the file is.
    pub(crate) fn file_bytes(&self) -> u64 {
        self.table_at
            .saturating_add(u64::from(self.blocks) * ENTRY_BYTES as u64)
    }

    /// The form of the segment, as the manifest says it.
    pub(crate) fn form(&self) -> Form {
        Form::Compressed {
            bytes: self.file_bytes(),
            reclaimed: self.reclaimed,
        }
    }

    /// How long the plain segment is, without the zeros behind its footer.
    pub(crate) fn plain_bytes(&self) -> u64 {
        u64::from(self.end) + u64::from(FOOTER_BYTES)
    }
}

impl BlockEntry {
    pub(crate) fn encode(&self, table: &mut Vec<u8>) {
        for word in [
            self.plain_bytes,
            self.stored_bytes,
            self.open_bytes,
            self.checksum,
        ] {
            table.extend_from_slice(&word.to_le_bytes());
        }
    }

    /// The entries of a table whose checksum is right.
    pub(crate) fn parse_all(table: &[u8]) -> Result<Vec<Self>, Flaw> {
        let entries = table.chunks_exact(ENTRY_BYTES).map(|entry| {
            let mut fields = Fields::new(entry);
            let entry = Self {
                plain_bytes: fields.u32()?,
                stored_bytes: fields.u32()?,
                open_bytes: fields.u32()?,
                checksum: fields.u32()?,
            };
            if entry.plain_bytes == 0 || entry.stored_bytes == 0 {
                return Err(Flaw::Field("length of a block"));
            }
            Ok(entry)
        });
        entries.collect()
    }
}

/// The checksum of a dictionary or a table.
pub(crate) fn checksum(bytes: &[u8]) -> u32 {
    crc32c(bytes)
}

/// Takes out of a plain block what can be computed again. The block begins at a frame or at a record, and
/// ends with one; `offset` is its own in the segment.
pub(crate) fn strip(block: &mut [u8], offset: u32, open_bytes: u32) -> Option<()> {
    let mut rest = Rest::new(block, offset);
    strip_records(rest.take(open_bytes as usize)?.1);
    let mut next_number = 0;
    while !rest.bytes.is_empty() {
        let (at, frame) = rest.next_frame()?;
        let Part {
            header,
            body,
            whole,
        } = split(frame)?;
        let numbered = strip_records(body);
        if !whole {
            next_number = 0;
            continue;
        }
        let first_number = word(header, 16)?;
        put(header, 16, first_number.wrapping_sub(next_number))?;
        put(header, 24, u64::from(at).wrapping_sub(word(header, 24)?))?;
        header.get_mut(32..)?.fill(0);
        next_number = first_number.wrapping_add(numbered);
    }
    Some(())
}

/// Puts back what [`strip`] took out; `None` when the block is not what it gives.
pub(crate) fn restore(block: &mut [u8], offset: u32, open_bytes: u32, seed: Seed) -> Option<()> {
    let mut rest = Rest::new(block, offset);
    let (at, open) = rest.take(open_bytes as usize)?;
    restore_records(open, seed, at)?;
    let mut next_number = 0;
    while !rest.bytes.is_empty() {
        let (at, frame) = rest.next_frame()?;
        let Part {
            header,
            body,
            whole,
        } = split(frame)?;
        let body_at = at.checked_add(FRAME_HEADER_BYTES)?;
        let (checksum, numbered) = restore_records(body, seed, body_at)?;
        if !whole {
            next_number = 0;
            continue;
        }
        let first_number = word(header, 16)?.wrapping_add(next_number);
        put(header, 16, first_number)?;
        put(header, 24, u64::from(at).wrapping_sub(word(header, 24)?))?;
        header
            .get_mut(32..36)?
            .copy_from_slice(&checksum.to_le_bytes());
        let checksum = seed.checksum(at, header.get(..36)?);
        header
            .get_mut(36..)?
            .copy_from_slice(&checksum.to_le_bytes());
        next_number = first_number.wrapping_add(numbered);
    }
    Some(())
}

/// Lets `edit` change the bodies of the numbered records of a whole frame; whether it changed any. The checksums
/// are right again when it did.
pub(crate) fn edit_frame(
    frame: &mut [u8],
    offset: u32,
    seed: Seed,
    edit: &mut dyn FnMut(u64, &mut [u8]) -> bool,
) -> Option<bool> {
    let is_changed = edit_records(frame, edit)?;
    if is_changed {
        strip(frame, offset, 0)?;
        restore(frame, offset, 0, seed)?;
    }
    Some(is_changed)
}

/// Lets `edit` change the bodies of the numbered records of a whole frame, whose checksums stay as they are; whether
/// it changed any.
pub(crate) fn edit_records(
    frame: &mut [u8],
    edit: &mut dyn FnMut(u64, &mut [u8]) -> bool,
) -> Option<bool> {
    let Part { header, body, .. } = split(frame)?;
    let (mut number, mut body, mut is_changed) = (word(header, 16)?, body, false);
    while let Some((kind, record, rest)) = next_record(body) {
        let (_, bytes) = record.split_at_mut_checked(RECORD_HEADER_BYTES)?;
        if kind & NOTE == 0 {
            is_changed |= edit(number, bytes);
            number = number.checked_add(1)?;
        }
        body = rest;
    }
    Some(is_changed)
}

/// What of a block was not looked at yet.
struct Rest<'a> {
    bytes: &'a mut [u8],
    at: u32,
}

/// A frame, or as much of it as the block has.
struct Part<'a> {
    header: &'a mut [u8],
    body: &'a mut [u8],
    /// Whether it is all of a frame of records, so that its header can be computed.
    whole: bool,
}

impl<'a> Rest<'a> {
    fn new(bytes: &'a mut [u8], at: u32) -> Self {
        Self { bytes, at }
    }

    /// The next bytes, fewer where the block ends; and where they stand.
    fn take(&mut self, bytes: usize) -> Option<(u32, &'a mut [u8])> {
        let whole = std::mem::take(&mut self.bytes);
        let (taken, rest) = whole.split_at_mut_checked(bytes.min(whole.len()))?;
        let at = self.at;
        self.at = at.checked_add(u32::try_from(taken.len()).ok()?)?;
        self.bytes = rest;
        Some((at, taken))
    }

    /// The next frame; as much of it as there is.
    fn next_frame(&mut self) -> Option<(u32, &'a mut [u8])> {
        let body = u32::from_le_bytes(*self.bytes.get(8..)?.first_chunk()?);
        self.take(frame_bytes(body)? as usize)
    }
}

fn split(frame: &mut [u8]) -> Option<Part<'_>> {
    let body_bytes = u32::from_le_bytes(*frame.get(8..)?.first_chunk()?);
    let is_footer = frame.get(KIND_AT) == Some(&FOOTER_KIND);
    let whole = frame_bytes(body_bytes)? as usize == frame.len() && !is_footer;
    let (header, body) = frame.split_at_mut_checked(FRAME_HEADER)?;
    let body_bytes = if is_footer { 0 } else { body_bytes as usize };
    let length = body_bytes.min(body.len());
    let body = body.get_mut(..length)?;
    Some(Part {
        header,
        body,
        whole,
    })
}

/// Clears the checksums of records; tells how many of them are numbered. What is behind the last one is
/// padding.
fn strip_records(mut body: &mut [u8]) -> u64 {
    let mut numbered = 0;
    while let Some((word, record, rest)) = next_record(body) {
        if let Some(checksum) = record.get_mut(4..RECORD_HEADER_BYTES) {
            checksum.fill(0);
        }
        numbered += u64::from(word & NOTE == 0);
        body = rest;
    }
    numbered
}

/// Computes the checksums of records; gives that of all, and how many of them are numbered.
fn restore_records(mut body: &mut [u8], seed: Seed, mut at: u32) -> Option<(u32, u64)> {
    let (mut all, mut numbered) = (0, 0);
    while body.len() >= RECORD_HEADER_BYTES {
        let (word, record, rest) = next_record(body)?;
        let (head, bytes) = record.split_at_mut_checked(RECORD_HEADER_BYTES)?;
        let checksum = seed.record(at, word, bytes).to_le_bytes();
        head.get_mut(4..)?.copy_from_slice(&checksum);
        all = crc32c_append(all, &checksum);
        numbered += u64::from(word & NOTE == 0);
        at = at.checked_add(u32::try_from(record.len()).ok()?)?;
        body = rest;
    }
    Some((all, numbered))
}

/// The first word of the next record, the record, and what stands behind it.
fn next_record(body: &mut [u8]) -> Option<(u32, &mut [u8], &mut [u8])> {
    if body.len() < RECORD_HEADER_BYTES {
        return None;
    }
    let word = u32::from_le_bytes(*body.first_chunk()?);
    let bytes = RECORD_HEADER_BYTES + (word & !NOTE) as usize;
    let (record, rest) = body.split_at_mut_checked(bytes)?;
    Some((word, record, rest))
}

fn word(header: &[u8], at: usize) -> Option<u64> {
    header
        .get(at..)?
        .first_chunk()
        .copied()
        .map(u64::from_le_bytes)
}

fn put(header: &mut [u8], at: usize, word: u64) -> Option<()> {
    let field = header.get_mut(at..at + 8)?;
    field.copy_from_slice(&word.to_le_bytes());
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LogId;
    use crate::format::frame::{Footer, FrameHeader, FrameKind, Kind, finish_record};

    fn header() -> CompressedHeader {
        CompressedHeader {
            segment: SegmentHeader {
                log: LogId::from_bytes([7; 16]),
                id: 3,
                capacity: 1 << 20,
                salt: 11,
                first_number: 12,
                context: 13,
                previous_digest: 14,
            },
            end: 5000,
            digest: 15,
            dictionary_bytes: 16,
            dictionary_checksum: 17,
            blocks: 18,
            table_checksum: 19,
            table_at: 900,
            reclaimed: None,
        }
    }

    fn reclaimed() -> CompressedHeader {
        CompressedHeader {
            reclaimed: Some(Reclaimed {
                generation: 2,
                sealed_digest: 20,
            }),
            ..header()
        }
    }

    #[test]
    fn what_is_encoded_is_parsed_and_nothing_else() {
        for (header, format) in [(header(), 1), (reclaimed(), 2)] {
            let block = header.encode();
            assert_eq!(block.len(), COMPRESSED_HEADER_BYTES as usize);
            assert_eq!(block[8..12], [format, 0, 0, 0]);
            assert_eq!(CompressedHeader::parse(&block), Ok(header));
            for bit in 0..block.len() * 8 {
                let mut bad = block.clone();
                bad[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(CompressedHeader::parse(&bad), Err(Flaw::Checksum));
            }
        }
    }

    /// A frame of records of these lengths at an offset.
    fn frame(seed: Seed, offset: u32, first_number: u64, lengths: &[usize]) -> Vec<u8> {
        let mut frame = vec![0; FRAME_HEADER];
        let mut checksum = 0;
        for (index, length) in lengths.iter().enumerate() {
            let start = frame.len();
            frame.resize(start + 8, 0);
            frame.extend((0..*length).map(|at| u8::try_from(at % 251).unwrap()));
            let at = offset + u32::try_from(start).unwrap();
            let kind = if index % 3 == 1 {
                Kind::Note
            } else {
                Kind::Numbered
            };
            let record = finish_record(&mut frame[start..], kind, seed, at).unwrap();
            checksum = crc32c_append(checksum, &record.to_le_bytes());
        }
        let kind = if lengths.is_empty() {
            FrameKind::Marker
        } else {
            FrameKind::Data
        };
        let header = FrameHeader {
            kind,
            body_bytes: u32::try_from(frame.len() - FRAME_HEADER).unwrap(),
            records: u32::try_from(lengths.len()).unwrap(),
            first_number,
            durable_upto: offset - 8 * (offset % 3),
            body_checksum: checksum,
        };
        frame.resize(header.frame_bytes().unwrap() as usize, 0);
        frame[..FRAME_HEADER].copy_from_slice(&header.encode(seed, offset));
        frame
    }

    /// Frames one behind the other, and a footer; and where records and frames begin.
    fn segment(seed: Seed) -> (Vec<u8>, Vec<(u32, u32)>) {
        let shapes: [&[usize]; 6] = [&[5, 0, 13], &[], &[100; 40], &[1], &[0], &[3000, 2, 3000]];
        let (mut bytes, mut cuts, mut number) = (Vec::new(), Vec::new(), 5);
        for lengths in shapes {
            let offset = HEADER_BYTES + u32::try_from(bytes.len()).unwrap();
            let frame = frame(seed, offset, number, lengths);
            number += lengths.len() as u64;
            cuts.push((u32::try_from(bytes.len()).unwrap(), 0));
            let mut at = FRAME_HEADER;
            for length in lengths {
                let open = u32::try_from(frame.len() - at).unwrap();
                cuts.push((u32::try_from(bytes.len() + at).unwrap(), open));
                at += 8 + length;
            }
            bytes.extend(frame);
        }
        let end = HEADER_BYTES + u32::try_from(bytes.len()).unwrap();
        let footer = Footer {
            next_number: number,
            frames: 6,
            records: 48,
            end,
            digest: 1,
        };
        cuts.push((u32::try_from(bytes.len()).unwrap(), 0));
        bytes.extend(footer.encode(seed, end));
        (bytes, cuts)
    }

    #[test]
    fn what_is_stripped_is_restored_wherever_a_block_begins_and_ends() {
        let seed = Seed::new(99);
        let (bytes, mut cuts) = segment(seed);
        cuts.push((u32::try_from(bytes.len()).unwrap(), 0));
        for (index, (start, open)) in cuts.iter().enumerate() {
            for (end, _) in &cuts[index + 1..] {
                let plain = &bytes[*start as usize..*end as usize];
                let mut block = plain.to_vec();
                strip(&mut block, HEADER_BYTES + start, *open).unwrap();
                restore(&mut block, HEADER_BYTES + start, *open, seed).unwrap();
                assert!(block == plain, "from {start} to {end}");
            }
        }
    }

    #[test]
    fn an_edited_frame_has_the_checksums_of_what_it_says_now() {
        let seed = Seed::new(99);
        let whole = frame(seed, 4096, 7, &[5, 9, 0, 13]);
        let mut edited = whole.clone();
        let mut kept = |_: u64, _: &mut [u8]| false;
        assert_eq!(edit_frame(&mut edited, 4096, seed, &mut kept), Some(false));
        assert_eq!(edited, whole);
        // The second record is a note, which nobody edits.
        let mut lengths = Vec::new();
        let mut edit = |number: u64, body: &mut [u8]| {
            lengths.push((number, body.len()));
            body.fill(0xee);
            body.len() == 13
        };
        assert_eq!(edit_frame(&mut edited, 4096, seed, &mut edit), Some(true));
        assert_eq!(lengths, [(7, 5), (8, 0), (9, 13)]);
        let header = FrameHeader::parse(&edited, seed, 4096).unwrap();
        let before = FrameHeader::parse(&whole, seed, 4096).unwrap();
        let body_checksum = header.body_checksum;
        assert_ne!(body_checksum, before.body_checksum);
        assert_eq!(
            header,
            FrameHeader {
                body_checksum,
                ..before
            }
        );
        assert_eq!(edited.split(|byte| *byte == 0xee).count(), 1 + 5 + 13);
    }

    #[test]
    fn checksums_and_what_follows_from_before_are_zero_in_a_stripped_block() {
        let seed = Seed::new(99);
        let first = frame(seed, 4096, 7, &[4, 4]);
        let second_at = 4096 + u32::try_from(first.len()).unwrap();
        let mut block = first.clone();
        block.extend(frame(seed, second_at, 8, &[4]));
        strip(&mut block, 4096, 0).unwrap();
        let second = &block[first.len()..];
        assert!(is_zero(&second[16..24]) && is_zero(&second[32..40]));
        assert!(is_zero(&second[44..48]));
    }

    #[test]
    fn nothing_that_is_no_block_is_restored() {
        let seed = Seed::new(99);
        let (bytes, _) = segment(seed);
        for length in [1, 7, 39] {
            let mut block = bytes[..length].to_vec();
            assert_eq!(restore(&mut block, HEADER_BYTES, 0, seed), None, "{length}");
        }
        for bit in 0..64 * 8 {
            let mut block = bytes.clone();
            block[bit / 8] ^= 1 << (bit % 8);
            let _ = restore(&mut block, HEADER_BYTES, 0, seed);
        }
    }
}
