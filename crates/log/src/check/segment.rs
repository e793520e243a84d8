//! Looks at every byte of one segment, damage or not.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::CompressedSegments;
use super::survey::damage_of;
use crate::compress::CompressedFile;
use crate::error::{Damage, DamageKind, Error, ErrorKind, Result};
use crate::files::Files;
use crate::format::frame::{FOOTER_BYTES, Footer, FrameHeader};
use crate::format::manifest::{Closing, Entry, Form, SealedEnd};
use crate::format::segment::HEADER_BYTES;
use crate::format::watermark::{Ended, Slot};
use crate::place::{Lost, Tip};
use crate::reader::{Frame, FrameRead, FrameReader};
use crate::segments::Segment;
use crate::vfs::VfsFile;

/// What was found in a segment.
#[derive(Debug)]
pub(crate) struct SegmentReport {
    pub(crate) damage: Vec<Damage>,
    pub(crate) unfinished: Vec<Damage>,
    /// Ranges that are damaged and not yet given up.
    pub(crate) newly_lost: Vec<Lost>,
    pub(crate) known_lost: Vec<Lost>,
    pub(crate) header_is_damaged: bool,
    pub(crate) is_missing: bool,
    /// Where bytes stand that should be zeros, behind the end.
    pub(crate) residue_at: Option<u32>,
    /// Where a compressed file ends that is longer.
    pub(crate) excess_at: Option<u64>,
    /// The end, as far as it can be told.
    pub(crate) tip: Tip,
    /// Whether the footer that belongs there stands at the tip.
    pub(crate) footer_at_tip: bool,
    pub(crate) frames: u64,
    pub(crate) records: u64,
    pub(crate) bytes: u64,
}

/// Where a segment must end.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    /// Where the manifest says, with this number next.
    Sealed {
        end: SealedEnd,
        next_number: Option<u64>,
        in_use: bool,
    },
    /// Not before the watermark says.
    Watermark { slot: Slot, in_use: bool },
    /// That is not known.
    Unknown,
}

/// Looks at the segment.
pub(crate) fn examine(
    files: &Files,
    entry: &Entry,
    until: Until,
    compressed: CompressedSegments,
) -> Result<SegmentReport> {
    let segment = Segment::new(entry);
    let path = segment.path(files);
    let mut examination = Examination {
        path: path.clone(),
        report: SegmentReport::new(entry),
        met: false,
        until,
    };
    if entry.form != Form::Plain {
        examine_compressed(files, entry, &segment, compressed, &mut examination)?;
        return Ok(examination.report);
    }
    let file = match files.open_kept(&entry.header, &segment.kept()) {
        Ok((_, file)) => file,
        Err(error) => {
            let damage = damage_of(error)?;
            if !examination.form_now(files, entry)? {
                examination.missing(entry, damage);
            }
            return Ok(examination.report);
        }
    };
    if let Err(error) = segment.check_header(&path, &*file) {
        examination.report.damage.push(damage_of(error)?);
        examination.report.header_is_damaged = true;
    }
    let failed = |error| Error::io("the segment can't be read", &path, error);
    let length = file.length().map_err(failed)?;
    examination.report.bytes = length;
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    examination
        .frames(file, entry, &segment, length)
        .map_err(failed)?;
    Ok(examination.report)
}

/// Looks at a compressed segment: at the file, and then at the frames that come out of it where that is asked for or
/// something is wrong. Offsets of damaged frames are those of the plain form.
fn examine_compressed(
    files: &Files,
    entry: &Entry,
    segment: &Segment,
    compressed: CompressedSegments,
    examination: &mut Examination,
) -> Result<()> {
    let path = examination.path.clone();
    let failed = |error| Error::io("the segment can't be read", &path, error);
    let file =
        match CompressedFile::open(files, &entry.header, &segment.kept(), segment.sealed.get()) {
            Ok(file) => Arc::new(file),
            Err(error) => {
                let damage = damage_of(error)?;
                let is_gone = damage.kind == DamageKind::Missing;
                if is_gone && examination.form_now(files, entry)? {
                    return Ok(());
                }
                examination.missing(entry, damage);
                return Ok(());
            }
        };
    examination.report.bytes = file.header().file_bytes();
    if file.residue().map_err(failed)? > 0 {
        let end = file.header().file_bytes();
        let damage = Damage::new(&path, end, DamageKind::Residue);
        examination.report.damage.push(damage);
        examination.report.excess_at = Some(end);
    }
    let length = u32::try_from(file.header().plain_bytes()).unwrap_or(u32::MAX);
    if compressed == CompressedSegments::Stored && entry.lost.is_empty() {
        let taken = file
            .is_as_stored()
            .and_then(|is_whole| Ok(is_whole && examination.take_end(&file, segment, length)?));
        if taken.map_err(failed)? {
            return Ok(());
        }
    }
    examination
        .frames(file, entry, segment, length)
        .map_err(failed)
}

struct Examination {
    path: PathBuf,
    report: SegmentReport,
    /// Whether the watermark's end was met as a boundary of frames.
    met: bool,
    until: Until,
}

impl Examination {
    /// Looks at the frames of a file of this length, and at what stands behind them.
    fn frames(
        &mut self,
        file: Arc<dyn VfsFile>,
        entry: &Entry,
        segment: &Segment,
        length: u32,
    ) -> std::io::Result<()> {
        let limit = self.limit(length);
        let mut reader = FrameReader::new(Arc::clone(&file), segment.seed, limit);
        self.walk(entry, &mut reader)?;
        let mut reader = FrameReader::new(file, segment.seed, length);
        self.end(&mut reader, length)
    }

    /// Takes all that stands before the footer for what it says, where that is the one that must stand there.
    fn take_end(
        &mut self,
        file: &Arc<CompressedFile>,
        segment: &Segment,
        length: u32,
    ) -> std::io::Result<bool> {
        let Until::Sealed {
            end, next_number, ..
        } = self.until
        else {
            return Ok(false);
        };
        let file: Arc<dyn VfsFile> = Arc::clone(file) as _;
        let mut reader = FrameReader::new(file, segment.seed, length);
        let FrameRead::Whole(frame) = reader.frame(end.offset)? else {
            return Ok(false);
        };
        let follows = |footer: &Footer| {
            footer.digest == end.digest && next_number.is_none_or(|next| next == footer.next_number)
        };
        let Some(footer) = frame.footer.filter(follows) else {
            return Ok(false);
        };
        let report = &mut self.report;
        report.tip = Tip {
            offset: end.offset,
            next_number: footer.next_number,
            digest: footer.digest,
            frames: footer.frames,
            records: footer.records,
        };
        (report.frames, report.records) = (footer.frames, footer.records);
        report.footer_at_tip = true;
        Ok(true)
    }

    /// Looks at the form that the segment has by now where the one that the manifest named is gone since, because a
    /// writer went over to it; `false` where there is none.
    fn form_now(&mut self, files: &Files, entry: &Entry) -> Result<bool> {
        let Until::Sealed {
            next_number,
            in_use: true,
            ..
        } = self.until
        else {
            return Ok(false);
        };
        let now = files.entry_now(&entry.header);
        let Some((now, end)) = now.and_then(|now| now.end.map(|end| (now, end))) else {
            return Ok(false);
        };
        let segment = Segment::new(&now);
        let file = match segment.open(files, Some(&end)) {
            Ok(file) => file,
            // An archive that can't be reached says nothing of the segment.
            Err(error) if error.kind() == ErrorKind::Corrupt => return Ok(false),
            Err(error) => return Err(error),
        };
        let in_use = true;
        self.until = Until::Sealed {
            end,
            next_number,
            in_use,
        };
        let failed = |error| Error::io("the segment can't be read", &self.path, error);
        let length = file.length().map_err(failed)?;
        self.report.bytes = length;
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        let path = self.path.clone();
        let walked = self.frames(file, &now, &segment, length);
        walked.map_err(|error| Error::io("the segment can't be read", &path, error))?;
        Ok(true)
    }

    /// Where the frames end at the latest.
    fn limit(&self, length: u32) -> u32 {
        match self.until {
            Until::Sealed { end, .. } => length.min(end.offset),
            Until::Watermark { slot, in_use: true } => length.min(slot.served_offset),
            Until::Watermark { .. } | Until::Unknown => length,
        }
    }

    /// Where the frames end at the earliest, and the number there.
    fn least(&self) -> Option<(u32, Option<u64>)> {
        match self.until {
            Until::Sealed {
                end, next_number, ..
            } => Some((end.offset, next_number)),
            Until::Watermark { slot, .. } => {
                Some((slot.durable.offset, Some(slot.durable.next_number)))
            }
            Until::Unknown => None,
        }
    }

    fn missing(&mut self, entry: &Entry, damage: Damage) {
        let first = entry.header.first_number;
        let (end, number) = self.least().unwrap_or((HEADER_BYTES, None));
        let next = number.unwrap_or(first);
        self.report.tip.offset = end;
        self.report.tip.next_number = next;
        self.report.is_missing = true;
        let covered = entry
            .lost
            .first()
            .is_some_and(|lost| lost.offsets.start <= HEADER_BYTES && lost.offsets.end >= end);
        if covered {
            return;
        }
        self.report.damage.push(damage.of_numbers(first..next));
        self.report.newly_lost.push(Lost {
            offsets: HEADER_BYTES..end.max(HEADER_BYTES + 8),
            numbers: first..next,
        });
    }

    /// Goes over all frames, from one that is whole to the next.
    fn walk(&mut self, entry: &Entry, reader: &mut FrameReader) -> std::io::Result<()> {
        loop {
            let tip = self.report.tip;
            if let Until::Watermark { slot, .. } = self.until {
                self.met |= tip == slot.durable;
            }
            let known = entry
                .lost
                .iter()
                .find(|lost| lost.offsets.contains(&tip.offset));
            if let Some(lost) = known {
                self.jump(lost.offsets.end, lost.numbers.end);
                continue;
            }
            if let FrameRead::Whole(frame) = reader.frame(tip.offset)?
                && self.follow(&frame)
            {
                continue;
            }
            let Some((offset, header)) = self.next_whole(reader)? else {
                return Ok(());
            };
            self.lose(offset, header.first_number);
        }
    }

    fn follow(&mut self, frame: &Frame) -> bool {
        if frame.footer.is_some() {
            self.report.footer_at_tip = frame.ends(&self.report.tip);
            return false;
        }
        let Some(tip) = frame.follow(&self.report.tip) else {
            return false;
        };
        self.report.tip = tip;
        self.report.frames += 1;
        self.report.records += u64::from(frame.header.records);
        true
    }

    /// The next whole frame after the tip that says that the tip was durable.
    fn next_whole(&self, reader: &mut FrameReader) -> std::io::Result<Option<(u32, FrameHeader)>> {
        let tip = self.report.tip;
        let least = self.least().map_or(0, |(offset, _)| offset);
        let mut from = tip.offset.saturating_add(8);
        loop {
            let later = reader.find_header(from, |at, header| {
                let promised = header.durable_upto > tip.offset || at < least;
                promised && header.first_number >= tip.next_number
            })?;
            let Some((at, header)) = later else {
                return Ok(None);
            };
            let whole =
                matches!(reader.frame(at)?, FrameRead::Whole(frame) if frame.footer.is_none());
            if whole {
                return Ok(Some((at, header)));
            }
            from = at.saturating_add(8);
        }
    }

    /// Goes on after a damaged range.
    fn lose(&mut self, offset: u32, number: u64) {
        let tip = self.report.tip;
        let numbers = tip.next_number..number.max(tip.next_number);
        let damage = Damage::new(&self.path, tip.offset, DamageKind::Frame);
        self.report.damage.push(damage.of_numbers(numbers.clone()));
        self.report.newly_lost.push(Lost {
            offsets: tip.offset..offset,
            numbers,
        });
        self.jump(offset, number);
    }

    fn jump(&mut self, offset: u32, number: u64) {
        self.report.tip.offset = offset;
        self.report.tip.next_number = number.max(self.report.tip.next_number);
        self.report.footer_at_tip = false;
    }

    /// Holds the end that was reached against the one that must be, and looks at what stands behind.
    fn end(&mut self, reader: &mut FrameReader, length: u32) -> std::io::Result<()> {
        if let Some((least, number)) = self.least()
            && self.report.tip.offset < least
        {
            if length < least {
                let damage = Damage::new(&self.path, length, DamageKind::Truncated);
                self.report.damage.push(damage);
            }
            self.lose(least, number.unwrap_or(self.report.tip.next_number));
        }
        let has_gaps = !self.report.newly_lost.is_empty() || !self.report.known_lost.is_empty();
        match self.until {
            Until::Sealed { end, .. } if end.closing == Closing::Footer => {
                self.end_sealed(reader, &end, has_gaps)
            }
            Until::Sealed { .. } | Until::Watermark { in_use: true, .. } => Ok(()),
            Until::Watermark { slot, .. } => {
                if !self.met && !has_gaps {
                    let offset = slot.durable.offset;
                    let damage = Damage::new(&self.path, offset, DamageKind::Chain);
                    self.report.damage.push(damage);
                }
                self.end_open(reader, slot.ended)
            }
            Until::Unknown => self.end_open(reader, Ended::Openly),
        }
    }

    fn end_sealed(
        &mut self,
        reader: &mut FrameReader,
        end: &SealedEnd,
        has_gaps: bool,
    ) -> std::io::Result<()> {
        let frame = reader.frame(end.offset)?;
        let footer = match frame {
            FrameRead::Whole(frame) => frame.footer,
            FrameRead::Bad => None,
        };
        let follows = |footer: Footer| {
            let tip = &self.report.tip;
            let known = footer.digest == end.digest && footer.next_number == tip.next_number;
            let whole = footer.frames == tip.frames && footer.records == tip.records;
            known && (has_gaps || (whole && tip.digest == end.digest))
        };
        self.report.footer_at_tip = footer.is_some_and(follows);
        if !self.report.footer_at_tip {
            let kind = match footer {
                Some(_) => DamageKind::Chain,
                None => DamageKind::Footer,
            };
            self.report
                .damage
                .push(Damage::new(&self.path, end.offset, kind));
        }
        let behind = end.offset.saturating_add(FOOTER_BYTES);
        self.residue(reader, behind, Ended::Cleanly)
    }

    /// What a crash left behind the end of an open segment is a torn tail.
    fn end_open(&mut self, reader: &mut FrameReader, ended: Ended) -> std::io::Result<()> {
        self.residue(reader, self.report.tip.offset, ended)
    }

    fn residue(
        &mut self,
        reader: &mut FrameReader,
        from: u32,
        ended: Ended,
    ) -> std::io::Result<()> {
        if reader.end_of_residue(from)?.is_none() {
            return Ok(());
        }
        let damage = Damage::new(self.path.as_path() as &Path, from, DamageKind::Residue);
        match ended {
            Ended::Cleanly => {
                self.report.damage.push(damage);
                self.report.residue_at = Some(from);
            }
            Ended::Openly => self.report.unfinished.push(damage),
        }
        Ok(())
    }
}

impl SegmentReport {
    /// Of a segment that is not looked at: it ends as the manifest says.
    pub(super) fn skipped(entry: &Entry, until: Until) -> Self {
        let mut report = Self::new(entry);
        if let Until::Sealed {
            end, next_number, ..
        } = until
        {
            report.tip.offset = end.offset;
            report.tip.digest = end.digest;
            report.tip.next_number = next_number.unwrap_or(entry.header.first_number);
            report.footer_at_tip = end.closing == Closing::Footer;
        }
        report
    }

    fn new(entry: &Entry) -> Self {
        Self {
            damage: Vec::new(),
            unfinished: Vec::new(),
            newly_lost: Vec::new(),
            known_lost: entry.lost.clone(),
            header_is_damaged: false,
            is_missing: false,
            residue_at: None,
            excess_at: None,
            tip: Tip::start(&entry.header),
            footer_at_tip: false,
            frames: 0,
            records: 0,
            bytes: 0,
        }
    }
}
