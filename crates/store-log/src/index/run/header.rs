//! The first block of a run file.

use std::borrow::Cow;

use annals_log::checksum::crc32c;
use annals_log::{LogId, Place, RecordAt};

use super::super::RunErrorKind;
use super::super::bounds::Bounds;
use super::bytes::{u32_at, u64_at};

/// How long the header is, in bytes; the body follows.
pub(crate) const HEADER_BYTES: usize = 4096;
/// How many bytes of the body one checksum covers.
pub(crate) const BLOCK_BYTES: u32 = 16 * 1024;
/// How many positions a run covers at most.
pub(crate) const POSITIONS_MAX: u64 = 1 << 28;
/// How many sections there are.
pub(crate) const SECTIONS: usize = 7;

const MAGIC: u64 = u64::from_le_bytes(*b"ANNALRUN");
const FORMAT: u32 = 1;
const CHECKSUM_AT: usize = HEADER_BYTES - 4;
const SECTIONS_AT: usize = 152;
const SECTION_BYTES: usize = 32;

/// What a run says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) log_id: LogId,
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) upto: Place,
    pub(crate) event_ids: Bounds,
    pub(crate) append_ids: Bounds,
    pub(crate) sections: [Section; SECTIONS],
    /// Where the body ends and its checksums begin.
    pub(crate) body_end: u64,
    pub(crate) file_length: u64,
    pub(crate) checksums_checksum: u32,
}

/// Where a section is and how it is divided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Section {
    /// Where it begins, in bytes of the file.
    pub(crate) offset: u64,
    /// Its length in bytes.
    pub(crate) length: u64,
    /// How many entries it has.
    pub(crate) entries: u64,
    /// How many groups it has; their offsets end the section.
    pub(crate) groups: u64,
}

/// Which section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SectionName {
    Records,
    EventIds,
    AppendIds,
    Streams,
    Terms,
    Policies,
    Kinds,
}

impl Header {
    /// How many positions the run covers.
    pub(crate) fn positions(&self) -> u64 {
        (self.last + 1).saturating_sub(self.first)
    }

    /// The header's bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_BYTES);
        out.extend(MAGIC.to_le_bytes());
        out.extend(FORMAT.to_le_bytes());
        out.extend(self.checksums_checksum.to_le_bytes());
        out.extend(self.log_id.to_bytes());
        for number in [
            self.first,
            self.last,
            self.upto.at.to_bits(),
            self.upto.next_number,
            self.body_end,
            self.file_length,
        ] {
            out.extend(number.to_le_bytes());
        }
        out.extend(u64::from(BLOCK_BYTES).to_le_bytes());
        for bounds in [self.event_ids, self.append_ids] {
            out.extend(bounds.lowest.to_le_bytes());
            out.extend(bounds.highest.to_le_bytes());
        }
        for section in &self.sections {
            for number in [
                section.offset,
                section.length,
                section.entries,
                section.groups,
            ] {
                out.extend(number.to_le_bytes());
            }
        }
        out.resize(CHECKSUM_AT, 0);
        out.extend(crc32c(&out).to_le_bytes());
        out
    }

    /// The header that these bytes are, in a file of this length.
    pub(crate) fn decode(
        bytes: &[u8],
        file_length: u64,
    ) -> Result<Self, (RunErrorKind, Cow<'static, str>)> {
        let damaged = |what| (RunErrorKind::Damaged, Cow::Borrowed(what));
        let covered = bytes
            .get(..CHECKSUM_AT)
            .ok_or(damaged("it is too short for a header"))?;
        if u64_at(bytes, 0) != Some(MAGIC) {
            return Err(damaged("it is no run"));
        }
        if u32_at(bytes, CHECKSUM_AT) != Some(crc32c(covered)) {
            return Err(damaged("the header does not match its checksum"));
        }
        if let Some(format) = u32_at(bytes, 8).filter(|format| *format > FORMAT) {
            let what = format!("it has format {format}, and this version knows up to {FORMAT}");
            return Err((RunErrorKind::NewerFormat, what.into()));
        }
        if u32_at(bytes, 8) != Some(FORMAT) || u64_at(bytes, 80) != Some(BLOCK_BYTES.into()) {
            return Err(damaged("its format is unknown"));
        }
        let header = Self::parse(bytes).ok_or(damaged("the header is cut"))?;
        if header.file_length != file_length {
            return Err(damaged("the file was cut or lengthened"));
        }
        if !header.is_sound() {
            return Err(damaged("the header contradicts itself"));
        }
        Ok(header)
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut sections = [Section::default(); SECTIONS];
        for (index, section) in sections.iter_mut().enumerate() {
            let at = SECTIONS_AT + index * SECTION_BYTES;
            *section = Section {
                offset: u64_at(bytes, at)?,
                length: u64_at(bytes, at + 8)?,
                entries: u64_at(bytes, at + 16)?,
                groups: u64_at(bytes, at + 24)?,
            };
        }
        Some(Self {
            checksums_checksum: u32_at(bytes, 12)?,
            log_id: LogId::from_bytes(*bytes.get(16..)?.first_chunk()?),
            first: u64_at(bytes, 32)?,
            last: u64_at(bytes, 40)?,
            upto: Place {
                at: RecordAt::from_bits(u64_at(bytes, 48)?),
                next_number: u64_at(bytes, 56)?,
            },
            body_end: u64_at(bytes, 64)?,
            file_length: u64_at(bytes, 72)?,
            event_ids: parse_bounds(bytes, 88)?,
            append_ids: parse_bounds(bytes, 120)?,
            sections,
        })
    }

    /// Whether everything lies within the file, and no number can lead to more than its bytes.
    fn is_sound(&self) -> bool {
        let blocks = self
            .body_end
            .saturating_sub(HEADER_BYTES as u64)
            .div_ceil(BLOCK_BYTES.into());
        let sections = self.sections.iter().all(|section| {
            let end = section.offset.checked_add(section.length);
            section.offset >= HEADER_BYTES as u64
                && end.is_some_and(|end| end <= self.body_end)
                && section.groups <= section.length / 8
                && section.entries <= section.length
        });
        sections
            && self.first > 0
            && self.last >= self.first
            && self.last - self.first < POSITIONS_MAX
            && self.upto.next_number > self.last
            && self.section(SectionName::Records).entries == self.positions()
            && self.body_end.checked_add(blocks * 4) == Some(self.file_length)
    }

    /// One of the sections.
    pub(crate) fn section(&self, name: SectionName) -> Section {
        self.sections
            .get(name as usize)
            .copied()
            .unwrap_or_default()
    }
}

fn parse_bounds(bytes: &[u8], at: usize) -> Option<Bounds> {
    let number = |at: usize| Some(u128::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    Some(Bounds {
        lowest: number(at)?,
        highest: number(at + 16)?,
    })
}
