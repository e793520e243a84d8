//! Archives: other places for the files of sealed segments that are hardly read any more.
//!
//! A file is copied to the archive, made durable, read back and compared; [`Log::adopt`](crate::Log::adopt) then
//! says in the manifest where it is, and the file in the log's directory is removed. A crash at any point leaves one
//! that is whole where the manifest says. Whoever reads the segment reads it there, in pieces.

mod directory;
mod moving;
mod piece;

use std::fmt;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use moving::ArchiveKey;
pub(crate) use piece::ArchivedFile;

use self::directory::DirectoryArchive;
use crate::LogId;
use crate::compress::Pace;
use crate::error::{Damage, DamageKind, Error, ErrorKind, Result};
use crate::files::{Files, name_of};
use crate::format::manifest::{Archived, Form, LOCATION_BYTES_MAX};
use crate::vfs::{OsVfs, Vfs, VfsFile};

/// The folder of one log in an archive: whole files under flat names. All methods block.
pub trait Archive: fmt::Debug + Send + Sync {
    /// Copies the first `bytes` of a file there under this name, in place of one that has it. The copy is durable when
    /// this returns, with its name. A file has its name only when it is whole: after an error, and where `pace` broke
    /// it off, what was copied in part is removed by this itself, as far as it can. The name itself is never removed
    /// again: whoever has a copy of the log may have put the file, or count on it.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] where the place can tell that there is a file of this name, which stays as it is:
    /// it may be the one that an earlier attempt put. For all else that the place refuses, nothing is known of the name:
    /// it may be free, or have the whole file.
    fn put(
        &self,
        name: &str,
        file: &dyn VfsFile,
        bytes: u64,
        pace: &mut Pace<'_>,
    ) -> io::Result<ControlFlow<()>>;

    /// Opens a file to read. Nothing but its length is asked and nothing but ranges are read; none of it is mapped.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] when the folder is there and has no such file; another kind when the folder is not
    /// there or can't be reached.
    fn open(&self, name: &str) -> io::Result<Arc<dyn VfsFile>>;

    /// The names of the files, in any order; none where there is no folder yet.
    ///
    /// # Errors
    /// What the place refuses.
    fn names(&self) -> io::Result<Vec<String>>;

    /// Removes the file of this name if there is one, durably.
    ///
    /// # Errors
    /// What the place refuses.
    fn remove(&self, name: &str) -> io::Result<()>;
}

/// Opens archives that are no directories, as URLs of object stores.
pub trait OpenArchive: fmt::Debug + Send + Sync {
    /// Opens the folder of this name at a location, which need not be there yet; `None` when locations of this kind are
    /// none of its own. Asked often: what is dear to make is kept.
    ///
    /// # Errors
    /// What is wrong with the location.
    fn open_archive(&self, location: &str, folder: &str) -> Option<io::Result<Arc<dyn Archive>>>;
}

/// How a log finds its archives. Directories are found without being told, by their absolute path or a URL `file://`
/// with it; whatever else there is, as `s3://`, is opened by who knows such.
#[derive(Clone, Debug, Default)]
pub struct Archives {
    openers: Vec<Arc<dyn OpenArchive>>,
    moved: Vec<(String, String)>,
}

impl Archives {
    /// With one more who opens archives; the first who knows a location has it.
    #[must_use]
    pub fn opened_by(mut self, opener: Arc<dyn OpenArchive>) -> Self {
        self.openers.push(opener);
        self
    }

    /// With an archive that was moved: what the log knows to be at `from` is at `to` by now.
    #[must_use]
    pub fn moved(mut self, from: impl Into<String>, to: impl Into<String>) -> Self {
        self.moved.push((from.into(), to.into()));
        self
    }

    /// Whether something could be moved to this location: it is an absolute path or a URL without keys, and somebody opens
    /// such. It is not asked for.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self, location: &str) -> io::Result<()> {
        let invalid = |error: Error| io::Error::new(io::ErrorKind::InvalidInput, error.to_string());
        check_location(location).map_err(invalid)?;
        let vfs: Arc<dyn Vfs> = Arc::new(OsVfs);
        self.open(&vfs, location, "").map(drop)
    }

    /// Where the archive is that the log knows to be at this location.
    fn now_at<'a>(&'a self, location: &'a str) -> &'a str {
        let mut moved = self.moved.iter();
        let found = moved.find(|(from, _)| from == location);
        found.map_or(location, |(_, to)| to)
    }

    fn open(
        &self,
        vfs: &Arc<dyn Vfs>,
        location: &str,
        folder: &str,
    ) -> io::Result<Arc<dyn Archive>> {
        let location = self.now_at(location);
        if is_secretive(location) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, NO_SECRETS));
        }
        let mut openers = self.openers.iter();
        if let Some(opened) = openers.find_map(|opener| opener.open_archive(location, folder)) {
            return opened;
        }
        let Some(directory) = directory_of(location) else {
            let message = "nobody opens archives of this kind here; give an absolute path, \
                or build in what knows such URLs";
            return Err(io::Error::new(io::ErrorKind::Unsupported, message));
        };
        let directory = directory.join(folder);
        Ok(Arc::new(DirectoryArchive::new(Arc::clone(vfs), directory)))
    }
}

/// What is said where a location has keys in it, which is not repeated.
const NO_SECRETS: &str = "the URL of an archive is written down and shown: leave users, passwords, parameters and fragments \
    out of it, and give keys to what opens it";

/// Whether something in a URL may be a key. A `@` is where a key may stand before it, also one that is no password: only
/// the container of Azure's `abfs` has its name there. That of a file has no server, and so no key.
fn is_secretive(location: &str) -> bool {
    let Some((scheme, rest)) = location.split_once("://") else {
        return false;
    };
    if rest.contains(['?', '#']) {
        return true;
    }
    if scheme == "file" && rest.starts_with('/') {
        return false;
    }
    if matches!(scheme, "abfs" | "abfss")
        && let Some((container, account)) = rest.split_once('@')
    {
        let is_of_names = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '-';
        return !container.chars().all(is_of_names) || account.contains('@');
    }
    rest.contains('@')
}

/// The directory that a location is, by its absolute path or as a URL of a file, in which nothing is encoded.
fn directory_of(location: &str) -> Option<&Path> {
    let path = match location.strip_prefix("file://") {
        Some(path) if path.contains('%') => return None,
        Some(path) => path,
        None => location,
    };
    let path = Path::new(path);
    path.is_absolute().then_some(path)
}

/// The folder of a log in an archive. A fork of a log has the same id and another key, so that neither meets files
/// of the other.
fn folder_of(log: LogId, key: u64) -> String {
    format!("{log}-{key:016x}")
}

impl Archived {
    fn folder(&self, log: LogId) -> String {
        folder_of(log, self.key)
    }
}

impl Files {
    /// The archive that this file is in.
    pub(crate) fn archive_of(
        &self,
        log: LogId,
        archived: &Archived,
    ) -> io::Result<Arc<dyn Archive>> {
        self.open_archive(log, &archived.location, archived.key)
    }

    fn open_archive(&self, log: LogId, location: &str, key: u64) -> io::Result<Arc<dyn Archive>> {
        self.archives
            .open(&self.vfs, location, &folder_of(log, key))
    }

    /// What messages call the file of an archived segment.
    pub(crate) fn archived_path(&self, log: LogId, id: u32, form: Form, of: &Archived) -> PathBuf {
        let now_at = self.archives.now_at(&of.location);
        let is_shown = !is_secretive(now_at);
        let location = Path::new(if is_shown { now_at } else { &of.location });
        location.join(of.folder(log)).join(name_of(id, form))
    }

    /// Opens the file of an archived segment to read; its length is seen to be right.
    pub(crate) fn open_archived(
        &self,
        log: LogId,
        id: u32,
        form: Form,
        archived: &Archived,
    ) -> Result<ArchivedFile> {
        let path = self.archived_path(log, id, form, archived);
        let opened = self
            .archive_of(log, archived)
            .and_then(|archive| archive.open(&name_of(id, form)))
            .and_then(|file| Ok((file.length()?, file)));
        let (length, file) = match opened {
            Ok(opened) => opened,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::corrupt(Damage::new(
                    &path,
                    0_u64,
                    DamageKind::Missing,
                )));
            }
            Err(error) => return Err(out_of_reach(id, &archived.location, error)),
        };
        if length != archived.bytes {
            let damage = Damage::new(&path, length.min(archived.bytes), DamageKind::Archive);
            return Err(Error::corrupt(damage));
        }
        let cache = (form == Form::Plain).then(|| Arc::clone(&self.cache));
        Ok(ArchivedFile::new(file, length, cache))
    }
}

#[cold]
fn out_of_reach(id: u32, location: &str, error: io::Error) -> Error {
    let message = format!(
        "segment {id} is in the archive {location}, which can't be reached; bring it within reach, \
        or tell where it is by now"
    );
    Error::new(ErrorKind::Io, message).caused_by(error)
}

/// Refuses what is no location of an archive.
fn check_location(location: &str) -> Result<()> {
    if is_secretive(location) {
        return Err(Error::new(ErrorKind::Invalid, NO_SECRETS));
    }
    let is_known = Path::new(location).is_absolute() || location.contains("://");
    if is_known && location.len() <= LOCATION_BYTES_MAX {
        return Ok(());
    }
    let message = format!(
        "{location:?} is no location of an archive; give an absolute path or a URL, of at most \
        {LOCATION_BYTES_MAX} bytes"
    );
    Err(Error::new(ErrorKind::Invalid, message))
}

#[cfg(test)]
mod tests {
    use super::is_secretive;

    #[test]
    fn what_may_be_a_key_in_a_url_is_known() {
        for secretive in [
            "https://TOKEN@host/cold",
            "https://user:password@host/cold",
            "https://user%3Apassword@host/cold",
            "s3://AKIAIOSFODNN7EXAMPLE@bucket/cold",
            "s3://user:pass/word@bucket/cold",
            "s3://bucket/cold?token=1",
            "s3://bucket/cold#1",
            "abfs://user:key@shop.dfs.core.windows.net/cold",
            "abfs://user%3Akey@shop.dfs.core.windows.net/cold",
            "abfss://cold@key@shop.dfs.core.windows.net/cold",
            "az://key@container/cold",
            "file://user@host/cold",
        ] {
            assert!(is_secretive(secretive), "{secretive}");
        }
        for other in [
            "/mnt/me@home/cold",
            "file:///mnt/me@home/cold",
            "s3://bucket/a:b",
            "https://host:8443/cold",
            "abfs://cold@shop.dfs.core.windows.net/a",
            "abfss://cold-2@shop.dfs.core.windows.net",
        ] {
            assert!(!is_secretive(other), "{other}");
        }
    }
}
