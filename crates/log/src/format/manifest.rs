//! The manifest: every segment of the log, in order.

use std::sync::Arc;

use super::{
    FORMAT, FORMAT_WITH_ARCHIVE, FORMAT_WITH_COMPRESSED, FORMAT_WITH_RECLAIMED, Flaw,
    begin_block_of, end_block, open_block_upto,
};
use crate::LogId;
use crate::format::frame::FOOTER_BYTES;
use crate::format::segment::{HEADER_BYTES, SegmentHeader};
use crate::place::Lost;

const MAGIC: [u8; 8] = *b"ANNALSMF";
const SEALED: u32 = 1;
const ABANDONED: u32 = 2;
const COMPRESSED: u32 = 4;
const RECLAIMED: u32 = 8;
const RECLAIMED_FORM: u32 = COMPRESSED | RECLAIMED;
const ARCHIVED: u32 = 16;
/// The longest location of an archive, in bytes.
pub(crate) const LOCATION_BYTES_MAX: usize = 4096;
/// What an entry takes at least.
const ENTRY_BYTES: usize = 64;
const LOST_BYTES: usize = 24;

/// What the log consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) log: LogId,
    /// What tells the log's folder in an archive from those of its forks, where it has or had one; not 0.
    pub(crate) archive_key: Option<u64>,
    /// At least one; the last is the one that is written to.
    pub(crate) segments: Vec<Entry>,
}

/// One segment, as the manifest knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) header: SegmentHeader,
    pub(crate) end: Option<SealedEnd>,
    pub(crate) form: Form,
    /// Where its file is when it is not in the log's directory.
    pub(crate) archived: Option<Arc<Archived>>,
    /// What repair gave up, in order.
    pub(crate) lost: Vec<Lost>,
}

/// The file of a segment in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Archived {
    /// A directory, or a URL.
    pub(crate) location: String,
    /// The key of the log's folder there.
    pub(crate) key: u64,
    /// How long the file is, in bytes.
    pub(crate) bytes: u64,
    /// CRC32C of all of it.
    pub(crate) checksum: u32,
}

/// In which form a segment's bytes are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// As they were written.
    Plain,
    /// Compressed, in a file of this many bytes; some of the records may be without what they said.
    Compressed {
        bytes: u64,
        reclaimed: Option<Reclaimed>,
    },
}

/// That some of a segment's records no longer say what they said. The digest of its end is that of the frames
/// as they are now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reclaimed {
    /// How many times something was reclaimed, from 1.
    pub(crate) generation: u32,
    /// The digest of the frames as they were when the segment was sealed, which the next segment names.
    pub(crate) sealed_digest: u32,
}

impl Form {
    /// How many times something was reclaimed.
    pub(crate) fn generation(self) -> u32 {
        self.reclaimed().map_or(0, |reclaimed| reclaimed.generation)
    }

    pub(crate) fn reclaimed(self) -> Option<Reclaimed> {
        match self {
            Self::Plain => None,
            Self::Compressed { reclaimed, .. } => reclaimed,
        }
    }
}

/// The end of a sealed segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SealedEnd {
    /// Where its frames end.
    pub(crate) offset: u32,
    pub(crate) digest: u32,
    pub(crate) closing: Closing,
}

/// What stands at the end of a sealed segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closing {
    /// A footer.
    Footer,
    /// Nothing that can be relied on: repair gave the segment up and began another.
    Abandoned,
}

impl Manifest {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut block = begin_block_of(self.format(), MAGIC, 0);
        block.extend_from_slice(&length(&self.segments).to_le_bytes());
        block.extend_from_slice(&self.log.to_bytes());
        if let Some(key) = self.archive_key {
            block.extend_from_slice(&key.to_le_bytes());
        }
        for entry in &self.segments {
            entry.encode(&mut block);
        }
        let bytes = block.len() + 4;
        end_block(&mut block, bytes);
        block
    }

    /// The oldest format that says it all: a log without compressed segments is written as ever.
    fn format(&self) -> u32 {
        if self.archive_key.is_some() {
            return FORMAT_WITH_ARCHIVE;
        }
        let formats = self.segments.iter().map(|entry| match entry.form {
            Form::Plain => FORMAT,
            Form::Compressed {
                reclaimed: None, ..
            } => FORMAT_WITH_COMPRESSED,
            Form::Compressed { .. } => FORMAT_WITH_RECLAIMED,
        });
        formats.max().unwrap_or(FORMAT)
    }

    /// The entry of this segment.
    pub(crate) fn entry_mut(&mut self, id: u32) -> Option<&mut Entry> {
        let mut segments = self.segments.iter_mut();
        segments.find(|entry| entry.header.id == id)
    }

    pub(crate) fn parse(block: &[u8]) -> Result<Self, Flaw> {
        let (format, mut fields) = open_block_upto(FORMAT_WITH_ARCHIVE, block, MAGIC)?;
        let count = fields.u32()? as usize;
        let log = LogId::from_bytes(fields.array()?);
        let archive_key = match format {
            FORMAT_WITH_ARCHIVE => Some(fields.u64()?),
            _ => None,
        };
        if archive_key == Some(0) {
            return Err(Flaw::Field("key of the archive"));
        }
        if count == 0 || count > fields.rest().len() / ENTRY_BYTES {
            return Err(Flaw::Field("count of segments"));
        }
        let mut segments: Vec<Entry> = Vec::with_capacity(count);
        for _ in 0..count {
            let entry = Entry::parse(&mut fields, log, (format, archive_key))?;
            if let Some(before) = segments.last() {
                let next = before.header.id.checked_add(1) == Some(entry.header.id);
                if !next || before.end.is_none() {
                    return Err(Flaw::Field("order of segments"));
                }
            }
            segments.push(entry);
        }
        let open = segments.last().is_some_and(|entry| entry.end.is_none());
        if !fields.rest().is_empty() || !open {
            return Err(Flaw::Field("end"));
        }
        let manifest = Self {
            log,
            archive_key,
            segments,
        };
        if manifest.format() != format {
            return Err(Flaw::Field("format of no segment"));
        }
        Ok(manifest)
    }
}

impl Entry {
    /// The digest that the next segment names; `None` while this one is open.
    pub(crate) fn sealed_digest(&self) -> Option<u32> {
        let reclaimed = self.form.reclaimed();
        let end = self.end?;
        Some(reclaimed.map_or(end.digest, |reclaimed| reclaimed.sealed_digest))
    }

    fn encode(&self, block: &mut Vec<u8>) {
        let header = &self.header;
        let (flags, offset, digest) = match self.end {
            None => (0, 0, 0),
            Some(end) => (
                match end.closing {
                    Closing::Footer => SEALED,
                    Closing::Abandoned => SEALED | ABANDONED,
                },
                end.offset,
                end.digest,
            ),
        };
        let (form, compressed_bytes) = match self.form {
            Form::Plain => (0, 0),
            Form::Compressed {
                bytes,
                reclaimed: None,
            } => (COMPRESSED, bytes),
            Form::Compressed { bytes, .. } => (RECLAIMED_FORM, bytes),
        };
        let archived = if self.archived.is_some() { ARCHIVED } else { 0 };
        let flags = flags | form | archived;
        block.extend_from_slice(&u64::from(header.id).to_le_bytes());
        block.extend_from_slice(&header.salt.to_le_bytes());
        block.extend_from_slice(&header.first_number.to_le_bytes());
        block.extend_from_slice(&header.context.to_le_bytes());
        for word in [
            header.capacity,
            header.previous_digest,
            flags,
            offset,
            digest,
        ] {
            block.extend_from_slice(&word.to_le_bytes());
        }
        block.extend_from_slice(&compressed_bytes.to_le_bytes());
        block.extend_from_slice(&length(&self.lost).to_le_bytes());
        if let Some(reclaimed) = self.form.reclaimed() {
            block.extend_from_slice(&reclaimed.generation.to_le_bytes());
            block.extend_from_slice(&reclaimed.sealed_digest.to_le_bytes());
        }
        if let Some(archived) = &self.archived {
            archived.encode(block);
        }
        for lost in &self.lost {
            block.extend_from_slice(&lost.offsets.start.to_le_bytes());
            block.extend_from_slice(&lost.offsets.end.to_le_bytes());
            block.extend_from_slice(&lost.numbers.start.to_le_bytes());
            block.extend_from_slice(&lost.numbers.end.to_le_bytes());
        }
    }

    fn parse(
        fields: &mut super::Fields<'_>,
        log: LogId,
        (format, archive_key): (u32, Option<u64>),
    ) -> Result<Self, Flaw> {
        let id = u32::try_from(fields.u64()?).map_err(|_| Flaw::Field("segment id"))?;
        let (salt, first_number, context) = (fields.u64()?, fields.u64()?, fields.u64()?);
        let (capacity, previous_digest) = (fields.u32()?, fields.u32()?);
        let (flags, offset, digest) = (fields.u32()?, fields.u32()?, fields.u32()?);
        let compressed_bytes = fields.u64()?;
        let lost_count = fields.u32()? as usize;
        let form = match (flags & RECLAIMED_FORM, compressed_bytes) {
            (0, 0) => Form::Plain,
            (COMPRESSED, bytes) if format >= FORMAT_WITH_COMPRESSED && bytes > 0 => {
                Form::Compressed {
                    bytes,
                    reclaimed: None,
                }
            }
            (RECLAIMED_FORM, bytes) if format >= FORMAT_WITH_RECLAIMED && bytes > 0 => {
                Form::Compressed {
                    bytes,
                    reclaimed: Some(parse_reclaimed(fields)?),
                }
            }
            _ => return Err(Flaw::Field("flags or length")),
        };
        let archived = match (flags & ARCHIVED, archive_key) {
            (0, _) => None,
            (_, Some(key)) => Some(Arc::new(Archived::parse(fields, key)?)),
            (_, None) => return Err(Flaw::Field("flags or length")),
        };
        let is_local_plain = form == Form::Plain && archived.is_none();
        let closing = match flags & !(RECLAIMED_FORM | ARCHIVED) {
            0 if offset == 0 && digest == 0 && is_local_plain => None,
            SEALED => Some(Closing::Footer),
            flags if flags == SEALED | ABANDONED => Some(Closing::Abandoned),
            _ => return Err(Flaw::Field("flags or end")),
        };
        let sane = id > 0 && first_number > 0 && capacity >= HEADER_BYTES && offset <= capacity;
        if !sane {
            return Err(Flaw::Field("entry"));
        }
        Ok(Self {
            header: SegmentHeader {
                log,
                id,
                capacity,
                salt,
                first_number,
                context,
                previous_digest,
            },
            end: closing.map(|closing| SealedEnd {
                offset,
                digest,
                closing,
            }),
            form,
            archived,
            lost: parse_lost(fields, lost_count)?,
        })
    }
}

impl SealedEnd {
    /// How long the plain segment is up to the end of its footer, in bytes.
    pub(crate) fn plain_bytes(&self) -> u64 {
        u64::from(self.offset) + u64::from(FOOTER_BYTES)
    }
}

impl Archived {
    fn encode(&self, block: &mut Vec<u8>) {
        let location = self.location.as_bytes();
        block.extend_from_slice(&self.bytes.to_le_bytes());
        block.extend_from_slice(&self.checksum.to_le_bytes());
        block.extend_from_slice(&length(location).to_le_bytes());
        block.extend_from_slice(location);
    }

    fn parse(fields: &mut super::Fields<'_>, key: u64) -> Result<Self, Flaw> {
        let (bytes, checksum) = (fields.u64()?, fields.u32()?);
        let location = fields.u32()? as usize;
        if bytes == 0 || location == 0 || location > LOCATION_BYTES_MAX {
            return Err(Flaw::Field("archived file"));
        }
        let location = std::str::from_utf8(fields.slice(location)?);
        let location = location.map_err(|_| Flaw::Field("location of an archive"))?;
        Ok(Self {
            location: location.to_owned(),
            key,
            bytes,
            checksum,
        })
    }
}

fn parse_reclaimed(fields: &mut super::Fields<'_>) -> Result<Reclaimed, Flaw> {
    let (generation, sealed_digest) = (fields.u32()?, fields.u32()?);
    if generation == 0 {
        return Err(Flaw::Field("generation"));
    }
    Ok(Reclaimed {
        generation,
        sealed_digest,
    })
}

fn parse_lost(fields: &mut super::Fields<'_>, count: usize) -> Result<Vec<Lost>, Flaw> {
    if count > fields.rest().len() / LOST_BYTES {
        return Err(Flaw::Field("count of lost ranges"));
    }
    let mut lost: Vec<Lost> = Vec::with_capacity(count);
    for _ in 0..count {
        let offsets = fields.u32()?..fields.u32()?;
        let numbers = fields.u64()?..fields.u64()?;
        let after = lost
            .last()
            .is_none_or(|before| before.offsets.end <= offsets.start);
        if offsets.is_empty() || numbers.start > numbers.end || !after {
            return Err(Flaw::Field("lost range"));
        }
        lost.push(Lost { offsets, numbers });
    }
    Ok(lost)
}

#[expect(
    clippy::expect_used,
    reason = "segments and lost ranges are counted by 32-bit ids and offsets"
)]
fn length<T>(list: &[T]) -> u32 {
    u32::try_from(list.len()).expect("at most one per 32-bit id or offset")
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPRESSED_FORM: Form = Form::Compressed {
        bytes: 77,
        reclaimed: None,
    };

    fn manifest() -> Manifest {
        let log = LogId::from_bytes([5; 16]);
        let header = |id| SegmentHeader {
            log,
            id,
            capacity: 1 << 16,
            salt: 21,
            first_number: 22,
            context: 23,
            previous_digest: 24,
        };
        let sealed = Entry {
            header: header(1),
            end: Some(SealedEnd {
                offset: 5000,
                digest: 31,
                closing: Closing::Abandoned,
            }),
            form: Form::Plain,
            archived: None,
            lost: vec![Lost {
                offsets: 4096..4160,
                numbers: 22..22,
            }],
        };
        let active = Entry {
            header: header(2),
            end: None,
            form: Form::Plain,
            archived: None,
            lost: Vec::new(),
        };
        Manifest {
            log,
            archive_key: None,
            segments: vec![sealed, active],
        }
    }

    #[test]
    fn what_is_encoded_is_parsed_and_nothing_else() {
        let block = manifest().encode();
        assert_eq!(Manifest::parse(&block), Ok(manifest()));
        for bit in 0..block.len() * 8 {
            let mut bad = block.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Manifest::parse(&bad), Err(Flaw::Checksum), "bit {bit}");
        }
        for length in 0..block.len() {
            assert!(Manifest::parse(&block[..length]).is_err());
        }
    }

    #[test]
    fn a_compressed_segment_makes_it_a_manifest_that_older_binaries_refuse() {
        let mut manifest = manifest();
        assert_eq!(manifest.encode()[8..12], [1, 0, 0, 0]);
        manifest.segments[0].form = COMPRESSED_FORM;
        let block = manifest.encode();
        assert_eq!(block[8..12], [2, 0, 0, 0]);
        assert_eq!(Manifest::parse(&block), Ok(manifest));
        assert!(matches!(
            open_block_upto(FORMAT, &block, MAGIC),
            Err(Flaw::Newer(2))
        ));
    }

    #[test]
    fn what_was_reclaimed_is_kept_beside_the_digest_of_the_chain() {
        let mut manifest = manifest();
        manifest.segments[0].form = Form::Compressed {
            bytes: 77,
            reclaimed: Some(Reclaimed {
                generation: 2,
                sealed_digest: 30,
            }),
        };
        let block = manifest.encode();
        assert_eq!(block[8..12], [3, 0, 0, 0]);
        assert_eq!(Manifest::parse(&block), Ok(manifest.clone()));
        assert_eq!(manifest.segments[0].sealed_digest(), Some(30));
        assert!(matches!(
            open_block_upto(FORMAT_WITH_COMPRESSED, &block, MAGIC),
            Err(Flaw::Newer(3))
        ));
    }

    #[test]
    fn an_archived_segment_says_where_its_file_is() {
        let mut manifest = manifest();
        manifest.archive_key = Some(9);
        let block = manifest.encode();
        assert_eq!(block[8..12], [4, 0, 0, 0]);
        assert_eq!(Manifest::parse(&block), Ok(manifest.clone()));
        manifest.segments[0].archived = Some(Arc::new(Archived {
            location: "/cold".to_owned(),
            key: 9,
            bytes: 5100,
            checksum: 33,
        }));
        let block = manifest.encode();
        assert_eq!(Manifest::parse(&block), Ok(manifest.clone()));
        assert!(matches!(
            open_block_upto(FORMAT_WITH_RECLAIMED, &block, MAGIC),
            Err(Flaw::Newer(4))
        ));
        for bit in 0..block.len() * 8 {
            let mut bad = block.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Manifest::parse(&bad), Err(Flaw::Checksum), "bit {bit}");
        }
    }

    #[test]
    fn a_form_that_the_format_does_not_know_is_a_flaw() {
        let reclaimed = Form::Compressed {
            bytes: 77,
            reclaimed: Some(Reclaimed {
                generation: 1,
                sealed_digest: 30,
            }),
        };
        for (form, format) in [(COMPRESSED_FORM, 1), (reclaimed, 1), (reclaimed, 2)] {
            let mut manifest = manifest();
            manifest.segments[0].form = form;
            let mut block = manifest.encode();
            block.truncate(block.len() - 4);
            block[8] = format;
            let bytes = block.len() + 4;
            end_block(&mut block, bytes);
            let flaw = Flaw::Field("flags or length");
            assert_eq!(Manifest::parse(&block), Err(flaw));
        }
    }

    #[test]
    fn counts_are_checked_before_memory_is_taken() {
        let mut block = begin_block_of(FORMAT, MAGIC, 0);
        block.extend_from_slice(&u32::MAX.to_le_bytes());
        let bytes = block.len() + 4;
        end_block(&mut block, bytes + 16);
        assert_eq!(
            Manifest::parse(&block),
            Err(Flaw::Field("count of segments"))
        );
    }
}
