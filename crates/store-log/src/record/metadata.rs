//! The metadata of an event's record: a length, flags, the ids, then headers to the end.

use annals_core::limits::METADATA_BYTES_MAX;
use annals_core::{CorrelationId, Error, ErrorKind, Metadata, MetadataWriter};

use super::bad_record::{BadRecord, Part};
use super::wire::{Identity, Reader, VARINT_BYTES_MAX, length, put_identity, put_text, put_varint};

const PART: Part = Part::Metadata;
/// Above what metadata within its limit takes: a header counts one byte for its name, and takes three.
const BODY_BYTES_MAX: u64 = 4 * METADATA_BYTES_MAX as u64;
const CORRELATION: u8 = 1;
const CAUSATION: u8 = 1 << 1;
const KNOWN: u8 = CORRELATION | CAUSATION;

/// Appends metadata that is not empty.
pub(super) fn put_metadata(metadata: &Metadata, out: &mut Vec<u8>) {
    let mut body = Vec::with_capacity(metadata_bytes_max(metadata));
    let correlation = metadata.correlation_id();
    let causation = metadata.causation_id();
    let correlation_flag = correlation.as_ref().map_or(0, |_| CORRELATION);
    body.push(correlation_flag | causation.as_ref().map_or(0, |_| CAUSATION));
    if let Some(id) = correlation {
        put_identity(id.as_str(), &mut body);
    }
    if let Some(id) = causation {
        put_identity(id.as_str(), &mut body);
    }
    for (name, value) in metadata.headers() {
        put_text(name, &mut body);
        put_text(value, &mut body);
    }
    put_varint(length(body.len()), out);
    out.extend_from_slice(&body);
}

/// The most bytes that [`put_metadata`] appends.
pub(super) fn metadata_bytes_max(metadata: &Metadata) -> usize {
    4 * VARINT_BYTES_MAX + metadata.bytes() + metadata.headers().count() * 2 * VARINT_BYTES_MAX
}

/// Steps over metadata, without a look inside.
#[inline]
pub(super) fn skip_metadata<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], BadRecord> {
    let length = reader.varint(PART)?;
    if length == 0 {
        return Err(BadRecord::Empty(PART));
    }
    if length > BODY_BYTES_MAX {
        return Err(BadRecord::Range(PART));
    }
    reader.take(length, PART)
}

/// Checks the metadata that was stepped over, so that [`read_metadata`] has nothing to refuse, and counts the bytes of
/// its texts.
#[inline]
pub(super) fn check_metadata(body: &[u8]) -> Result<usize, BadRecord> {
    let mut parts = MetadataParts::parse(body)?;
    let mut bytes = 0;
    for id in [parts.correlation, parts.causation].into_iter().flatten() {
        bytes += id.with_text(checked_id)?;
    }
    let mut last: &[u8] = &[];
    while let Some((name, value)) = parts.next_header()? {
        if name <= last && !last.is_empty() {
            return Err(BadRecord::Order(PART));
        }
        Metadata::check_header(name, value).map_err(|_| refused_header(name, value))?;
        bytes += name.len() + value.len();
        last = name;
    }
    if bytes > METADATA_BYTES_MAX {
        return Err(BadRecord::Range(PART));
    }
    Ok(bytes)
}

/// The bytes of an id, which both kinds of id have the same rules for.
fn checked_id(id: &str) -> Result<usize, BadRecord> {
    CorrelationId::parse(id).map_err(|_| BadRecord::Name(PART))?;
    Ok(id.len())
}

/// Reads metadata that was checked; the form in which events of a block have theirs.
pub(super) fn read_metadata(body: &[u8], context: &mut MetadataWriter<'_>) -> Result<(), Error> {
    let unchecked = |bad: BadRecord| {
        Error::new(ErrorKind::Corrupt, "metadata was never checked").caused_by(bad)
    };
    let mut parts = MetadataParts::parse(body).map_err(unchecked)?;
    if let Some(id) = parts.correlation {
        id.with_text(|id| context.correlation_id(id))?;
    }
    if let Some(id) = parts.causation {
        id.with_text(|id| context.causation_id(id))?;
    }
    while let Some((name, value)) = parts.next_header().map_err(unchecked)? {
        context.header(name, value)?;
    }
    Ok(())
}

/// Metadata as it is read.
struct MetadataParts<'a> {
    correlation: Option<Identity<'a>>,
    causation: Option<Identity<'a>>,
    headers: Reader<'a>,
}

impl<'a> MetadataParts<'a> {
    #[inline]
    fn parse(body: &'a [u8]) -> Result<Self, BadRecord> {
        let mut reader = Reader::new(body);
        let flags = reader.byte(PART)?;
        if flags & !KNOWN != 0 {
            return Err(BadRecord::Flags(PART));
        }
        if flags == 0 && reader.is_empty() {
            return Err(BadRecord::Empty(PART));
        }
        let mut id = |flag| match flags & flag {
            0 => Ok(None),
            _ => reader.identity(PART).map(Some),
        };
        Ok(Self {
            correlation: id(CORRELATION)?,
            causation: id(CAUSATION)?,
            headers: reader,
        })
    }

    /// The name and the value of the next header.
    #[inline]
    fn next_header(&mut self) -> Result<Option<(&'a [u8], &'a [u8])>, BadRecord> {
        if self.headers.is_empty() {
            return Ok(None);
        }
        let name = self.headers.text_bytes(PART)?;
        Ok(Some((name, self.headers.text_bytes(PART)?)))
    }
}

/// Why a header was not taken.
#[cold]
fn refused_header(name: &[u8], value: &[u8]) -> BadRecord {
    match [name, value].map(std::str::from_utf8) {
        [Ok(_), Ok(value)] if value.contains('\0') => BadRecord::Range(PART),
        [Ok(_), Ok(_)] => BadRecord::Name(PART),
        _ => BadRecord::Text(PART),
    }
}
