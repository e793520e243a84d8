//! Giving up what is damaged, so that the rest is of use again.

use std::io;
use std::path::{Path, PathBuf};

use crate::check::{
    ArchivedSegments, Progress, SegmentReport, Survey, Verification, VerifySettings, WatermarkState,
};
use crate::error::{Error, Result};
use crate::files::{Files, QUARANTINE, WATERMARK, read_full, write_full, write_zeros};
use crate::format::manifest::{Closing, Entry, Form, Manifest, SealedEnd};
use crate::format::segment::SegmentHeader;
use crate::format::watermark::Ended;
use crate::open::{last_entry, lock};
use crate::place::{Lost, Tip};
use crate::rotate::begin_segment;
use crate::settings::{Parts, ReadMode};
use crate::vfs::Access;
use crate::watermark::Watermark;

const COPY_BYTES: usize = 1024 * 1024;

/// What a repair did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Repair {
    /// What it found.
    pub found: Verification,
    /// The copies of the damaged files as they were.
    pub quarantined: Vec<PathBuf>,
}

/// Repairs the log: every damaged file is copied to `quarantine/` in the log's directory, then the
/// damaged ranges are recorded as lost in the manifest. Reading one is an error from then on, not a gap;
/// everything else is read as before, and appends go on after the last number that the log is known to have
/// had. What is archived is not looked at and stays as it is. Nothing happens where nothing is damaged. After a crash in between, repair again.
///
/// # Errors
///
/// `Locked` when the log is in use, `NotFound`, `NewerFormat`, `NoSpace`, `Io`; `Corrupt` when so little is
/// left that nothing can be told: restore a copy then.
pub fn repair(
    parts: &Parts,
    directory: &Path,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Repair> {
    let files = Files::new(parts, directory, ReadMode::Pread);
    files.names()?;
    let _lock = lock(&files, "which repairs the log")?;
    let settings = VerifySettings::THOROUGH.archived(ArchivedSegments::Skip);
    let survey = Survey::take(&files, false, settings, progress)?;
    let mut repair = Repair {
        found: survey.verification.clone(),
        quarantined: Vec::new(),
    };
    if survey.verification.damage.is_empty() {
        return Ok(repair);
    }
    let failed = |error| Error::io("the repair could not be completed", directory, error);
    repair.quarantined = quarantine_damaged(&files, &survey).map_err(failed)?;
    let manifest = mend_segments(&files, &survey).map_err(failed)?;
    go_on(parts, &files, &survey, manifest).map_err(failed)?;
    Ok(repair)
}

/// Copies all damaged files, durably.
fn quarantine_damaged(files: &Files, survey: &Survey) -> io::Result<Vec<PathBuf>> {
    let directory = files.path(QUARANTINE);
    files.vfs.create_dir_all(&directory)?;
    files.vfs.sync_directory(&files.directory)?;
    let taken = files.vfs.names(&directory)?;
    let numbers = taken
        .iter()
        .filter_map(|name| name.split('-').next()?.parse().ok());
    let number = numbers.max().unwrap_or(0_u64).saturating_add(1);
    let mut copies: Vec<PathBuf> = Vec::new();
    let mut done: Vec<&Path> = Vec::new();
    for damage in &survey.verification.damage {
        let file = damage.file.as_path();
        if done.contains(&file) {
            continue;
        }
        done.push(file);
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let copy = directory.join(format!("{number}-{name}"));
        if copy_file(files, file, &copy)? {
            copies.push(copy);
        }
    }
    files.vfs.sync_directory(&directory)?;
    Ok(copies)
}

/// Copies a file, durably but for its name; `false` when there is none.
pub(crate) fn copy_file(files: &Files, from: &Path, to: &Path) -> io::Result<bool> {
    let source = match files.vfs.open(from, Access::Read) {
        Ok(source) => source,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let target = files.vfs.open(to, Access::Create)?;
    let mut buffer = vec![0; COPY_BYTES];
    let mut at = 0;
    loop {
        let read = read_full(&*source, &mut buffer, at)?;
        write_full(&*target, buffer.get(..read).unwrap_or_default(), at)?;
        at += read as u64;
        if read < COPY_BYTES {
            break;
        }
    }
    target.sync_all()?;
    Ok(true)
}

/// Writes headers again, clears what stands behind an end, removes what doesn't belong; and gives the
/// manifest with the lost ranges in it.
fn mend_segments(files: &Files, survey: &Survey) -> io::Result<Manifest> {
    let mut manifest = survey.manifest.clone();
    for (entry, report) in manifest.segments.iter_mut().zip(&survey.segments) {
        mend_segment(files, entry, report)?;
    }
    for name in &survey.unexpected {
        files.remove(&files.path(name))?;
    }
    files.vfs.sync_directory(&files.directory)?;
    Ok(manifest)
}

fn mend_segment(files: &Files, entry: &mut Entry, report: &SegmentReport) -> io::Result<()> {
    entry.lost.extend(report.newly_lost.iter().cloned());
    entry.lost.sort_by_key(|lost| lost.offsets.start);
    entry.lost = merged(&entry.lost);
    if let Some(end) = &mut entry.end
        && !report.footer_at_tip
    {
        end.closing = Closing::Abandoned;
    }
    if let Some(end) = report.excess_at {
        let path = files.path_of(entry.header.id, entry.form);
        let file = files.vfs.open(&path, Access::Write)?;
        file.set_length(end)?;
        return file.sync_all();
    }
    if entry.form != Form::Plain || report.is_missing {
        return Ok(());
    }
    if !(report.header_is_damaged || report.residue_at.is_some()) {
        return Ok(());
    }
    let file = files
        .vfs
        .open(&files.segment(entry.header.id), Access::Write)?;
    if report.header_is_damaged {
        write_full(&*file, &entry.header.encode(), 0)?;
    }
    if let Some(from) = report.residue_at {
        let length = file.length()?;
        write_zeros(&*file, u64::from(from)..length)?;
    }
    file.sync_all()
}

/// Puts the manifest in place, with a segment to go on in where the last one was damaged.
fn go_on(parts: &Parts, files: &Files, survey: &Survey, mut manifest: Manifest) -> io::Result<()> {
    let last = last_entry(&manifest);
    let is_abandoned = survey.segments.last().is_some_and(|report| {
        report.is_missing || !report.newly_lost.is_empty() || has_chain_damage(report)
    });
    let Some(report) = survey.segments.last() else {
        return Ok(());
    };
    let slot = match survey.watermark {
        WatermarkState::Valid(slot) if slot.segment >= last.header.id => Some(slot),
        _ => None,
    };
    let is_behind = slot.is_some_and(|slot| slot.segment > last.header.id);
    let mut tip = (last.header.id, report.tip);
    if is_abandoned || is_behind {
        let known = slot.map_or(0, |slot| slot.served_number);
        let next_number = report.tip.next_number.max(known);
        abandon_last(&mut manifest, &report.tip, next_number);
        let header = SegmentHeader {
            id: last.header.id.saturating_add(1),
            salt: parts.rng.next_u64()?,
            first_number: next_number,
            previous_digest: report.tip.digest,
            ..last.header
        };
        files.remove(&files.segment(header.id))?;
        begin_segment(files, &header)?;
        tip = (header.id, Tip::start(&header));
        manifest.segments.push(Entry {
            header,
            end: None,
            form: Form::Plain,
            archived: None,
            lost: Vec::new(),
        });
    }
    if manifest != survey.manifest || survey.manifest_is_damaged {
        files.stage_manifest(&manifest)?;
        files.commit_manifest()?;
    }
    let (segment, tip) = tip;
    if is_abandoned || is_behind || has_watermark_damage(files, survey) {
        files.remove(&files.path(WATERMARK))?;
        let mut watermark = Watermark::create(files, manifest.log, segment, tip)?;
        watermark.seal(segment, tip, Ended::Openly)?;
        files.vfs.sync_directory(&files.directory)?;
    }
    Ok(())
}

/// Ends the last segment where it ended, without a footer; numbers that are known to have been given out
/// and stand nowhere are lost at its end.
fn abandon_last(manifest: &mut Manifest, tip: &Tip, next_number: u64) {
    let Some(last) = manifest.segments.last_mut() else {
        return;
    };
    let mut end = tip.offset;
    if next_number > tip.next_number {
        last.lost.push(Lost {
            offsets: end..end.saturating_add(8),
            numbers: tip.next_number..next_number,
        });
        end = end.saturating_add(8);
    }
    last.end = Some(SealedEnd {
        offset: end.min(last.header.capacity),
        digest: tip.digest,
        closing: Closing::Abandoned,
    });
}

fn has_chain_damage(report: &SegmentReport) -> bool {
    let mut kinds = report.damage.iter().map(|damage| damage.kind);
    kinds.any(|kind| kind == crate::DamageKind::Chain)
}

fn has_watermark_damage(files: &Files, survey: &Survey) -> bool {
    let path = files.path(WATERMARK);
    survey.watermark == WatermarkState::Damaged
        || survey
            .verification
            .damage
            .iter()
            .any(|damage| damage.file == path)
}

/// Ranges that touch become one.
fn merged(ranges: &[Lost]) -> Vec<Lost> {
    let mut merged: Vec<Lost> = Vec::new();
    for next in ranges {
        match merged.last_mut() {
            Some(before) if before.offsets.end >= next.offsets.start => {
                before.offsets.end = before.offsets.end.max(next.offsets.end);
                before.numbers.end = before.numbers.end.max(next.numbers.end);
            }
            _ => merged.push(next.clone()),
        }
    }
    merged
}
