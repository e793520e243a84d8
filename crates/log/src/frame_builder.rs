//! Builds a frame in place, to be written in one piece.

use std::mem;

use crate::checksum::crc32c_append;
use crate::error::{Error, ErrorKind, Result};
use crate::format::frame::{
    FRAME_HEADER_BYTES, FrameHeader, FrameKind, Kind, RECORD_HEADER_BYTES, finish_record,
    frame_bytes,
};
use crate::place::{Place, RecordAt};
use crate::planted::{self, Bug};
use crate::writer::{Log, tip_after};

/// A frame being built at the log's end: an atomic batch of records. Dropping it writes nothing.
#[derive(Debug)]
pub struct FrameBuilder<'a> {
    log: &'a mut Log,
    buffer: Vec<u8>,
    records: u32,
    numbered: u32,
    checksum: u32,
    is_too_long: bool,
}

impl<'a> FrameBuilder<'a> {
    pub(crate) fn new(log: &'a mut Log) -> Self {
        let mut buffer = mem::take(&mut log.buffer);
        buffer.clear();
        buffer.resize(FRAME_HEADER_BYTES as usize, 0);
        Self {
            log,
            buffer,
            records: 0,
            numbered: 0,
            checksum: 0,
            is_too_long: false,
        }
    }

    /// Adds a record, whose body the closure appends to the buffer; it must leave alone what the buffer
    /// holds. Tells where the record will stand.
    pub fn push(&mut self, kind: Kind, body: impl FnOnce(&mut Vec<u8>)) -> RecordAt {
        let active = &self.log.active;
        let start = self.buffer.len();
        let offset = u32::try_from(start)
            .ok()
            .and_then(|start| active.written.offset.checked_add(start));
        let at = RecordAt::new(active.segment.id(), offset.unwrap_or(u32::MAX));
        let seed = active.segment.seed;
        self.buffer.resize(start + RECORD_HEADER_BYTES, 0);
        body(&mut self.buffer);
        debug_assert!(self.buffer.len() >= start + RECORD_HEADER_BYTES);
        if planted::is_active(Bug::LastRecordDropped) && self.records == 2 {
            self.buffer.truncate(start);
            return at;
        }
        let record = self.buffer.get_mut(start..).unwrap_or_default();
        match offset.and_then(|offset| finish_record(record, kind, seed, offset)) {
            Some(checksum) => {
                self.checksum = crc32c_append(self.checksum, &checksum.to_le_bytes());
                self.records += 1;
                self.numbered += u32::from(kind == Kind::Numbered);
            }
            None => self.is_too_long = true,
        }
        at
    }

    /// How many body bytes the frame has so far, as [`Log::reserve`] counts them.
    pub fn bytes(&self) -> usize {
        self.buffer.len() - FRAME_HEADER_BYTES as usize
    }

    /// The number that the next numbered record takes.
    pub fn next_number(&self) -> u64 {
        self.log.active.written.next_number + u64::from(self.numbered)
    }

    /// Writes the frame in one piece; a frame without records writes nothing. It is durable after
    /// [`Log::sync`].
    ///
    /// # Errors
    ///
    /// `NoSpace` and `Invalid` (no room was reserved): nothing was written, the log goes on. `Unknown`
    /// and `Poisoned`: the log is stopped.
    pub fn write(mut self) -> Result<Place> {
        if self.records == 0 && !self.is_too_long {
            self.log.check_usable()?;
            return Ok(self.log.place());
        }
        let body_bytes = u32::try_from(self.bytes()).ok();
        let frame = body_bytes.and_then(|body| Some((body, frame_bytes(body)?)));
        let Some((body_bytes, length)) = frame.filter(|_| !self.is_too_long) else {
            return Err(too_long());
        };
        let active = &self.log.active;
        let before = active.written;
        if before.offset.checked_add(length).is_none() {
            return Err(too_long());
        }
        let durable = if planted::is_active(Bug::DurableUptoAhead) {
            before
        } else {
            active.durable
        };
        let header = FrameHeader {
            kind: FrameKind::Data,
            body_bytes,
            records: self.records,
            first_number: before.next_number,
            durable_upto: durable.offset,
            body_checksum: self.checksum,
        };
        let head = header.encode(active.segment.seed, before.offset);
        if let Some(place) = self.buffer.first_chunk_mut() {
            *place = head;
        }
        self.buffer.resize(length as usize, 0);
        let after = tip_after(&before, &header, &head, length, self.numbered);
        self.log.write_frame(&self.buffer, after, FrameKind::Data)
    }
}

impl Drop for FrameBuilder<'_> {
    /// Gives the buffer back to the log, unless one huge frame has made it too large to keep.
    fn drop(&mut self) {
        const KEPT_BYTES_MAX: usize = 16 * 1024 * 1024;
        if self.buffer.capacity() <= KEPT_BYTES_MAX {
            self.log.buffer = mem::take(&mut self.buffer);
        }
    }
}

fn too_long() -> Error {
    Error::new(
        ErrorKind::Invalid,
        "the frame is longer than a segment can be; split the batch",
    )
}
