//! The names of a log's files, and what is done to whole files.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::archive::Archives;
use crate::compress::BlockCache;
use crate::error::{Damage, DamageKind, Error, ErrorKind, Result};
use crate::format::Flaw;
use crate::format::manifest::{Entry, Form, Manifest};
use crate::format::segment::SegmentHeader;
use crate::open::is_unused;
use crate::planted::{self, Bug};
use crate::segments::Kept;
use crate::settings::{LogSettings, Parts, ReadMode};
use crate::vfs::{Access, Vfs, VfsFile};

pub(crate) const LOCK: &str = "LOCK";
pub(crate) const MANIFEST: &str = "MANIFEST";
pub(crate) const MANIFEST_NEW: &str = "MANIFEST.new";
pub(crate) const WATERMARK: &str = "WATERMARK";
pub(crate) const QUARANTINE: &str = "quarantine";
const STAGED: &str = ".new";

/// How many zeros are written at once.
const ZEROS_BYTES: usize = 256 * 1024;
/// The longest manifest that is read: a million segments.
const MANIFEST_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// The directory of a log.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    pub(crate) vfs: Arc<dyn Vfs>,
    pub(crate) directory: PathBuf,
    pub(crate) reads: ReadMode,
    pub(crate) cache: Arc<BlockCache>,
    pub(crate) archives: Archives,
}

impl Files {
    pub(crate) fn new(parts: &Parts, directory: &Path, reads: ReadMode) -> Self {
        Self {
            vfs: Arc::clone(&parts.vfs),
            directory: directory.to_owned(),
            reads,
            cache: Arc::new(BlockCache::new(LogSettings::BLOCK_CACHE_BYTES_DEFAULT)),
            archives: parts.archives.clone(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    pub(crate) fn segment(&self, id: u32) -> PathBuf {
        self.path(&segment_name(id))
    }

    /// The file of a segment's compressed form, of which something was reclaimed so many times.
    pub(crate) fn compressed(&self, id: u32, generation: u32) -> PathBuf {
        self.path(&compressed_name(id, generation))
    }

    /// The file of a segment in this form.
    pub(crate) fn path_of(&self, id: u32, form: Form) -> PathBuf {
        self.path(&name_of(id, form))
    }

    /// What the manifest says of a segment by now; `None` where it can't be read, or knows no such segment.
    pub(crate) fn entry_now(&self, header: &SegmentHeader) -> Option<Entry> {
        let manifest = self.read_manifest().ok()?;
        let mut segments = manifest.segments.into_iter();
        segments.find(|entry| entry.header == *header)
    }

    /// The names in the directory; an error of kind `NotFound` when it is not there.
    pub(crate) fn names(&self) -> Result<Vec<String>> {
        self.vfs.names(&self.directory).map_err(|error| {
            if error.kind() == io::ErrorKind::NotFound {
                return no_log(&self.directory);
            }
            Error::io("the directory can't be listed", &self.directory, error)
        })
    }

    /// Opens the file of a segment that is kept so, in the log's directory or in an archive, to read.
    pub(crate) fn open_kept(
        &self,
        header: &SegmentHeader,
        kept: &Kept,
    ) -> Result<(PathBuf, Arc<dyn VfsFile>)> {
        let Some(archived) = &kept.archived else {
            let path = self.path_of(header.id, kept.form);
            let file = self.open(&path, Access::Read)?;
            return Ok((path, file));
        };
        let path = self.archived_path(header.log, header.id, kept.form, archived);
        let file = self.open_archived(header.log, header.id, kept.form, archived)?;
        Ok((path, Arc::new(file)))
    }

    pub(crate) fn open(&self, path: &Path, access: Access) -> Result<Arc<dyn VfsFile>> {
        self.vfs.open(path, access).map_err(|error| {
            if error.kind() == io::ErrorKind::NotFound {
                return Error::corrupt(Damage::new(path, 0_u64, DamageKind::Missing));
            }
            Error::io("the file can't be opened", path, error)
        })
    }

    /// The whole manifest. `NotFound` when the directory holds no log.
    pub(crate) fn read_manifest(&self) -> Result<Manifest> {
        let path = self.path(MANIFEST);
        let file = match self.vfs.open(&path, Access::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(self.without_manifest(path));
            }
            Err(error) => return Err(Error::io("the manifest can't be opened", &path, error)),
        };
        let failed = |error| Error::io("the manifest can't be read", &path, error);
        let length = file.length().map_err(failed)?;
        let bytes = usize::try_from(length.min(MANIFEST_BYTES_MAX)).unwrap_or(0);
        let mut block = vec![0; bytes];
        let read = read_full(&*file, &mut block, 0).map_err(failed)?;
        block.truncate(read);
        Manifest::parse(&block).map_err(|flaw| flawed(flaw, &path, DamageKind::Manifest))
    }

    /// Puts the manifest in place of the old one, durably. Before the rename, an error leaves the old
    /// one; the caller decides what a later one means.
    pub(crate) fn stage_manifest(&self, manifest: &Manifest) -> io::Result<()> {
        let path = self.path(MANIFEST_NEW);
        match self.vfs.remove(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = self.vfs.open(&path, Access::Create)?;
        write_full(&*file, &manifest.encode(), 0)?;
        if planted::is_active(Bug::ManifestNotSynced) {
            return Ok(());
        }
        file.sync_all()
    }

    pub(crate) fn commit_manifest(&self) -> io::Result<()> {
        let (from, to) = (self.path(MANIFEST_NEW), self.path(MANIFEST));
        self.vfs.rename(&from, &to)?;
        if planted::is_active(Bug::DirectoryNotSynced) {
            return Ok(());
        }
        self.vfs.sync_directory(&self.directory)
    }

    /// Removes the file if it is there.
    pub(crate) fn remove(&self, path: &Path) -> io::Result<()> {
        match self.vfs.remove(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    fn without_manifest(&self, path: PathBuf) -> Error {
        let has_files = self.vfs.names(&self.directory).is_ok_and(|names| {
            if names.iter().any(|name| compressed_id(name).is_some()) {
                return true;
            }
            let mut ids = names.iter().filter_map(|name| segment_id(name));
            // A first segment without a frame is what a creation leaves that a crash interrupted.
            ids.any(|id| id > 1 || !is_unused(self, id).unwrap_or(false))
        });
        if has_files {
            return Error::corrupt(Damage {
                file: path,
                offset: 0,
                kind: DamageKind::Missing,
                numbers: None,
            });
        }
        no_log(&self.directory)
    }
}

/// The name of a segment's file.
pub(crate) fn segment_name(id: u32) -> String {
    format!("{id:020}.segment")
}

/// The name of the file of a segment's compressed form, of which something was reclaimed so many times.
fn compressed_name(id: u32, generation: u32) -> String {
    match generation {
        0 => format!("{id:020}.compressed"),
        _ => format!("{id:020}-{generation}.compressed"),
    }
}

/// The name of the file of a segment in this form.
pub(crate) fn name_of(id: u32, form: Form) -> String {
    match form {
        Form::Plain => segment_name(id),
        Form::Compressed { .. } => compressed_name(id, form.generation()),
    }
}

/// The name of a file while it is being written.
pub(crate) fn staged(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(STAGED);
    name.into()
}

/// The segment whose file has this name.
pub(crate) fn segment_id(name: &str) -> Option<u32> {
    let digits = name.strip_suffix(".segment")?;
    let id = digits.parse().ok()?;
    (segment_name(id) == name && id > 0).then_some(id)
}

/// The segment of which a compressed form has this name.
pub(crate) fn compressed_id(name: &str) -> Option<u32> {
    compressed_parts(name).map(|(id, _)| id)
}

/// The segment of which a compressed form has this name, and how many times something was reclaimed of it.
pub(crate) fn compressed_parts(name: &str) -> Option<(u32, u32)> {
    let digits = name.strip_suffix(".compressed")?;
    let (id, generation) = match digits.split_once('-') {
        Some((id, generation)) => (id, generation.parse().ok()?),
        None => (digits, 0),
    };
    let id = id.parse().ok()?;
    (compressed_name(id, generation) == name && id > 0).then_some((id, generation))
}

/// Whether a file of this name is a form of a segment that was being written.
pub(crate) fn is_staged(name: &str) -> bool {
    let form = name.strip_suffix(STAGED);
    form.is_some_and(|form| segment_id(form).or(compressed_id(form)).is_some())
}

/// Reads until the buffer is full or the file ends; tells how much was read.
pub(crate) fn read_full(file: &dyn VfsFile, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut read = 0;
    while let Some(rest) = buffer.get_mut(read..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + read as u64) {
            Ok(0) => break,
            Ok(more) => read += more.min(rest.len()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

/// Writes all of it.
pub(crate) fn write_full(file: &dyn VfsFile, bytes: &[u8], offset: u64) -> io::Result<()> {
    let mut written = 0;
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        match file.write_at(rest, offset + written as u64) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(more) => written += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Writes zeros over the range.
pub(crate) fn write_zeros(file: &dyn VfsFile, range: std::ops::Range<u64>) -> io::Result<()> {
    let zeros = vec![0; ZEROS_BYTES];
    let mut at = range.start;
    while at < range.end {
        let bytes = usize::try_from(range.end - at).map_or(ZEROS_BYTES, |b| b.min(ZEROS_BYTES));
        write_full(file, zeros.get(..bytes).unwrap_or(&zeros), at)?;
        at += bytes as u64;
    }
    Ok(())
}

/// The error for a block that could not be parsed.
pub(crate) fn flawed(flaw: Flaw, path: &Path, kind: DamageKind) -> Error {
    match flaw {
        Flaw::Newer(format) => {
            let known = match kind {
                DamageKind::Manifest => crate::format::FORMAT_WITH_ARCHIVE,
                _ if path.extension().is_some_and(|it| it == "compressed") => {
                    crate::format::compressed::FORMAT_RECLAIMED
                }
                _ => crate::format::FORMAT,
            };
            let message = format!(
                "the file has format {format}, and this binary knows up to {known}; use a newer one"
            );
            Error::new(ErrorKind::NewerFormat, message).at(path)
        }
        Flaw::Short | Flaw::Checksum | Flaw::Magic | Flaw::Field(_) => {
            Error::corrupt(Damage::new(path, 0_u64, kind))
        }
    }
}

fn no_log(directory: &Path) -> Error {
    Error::new(
        ErrorKind::NotFound,
        "there is no log in the directory; create one, or give another directory",
    )
    .at(directory)
}
