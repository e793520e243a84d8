//! Looks at all files of a log, and keeps what a repair must know.

use std::num::NonZeroUsize;
use std::path::Path;

use super::parallel::in_order;
use super::segment::{SegmentReport, Until, examine};
use super::{
    ArchivedSegments, CompressedSegments, LostRange, Progress, Verification, VerifySettings,
};
use crate::compress;
use crate::error::{Damage, DamageKind, Error, ErrorKind, Result};
use crate::files::{
    Files, MANIFEST, MANIFEST_NEW, WATERMARK, compressed_id, compressed_parts, flawed, read_full,
    segment_id,
};
use crate::format::Flaw;
use crate::format::is_zero;
use crate::format::manifest::{Closing, Entry, Form, Manifest, SealedEnd};
use crate::format::segment::{HEADER_BYTES, SegmentHeader};
use crate::format::watermark::{Ended, FILE_BYTES, SLOT_BYTES, SLOT_OFFSETS, Slot};
use crate::open::is_unused_form;
use crate::segments::Segment;
use crate::vfs::Access;

/// All that was found.
#[derive(Debug)]
pub(crate) struct Survey {
    pub(crate) verification: Verification,
    /// As the file says, or as the segments do where the file is damaged.
    pub(crate) manifest: Manifest,
    pub(crate) manifest_is_damaged: bool,
    pub(crate) watermark: WatermarkState,
    /// One for each segment of the manifest.
    pub(crate) segments: Vec<SegmentReport>,
    /// Files that don't belong to the log.
    pub(crate) unexpected: Vec<String>,
}

/// What the watermark file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WatermarkState {
    /// The newest slot.
    Valid(Slot),
    /// Nothing that can be relied on.
    Damaged,
}

impl Survey {
    pub(crate) fn take(
        files: &Files,
        in_use: bool,
        settings: VerifySettings,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Self> {
        let threads_max = files.vfs.readers_max();
        Self::take_with(files, in_use, settings, threads_max, progress)
    }

    /// On up to so many threads; what is found is the same for any number.
    fn take_with(
        files: &Files,
        in_use: bool,
        settings: VerifySettings,
        threads_max: NonZeroUsize,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Self> {
        let names = files.names()?;
        let mut verification = Verification {
            in_use,
            ..Verification::default()
        };
        let (watermark, found) = examine_watermark(files, in_use)?;
        let (manifest, manifest_is_damaged) = load_manifest(files, &names, &mut verification)?;
        let mut survey = Self {
            verification,
            manifest,
            manifest_is_damaged,
            watermark,
            segments: Vec::new(),
            unexpected: Vec::new(),
        };
        survey.take_watermark(files, found);
        survey.examine_names(files, &names)?;
        survey.examine_segments(files, settings, threads_max, progress)?;
        Ok(survey)
    }

    fn take_watermark(&mut self, files: &Files, found: WatermarkDamage) {
        if let WatermarkState::Valid(slot) = self.watermark
            && slot.log != self.manifest.log
        {
            let damage = Damage::new(&files.path(WATERMARK), 0_u64, DamageKind::Foreign);
            self.verification.damage.push(damage);
            self.watermark = WatermarkState::Damaged;
        }
        self.verification.damage.extend(found.damage);
        self.verification.unfinished.extend(found.unfinished);
    }

    fn examine_names(&mut self, files: &Files, names: &[String]) -> Result<()> {
        let ids = |entry: &Entry| entry.header.id;
        let first = self.manifest.segments.first().map_or(1, ids);
        let last = self.manifest.segments.last().map_or(1, ids);
        for name in names {
            let path = files.path(name);
            let damage = Damage::new(&path, 0_u64, DamageKind::Unexpected);
            if is_unused_form(&self.manifest, name) {
                if !self.verification.in_use {
                    self.verification.unfinished.push(damage);
                }
                continue;
            }
            match segment_id(name).or(compressed_id(name)) {
                Some(id) if (first..=last).contains(&id) => {}
                Some(id) if last.checked_add(1) == Some(id) && segment_id(name).is_some() => {
                    if crate::open::is_unused(files, id)? {
                        self.verification.unfinished.push(damage);
                    } else if !self.verification.in_use {
                        self.unexpected.push(name.clone());
                        self.verification.damage.push(damage);
                    }
                }
                Some(_) => {
                    self.unexpected.push(name.clone());
                    self.verification.damage.push(damage);
                }
                None if name == MANIFEST_NEW => self.verification.unfinished.push(damage),
                None => {}
            }
        }
        Ok(())
    }

    fn examine_segments(
        &mut self,
        files: &Files,
        settings: VerifySettings,
        threads_max: NonZeroUsize,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<()> {
        let reports = self.examine_all(files, settings, threads_max, progress)?;
        let skipped = |entry: &&Entry| is_skipped(entry, settings.archived);
        self.verification.segments = reports.len();
        self.verification.segments_skipped = self.manifest.segments.iter().filter(skipped).count();
        let mut before: Option<(u32, u64)> = None;
        for (entry, mut report) in self.manifest.segments.iter().zip(reports) {
            let path = Segment::new(entry).path(files);
            let follows = before.is_none_or(|(digest, number)| {
                digest == entry.header.previous_digest && number == entry.header.first_number
            });
            if !follows {
                let damage = Damage::new(&path, 0_u64, DamageKind::Chain);
                report.damage.push(damage);
            }
            let sealed = entry.sealed_digest();
            before = sealed.map(|digest| (digest, report.tip.next_number));
            self.verification.take(&path, &report);
            self.segments.push(report);
        }
        if let WatermarkState::Valid(slot) = self.watermark {
            let last = self.manifest.segments.last();
            if last.is_some_and(|last| slot.segment > last.header.id) && !self.verification.in_use {
                let damage = Damage::new(&files.path(MANIFEST), 0_u64, DamageKind::Chain);
                self.verification.damage.push(damage);
            }
        }
        Ok(())
    }

    /// Looks at each segment by itself, several at once where that pays.
    fn examine_all(
        &self,
        files: &Files,
        settings: VerifySettings,
        threads_max: NonZeroUsize,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Vec<SegmentReport>> {
        let entries: Vec<(&Entry, Until)> = self
            .manifest
            .segments
            .iter()
            .enumerate()
            .map(|(index, entry)| (entry, self.until(index, entry)))
            .collect();
        let begin = |done: usize| {
            if let Some((entry, _)) = entries.get(done) {
                progress(Progress {
                    file: &Segment::new(entry).path(files),
                    segments_done: done,
                    segments: entries.len(),
                });
            }
        };
        in_order(&entries, threads_max, begin, |(entry, until)| {
            if is_skipped(entry, settings.archived) {
                return Ok(SegmentReport::skipped(entry, *until));
            }
            examine(files, entry, *until, settings.compressed)
        })
    }

    /// Where this segment must end.
    fn until(&self, index: usize, entry: &Entry) -> Until {
        let in_use = self.verification.in_use;
        match (&entry.end, &self.watermark) {
            (Some(end), _) => Until::Sealed {
                end: *end,
                next_number: self
                    .manifest
                    .segments
                    .get(index + 1)
                    .map(|next| next.header.first_number),
                in_use,
            },
            (None, WatermarkState::Valid(slot)) if slot.segment == entry.header.id => {
                Until::Watermark {
                    slot: *slot,
                    in_use,
                }
            }
            (None, _) => Until::Unknown,
        }
    }
}

fn is_skipped(entry: &Entry, archived: ArchivedSegments) -> bool {
    entry.archived.is_some() && archived == ArchivedSegments::Skip
}

impl Verification {
    /// Adds what was found in the next segment.
    fn take(&mut self, path: &Path, report: &SegmentReport) {
        self.damage.extend(report.damage.iter().cloned());
        self.unfinished.extend(report.unfinished.iter().cloned());
        let lost = report.known_lost.iter();
        self.lost
            .extend(lost.map(|lost| LostRange::new(path, lost)));
        self.frames += report.frames;
        self.records += report.records;
        self.bytes += report.bytes;
        self.next_number = report.tip.next_number;
    }
}

/// What is wrong with the watermark file.
#[derive(Debug, Default)]
struct WatermarkDamage {
    damage: Vec<Damage>,
    unfinished: Vec<Damage>,
}

fn examine_watermark(files: &Files, in_use: bool) -> Result<(WatermarkState, WatermarkDamage)> {
    let path = files.path(WATERMARK);
    let mut found = WatermarkDamage::default();
    let file = match files.open(&path, Access::Read) {
        Ok(file) => file,
        Err(error) => {
            found.damage.push(damage_of(error)?);
            return Ok((WatermarkState::Damaged, found));
        }
    };
    let failed = |error| Error::io("the watermark can't be read", &path, error);
    let mut bytes = vec![0; FILE_BYTES];
    let read = read_full(&*file, &mut bytes, 0).map_err(failed)?;
    bytes.truncate(read);
    let mut newest: Option<Slot> = None;
    let mut torn = Vec::new();
    for offset in SLOT_OFFSETS {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let block = bytes.get(start..).and_then(|rest| rest.get(..SLOT_BYTES));
        match block.map_or(Err(Flaw::Short), |block| Slot::parse(block, offset)) {
            Ok(slot) if newest.is_none_or(|best| best.sequence < slot.sequence) => {
                newest = Some(slot);
            }
            Ok(_) => {}
            Err(flaw @ Flaw::Newer(_)) => {
                return Err(flawed(flaw, &path, DamageKind::Watermark));
            }
            Err(_) => torn.push(Damage::new(&path, offset, DamageKind::Watermark)),
        }
    }
    // A slot that was being written when the power went is torn; after a close none may be.
    match newest {
        Some(slot) if slot.ended == Ended::Openly => found.unfinished.extend(torn),
        _ => found.damage.extend(torn),
    }
    let between = bytes.get(SLOT_BYTES..4096).unwrap_or_default();
    let length = file.length().map_err(failed)?;
    if !is_zero(between) || length > FILE_BYTES as u64 {
        let damage = Damage::new(&path, SLOT_BYTES as u64, DamageKind::Residue);
        found.damage.push(damage);
    }
    if in_use {
        found.unfinished.clear();
    }
    let state = newest.map_or(WatermarkState::Damaged, WatermarkState::Valid);
    Ok((state, found))
}

/// The manifest of the file, or else one made of what the segments say.
fn load_manifest(
    files: &Files,
    names: &[String],
    verification: &mut Verification,
) -> Result<(Manifest, bool)> {
    let read = files.read_manifest().and_then(|manifest| {
        if is_foreign(files, names, &manifest)? {
            let path = files.path(MANIFEST);
            return Err(Error::corrupt(Damage::new(
                &path,
                0_u64,
                DamageKind::Foreign,
            )));
        }
        Ok(manifest)
    });
    match read {
        Ok(manifest) => Ok((manifest, false)),
        Err(error) => {
            let damage = damage_of(error)?;
            let manifest = rebuild(files, names)?;
            verification.damage.push(damage.clone());
            let manifest = manifest.ok_or_else(|| Error::corrupt(damage))?;
            Ok((manifest, true))
        }
    }
}

/// Whether the segments are all of another log than the manifest.
fn is_foreign(files: &Files, names: &[String], manifest: &Manifest) -> Result<bool> {
    let mut is_foreign = false;
    for id in ids(names) {
        match read_header(files, names, id)?.map(|(header, _)| header) {
            Some(header) if header.log == manifest.log => return Ok(false),
            Some(_) => is_foreign = true,
            None => {}
        }
    }
    Ok(is_foreign)
}

/// The segments of which there is a file in either form, in order.
fn ids(names: &[String]) -> Vec<u32> {
    let ids = names
        .iter()
        .filter_map(|name| segment_id(name).or(compressed_id(name)));
    let mut ids: Vec<u32> = ids.collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// What a compressed form says of the end of its segment, and of itself.
type CompressedEnd = (SealedEnd, Form);

/// What the segment's file says of itself; `None` when that is damaged. A plain file comes first, then the form of which
/// the least was reclaimed.
fn read_header(
    files: &Files,
    names: &[String],
    id: u32,
) -> Result<Option<(SegmentHeader, Option<CompressedEnd>)>> {
    if names.iter().any(|name| segment_id(name) == Some(id)) {
        return Ok(read_plain_header(files, id)?.map(|header| (header, None)));
    }
    let compressed = names.iter().filter_map(|name| compressed_parts(name));
    let generations = compressed.filter_map(|(of, generation)| (of == id).then_some(generation));
    let Some(path) = generations.min().map(|it| files.compressed(id, it)) else {
        return Ok(None);
    };
    let file = files.open(&path, Access::Read)?;
    let read = compress::read_header(&*file);
    let read = read.map_err(|error| Error::io("the segment can't be read", &path, error))?;
    Ok(read.ok().map(|header| {
        let end = SealedEnd {
            offset: header.end,
            digest: header.digest,
            closing: Closing::Footer,
        };
        let form = header.form();
        (header.segment, Some((end, form)))
    }))
}

fn read_plain_header(files: &Files, id: u32) -> Result<Option<SegmentHeader>> {
    let path = files.segment(id);
    let file = files.open(&path, Access::Read)?;
    let mut block = vec![0; HEADER_BYTES as usize];
    let read = read_full(&*file, &mut block, 0)
        .map_err(|error| Error::io("the segment can't be read", &path, error))?;
    Ok(SegmentHeader::parse(block.get(..read).unwrap_or_default()).ok())
}

/// The id of a log's first segment. Where its file is not there, it may be in an archive that nothing tells of.
const FIRST_ID: u32 = 1;

/// A manifest made of the segments that are there; `None` when they are not enough to tell.
fn rebuild(files: &Files, names: &[String]) -> Result<Option<Manifest>> {
    let mut headers: Vec<(SegmentHeader, Option<CompressedEnd>)> = Vec::new();
    for id in ids(names) {
        let follows = headers.last().map_or(FIRST_ID == id, |(last, _)| {
            last.id.checked_add(1) == Some(id)
        });
        match read_header(files, names, id)? {
            Some(read) if read.0.id == id && follows => headers.push(read),
            _ => return Ok(None),
        }
    }
    let Some(log) = headers.first().map(|(header, _)| header.log) else {
        return Ok(None);
    };
    let mut segments = Vec::new();
    for (at, (header, compressed)) in headers.iter().enumerate() {
        let mut entry = Entry {
            header: header.clone(),
            end: None,
            form: Form::Plain,
            archived: None,
            lost: Vec::new(),
        };
        if let Some((end, form)) = compressed {
            (entry.end, entry.form) = (Some(*end), *form);
        } else if let Some((next, _)) = headers.get(at + 1) {
            let report = examine(
                files,
                &entry,
                Until::Unknown,
                CompressedSegments::Decompress,
            )?;
            let has_footer = report.footer_at_tip && report.tip.digest == next.previous_digest;
            entry.end = Some(SealedEnd {
                offset: report.tip.offset,
                digest: next.previous_digest,
                closing: if has_footer {
                    Closing::Footer
                } else {
                    Closing::Abandoned
                },
            });
        }
        segments.push(entry);
    }
    Ok(Some(Manifest {
        log,
        archive_key: None,
        segments,
    }))
}

/// The damage of an error that is about damage; other errors stay errors.
pub(super) fn damage_of(error: Error) -> Result<Damage> {
    match (error.kind(), error.damage()) {
        (ErrorKind::Corrupt, Some(damage)) => Ok(damage.clone()),
        _ => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::ops::ControlFlow;

    use super::*;
    use crate::format::Seed;
    use crate::format::compressed::{
        BlockEntry, COMPRESSED_HEADER_BYTES, CompressedHeader, checksum,
    };
    use crate::vfs::{OsVfs, Vfs as _};
    use crate::{Compression, Kind, Log, LogSettings, Parts, ReadMode};

    /// A log of some sealed segments, the second of which is compressed; closed.
    fn log(directory: &Path) {
        let settings = LogSettings {
            segment_bytes: 64 * 1024,
            ..LogSettings::default()
        };
        let mut log = Log::create(&Parts::os(), directory, settings, 1).unwrap();
        for round in 0..800_usize {
            log.reserve(1200, || 7).unwrap();
            let mut frame = log.frame();
            // Each of its own, and all alike enough for a dictionary to pay.
            let seen = (round as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let body = format!(
                "{{\"account\":{seen},\"owner\":\"somebody or other\",\"currency\":\"EUR\",\"reference\":\"{seen:x}\",\
                 \"limits\":{{\"day\":{round},\"month\":1000}},\"opened by\":\"a branch in the next street\",\
                 \"remarks\":\"none that would matter to anybody\",\"address\":\"where it was before\"}}"
            );
            frame.push(Kind::Numbered, |out| out.extend_from_slice(body.as_bytes()));
            frame.write().unwrap();
            log.sync().unwrap();
        }
        let mut go_on = |_: u64| ControlFlow::Continue(());
        let view = log.view().clone();
        let compression = Compression {
            block_bytes: Compression::BLOCK_BYTES_MIN,
            dictionary_bytes_max: 512,
            ..Compression::default()
        };
        let written = view.compress(2, &compression, &mut go_on);
        let written = written.unwrap().unwrap();
        log.adopt(&written).unwrap();
        drop(view);
        written.remove_replaced().unwrap();
        assert!(log.segment().id > 3);
        log.close().unwrap();
    }

    fn survey(directory: &Path, threads: usize) -> (Survey, Vec<usize>) {
        survey_with(directory, threads, VerifySettings::default())
    }

    fn survey_with(
        directory: &Path,
        threads: usize,
        settings: VerifySettings,
    ) -> (Survey, Vec<usize>) {
        let files = Files::new(&Parts::os(), directory, ReadMode::Pread);
        let mut told = Vec::new();
        let mut progress = |progress: Progress<'_>| told.push(progress.segments_done);
        let threads = NonZeroUsize::new(threads).unwrap();
        let survey = Survey::take_with(&files, false, settings, threads, &mut progress);
        (survey.unwrap(), told)
    }

    /// Turns a byte of a file over.
    fn damage(directory: &Path, name: &str, at: usize) {
        let path = directory.join(name);
        let mut bytes = fs::read(&path).unwrap();
        bytes[at] ^= 0x40;
        fs::write(&path, bytes).unwrap();
    }

    #[test]
    fn what_is_found_is_the_same_on_any_number_of_threads() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path().join("log");
        log(&directory);
        let whole = survey(&directory, 1).0;
        assert!(whole.verification.is_whole(), "{whole:?}");
        for (name, at) in [
            ("00000000000000000001.segment", 9000),
            ("00000000000000000001.segment", 30_000),
            ("00000000000000000002.compressed", 700),
            ("00000000000000000003.segment", 100),
            ("00000000000000000003.segment", 50_000),
        ] {
            damage(&directory, name, at);
        }
        let (alone, told) = survey(&directory, 1);
        assert!(alone.verification.damage.len() >= 5, "{alone:?}");
        for threads in [2, 3, 16] {
            let (together, told_then) = survey(&directory, threads);
            assert_eq!(together.verification, alone.verification);
            assert_eq!(
                format!("{:?}", together.segments),
                format!("{:?}", alone.segments)
            );
            assert_eq!(told_then, told);
        }
    }

    /// The compressed segment of the log.
    const COMPRESSED: &str = "00000000000000000002.compressed";

    #[test]
    fn a_compressed_segment_is_told_of_alike_whether_it_is_decompressed_or_not() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path().join("log");
        log(&directory);
        let look = || {
            let stored = survey(&directory, 1).0;
            let decompressed = survey_with(&directory, 1, VerifySettings::THOROUGH).0;
            assert_eq!(stored.verification, decompressed.verification);
            assert_eq!(
                format!("{:?}", stored.segments),
                format!("{:?}", decompressed.segments)
            );
            stored.verification.is_whole()
        };
        assert!(look());
        let path = directory.join(COMPRESSED);
        let bytes = fs::read(&path).unwrap();
        let header = read_header(&path);
        assert!(header.dictionary_bytes > 97 && header.blocks > 1);
        // Some bytes of every part of the file.
        for at in (0..bytes.len()).step_by(97).chain([bytes.len() - 1]) {
            damage(&directory, COMPRESSED, at);
            assert!(!look(), "the byte at {at}");
            damage(&directory, COMPRESSED, at);
        }
    }

    #[test]
    fn what_is_wrong_beneath_right_checksums_is_found_by_decompressing() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path().join("log");
        log(&directory);
        forge(&directory.join(COMPRESSED));
        assert!(survey(&directory, 1).0.verification.is_whole());
        let found = survey_with(&directory, 1, VerifySettings::THOROUGH).0;
        assert!(!found.verification.damage.is_empty(), "{found:?}");
    }

    fn read_header(path: &Path) -> CompressedHeader {
        let file = OsVfs.open(path, Access::Read).unwrap();
        compress::read_header(&*file).unwrap().unwrap()
    }

    /// Changes a byte of the first block, and has all checksums agree.
    fn forge(path: &Path) {
        let mut bytes = fs::read(path).unwrap();
        let header = read_header(path);
        let table_at = usize::try_from(header.table_at).unwrap();
        let table = bytes.split_off(table_at);
        let mut entries = BlockEntry::parse_all(&table).unwrap();
        let start = COMPRESSED_HEADER_BYTES as usize + header.dictionary_bytes as usize;
        let block = &mut bytes[start..start + entries[0].stored_bytes as usize];
        let middle = block.len() / 2;
        block[middle] ^= 1;
        entries[0].checksum = Seed::new(header.segment.salt).checksum(HEADER_BYTES, block);
        let mut table = Vec::new();
        for entry in &entries {
            entry.encode(&mut table);
        }
        let header = CompressedHeader {
            table_checksum: checksum(&table),
            ..header
        };
        bytes.splice(..COMPRESSED_HEADER_BYTES as usize, header.encode());
        bytes.extend(table);
        fs::write(path, bytes).unwrap();
    }
}
