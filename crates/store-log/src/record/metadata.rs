//! The metadata of an event's record: a length, flags, the ids, then headers to the end.

use annals_core::limits::METADATA_BYTES_MAX;
use annals_core::{CausationId, CorrelationId, HeaderName, Metadata};

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
    let correlation_flag = correlation.map_or(0, |_| CORRELATION);
    body.push(correlation_flag | causation.map_or(0, |_| CAUSATION));
    if let Some(id) = correlation {
        put_identity(id.as_str(), &mut body);
    }
    if let Some(id) = causation {
        put_identity(id.as_str(), &mut body);
    }
    for (name, value) in metadata.headers() {
        put_text(name.as_str(), &mut body);
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

/// The metadata of the bytes that were stepped over.
pub(super) fn parse_metadata(body: &[u8]) -> Result<Metadata, BadRecord> {
    let mut reader = Reader::new(body);
    let flags = reader.byte(PART)?;
    if flags & !KNOWN != 0 {
        return Err(BadRecord::Flags(PART));
    }
    let correlation = parse_id(&mut reader, flags & CORRELATION, CorrelationId::parse)?;
    let causation = parse_id(&mut reader, flags & CAUSATION, CausationId::parse)?;
    let mut headers: Vec<(HeaderName, Box<str>)> = Vec::new();
    while !reader.is_empty() {
        let name = reader.text(PART)?;
        let name = HeaderName::parse(name).map_err(|_| BadRecord::Name(PART))?;
        let value = reader.text(PART)?;
        if headers.last().is_some_and(|(last, _)| *last >= name) {
            return Err(BadRecord::Order(PART));
        }
        headers.push((name, value.into()));
    }
    if correlation.is_none() && causation.is_none() && headers.is_empty() {
        return Err(BadRecord::Empty(PART));
    }
    Metadata::from_parts(correlation, causation, headers).map_err(|_| BadRecord::Range(PART))
}

fn parse_id<T>(
    reader: &mut Reader<'_>,
    flag: u8,
    parse: impl FnOnce(&str) -> Result<T, annals_core::Error>,
) -> Result<Option<T>, BadRecord> {
    if flag == 0 {
        return Ok(None);
    }
    let id: Identity<'_> = reader.identity(PART)?;
    id.with_text(parse)
        .map(Some)
        .map_err(|_| BadRecord::Name(PART))
}
