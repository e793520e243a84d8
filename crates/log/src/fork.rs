//! Another log with the beginning of one: sealed segments are shared, the rest is copied.
//!
//! A sealed segment never changes, so a second name of its file is as good as a copy. The last segment of the fork is
//! a new file with a salt of its own, into which the records are written again: the two logs go on apart.

use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use crate::check::Progress;
use crate::error::{Error, ErrorKind, Result};
use crate::files::Files;
use crate::follower::Follower;
use crate::format::frame::{Kind, RECORD_HEADER_BYTES};
use crate::format::manifest::{Archived, Entry, Form, Manifest};
use crate::format::segment::{HEADER_BYTES, SegmentHeader};
use crate::open::{create_directory, lock, refuse_existing};
use crate::place::{Place, RecordAt, Tip};
use crate::repair::copy_file;
use crate::rotate::begin_segment;
use crate::scan::Scanned;
use crate::segments::{FORMS_TRIED_MAX, Segment, is_missing};
use crate::settings::{LogSettings, Parts, ReadMode};
use crate::vfs::Access;
use crate::view::View;
use crate::watermark::Watermark;
use crate::writer::Log;

/// After how many copied bytes the fork is synced.
const SYNC_BYTES: usize = 8 * 1024 * 1024;

/// What a fork consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fork {
    /// The number of its last numbered record; 0 where it has none.
    pub last_number: u64,
    /// How many segments it shares with the log that it is of.
    pub segments_shared: usize,
    /// How many sealed segments were copied, as their file system gave them no second name or an archive has them.
    pub segments_copied: usize,
}

/// Makes another log in the directory `to`, of the records of the log in `from` up to and with the number `until`, or
/// all where it has fewer. Both can be written from then on, each for itself. `from` may be open, in this process or
/// another: the fork is of what is durable there.
///
/// A frame that goes beyond `until` is cut before the record with the next number where `begins` says of its body
/// that it begins something whole, else before the last such record before it. Notes before the cut are in the fork.
///
/// What is archived is copied into the fork, which has no archive.
///
/// The fork is durable when this returns. It has the identity of the log that it is of, and shares its sealed files:
/// damage to such a file is damage to both, so a fork is no backup.
///
/// # Errors
///
/// `NotFound` when there is no log in `from`, `AlreadyExists` when there is one in `to`, `Corrupt` when what would be
/// copied is damaged or was given up, `NewerFormat`, `Invalid`, `NoSpace`, `Io`. What was made of the fork by then
/// stays in its directory.
pub fn fork(
    parts: &Parts,
    from: &Path,
    to: &Path,
    settings: &LogSettings,
    until: u64,
    begins: &dyn Fn(&[u8]) -> bool,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Fork> {
    settings.validate(to)?;
    let view = Follower::open(parts, from, ReadMode::Pread)?.view();
    let (shared, last) = split(&view, until)?;
    let files = Files::new(parts, to, settings.reads);
    create_directory(&files)?;
    let held = lock(&files, "which makes a fork in it")?;
    refuse_existing(&files)?;
    let failed = |error| Error::io("the fork can't be made", to, error);
    let segments = shared.len() + 1;
    let (mut segments_copied, mut sealed) = (0, Vec::new());
    for (segments_done, segment) in shared.iter().enumerate() {
        let file = &files.segment(segment.id());
        progress(Progress {
            file,
            segments_done,
            segments,
        });
        let (entry, is_copied) = share(&view, &files, segment).map_err(failed)?;
        sealed.push(entry);
        segments_copied += usize::from(is_copied);
    }
    begin(parts, &view, &files, sealed, last).map_err(failed)?;
    drop(held);
    progress(Progress {
        file: &files.segment(last.id()),
        segments_done: shared.len(),
        segments,
    });
    let (mut log, _) = Log::open(parts, to, settings.clone())?;
    copy_records(&view, last, &mut log, until, begins)?;
    let last_number = log.sync()?.last_number();
    log.close()?;
    Ok(Fork {
        last_number,
        segments_shared: shared.len() - segments_copied,
        segments_copied,
    })
}

/// The segments of which all records are in the fork, and the one that it ends in.
fn split(view: &View, until: u64) -> Result<(Vec<&Segment>, &Segment)> {
    let end = view.end().at.segment();
    let mut shared = Vec::new();
    let mut segments = view.segments().peekable();
    while let Some(segment) = segments.next() {
        let next = segments.peek().filter(|next| next.id() <= end);
        let is_whole = next.is_some_and(|next| next.first_number() <= until.saturating_add(1));
        if !is_whole || segment.sealed.get().is_none() {
            return Ok((shared, segment));
        }
        shared.push(segment);
    }
    let message = "the log has no segment; verify it";
    Err(Error::new(ErrorKind::NotFound, message).at(&view.list().files.directory))
}

/// Shares a sealed segment in the form that it has, which may change meanwhile; what the fork says of it, and
/// whether it was copied.
fn share(view: &View, files: &Files, segment: &Segment) -> io::Result<(Entry, bool)> {
    let source = &view.list().files;
    let mut entry = segment.entry();
    let mut missing = io::Error::from(io::ErrorKind::NotFound);
    for _ in 0..=FORMS_TRIED_MAX {
        let from = source.path_of(segment.id(), entry.form);
        let to = files.path_of(segment.id(), entry.form);
        let shared = match entry.archived.take() {
            Some(archived) => fetch(view, files, &entry, &archived, &to).map(|()| true),
            None => share_file(files, &from, &to),
        };
        match shared {
            Ok(is_copied) => return Ok((entry, is_copied)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => missing = error,
            Err(error) => return Err(error),
        }
        match source.entry_now(&segment.header) {
            Some(now) => entry = now,
            None => break,
        }
    }
    Err(missing)
}

/// Copies the file of an archived segment: a fork has no archive, so that neither log depends on files that the other one
/// removes.
fn fetch(
    view: &View,
    files: &Files,
    entry: &Entry,
    archived: &Archived,
    to: &Path,
) -> io::Result<()> {
    let segment = Segment::new(entry);
    files.remove(to)?;
    let target = files.vfs.open(to, Access::Create)?;
    let mut go_on = |_| ControlFlow::Continue(());
    let fetched = view.fetch(&segment, archived, &*target, &mut go_on);
    match fetched {
        Ok(_) => target.sync_all(),
        Err(error) => {
            let is_missing = is_missing(&error);
            let kind = if is_missing {
                io::ErrorKind::NotFound
            } else {
                io::ErrorKind::Other
            };
            Err(io::Error::new(kind, error))
        }
    }
}

/// Gives a file its second name, or copies it where that can't be; whether it was copied.
fn share_file(files: &Files, from: &Path, to: &Path) -> io::Result<bool> {
    match files.vfs.hard_link(from, to) {
        Ok(()) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(error),
        Err(_) => {
            files.remove(to)?;
            if copy_file(files, from, to)? {
                return Ok(true);
            }
            Err(io::ErrorKind::NotFound.into())
        }
    }
}

/// Begins the last segment, and makes a log of it and those before it.
fn begin(
    parts: &Parts,
    view: &View,
    files: &Files,
    sealed: Vec<Entry>,
    last: &Segment,
) -> io::Result<()> {
    let header = SegmentHeader {
        salt: parts.rng.next_u64()?,
        ..last.header.clone()
    };
    begin_segment(files, &header)?;
    let log = view.log_id();
    Watermark::create(files, log, header.id, Tip::start(&header))?;
    let open = Entry {
        header,
        end: None,
        form: Form::Plain,
        archived: None,
        lost: Vec::new(),
    };
    let manifest = Manifest {
        log,
        archive_key: None,
        segments: sealed.into_iter().chain([open]).collect(),
    };
    files.stage_manifest(&manifest)?;
    files.vfs.sync_directory(&files.directory)?;
    files.commit_manifest()
}

/// The records of one frame.
#[derive(Default)]
struct Batch {
    records: Vec<Copied>,
}

struct Copied {
    number: Option<u64>,
    body: Vec<u8>,
}

/// Writes the records of a segment again, frame by frame, up to a number.
fn copy_records(
    view: &View,
    segment: &Segment,
    log: &mut Log,
    until: u64,
    begins: &dyn Fn(&[u8]) -> bool,
) -> Result<()> {
    let mut scan = view.scan(Place {
        at: RecordAt::new(segment.id(), HEADER_BYTES),
        next_number: segment.first_number(),
    });
    let (mut batch, mut unsynced) = (Batch::default(), 0);
    while let Some(record) = scan.next_record()? {
        if record.at.segment() != segment.id() {
            break;
        }
        let at = record.at;
        batch.push(&record);
        if scan.place().at < at {
            continue;
        }
        // That was the last record of its frame.
        let is_cut = batch.cut(until, begins);
        unsynced += batch.write(log, segment)?;
        if is_cut {
            break;
        }
        if unsynced > SYNC_BYTES {
            log.sync()?;
            unsynced = 0;
        }
    }
    Ok(())
}

impl Batch {
    fn push(&mut self, record: &Scanned<'_>) {
        self.records.push(Copied {
            number: record.number,
            body: record.body.to_vec(),
        });
    }

    /// Drops what is beyond a number; whether anything was.
    fn cut(&mut self, until: u64, begins: &dyn Fn(&[u8]) -> bool) -> bool {
        let is_beyond = |record: &Copied| record.number.is_some_and(|number| number > until);
        let Some(beyond) = self.records.iter().position(is_beyond) else {
            return false;
        };
        let mut numbered = self.records.iter().take(beyond + 1).enumerate().rev();
        let whole = numbered.find(|(_, it)| it.number.is_some() && begins(&it.body));
        self.records.truncate(whole.map_or(0, |(index, _)| index));
        true
    }

    /// Writes the frame and empties the batch; how many bytes it has.
    fn write(&mut self, log: &mut Log, segment: &Segment) -> Result<usize> {
        let bodies = self.records.iter().map(|record| record.body.len());
        let bytes = bodies.map(|body| body + RECORD_HEADER_BYTES).sum();
        if bytes == 0 {
            return Ok(0);
        }
        let room = log.reserve(bytes, || segment.context())?;
        debug_assert_eq!(
            room.id,
            segment.id(),
            "what was in a segment fits in its copy"
        );
        let mut frame = log.frame();
        for record in self.records.drain(..) {
            let kind = match record.number {
                Some(_) => Kind::Numbered,
                None => Kind::Note,
            };
            frame.push(kind, |out| out.extend_from_slice(&record.body));
        }
        frame.write()?;
        Ok(bytes)
    }
}
