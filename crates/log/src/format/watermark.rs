//! A slot of the watermark file.

use super::{Flaw, begin_block, end_block, is_zero, open_block};
use crate::LogId;
use crate::place::{RecordAt, Tip};

/// How many bytes a slot takes: what a disk writes whole.
pub(crate) const SLOT_BYTES: usize = 512;

/// Where the two slots stand.
pub(crate) const SLOT_OFFSETS: [u64; 2] = [0, 4096];

/// How many bytes the file takes.
pub(crate) const FILE_BYTES: usize = 4096 + SLOT_BYTES;

const MAGIC: [u8; 8] = *b"ANNALSWM";
const CLEAN: u32 = 1;

/// What is known to be durable, kept apart from the log itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) log: LogId,
    /// Counts the slots written; the newest valid one holds.
    pub(crate) sequence: u64,
    pub(crate) ended: Ended,
    pub(crate) segment: u32,
    /// How far that segment is durable.
    pub(crate) durable: Tip,
    /// How far readers may read: beyond `durable` only where durability is left to the system.
    pub(crate) served_offset: u32,
    pub(crate) served_number: u64,
}

/// How the last writer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It closed the log: nothing stands beyond the durable end.
    Cleanly,
    /// It didn't, or has not yet.
    Openly,
}

impl Slot {
    /// The slot as it stands at this offset of the file.
    pub(crate) fn encode(&self, offset: u64) -> Vec<u8> {
        let flags = match self.ended {
            Ended::Cleanly => CLEAN,
            Ended::Openly => 0,
        };
        let mut block = begin_block(MAGIC, SLOT_BYTES);
        block.extend_from_slice(&flags.to_le_bytes());
        block.extend_from_slice(&self.log.to_bytes());
        block.extend_from_slice(&self.sequence.to_le_bytes());
        block.extend_from_slice(&u64::from(self.segment).to_le_bytes());
        block.extend_from_slice(&u64::from(self.durable.offset).to_le_bytes());
        block.extend_from_slice(&self.durable.next_number.to_le_bytes());
        block.extend_from_slice(&self.durable.frames.to_le_bytes());
        block.extend_from_slice(&self.durable.records.to_le_bytes());
        block.extend_from_slice(&u64::from(self.durable.digest).to_le_bytes());
        block.extend_from_slice(&u64::from(self.served_offset).to_le_bytes());
        block.extend_from_slice(&self.served_number.to_le_bytes());
        block.extend_from_slice(&offset.to_le_bytes());
        end_block(&mut block, SLOT_BYTES);
        block
    }

    /// The slot of this block, which stands at this offset of the file.
    pub(crate) fn parse(block: &[u8], at: u64) -> Result<Self, Flaw> {
        let mut fields = open_block(block, MAGIC)?;
        let narrow = |wide: u64| u32::try_from(wide).map_err(|_| Flaw::Field("a 32-bit field"));
        let ended = match fields.u32()? {
            0 => Ended::Openly,
            CLEAN => Ended::Cleanly,
            _ => return Err(Flaw::Field("flags")),
        };
        let log = LogId::from_bytes(fields.array()?);
        let sequence = fields.u64()?;
        let segment = narrow(fields.u64()?)?;
        let offset = narrow(fields.u64()?)?;
        let next_number = fields.u64()?;
        let (frames, records) = (fields.u64()?, fields.u64()?);
        let durable = Tip {
            offset,
            next_number,
            frames,
            records,
            digest: narrow(fields.u64()?)?,
        };
        let slot = Self {
            log,
            sequence,
            ended,
            segment,
            durable,
            served_offset: narrow(fields.u64()?)?,
            served_number: fields.u64()?,
        };
        if fields.u64()? != at || !is_zero(fields.rest()) {
            return Err(Flaw::Field("place or padding"));
        }
        if slot.served_offset < offset || slot.served_number < next_number {
            return Err(Flaw::Field("served end"));
        }
        Ok(slot)
    }

    /// Where readers stop.
    pub(crate) fn served(&self) -> RecordAt {
        RecordAt::new(self.segment, self.served_offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_parsed_and_nothing_else() {
        let slot = Slot {
            log: LogId::from_bytes([3; 16]),
            sequence: 8,
            ended: Ended::Cleanly,
            segment: 2,
            durable: Tip {
                offset: 4136,
                next_number: 6,
                frames: 1,
                records: 4,
                digest: 0xdead,
            },
            served_offset: 4136,
            served_number: 6,
        };
        let block = slot.encode(4096);
        assert_eq!(block.len(), SLOT_BYTES);
        assert_eq!(Slot::parse(&block, 4096), Ok(slot));
        assert!(Slot::parse(&block, 0).is_err(), "a slot has its place");
        for bit in 0..block.len() * 8 {
            let mut bad = block.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Slot::parse(&bad, 4096), Err(Flaw::Checksum), "bit {bit}");
        }
    }
}
