//! The metadata of an event's record: a length, flags, the ids, then headers to the end.

use annals_core::limits::METADATA_BYTES_MAX;
use annals_core::{EventBlockBuilder, Metadata};

use super::bad_record::{BadRecord, Part};
use super::wire::{Reader, VARINT_BYTES_MAX, length, put_identity, put_text, put_varint};

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

/// Gives the metadata of the bytes that were stepped over to the event that the block takes next.
pub(super) fn parse_metadata(body: &[u8], block: &mut EventBlockBuilder) -> Result<(), BadRecord> {
    let mut reader = Reader::new(body);
    let flags = reader.byte(PART)?;
    if flags & !KNOWN != 0 {
        return Err(BadRecord::Flags(PART));
    }
    if flags == 0 && reader.is_empty() {
        return Err(BadRecord::Empty(PART));
    }
    if flags & CORRELATION != 0 {
        let id = reader.identity(PART)?;
        let given = id.with_text(|id| block.correlation_id(id));
        given.map_err(|_| BadRecord::Name(PART))?;
    }
    if flags & CAUSATION != 0 {
        let id = reader.identity(PART)?;
        let given = id.with_text(|id| block.causation_id(id));
        given.map_err(|_| BadRecord::Name(PART))?;
    }
    let mut last: &[u8] = &[];
    while !reader.is_empty() {
        let name = reader.text_bytes(PART)?;
        let value = reader.text_bytes(PART)?;
        if name <= last && !last.is_empty() {
            return Err(BadRecord::Order(PART));
        }
        block
            .header(name, value)
            .map_err(|_| refused_header(name, value))?;
        last = name;
    }
    Ok(())
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
