//! The first block of a segment file.

use super::{Fields, Flaw, begin_block, end_block, is_zero, open_block};
use crate::LogId;
use crate::checksum::crc32c;

/// How many bytes the header takes; frames follow.
pub(crate) const HEADER_BYTES: u32 = 4096;

const MAGIC: [u8; 8] = *b"ANNALSEG";

/// What a segment says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) log: LogId,
    pub(crate) id: u32,
    /// How long the file may become.
    pub(crate) capacity: u32,
    pub(crate) salt: u64,
    /// The number that the segment's first numbered record takes.
    pub(crate) first_number: u64,
    pub(crate) context: u64,
    /// The digest of the segment before; 0 for the first.
    pub(crate) previous_digest: u32,
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut block = begin_block(MAGIC, HEADER_BYTES as usize);
        self.encode_fields(&mut block);
        end_block(&mut block, HEADER_BYTES as usize);
        block
    }

    /// Its fields, which the compressed form has too.
    pub(super) fn encode_fields(&self, block: &mut Vec<u8>) {
        block.extend_from_slice(&self.capacity.to_le_bytes());
        block.extend_from_slice(&self.log.to_bytes());
        block.extend_from_slice(&u64::from(self.id).to_le_bytes());
        block.extend_from_slice(&self.salt.to_le_bytes());
        block.extend_from_slice(&self.first_number.to_le_bytes());
        block.extend_from_slice(&self.context.to_le_bytes());
        block.extend_from_slice(&self.previous_digest.to_le_bytes());
    }

    pub(crate) fn parse(block: &[u8]) -> Result<Self, Flaw> {
        let block = block.get(..HEADER_BYTES as usize).ok_or(Flaw::Short)?;
        let mut fields = open_block(block, MAGIC)?;
        let header = Self::parse_fields(&mut fields)?;
        if !is_zero(fields.rest()) {
            return Err(Flaw::Field("padding"));
        }
        Ok(header)
    }

    pub(super) fn parse_fields(fields: &mut Fields<'_>) -> Result<Self, Flaw> {
        let capacity = fields.u32()?;
        let header = Self {
            capacity,
            log: LogId::from_bytes(fields.array()?),
            id: u32::try_from(fields.u64()?).map_err(|_| Flaw::Field("segment id"))?,
            salt: fields.u64()?,
            first_number: fields.u64()?,
            context: fields.u64()?,
            previous_digest: fields.u32()?,
        };
        if header.capacity < HEADER_BYTES || header.id == 0 || header.first_number == 0 {
            return Err(Flaw::Field("capacity, id or first number"));
        }
        Ok(header)
    }

    /// Where the chain of checksums of this segment begins: the header's own.
    pub(crate) fn digest(&self) -> u32 {
        let block = self.encode();
        let checksum = block.last_chunk::<4>().copied().unwrap_or_default();
        crc32c(&checksum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_parsed_and_nothing_else() {
        let header = SegmentHeader {
            log: LogId::from_bytes([7; 16]),
            id: 3,
            capacity: 1 << 20,
            salt: 11,
            first_number: 12,
            context: 13,
            previous_digest: 14,
        };
        let block = header.encode();
        assert_eq!(SegmentHeader::parse(&block), Ok(header));
        for bit in 0..block.len() * 8 {
            let mut bad = block.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(SegmentHeader::parse(&bad), Err(Flaw::Checksum), "bit {bit}");
        }
        assert_eq!(SegmentHeader::parse(&block[..4095]), Err(Flaw::Short));
    }

    #[test]
    fn a_newer_format_is_told_from_damage() {
        let mut block = MAGIC.to_vec();
        block.extend_from_slice(&2_u32.to_le_bytes());
        end_block(&mut block, HEADER_BYTES as usize);
        assert_eq!(SegmentHeader::parse(&block), Err(Flaw::Newer(2)));
    }
}
