//! Looking at every byte of a log.

mod parallel;
mod segment;
mod survey;

use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::error::{Damage, Result};
use crate::place::Lost;
use crate::settings::{Parts, ReadMode};

pub(crate) use segment::SegmentReport;
pub(crate) use survey::{Survey, WatermarkState};

/// How far a verification is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress<'a> {
    /// The file that comes next.
    pub file: &'a Path,
    /// How many segments are done.
    pub segments_done: usize,
    /// How many there are.
    pub segments: usize,
}

/// What is done about segments whose files are in an archive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ArchivedSegments {
    /// They are read in the archive and checked as the others are; an archive that can't be reached is an error.
    #[default]
    Check,
    /// They are left out, and [counted](Verification::segments_skipped).
    Skip,
}

/// How compressed segments are looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CompressedSegments {
    /// What is stored is held against its checksums, all of it; the footer, which is decompressed, against the chain. The
    /// form was compared with the segment when it was written, so that nothing else can have changed since. A file in
    /// which something is wrong is decompressed, to tell which frames are.
    #[default]
    Stored,
    /// They are decompressed, and their frames and records looked at as those of other segments are.
    Decompress,
}

/// What a verification looks at: data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifySettings {
    /// Segments whose files are in an archive. Default: they are checked.
    pub archived: ArchivedSegments,
    /// Compressed segments. Default: what is stored.
    pub compressed: CompressedSegments,
}

impl VerifySettings {
    /// All that there is, decompressed.
    pub const THOROUGH: Self = Self {
        archived: ArchivedSegments::Check,
        compressed: CompressedSegments::Decompress,
    };

    /// The same with archived segments treated so.
    #[must_use]
    pub const fn archived(mut self, archived: ArchivedSegments) -> Self {
        self.archived = archived;
        self
    }

    /// The same with compressed segments looked at so.
    #[must_use]
    pub const fn compressed(mut self, compressed: CompressedSegments) -> Self {
        self.compressed = compressed;
        self
    }
}

/// What a verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verification {
    /// What is damaged, in the order of the log: nothing when all is well.
    pub damage: Vec<Damage>,
    /// What a crash left, acknowledged to nobody, that the next opening clears away.
    pub unfinished: Vec<Damage>,
    /// What an earlier repair gave up.
    pub lost: Vec<LostRange>,
    /// Whether a writer has the log open; what it has not yet noted as durable is not looked at then.
    pub in_use: bool,
    /// How many segments there are.
    pub segments: usize,
    /// How many of them are archived and were left out.
    pub segments_skipped: usize,
    /// How many whole frames were found.
    pub frames: u64,
    /// How many records they hold.
    pub records: u64,
    /// How many bytes of segments were read.
    pub bytes: u64,
    /// The number that the next numbered record will take.
    pub next_number: u64,
}

impl Verification {
    /// Whether nothing is damaged and nothing was given up.
    pub fn is_whole(&self) -> bool {
        self.damage.is_empty() && self.lost.is_empty()
    }
}

/// A range that a repair gave up.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LostRange {
    /// The segment's file.
    pub file: PathBuf,
    /// The offsets in it, in bytes.
    pub offsets: Range<u32>,
    /// The numbers that stood there.
    pub numbers: Range<u64>,
}

impl LostRange {
    pub(crate) fn new(file: &Path, lost: &Lost) -> Self {
        Self {
            file: file.to_owned(),
            offsets: lost.offsets.clone(),
            numbers: lost.numbers.clone(),
        }
    }
}

/// Reads and checks every byte of every file of the log, and lists all that is damaged. Nothing is
/// changed; while it runs no writer can open the log, and one that has it open goes on. Segments are looked at
/// on up to [`readers_max`](crate::vfs::Vfs::readers_max) threads, each of which holds a window of a file or its
/// longest frame; the answer does not depend on how many there are.
///
/// # Errors
///
/// `NotFound` when there is no log, `NewerFormat`, `Io` when a file can't be read, or an archive can't be reached. Damage is no error
/// here.
pub fn verify(
    parts: &Parts,
    directory: &Path,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Verification> {
    verify_with(parts, directory, VerifySettings::default(), progress)
}

/// As [`verify`], looking at what the settings say.
///
/// # Errors
/// As for [`verify`].
pub fn verify_with(
    parts: &Parts,
    directory: &Path,
    settings: VerifySettings,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Verification> {
    let files = crate::files::Files::new(parts, directory, ReadMode::Pread);
    files.names()?;
    // A log that can't be locked is in use, or on a medium that can't be written.
    let lock = crate::open::lock(&files, "which verifies the log").ok();
    let survey = Survey::take(&files, lock.is_none(), settings, progress)?;
    drop(lock);
    Ok(survey.verification)
}
