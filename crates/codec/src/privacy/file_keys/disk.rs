//! The few things that a directory of keys does with its files.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// The largest file that is read, in bytes: more than any that is written.
pub(super) const FILE_BYTES_MAX: usize = 1024 * 1024;

/// The name of a file in the making. Only who holds the lock makes one.
const NEW: &str = "new";

const LOCK: &str = "lock";

/// A directory of small files. A handle, so that a test can cut the power after each call.
pub(super) trait Disk: fmt::Debug + Send + Sync {
    /// The content of a file; `None` where there is none. Of a larger file than [`FILE_BYTES_MAX`], one byte
    /// more than that.
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>>;

    fn exists(&self, name: &str) -> io::Result<bool>;

    /// Makes the file, empty where it exists, writes it and syncs it.
    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Writes over the first bytes of a file, where it stands, and syncs it.
    fn overwrite(&self, name: &str, bytes: &[u8]) -> io::Result<()>;

    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes the names in the directory durable.
    fn sync(&self) -> io::Result<()>;

    /// Shows every name of a file, in any order.
    fn names(&self, visit: &mut dyn FnMut(&str)) -> io::Result<()>;

    /// Waits until no other process or thread changes the directory, and keeps them out until it is dropped.
    fn lock(&self) -> io::Result<Box<dyn Send>>;
}

/// Puts a file in place, whole or not at all, and durably.
pub(super) fn replace(disk: &dyn Disk, name: &str, bytes: &[u8]) -> io::Result<()> {
    disk.write(NEW, bytes)?;
    disk.rename(NEW, name)?;
    disk.sync()
}

/// Writes zeros over a file and removes it, durably. One that is not there is no error.
pub(super) fn destroy(disk: &dyn Disk, name: &str) -> io::Result<()> {
    let Some(bytes) = disk.read(name)? else {
        return Ok(());
    };
    disk.overwrite(name, &vec![0; bytes.len()])?;
    disk.remove(name)?;
    disk.sync()
}

/// A directory of the operating system.
#[derive(Debug)]
pub(super) struct OsDisk(PathBuf);

impl OsDisk {
    pub(super) fn new(directory: &Path) -> Self {
        Self(directory.to_owned())
    }

    /// Makes the directory, for its owner alone, and its name durable.
    pub(super) fn create(directory: &Path) -> io::Result<()> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(directory)?;
        match directory.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => sync_directory(parent),
            _ => Ok(()),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

/// How a file is opened for writing: when it is made, for its owner alone.
fn writing() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Makes names durable, where the system has a way to.
fn sync_directory(directory: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(directory)?.sync_all()
    } else {
        fs::metadata(directory).map(drop)
    }
}

impl Disk for OsDisk {
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let file = match File::open(self.path(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let mut bytes = Vec::new();
        let limit = u64::try_from(FILE_BYTES_MAX).unwrap_or(u64::MAX);
        file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    fn exists(&self, name: &str) -> io::Result<bool> {
        self.path(name).try_exists()
    }

    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut file = writing()
            .create(true)
            .truncate(true)
            .open(self.path(name))?;
        file.write_all(bytes)?;
        file.sync_all()
    }

    fn overwrite(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut file = writing().open(self.path(name))?;
        file.write_all(bytes)?;
        file.sync_all()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(name))
    }

    fn sync(&self) -> io::Result<()> {
        sync_directory(&self.0)
    }

    fn names(&self, visit: &mut dyn FnMut(&str)) -> io::Result<()> {
        for entry in fs::read_dir(&self.0)? {
            if let Some(name) = entry?.file_name().to_str() {
                visit(name);
            }
        }
        Ok(())
    }

    fn lock(&self) -> io::Result<Box<dyn Send>> {
        let file = writing()
            .create(true)
            .truncate(false)
            .open(self.path(LOCK))?;
        file.lock()?;
        Ok(Box::new(file))
    }
}
