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
    let mut reader = Reader::new(body);
    let flags = flags(&mut reader)?;
    let mut bytes = match flags {
        0 => 0,
        _ => reader.apart(|reader| ids_bytes(flags, reader))?,
    };
    let mut last: &[u8] = &[];
    while !reader.is_empty() {
        let name = reader.text_bytes(PART)?;
        let value = reader.text_bytes(PART)?;
        // Nothing is compared with no bytes: a pointer to none leads nowhere, and to have the processor find that out
        // took a fifth of the time of a read.
        if !last.is_empty() && name <= last {
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

/// Reads metadata that was checked; the form in which events of a block have theirs.
pub(super) fn read_metadata(body: &[u8], context: &mut MetadataWriter<'_>) -> Result<(), Error> {
    let mut reader = Reader::new(body);
    let flags = flags(&mut reader).map_err(unchecked)?;
    if let Some(id) = id(CORRELATION, flags, &mut reader).map_err(unchecked)? {
        id.with_text(|id| context.correlation_id(id))?;
    }
    if let Some(id) = id(CAUSATION, flags, &mut reader).map_err(unchecked)? {
        id.with_text(|id| context.causation_id(id))?;
    }
    while !reader.is_empty() {
        let name = reader.text_bytes(PART).map_err(unchecked)?;
        let value = reader.text_bytes(PART).map_err(unchecked)?;
        context.header(name, value)?;
    }
    Ok(())
}

#[inline]
fn flags(reader: &mut Reader<'_>) -> Result<u8, BadRecord> {
    let flags = reader.byte(PART)?;
    if flags & !KNOWN != 0 {
        return Err(BadRecord::Flags(PART));
    }
    if flags == 0 && reader.is_empty() {
        return Err(BadRecord::Empty(PART));
    }
    Ok(flags)
}

/// The id that stands next where its flag is set.
fn id<'a>(flag: u8, flags: u8, reader: &mut Reader<'a>) -> Result<Option<Identity<'a>>, BadRecord> {
    if flags & flag == 0 {
        return Ok(None);
    }
    reader.identity(PART).map(Some)
}

/// Checks the ids, and counts the bytes of their texts.
fn ids_bytes(flags: u8, reader: &mut Reader<'_>) -> Result<usize, BadRecord> {
    let mut bytes = 0;
    for flag in [CORRELATION, CAUSATION] {
        if let Some(id) = id(flag, flags, reader)? {
            // Both kinds of id have the same rules.
            bytes += id
                .with_text(|id| CorrelationId::parse(id).map(|_| id.len()))
                .map_err(|_| BadRecord::Name(PART))?;
        }
    }
    Ok(bytes)
}

#[cold]
fn unchecked(bad: BadRecord) -> Error {
    Error::new(ErrorKind::Corrupt, "metadata was not checked").caused_by(bad)
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
