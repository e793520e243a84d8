//! Creating a log and opening it.

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::LogId;
use crate::error::{Damage, DamageKind, Error, ErrorKind, Result};
use crate::files::{
    Files, LOCK, MANIFEST, MANIFEST_NEW, QUARANTINE, WATERMARK, compressed_id, is_staged, name_of,
    read_full, segment_id,
};
use crate::format::frame::FRAME_HEADER_BYTES;
use crate::format::manifest::{Entry, Form, Manifest};
use crate::format::segment::{HEADER_BYTES, SegmentHeader};
use crate::format::watermark::{Ended, FILE_BYTES, SLOT_BYTES, SLOT_OFFSETS, Slot};
use crate::grow::Room;
use crate::place::{RecordAt, Tip};
use crate::planted::{self, Bug};
use crate::reader::FrameReader;
use crate::recover::{self, Recovered, Recovery};
use crate::rotate::begin_segment;
use crate::segments::{Known, Segment, SegmentList};
use crate::settings::{LogSettings, Parts};
use crate::vfs::{Access, Vfs, VfsFile, VfsLock};
use crate::view::View;
use crate::watermark::Watermark;
use crate::writer::{Active, Log};

impl Log {
    /// Creates a log in the directory, which is made where there is none. `context` is the word that
    /// the first segment carries. The log is durable when this returns.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` when the directory holds a log or what is left of one; `Locked`, `Invalid`, `NoSpace`, `Io`.
    pub fn create(
        parts: &Parts,
        directory: &Path,
        settings: LogSettings,
        context: u64,
    ) -> Result<Self> {
        settings.validate(directory)?;
        let files = Files::new(parts, directory, settings.reads);
        files.cache.limit(settings.block_cache_bytes_max);
        create_directory(&files)?;
        let lock = lock(&files, "which writes to the log")?;
        refuse_existing(&files)?;
        let failed = |error| Error::io("the log can't be created", directory, error);
        let random = || parts.rng.next_u64().map_err(failed);
        let id = u128::from(random()?) << 64 | u128::from(random()?);
        let header = SegmentHeader {
            log: LogId::from_bytes(id.to_le_bytes()),
            id: 1,
            capacity: settings.segment_bytes,
            salt: random()?,
            first_number: 1,
            context,
            previous_digest: 0,
        };
        let tip = Tip::start(&header);
        let manifest = Manifest {
            log: header.log,
            archive_key: None,
            segments: vec![Entry {
                header: header.clone(),
                end: None,
                form: Form::Plain,
                archived: None,
                lost: Vec::new(),
            }],
        };
        let (file, grown) = begin_segment(&files, &header).map_err(failed)?;
        let watermark = Watermark::create(&files, header.log, 1, tip).map_err(failed)?;
        files.stage_manifest(&manifest).map_err(failed)?;
        files
            .vfs
            .sync_directory(&files.directory)
            .and_then(|()| files.commit_manifest())
            .map_err(failed)?;
        let recovered = Recovered {
            tip,
            recovery: Recovery::default(),
        };
        let loaded = Loaded {
            files,
            lock,
            manifest,
            watermark,
        };
        loaded.into_log(parts, settings, &file, &recovered, grown)
    }

    /// Opens the log in the directory to write. After a close that is all; else the active segment is
    /// read and checked whole, and its end made durable before anything is served.
    ///
    /// # Errors
    ///
    /// `NotFound` when there is none: nothing is created. `Locked` when another process writes to it.
    /// `Corrupt` when something acknowledged is not there as it was written. `NewerFormat`, `Invalid`, `Io`.
    pub fn open(
        parts: &Parts,
        directory: &Path,
        settings: LogSettings,
    ) -> Result<(Self, Recovery)> {
        settings.validate(directory)?;
        let files = Files::new(parts, directory, settings.reads);
        files.cache.limit(settings.block_cache_bytes_max);
        files.names()?;
        let lock = lock(&files, "which writes to the log")?;
        let names = files.names()?;
        let manifest = files.read_manifest()?;
        check_names(&files, &manifest, &names)?;
        remove_leftovers(&files, &manifest, &names)?;
        let watermark = Watermark::open(&files, manifest.log)?;
        let loaded = Loaded {
            files,
            lock,
            manifest,
            watermark,
        };
        loaded.open(parts, settings)
    }
}

/// What was read before the segments are looked at.
struct Loaded {
    files: Files,
    lock: Box<dyn VfsLock>,
    manifest: Manifest,
    watermark: Watermark,
}

impl Loaded {
    fn open(mut self, parts: &Parts, settings: LogSettings) -> Result<(Log, Recovery)> {
        let entry = last_entry(&self.manifest);
        let segment = Segment::new(&entry);
        let path = self.files.segment(segment.id());
        let file = self.files.open(&path, Access::Write)?;
        segment.check_header(&path, &*file)?;
        check_chain(&self.files, &self.manifest)?;
        let failed = |error| Error::io("the segment can't be read", &path, error);
        let length = file
            .length()
            .map_err(failed)?
            .min(u64::from(entry.header.capacity));
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        let recovered = self.recover(&segment, &file, length)?;
        let recovery = recovered.recovery;
        let log = self.into_log(parts, settings, &file, &recovered, length)?;
        Ok((log, recovery))
    }

    /// Finds the end of the log, and makes it durable where that is not known.
    fn recover(
        &mut self,
        segment: &Segment,
        file: &Arc<dyn VfsFile>,
        length: u32,
    ) -> Result<Recovered> {
        let slot = self.watermark.slot;
        let path = self.files.segment(segment.id());
        if slot.segment > segment.id() {
            // The manifest is older than the watermark.
            let manifest = self.files.path(MANIFEST);
            return Err(Error::corrupt(Damage::new(
                &manifest,
                0_u64,
                DamageKind::Chain,
            )));
        }
        let is_cut = slot.segment == segment.id() && length < slot.durable.offset;
        let is_trusted = !(is_cut && planted::is_active(Bug::TruncationIgnored));
        let durable = if slot.segment == segment.id() && is_trusted {
            slot.durable
        } else {
            Tip::start(&segment.header)
        };
        if length < durable.offset {
            let damage = Damage::new(&path, length, DamageKind::Truncated);
            return Err(Error::corrupt(
                damage.of_numbers(segment.first_number()..durable.next_number),
            ));
        }
        let failed = |error| Error::io("the segment can't be read", &path, error);
        if slot.ended == Ended::Cleanly && slot.segment == segment.id() {
            let mut reader = FrameReader::new(Arc::clone(file), segment.seed, length);
            let beyond = reader.bytes(
                durable.offset,
                FRAME_HEADER_BYTES.min(length - durable.offset),
            );
            let beyond = beyond.map_err(failed)?.unwrap_or_default();
            if !crate::format::is_zero(beyond) {
                let damage = Damage::new(&path, durable.offset, DamageKind::Residue);
                return Err(Error::corrupt(damage));
            }
            let recovery = Recovery {
                was_closed: true,
                ..Recovery::default()
            };
            return Ok(Recovered {
                tip: durable,
                recovery,
            });
        }
        // The last process may have been stopped between a rename and its sync.
        sync_directory(&self.files)?;
        let recovered = recover::recover(&path, segment, file, durable, length)?;
        self.watermark
            .seal(segment.id(), recovered.tip, Ended::Openly)
            .map_err(|error| Error::io("the watermark can't be synced", &path, error))?;
        Ok(recovered)
    }

    fn into_log(
        self,
        parts: &Parts,
        settings: LogSettings,
        file: &Arc<dyn VfsFile>,
        recovered: &Recovered,
        grown: u32,
    ) -> Result<Log> {
        let segments = self.manifest.segments.iter();
        let segments: Vec<_> = segments
            .map(|entry| Arc::new(Segment::new(entry)))
            .collect();
        let list = Arc::new(SegmentList {
            files: self.files.clone(),
            log: self.manifest.log,
            segments,
            known: Known::default(),
        });
        let id = last_entry(&self.manifest).header.id;
        let Some(segment) = list.by_id(id).cloned() else {
            return Err(Error::new(
                ErrorKind::Invalid,
                "the manifest lists no segment",
            ));
        };
        let path = self.files.segment(id);
        segment
            .share(&self.files, file)
            .map_err(|error| Error::io("the segment can't be mapped", &path, error))?;
        let Recovered { tip, recovery } = *recovered;
        Ok(Log {
            view: View::new(Arc::clone(&list), tip.place(id)),
            files: self.files,
            rng: Arc::clone(&parts.rng),
            settings,
            manifest: self.manifest,
            list,
            active: Active {
                segment,
                file: Arc::clone(file),
                room: Room::new(grown),
                grown,
                written: tip,
                durable: tip,
                marked: recovery.was_closed || tip.offset == HEADER_BYTES,
            },
            watermark: self.watermark,
            buffer: Vec::new(),
            poisoned: false,
            _lock: self.lock,
        })
    }
}

/// Takes the directory's lock.
pub(crate) fn lock(files: &Files, holder: &str) -> Result<Box<dyn VfsLock>> {
    let path = files.path(LOCK);
    files.vfs.lock(&path, holder).map_err(|error| {
        if error.kind() == io::ErrorKind::WouldBlock {
            let message = format!("the log is {error}; close it there first");
            return Error::new(ErrorKind::Locked, message).at(&files.directory);
        }
        Error::io("the lock can't be taken", &path, error)
    })
}

/// Checks that the files of the log are there, and no segments but its own.
pub(crate) fn check_names(files: &Files, manifest: &Manifest, names: &[String]) -> Result<()> {
    let has = |name: &str| names.iter().any(|there| there == name);
    if !has(WATERMARK) {
        let damage = Damage::new(&files.path(WATERMARK), 0_u64, DamageKind::Missing);
        return Err(Error::corrupt(damage));
    }
    for (at, entry) in manifest.segments.iter().enumerate() {
        let header = &entry.header;
        let is_lost = entry
            .lost
            .iter()
            .any(|lost| lost.offsets.start <= HEADER_BYTES);
        let file = files.path_of(header.id, entry.form);
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        if entry.archived.is_none() && !has(&name) && !is_lost {
            let next = manifest.segments.get(at + 1);
            let end = next.map_or(header.first_number, |next| next.header.first_number);
            let damage = Damage::new(&file, 0_u64, DamageKind::Missing);
            return Err(Error::corrupt(damage.of_numbers(header.first_number..end)));
        }
    }
    Ok(())
}

pub(crate) fn last_entry(manifest: &Manifest) -> Entry {
    #[expect(
        clippy::expect_used,
        reason = "a manifest is parsed or built with one segment at least"
    )]
    let entry = manifest.segments.last().expect("a manifest has a segment");
    entry.clone()
}

/// Removes what a writer had begun that didn't come to its end: a manifest not yet in place, a segment
/// after the last that holds no frame, a form of a segment that the manifest does not name.
fn remove_leftovers(files: &Files, manifest: &Manifest, names: &[String]) -> Result<()> {
    let first = manifest.segments.first().map_or(1, |entry| entry.header.id);
    let last = last_entry(manifest).header.id;
    if names.iter().any(|name| is_unused_form(manifest, name)) {
        // The manifest that names the other form may have its name in memory alone.
        sync_directory(files)?;
    }
    let mut removed = false;
    for name in names {
        let path = files.path(name);
        if is_unused_form(manifest, name) {
            remove_leftover(files, &path)?;
            removed = true;
            continue;
        }
        let is_leftover = match segment_id(name).or(compressed_id(name)) {
            Some(id) if (first..=last).contains(&id) => false,
            Some(id)
                if last.checked_add(1) == Some(id)
                    && segment_id(name).is_some()
                    && is_unused(files, id)? =>
            {
                true
            }
            Some(_) => {
                let damage = Damage::new(&path, 0_u64, DamageKind::Unexpected);
                return Err(Error::corrupt(damage));
            }
            None => name == MANIFEST_NEW,
        };
        if is_leftover {
            remove_leftover(files, &path)?;
            removed = true;
        }
    }
    if removed {
        sync_directory(files)?;
    }
    Ok(())
}

fn sync_directory(files: &Files) -> Result<()> {
    let synced = files.vfs.sync_directory(&files.directory);
    synced.map_err(|error| Error::io("the directory can't be synced", &files.directory, error))
}

/// Whether a file of this name is a form of a segment that is not in use: one that was being written, or
/// one that was replaced.
pub(crate) fn is_unused_form(manifest: &Manifest, name: &str) -> bool {
    if is_staged(name) {
        return true;
    }
    let id = segment_id(name).or(compressed_id(name));
    let mut segments = manifest.segments.iter();
    let entry = segments.find(|entry| Some(entry.header.id) == id);
    entry.is_some_and(|entry| {
        entry.archived.is_some() || name_of(entry.header.id, entry.form) != name
    })
}

fn remove_leftover(files: &Files, path: &Path) -> Result<()> {
    tracing::debug!(path = %path.display(), "an unfinished file is removed");
    let gone = files.remove(path);
    gone.map_err(|error| Error::io("an unfinished file can't be removed", path, error))
}

/// Whether the watermark is that of a log in which nothing was written.
fn is_first_watermark(files: &Files) -> Result<bool> {
    let path = files.path(WATERMARK);
    let file = files.open(&path, Access::Read)?;
    let mut bytes = vec![0; FILE_BYTES];
    let read = read_full(&*file, &mut bytes, 0)
        .map_err(|error| Error::io("the watermark can't be read", &path, error))?;
    bytes.truncate(read);
    let slots = SLOT_OFFSETS.map(|offset| {
        let rest = bytes.get(usize::try_from(offset).ok()?..)?;
        Slot::parse(rest.get(..SLOT_BYTES)?, offset).ok()
    });
    let used = |slot: &Slot| slot.served() > RecordAt::new(1, HEADER_BYTES);
    Ok(!slots.iter().flatten().any(used))
}

/// Whether no frame stands in the file.
pub(crate) fn is_unused(files: &Files, id: u32) -> Result<bool> {
    let path = files.segment(id);
    let file = files.open(&path, Access::Read)?;
    let failed = |error| Error::io("the segment can't be read", &path, error);
    let mut block = vec![0; HEADER_BYTES as usize];
    let read = read_full(&*file, &mut block, 0).map_err(failed)?;
    let Ok(header) = SegmentHeader::parse(block.get(..read).unwrap_or_default()) else {
        return Ok(true);
    };
    let length = file
        .length()
        .map_err(failed)?
        .min(u64::from(header.capacity));
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    let mut reader = FrameReader::new(file, crate::format::Seed::new(header.salt), length);
    let found = reader
        .find_header(HEADER_BYTES, |_, _| true)
        .map_err(failed)?;
    Ok(found.is_none())
}

/// Checks that the last segment follows the one before it.
fn check_chain(files: &Files, manifest: &Manifest) -> Result<()> {
    let mut digest = None;
    for entry in &manifest.segments {
        if digest.is_some_and(|digest| digest != entry.header.previous_digest) {
            let path = files.segment(entry.header.id);
            return Err(Error::corrupt(Damage::new(&path, 0_u64, DamageKind::Chain)));
        }
        digest = entry.sealed_digest();
    }
    Ok(())
}

/// Makes the log's directory, durably.
pub(crate) fn create_directory(files: &Files) -> Result<()> {
    let directory = &files.directory;
    let made = make_directory(&*files.vfs, directory);
    made.map_err(|error| Error::io("the directory can't be made", directory, error))
}

/// Makes the directory and makes its name durable, and those of the parents that were not there.
pub(crate) fn make_directory(vfs: &dyn Vfs, directory: &Path) -> io::Result<()> {
    let mut missing: Vec<&Path> = Vec::new();
    for path in directory
        .ancestors()
        .filter(|path| !path.as_os_str().is_empty())
    {
        match vfs.names(path) {
            Ok(_) => break,
            Err(error) if error.kind() == io::ErrorKind::NotFound => missing.push(path),
            Err(error) => return Err(error),
        }
    }
    vfs.create_dir_all(directory)?;
    for path in missing {
        let parent = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        vfs.sync_directory(parent)?;
    }
    Ok(())
}

/// Refuses a directory that holds a log or anything that may be left of one; removes what an earlier
/// creation left that did not come to its end.
pub(crate) fn refuse_existing(files: &Files) -> Result<()> {
    let names = files.names()?;
    let exists = |message: &'static str| {
        Err(Error::new(ErrorKind::AlreadyExists, message).at(&files.directory))
    };
    if names.iter().any(|name| name == MANIFEST) {
        return exists("the directory holds a log; open it, or give another directory");
    }
    for name in &names {
        let is_unfinished = match segment_id(name) {
            Some(1) => is_unused(files, 1)?,
            Some(_) => false,
            None if compressed_id(name).is_some() => false,
            None if name == WATERMARK => is_first_watermark(files)?,
            None => name != QUARANTINE,
        };
        if !is_unfinished {
            return exists(
                "the directory holds what is left of a log; repair it, or give another directory",
            );
        }
    }
    for name in names.iter().filter(|name| segment_id(name).is_some()) {
        let path = files.path(name);
        let gone = files.remove(&path);
        gone.map_err(|error| Error::io("an unfinished file can't be removed", &path, error))?;
    }
    Ok(())
}
