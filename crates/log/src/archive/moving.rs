//! Moving segments to an archive and back.

use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use super::{Archive, check_location, out_of_reach};
use crate::checksum::crc32c_append;
use crate::compress::{
    PIECE_BYTES, Pace, Rewritten, Staged, Wanted, check_frames, copy, piece_bytes,
};
use crate::error::{Damage, DamageKind, Error, ErrorKind, Result};
use crate::files::{MANIFEST_NEW, is_staged, name_of, read_full};
use crate::format::manifest::{Archived, Form, SealedEnd};
use crate::planted::{self, Bug};
use crate::segments::{Kept, Segment};
use crate::vfs::{Access, VfsFile};
use crate::view::View;
use crate::writer::Log;

/// What tells the folder of a log in an archive from those of its forks; see [`Log::archive_key`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ArchiveKey(u64);

impl View {
    /// Copies the file of a sealed segment to the archive at this location, which is an absolute path or a URL: durable,
    /// read back and compared byte by byte; `None` when `pace` broke it off. The log goes on with the file that it has
    /// until the copy is [adopted](Log::adopt).
    ///
    /// A whole copy that was not compared to its end stays, whatever happened: a copy of the log's directory may count on
    /// it by now. The next move takes it over, if it is the same. Copies that a crash left unfinished in the log's
    /// folder there are removed first. Whoever writes the log calls it, for one segment at a time.
    ///
    /// # Errors
    /// `NotFound` when there is no such segment. `Invalid` when it is the one that is written to, is archived already,
    /// or lost something, for what is no location, and when the archive has a file of its name with other bytes.
    /// `Corrupt` when it is damaged. `NoSpace`, `Io`, the latter also when what the log has there already can't be
    /// reached.
    pub fn archive(
        &self,
        segment: u32,
        location: &str,
        key: ArchiveKey,
        pace: &mut Pace<'_>,
    ) -> Result<Option<Rewritten>> {
        self.check_archive(location)?;
        let (segment, end) = self.rewritable(segment, Wanted::Archived)?;
        let files = &self.list().files;
        let path = segment.path(files);
        let failed = |error| Error::io("the segment can't be archived", &path, error);
        let whole = segment.open(files, Some(&end))?;
        check_frames(&whole, segment, &end, &path)?;
        drop(whole);
        let log = segment.header.log;
        let archive = files
            .open_archive(log, location, key.0)
            .map_err(|error| out_of_reach(segment.id(), location, error))?;
        // The manifest by which nothing there is the log's any more is durable before it is removed.
        let directory = &files.directory;
        files.vfs.sync_directory(directory).map_err(failed)?;
        remove_unfinished(&*archive).map_err(failed)?;
        let file = files.open(&path, Access::Read)?;
        let bytes = bytes_of(segment, &end);
        let name = name_of(segment.id(), segment.form);
        if differs(&*file, &*archive, (&name, bytes), pace).map_err(failed)? {
            return Err(is_another(location, &name));
        }
        let checksum = match put_and_compared(&*file, &*archive, (&name, bytes), pace) {
            Ok(Put::Compared(checksum)) => checksum,
            Ok(Put::BrokenOff) => return Ok(None),
            Ok(Put::Another) => return Err(is_another(location, &name)),
            Err(error) => return Err(failed(error)),
        };
        let length = file.length().map_err(failed)?;
        if planted::is_active(Bug::ArchivedTooEarly) {
            let _ = files.remove(&path);
        }
        Ok(Some(Rewritten {
            header: segment.header.clone(),
            kept: Kept {
                form: segment.form,
                archived: Some(Arc::new(Archived {
                    location: location.to_owned(),
                    key: key.0,
                    bytes,
                    checksum,
                })),
            },
            end,
            bytes_before: length,
            bytes_after: 0,
            replaced: segment.kept(),
            files: files.clone(),
        }))
    }

    /// Copies the file of an archived segment back into the log's directory, durable, and held against the checksum
    /// of when it was archived; `None` when `pace` broke it off. As [`archive`](Self::archive) it is to be adopted.
    ///
    /// # Errors
    /// As for [`archive`](Self::archive); `Corrupt` when the file is not the one that was archived, `Io` when the
    /// archive can't be reached.
    pub fn restore(&self, segment: u32, pace: &mut Pace<'_>) -> Result<Option<Rewritten>> {
        let (segment, end) = self.rewritable(segment, Wanted::Local)?;
        let Some(archived) = &segment.archived else {
            return Ok(None);
        };
        let files = &self.list().files;
        let path = files.path_of(segment.id(), segment.form);
        let failed = |error| Error::io("the segment can't be restored", &path, error);
        let staged = Staged::create(files, &path).map_err(failed)?;
        if self
            .fetch(segment, archived, &*staged.file, pace)?
            .is_break()
        {
            return Ok(None);
        }
        staged.settle().map_err(failed)?;
        let checksum = checksum_of(&*staged.file, archived.bytes, pace).map_err(failed)?;
        let Some(checksum) = checksum else {
            return Ok(None);
        };
        if checksum != archived.checksum && !planted::is_active(Bug::ArchiveUnchecked) {
            let message = "the segment reads back differently";
            let error = io::Error::new(io::ErrorKind::InvalidData, message);
            return Err(failed(error));
        }
        staged.keep();
        Ok(Some(Rewritten {
            header: segment.header.clone(),
            kept: Kept {
                form: segment.form,
                archived: None,
            },
            end,
            bytes_before: 0,
            bytes_after: archived.bytes,
            replaced: segment.kept(),
            files: files.clone(),
        }))
    }

    /// Copies the file of an archived segment, and holds it against its checksum; not durable.
    pub(crate) fn fetch(
        &self,
        segment: &Segment,
        archived: &Archived,
        to: &dyn VfsFile,
        pace: &mut Pace<'_>,
    ) -> Result<ControlFlow<()>> {
        let (files, log) = (&self.list().files, segment.header.log);
        let file = files.open_archived(log, segment.id(), segment.form, archived)?;
        let path = segment.path(files);
        let failed = |error| Error::io("the archived segment can't be read", &path, error);
        if copy(&file, to, archived.bytes, pace)
            .map_err(failed)?
            .is_break()
        {
            return Ok(ControlFlow::Break(()));
        }
        let checksum = checksum_of(to, archived.bytes, pace).map_err(failed)?;
        match checksum {
            None => Ok(ControlFlow::Break(())),
            Some(checksum)
                if checksum == archived.checksum || planted::is_active(Bug::ArchiveUnchecked) =>
            {
                Ok(ControlFlow::Continue(()))
            }
            Some(_) => {
                let damage = Damage::new(&path, 0_u64, DamageKind::Archive);
                Err(Error::corrupt(damage))
            }
        }
    }

    /// Whether segments can be moved to this location.
    ///
    /// # Errors
    /// `Invalid` for what is no location. `Io` when nobody opens such, and when what the log has there already can't be
    /// reached, as where a disk is not mounted; `Corrupt` when it is not there any more.
    pub fn check_archive(&self, location: &str) -> Result<()> {
        check_location(location)?;
        let (files, log) = (&self.list().files, self.log_id());
        let opened = files.open_archive(log, location, 0);
        opened
            .map_err(|error| Error::io("no archive can be opened", Path::new(location), error))?;
        let mut segments = self.segments();
        match segments.find(|segment| segment.archive() == Some(location)) {
            Some(segment) => self.reach(segment),
            None => Ok(()),
        }
    }

    /// Removes everything from the log's folder at a location, where no segment is any more; nothing where one is.
    ///
    /// # Errors
    /// `Io` when it can't be reached or refuses.
    pub fn sweep_archive(&self, location: &str, key: ArchiveKey) -> Result<()> {
        let mut segments = self.segments();
        if segments.any(|segment| segment.archive() == Some(location)) {
            return Ok(());
        }
        let files = &self.list().files;
        let swept = (|| {
            files.vfs.sync_directory(&files.directory)?;
            let archive = files.open_archive(self.log_id(), location, key.0)?;
            for name in archive.names()? {
                archive.remove(&name)?;
            }
            Ok(())
        })();
        let location = Path::new(location);
        swept.map_err(|error| Error::io("the archive can't be emptied", location, error))
    }
}

/// What came of putting a file.
enum Put {
    /// It is there: the checksum of it.
    Compared(u32),
    BrokenOff,
    /// There was another of its name.
    Another,
}

/// Puts a file and compares what is there then with it. Where there was one it may be another's; or that of an attempt
/// whose answer was lost, as shows when it is read. Nothing is removed here: whoever has a copy of the log's directory
/// may have put, or taken over, what has the name.
fn put_and_compared(
    file: &dyn VfsFile,
    archive: &dyn Archive,
    (name, bytes): (&str, u64),
    pace: &mut Pace<'_>,
) -> io::Result<Put> {
    let was_free = match archive.put(name, file, bytes, pace) {
        Ok(ControlFlow::Continue(())) => true,
        Ok(ControlFlow::Break(())) => return Ok(Put::BrokenOff),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
        Err(error) => return Err(error),
    };
    match compared(file, archive, name, bytes, pace) {
        Ok(Some(checksum)) => Ok(Put::Compared(checksum)),
        Ok(None) => Ok(Put::BrokenOff),
        Err(error) if !was_free && error.kind() == io::ErrorKind::InvalidData => Ok(Put::Another),
        Err(error) => Err(error),
    }
}

#[cold]
fn is_another(location: &str, name: &str) -> Error {
    let message = format!(
        "the archive {location} has another file {name} of this log: a copy of its directory may \
        be in use as well, or what was put there came to harm; if no copy is in use, remove the file"
    );
    Error::new(ErrorKind::Invalid, message)
}

/// Whether the archive has a file of this name that is another.
fn differs(
    file: &dyn VfsFile,
    archive: &dyn Archive,
    (name, bytes): (&str, u64),
    pace: &mut Pace<'_>,
) -> io::Result<bool> {
    if !archive.names()?.iter().any(|there| there == name) {
        return Ok(false);
    }
    match compared(file, archive, name, bytes, pace) {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(true),
        compared => compared.map(|_| false),
    }
}

/// Removes copies that were not finished.
fn remove_unfinished(archive: &dyn Archive) -> io::Result<()> {
    for name in archive.names()? {
        if is_staged(&name) {
            archive.remove(&name)?;
        }
    }
    Ok(())
}

impl Log {
    /// The key of the log's folder in archives: drawn, and durable in the manifest, when it is first asked for, before
    /// anything is copied. A log that has one is refused by versions that know no archives.
    ///
    /// # Errors
    /// As for [`adopt`](Self::adopt).
    pub fn archive_key(&mut self) -> Result<ArchiveKey> {
        self.check_usable()?;
        if let Some(key) = self.manifest.archive_key {
            return Ok(ArchiveKey(key));
        }
        let key = self.rng.next_u64().map_err(|error| {
            Error::io(
                "no random number could be had",
                &self.files.directory,
                error,
            )
        })?;
        let key = key.max(1);
        self.change_archive_key(Some(key))?;
        Ok(ArchiveKey(key))
    }

    /// Forgets the key when no segment is archived any more, so that versions that know no archives read the log again.
    ///
    /// # Errors
    /// As for [`adopt`](Self::adopt).
    pub fn release_archive(&mut self) -> Result<()> {
        self.check_usable()?;
        let mut segments = self.manifest.segments.iter();
        if self.manifest.archive_key.is_none() || segments.any(|entry| entry.archived.is_some()) {
            return Ok(());
        }
        self.change_archive_key(None)
    }

    fn change_archive_key(&mut self, key: Option<u64>) -> Result<()> {
        let mut manifest = self.manifest.clone();
        manifest.archive_key = key;
        let staged = self.files.stage_manifest(&manifest);
        staged.map_err(|error| self.staging_failed(error))?;
        let path = self.files.path(MANIFEST_NEW);
        self.files
            .commit_manifest()
            .map_err(|error| self.poison("the manifest could not be put in place", &path, error))?;
        self.manifest = manifest;
        Ok(())
    }
}

/// How many bytes of a segment's file belong to it.
fn bytes_of(segment: &Segment, end: &SealedEnd) -> u64 {
    match segment.form {
        Form::Plain => end.plain_bytes(),
        Form::Compressed { bytes, .. } => bytes,
    }
}

/// Reads a copy back from the archive and compares it byte by byte with the file that it is of: the checksum of both;
/// `None` when it was broken off.
fn compared(
    file: &dyn VfsFile,
    archive: &dyn Archive,
    name: &str,
    bytes: u64,
    pace: &mut Pace<'_>,
) -> io::Result<Option<u32>> {
    let copy = archive.open(name)?;
    copy.forget_cached(0..bytes)?;
    let (mut one, mut other) = (vec![0; PIECE_BYTES], vec![0; PIECE_BYTES]);
    let (mut at, mut checksum) = (0, 0);
    let mut is_same = copy.length()? == bytes;
    while at < bytes && is_same {
        let wanted = piece_bytes(bytes - at);
        let meant = one.get_mut(..wanted).unwrap_or_default();
        let there = other.get_mut(..wanted).unwrap_or_default();
        is_same = read_full(file, meant, at)? == wanted
            && read_full(&*copy, there, at)? == wanted
            && meant == there;
        is_same |= planted::is_active(Bug::ArchiveUnchecked);
        checksum = crc32c_append(checksum, meant);
        at += wanted as u64;
        if pace(2 * wanted as u64).is_break() {
            return Ok(None);
        }
    }
    if is_same {
        return Ok(Some(checksum));
    }
    let message = "the copy in the archive reads back differently";
    Err(io::Error::new(io::ErrorKind::InvalidData, message))
}

/// The checksum of the first bytes of a file; `None` when it was broken off.
fn checksum_of(file: &dyn VfsFile, bytes: u64, pace: &mut Pace<'_>) -> io::Result<Option<u32>> {
    let mut buffer = vec![0; PIECE_BYTES];
    let (mut at, mut checksum) = (0, 0);
    while at < bytes {
        let wanted = piece_bytes(bytes - at);
        let piece = buffer.get_mut(..wanted).unwrap_or_default();
        if read_full(file, piece, at)? < wanted {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        checksum = crc32c_append(checksum, piece);
        at += wanted as u64;
        if pace(wanted as u64).is_break() {
            return Ok(None);
        }
    }
    Ok(Some(checksum))
}
