//! What a log holds at one moment, to read.

use std::ops::Range;
use std::sync::Arc;

use crate::compress::{CompressedFile, Unreadable};
use crate::error::{Damage, DamageKind, Error, ErrorKind, Result};
use crate::format::frame::{FRAME_HEADER_BYTES, Kind, RECORD_HEADER_BYTES, RawRecord, RecordHead};
use crate::format::manifest::Form;
use crate::format::segment::HEADER_BYTES;
use crate::place::{Place, RecordAt};
use crate::planted::{self, Bug};
use crate::reader::{FrameRead, FrameReader};
use crate::record_reader::RecordReader;
use crate::scan::Scan;
use crate::segments::{Bytes, Segment, SegmentList};
use crate::vfs::VfsFile;
use crate::{LogId, files, vfs};

/// How much is read for a record whose length is not known yet.
const FIRST_READ_BYTES: u32 = 1024;

/// The log up to its durable end at one moment. Immutable; a clone is a counted pointer.
///
/// Records that are appended later show in a later view only. With
/// [`Durability::Process`](crate::Durability::Process) the end is what was handed to the system.
#[derive(Clone, Debug)]
pub struct View(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    list: Arc<SegmentList>,
    end: Place,
}

/// A record, read back and checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Where it stands.
    pub at: RecordAt,
    /// Whether it took a number.
    pub kind: Kind,
    /// Its bytes.
    pub body: &'a [u8],
}

impl View {
    pub(crate) fn new(list: Arc<SegmentList>, end: Place) -> Self {
        Self(Arc::new(Inner { list, end }))
    }

    /// The identity of the log.
    pub fn log_id(&self) -> LogId {
        self.0.list.log
    }

    /// Where the view ends: the next frame will begin there, or in a new segment.
    pub fn end(&self) -> Place {
        self.0.end
    }

    /// The number of the last numbered record; 0 when there is none.
    pub fn last_number(&self) -> u64 {
        self.0.end.next_number.saturating_sub(1)
    }

    /// The segment of this id.
    pub fn segment(&self, id: u32) -> Option<&Segment> {
        let segment = self.0.list.by_id(id)?;
        (id <= self.0.end.at.segment()).then_some(&**segment)
    }

    /// How long the file of a segment in the log's directory is, in bytes; 0 when it is archived.
    ///
    /// # Errors
    /// `Io`.
    pub fn stored_bytes(&self, segment: &Segment) -> Result<u64> {
        if segment.archived.is_some() {
            return Ok(0);
        }
        if let Some(bytes) = segment.compressed_bytes() {
            return Ok(bytes);
        }
        let files = &self.0.list.files;
        let path = segment.path(files);
        let length = match files.open(&path, vfs::Access::Read) {
            Ok(file) => file.length(),
            // It is lost, or compressed since.
            Err(error) if error.kind() == ErrorKind::Corrupt => Ok(0),
            Err(error) => return Err(error),
        };
        length.map_err(|error| Error::io("the segment can't be read", &path, error))
    }

    /// Opens the file of a segment, to see whether it is within reach and begins and ends as it should.
    ///
    /// # Errors
    /// `Corrupt` when it is not there or another, `Io` when it can't be reached.
    pub fn reach(&self, segment: &Segment) -> Result<()> {
        segment.bytes(&self.0.list.files).map(drop)
    }

    /// Every segment, in order.
    pub fn segments(&self) -> impl Iterator<Item = &Segment> {
        let last = self.0.end.at.segment();
        let segments = self.0.list.segments.iter().map(|segment| &**segment);
        segments.take_while(move |segment| segment.id() <= last)
    }

    /// The numbers that repairs gave up, in order; nothing when all is well. Only a closed log is repaired,
    /// so this is the same for all views of one opening.
    pub fn lost(&self) -> &[Range<u64>] {
        self.0.list.known.lost.get_or_init(|| {
            let lost = self
                .0
                .list
                .segments
                .iter()
                .flat_map(|segment| segment.lost());
            let numbers = lost.map(|lost| lost.numbers.clone());
            numbers.filter(|numbers| !numbers.is_empty()).collect()
        })
    }

    /// Whether some records of any segment no longer say what they said.
    pub fn has_reclaimed(&self) -> bool {
        let list = &self.0.list;
        let reclaimed = || list.segments.iter().any(|segment| segment.is_reclaimed());
        *list.known.has_reclaimed.get_or_init(reclaimed)
    }

    /// Whether any segment is in an archive, so that reading it may take long.
    pub fn has_archived(&self) -> bool {
        let list = &self.0.list;
        let archived = || {
            list.segments
                .iter()
                .any(|segment| segment.archived.is_some())
        };
        *list.known.has_archived.get_or_init(archived)
    }

    /// Where the log begins.
    pub fn start(&self) -> Place {
        match self.0.list.segments.first() {
            Some(first) => first.start(),
            None => self.0.end,
        }
    }

    /// The record at this place, its checksum checked. With a map nothing is copied and `scratch` stays
    /// as it is; else the record is read into it.
    ///
    /// # Errors
    ///
    /// `NotFound` when the place is beyond the view, `Corrupt` when what stands there is not the record
    /// that was written (or no record begins there), `Io` when the disk fails.
    pub fn record<'a>(&'a self, at: RecordAt, scratch: &'a mut Vec<u8>) -> Result<Record<'a>> {
        let (segment, limit) = self.segment_and_limit(at)?;
        let bytes = segment.bytes(&self.0.list.files)?;
        let raw = if let Bytes::Map(map) = bytes {
            map.bytes(at.offset() as usize..limit as usize)
                .and_then(RawRecord::parse)
        } else {
            self.copy_record(bytes, segment, at, scratch)?;
            RawRecord::parse(scratch)
        };
        let is_valid = |raw: &RawRecord<'_>| {
            raw.is_valid(segment.seed, at.offset()) || planted::is_active(Bug::RecordUnchecked)
        };
        match raw.filter(is_valid) {
            Some(raw) => Ok(Record {
                at,
                kind: raw.kind,
                body: raw.body,
            }),
            None => Err(self.damaged_record(segment, at)),
        }
    }

    /// Reads many records, those near each other faster than [`record`](Self::record) does.
    pub fn reader(&self) -> RecordReader<'_> {
        RecordReader::new(self)
    }

    /// About how many bytes of it reading would wait for a disk for, just now; the system is asked. What is archived is
    /// always waited for.
    pub fn missing_bytes(&self) -> usize {
        let missing = self.segments().map(|segment| {
            if segment.archived.is_some() {
                return usize::MAX;
            }
            let limit = self.limit(segment) as usize;
            match segment.bytes(&self.0.list.files) {
                Ok(Bytes::Map(map)) => vfs::missing_bytes(&**map, limit),
                Ok(Bytes::Compressed(file)) => file.missing_bytes(),
                Ok(Bytes::File(_)) | Err(_) => usize::MAX,
            }
        });
        missing.fold(0, usize::saturating_add)
    }

    /// Reads what is not in memory, so that it is then; waits for the disk. What is archived stays where it is.
    pub fn load(&self) {
        for segment in self.segments().filter(|it| it.archived.is_none()) {
            match segment.bytes(&self.0.list.files) {
                Ok(Bytes::Map(map)) => vfs::load(&**map, self.limit(segment) as usize),
                Ok(Bytes::Compressed(file)) => file.load(),
                Ok(Bytes::File(_)) | Err(_) => {}
            }
        }
    }

    /// All records from this boundary of frames on, in order; from [`start`](Self::start) for all.
    pub fn scan(&self, from: Place) -> Scan {
        Scan::new(self.clone(), from)
    }

    pub(crate) fn bytes_of<'a>(&'a self, segment: &'a Segment) -> Result<&'a Bytes> {
        segment.bytes(&self.0.list.files)
    }

    pub(crate) fn list(&self) -> &SegmentList {
        &self.0.list
    }

    /// Where the frames of this segment end, for this view.
    pub(crate) fn limit(&self, segment: &Segment) -> u32 {
        if segment.id() == self.0.end.at.segment() {
            return self.0.end.at.offset();
        }
        segment.sealed.get().map_or(0, |end| end.offset)
    }

    fn segment_and_limit(&self, at: RecordAt) -> Result<(&Segment, u32)> {
        let segment = self.segment(at.segment()).ok_or_else(|| not_found(at))?;
        let limit = self.limit(segment);
        if !segment.lost.is_empty()
            && let Some(lost) = segment.lost_at(at.offset())
        {
            let path = segment.path(&self.0.list.files);
            let damage = Damage::new(&path, at.offset(), DamageKind::Lost);
            return Err(Error::corrupt(damage.of_numbers(lost.numbers.clone())));
        }
        if at.offset() < HEADER_BYTES + FRAME_HEADER_BYTES || at.offset() >= limit {
            return Err(not_found(at));
        }
        Ok((segment, limit))
    }

    /// Copies a record to the buffer, or what stands where it should be.
    fn copy_record(
        &self,
        bytes: &Bytes,
        segment: &Segment,
        at: RecordAt,
        scratch: &mut Vec<u8>,
    ) -> Result<()> {
        let copied = match bytes {
            Bytes::Compressed(file) => self.unpack_record(file, segment, at, scratch),
            Bytes::File(file) => self.read_record(&**file, segment, at, scratch),
            Bytes::Map(_) => return Ok(()),
        };
        match copied {
            // It was brought back since it was opened, and is read where it is by now.
            Err(error) if segment.is_gone_from_archive(&error) => {
                let file = segment.open(&self.0.list.files, segment.sealed.get())?;
                self.read_record(&*file, segment, at, scratch)
            }
            copied => copied,
        }
    }

    fn read_record(
        &self,
        file: &dyn VfsFile,
        segment: &Segment,
        at: RecordAt,
        scratch: &mut Vec<u8>,
    ) -> Result<()> {
        let room = self.limit(segment) - at.offset();
        let mut wanted = room.min(FIRST_READ_BYTES) as usize;
        scratch.clear();
        loop {
            let have = scratch.len();
            scratch.resize(wanted, 0);
            let rest = scratch.get_mut(have..).unwrap_or_default();
            let offset = u64::from(at.offset()) + have as u64;
            let read = files::read_full(file, rest, offset).map_err(|error| {
                let path = segment.path(&self.0.list.files);
                Error::io("the record can't be read", &path, error)
            })?;
            scratch.truncate(have + read);
            let Some(head) = RecordHead::parse(scratch) else {
                return Ok(());
            };
            let bytes = RECORD_HEADER_BYTES + head.body_bytes as usize;
            if bytes <= scratch.len() || bytes > room as usize || scratch.len() < wanted {
                return Ok(());
            }
            wanted = bytes;
        }
    }

    /// Copies a record out of the block that it is in.
    fn unpack_record(
        &self,
        file: &CompressedFile,
        segment: &Segment,
        at: RecordAt,
        scratch: &mut Vec<u8>,
    ) -> Result<()> {
        scratch.clear();
        let block = match file.block_of(at.offset()) {
            Some(Ok(block)) => block,
            None => return Ok(()),
            Some(Err(Unreadable::Io(error))) => {
                return Err(Error::io("the record can't be read", file.path(), error));
            }
            Some(Err(Unreadable::Damaged(stored_at))) => {
                let mut damage = Damage::new(file.path(), stored_at, DamageKind::Block);
                damage.numbers = self.numbers_around(segment, at.offset());
                return Err(Error::corrupt(damage));
            }
        };
        let rest = block.from(at.offset()).unwrap_or_default();
        if let Some(raw) = RawRecord::parse(rest) {
            let bytes = RECORD_HEADER_BYTES + raw.body.len();
            scratch.extend_from_slice(rest.get(..bytes).unwrap_or_default());
        }
        Ok(())
    }

    /// The error for a record that is not what was written, with the numbers of the frame around it.
    #[cold]
    fn damaged_record(&self, segment: &Segment, at: RecordAt) -> Error {
        let path = segment.path(&self.0.list.files);
        let mut damage = Damage::new(&path, at.offset(), DamageKind::Record);
        damage.numbers = self.numbers_around(segment, at.offset());
        Error::corrupt(damage)
    }

    /// The numbers between the last whole frame before an offset and the first one after it.
    pub(crate) fn numbers_around(&self, segment: &Segment, offset: u32) -> Option<Range<u64>> {
        let files = &self.0.list.files;
        let file = match segment.form {
            Form::Compressed { .. } => segment.open(files, segment.sealed.get()).ok()?,
            // A flaw of the header or the footer keeps nothing from being told of the frames.
            Form::Plain => files.open_kept(&segment.header, &segment.kept()).ok()?.1,
        };
        let limit = self.limit(segment);
        let mut reader = FrameReader::new(file, segment.seed, limit);
        let (mut at, mut first) = (HEADER_BYTES, segment.first_number());
        while let FrameRead::Whole(frame) = reader.frame(at).ok()? {
            let next = at + frame.bytes;
            if next > offset {
                break;
            }
            (at, first) = (next, frame.header.first_number + u64::from(frame.numbered));
        }
        let after = reader
            .find_header(offset, |_, header| header.first_number >= first)
            .ok()?;
        let next_segment = self.segment(segment.id().checked_add(1)?);
        let end = after
            .map(|(_, header)| header.first_number)
            .or_else(|| next_segment.map(Segment::first_number))
            .unwrap_or(self.0.end.next_number);
        Some(first..end.max(first))
    }
}

#[cold]
fn not_found(at: RecordAt) -> Error {
    Error::new(
        ErrorKind::NotFound,
        format!("no record stands at {at}; take a newer view, or the place is another log's"),
    )
}
