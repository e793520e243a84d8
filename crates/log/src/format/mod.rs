//! The bytes of the files: encoding and parsing, nothing else.
//!
//! Every block that stands alone (segment header, watermark slot, manifest) begins with its magic and
//! its format version and ends with the CRC of everything before. That stays so in every format, so
//! that an older binary tells a newer file from a damaged one.

pub(crate) mod compressed;
pub(crate) mod frame;
pub(crate) mod manifest;
pub(crate) mod segment;
pub(crate) mod watermark;

use crate::checksum::{crc32c, crc32c_append_after};

/// The version of every file that this crate writes, but for those below.
pub(crate) const FORMAT: u32 = 1;

/// The version of a manifest that lists a compressed segment.
pub(crate) const FORMAT_WITH_COMPRESSED: u32 = 2;

/// The version of a manifest that lists a segment of which some was reclaimed.
pub(crate) const FORMAT_WITH_RECLAIMED: u32 = 3;

/// The version of a manifest of a log that has an archive.
pub(crate) const FORMAT_WITH_ARCHIVE: u32 = 4;

/// What is wrong with a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// It is shorter than it must be.
    Short,
    /// Its bytes don't give its checksum.
    Checksum,
    /// It is whole, but something else.
    Magic,
    /// It is whole, and of a format after ours.
    Newer(u32),
    /// It is whole, and a field holds what it can't.
    Field(&'static str),
}

/// The start of the checksums in one segment; an offset makes it the start of one checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seed(u32);

impl Seed {
    pub(crate) fn new(salt: u64) -> Self {
        #[cfg(feature = "planted")]
        if crate::planted::is_active(crate::planted::Bug::SaltIgnored) {
            return Self(0);
        }
        Self(crc32c(&salt.to_le_bytes()))
    }

    /// The checksum of `bytes` that stand at this offset.
    pub(crate) fn checksum(self, offset: u32, bytes: &[u8]) -> u32 {
        crc32c_append_after(self.0, u64::from(offset).to_le_bytes(), bytes)
    }

    /// The checksum of a record at this offset: of its first word, then of its body.
    pub(crate) fn record(self, offset: u32, word: u32, body: &[u8]) -> u32 {
        let mut start = [0; 12];
        let (at, length) = start.split_at_mut(8);
        at.copy_from_slice(&u64::from(offset).to_le_bytes());
        length.copy_from_slice(&word.to_le_bytes());
        crc32c_append_after(self.0, start, body)
    }
}

/// Reads fields one after the other.
pub(crate) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Flaw> {
        let (field, rest) = self.0.split_first_chunk::<N>().ok_or(Flaw::Short)?;
        self.0 = rest;
        Ok(*field)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Flaw> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Flaw> {
        self.array().map(u64::from_le_bytes)
    }

    /// The next so many bytes.
    pub(crate) fn slice(&mut self, bytes: usize) -> Result<&'a [u8], Flaw> {
        let (field, rest) = self.0.split_at_checked(bytes).ok_or(Flaw::Short)?;
        self.0 = rest;
        Ok(field)
    }

    /// What was not read yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.0
    }
}

/// Begins a block of about so many bytes: magic and version.
pub(crate) fn begin_block(magic: [u8; 8], bytes: usize) -> Vec<u8> {
    begin_block_of(FORMAT, magic, bytes)
}

/// Begins a block of this version.
pub(crate) fn begin_block_of(format: u32, magic: [u8; 8], bytes: usize) -> Vec<u8> {
    let mut block = Vec::with_capacity(bytes);
    block.extend_from_slice(&magic);
    block.extend_from_slice(&format.to_le_bytes());
    block
}

/// Ends a block: zeros up to its length, less the checksum, and the checksum.
pub(crate) fn end_block(block: &mut Vec<u8>, bytes: usize) {
    debug_assert!(block.len() + 4 <= bytes, "the fields fit their block");
    block.resize(bytes.saturating_sub(4), 0);
    let checksum = crc32c(block);
    block.extend_from_slice(&checksum.to_le_bytes());
}

/// Opens a block of this magic: its fields after the version, the padding included.
pub(crate) fn open_block(block: &[u8], magic: [u8; 8]) -> Result<Fields<'_>, Flaw> {
    open_block_upto(FORMAT, block, magic).map(|(_, fields)| fields)
}

/// Opens a block of this magic and of a version up to the newest: its version, and its fields after that.
pub(crate) fn open_block_upto(
    newest: u32,
    block: &[u8],
    magic: [u8; 8],
) -> Result<(u32, Fields<'_>), Flaw> {
    let (body, checksum) = block.split_last_chunk::<4>().ok_or(Flaw::Short)?;
    if crc32c(body) != u32::from_le_bytes(*checksum) {
        return Err(Flaw::Checksum);
    }
    let mut fields = Fields::new(body);
    if fields.array::<8>()? != magic {
        return Err(Flaw::Magic);
    }
    match fields.u32()? {
        0 => Err(Flaw::Field("format version")),
        format if format > newest => Err(Flaw::Newer(format)),
        format => Ok((format, fields)),
    }
}

/// Whether all bytes are zero.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    let chunks = bytes.chunks_exact(64);
    let rest = chunks.remainder();
    let mut chunks = chunks;
    chunks.all(|chunk| chunk.iter().fold(0, |all, byte| all | byte) == 0)
        && rest.iter().all(|byte| *byte == 0)
}
