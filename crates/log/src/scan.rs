//! All records in order.

use std::path::PathBuf;

use crate::error::{Damage, DamageKind, Error, ErrorKind, Result};
use crate::files::Files;
use crate::format::frame::{FRAME_HEADER_BYTES, FrameKind, Kind, RECORD_HEADER_BYTES, RawRecord};
use crate::format::segment::HEADER_BYTES;
use crate::place::{Place, RecordAt};
use crate::reader::{Frame, FrameRead, FrameReader};
use crate::segments::Segment;
use crate::view::View;

/// A scan over the records of a [`View`], in the order in which they were appended. It reads in large
/// pieces, holds one piece in memory, and checks every frame whole before it gives a record of it.
#[derive(Debug)]
pub struct Scan {
    view: View,
    /// Where the next frame begins.
    place: Place,
    reader: Option<FrameReader>,
    /// The frame that records are being taken from.
    frame: Option<Current>,
}

/// A record that a scan came upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scanned<'a> {
    /// Where it stands.
    pub at: RecordAt,
    /// Its number; `None` for a note.
    pub number: Option<u64>,
    /// Its bytes.
    pub body: &'a [u8],
}

#[derive(Debug)]
struct Current {
    frame: Frame,
    /// How many bytes of the body were given out.
    taken: u32,
    next_number: u64,
}

impl Scan {
    pub(crate) fn new(view: View, from: Place) -> Self {
        Self {
            view,
            place: from,
            reader: None,
            frame: None,
        }
    }

    /// The next record; `None` at the view's end.
    ///
    /// # Errors
    ///
    /// `Corrupt` at damage and at a range that repair gave up; [`skip_lost`](Self::skip_lost) goes on
    /// after the latter. `Invalid` when the scan was begun elsewhere than at a boundary of frames.
    pub fn next_record(&mut self) -> Result<Option<Scanned<'_>>> {
        let needs_frame = match &self.frame {
            Some(current) => current.taken == current.frame.header.body_bytes,
            None => true,
        };
        if needs_frame && !self.next_frame()? {
            return Ok(None);
        }
        Ok(self.take_record())
    }

    /// The boundary that a scan can be taken up at without missing a record: after the last frame of
    /// which all records were given out.
    pub fn place(&self) -> Place {
        match &self.frame {
            Some(current) if current.taken < current.frame.header.body_bytes => Place {
                at: RecordAt::new(self.place.at.segment(), current.frame.offset),
                next_number: current.frame.header.first_number,
            },
            _ => self.place,
        }
    }

    /// Goes on after the lost range that the scan stands at; `false` when it stands at none.
    pub fn skip_lost(&mut self) -> bool {
        let Some(segment) = self.view.segment(self.place.at.segment()) else {
            return false;
        };
        let Some(lost) = segment.lost_at(self.place.at.offset()) else {
            return false;
        };
        self.place = Place {
            at: RecordAt::new(segment.id(), lost.offsets.end),
            next_number: lost.numbers.end,
        };
        true
    }

    /// Reads the next data frame; `false` at the end.
    fn next_frame(&mut self) -> Result<bool> {
        self.frame = None;
        loop {
            let end = self.view.end();
            if self.place.at >= end.at {
                return self.at_end(end);
            }
            let segment_id = self.place.at.segment();
            let Some(segment) = self.view.segment(segment_id) else {
                return Err(misplaced(self.place));
            };
            if self.place.at.offset() >= self.view.limit(segment) {
                self.next_segment(segment_id)?;
                continue;
            }
            if let Some(lost) = segment.lost_at(self.place.at.offset()) {
                let damage = self.damage(DamageKind::Lost);
                return Err(Error::corrupt(damage.of_numbers(lost.numbers.clone())));
            }
            let frame = self.read_frame()?;
            self.place = Place {
                at: RecordAt::new(segment_id, frame.offset + frame.bytes),
                next_number: frame.header.first_number + u64::from(frame.numbered),
            };
            if frame.header.kind == FrameKind::Data {
                self.frame = Some(Current {
                    next_number: frame.header.first_number,
                    frame,
                    taken: 0,
                });
                return Ok(true);
            }
        }
    }

    /// At the end of the view nothing may be missing.
    fn at_end(&self, end: Place) -> Result<bool> {
        if self.place == end {
            return Ok(false);
        }
        Err(misplaced(self.place))
    }

    fn next_segment(&mut self, id: u32) -> Result<()> {
        let next = id.checked_add(1).and_then(|next| self.view.segment(next));
        let Some(next) = next else {
            return Err(misplaced(self.place));
        };
        if next.first_number() != self.place.next_number {
            return Err(Error::corrupt(self.damage(DamageKind::Chain)));
        }
        self.place.at = RecordAt::new(next.id(), HEADER_BYTES);
        self.reader = None;
        Ok(())
    }

    fn read_frame(&mut self) -> Result<Frame> {
        let (id, offset) = (self.place.at.segment(), self.place.at.offset());
        let files = &self.view.list().files;
        let mut reader = match self.reader.take() {
            Some(reader) => reader,
            None => self.open_reader(id)?,
        };
        let failed = |error| Error::io("the segment can't be read", &self.path(files, id), error);
        let read = match reader.frame(offset).map_err(failed) {
            // It was brought back since it was opened, and is read where it is by now.
            Err(error) if self.is_gone_from_archive(id, &error) => {
                reader = self.open_reader(id)?;
                reader.frame(offset).map_err(failed)?
            }
            read => read?,
        };
        self.reader = Some(reader);
        match read {
            FrameRead::Whole(frame) if frame.header.kind != FrameKind::Footer => {
                if frame.header.first_number == self.place.next_number {
                    return Ok(frame);
                }
                Err(Error::corrupt(self.damage(DamageKind::Chain)))
            }
            _ => Err(self.bad_frame(offset)),
        }
    }

    fn is_gone_from_archive(&self, id: u32, error: &Error) -> bool {
        let segment = self.view.segment(id);
        segment.is_some_and(|segment| segment.is_gone_from_archive(error))
    }

    fn open_reader(&self, id: u32) -> Result<FrameReader> {
        let Some(segment) = self.view.segment(id) else {
            return Err(misplaced(self.place));
        };
        let file = segment.open(&self.view.list().files, segment.sealed.get())?;
        Ok(FrameReader::new(
            file,
            segment.seed,
            self.view.limit(segment),
        ))
    }

    fn take_record(&mut self) -> Option<Scanned<'_>> {
        let current = self.frame.as_mut()?;
        let reader = self.reader.as_ref()?;
        let rest = reader.body(&current.frame).get(current.taken as usize..)?;
        let record = RawRecord::parse(rest)?;
        let start = current.frame.offset + FRAME_HEADER_BYTES + current.taken;
        let number = match record.kind {
            Kind::Numbered => Some(current.next_number),
            Kind::Note => None,
        };
        current.next_number += u64::from(number.is_some());
        current.taken += u32::try_from(RECORD_HEADER_BYTES + record.body.len()).ok()?;
        Some(Scanned {
            at: RecordAt::new(self.place.at.segment(), start),
            number,
            body: record.body,
        })
    }

    #[cold]
    fn bad_frame(&self, offset: u32) -> Error {
        let mut damage = self.damage(DamageKind::Frame);
        let segment: Option<&Segment> = self.view.segment(self.place.at.segment());
        damage.numbers = segment.and_then(|segment| self.view.numbers_around(segment, offset));
        Error::corrupt(damage)
    }

    fn damage(&self, kind: DamageKind) -> Damage {
        let at = self.place.at;
        let path = self.path(&self.view.list().files, at.segment());
        Damage::new(&path, at.offset(), kind)
    }

    fn path(&self, files: &Files, id: u32) -> PathBuf {
        let segment = self.view.segment(id);
        segment.map_or_else(|| files.segment(id), |segment| segment.path(files))
    }
}

#[cold]
fn misplaced(place: Place) -> Error {
    Error::new(
        ErrorKind::Invalid,
        format!(
            "{} with next number {} is no place of this log; scan from one that it gave",
            place.at, place.next_number
        ),
    )
}
