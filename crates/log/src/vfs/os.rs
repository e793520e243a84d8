//! The operating system's file system.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::{Access, MappedFile, Vfs, VfsFile, VfsLock, Watch, lock, map, watch};

/// The file system of the operating system.
///
/// | | Linux | macOS | Windows |
/// |---|---|---|---|
/// | `sync_data`, `sync_all` | `fdatasync`, `fsync` | `F_FULLFSYNC`, as the standard library does | `FlushFileBuffers` |
/// | `sync_directory` | `fsync` of the directory | as Linux | nothing: NTFS journals its names itself, and the system flushes no directory |
/// | `lock` | `flock` | `flock` | `LockFileEx`; the holder's name can't be read while it is held |
/// | `watch` | inotify | looks at length and modification time | as macOS |
/// | `map` | yes | yes | no, reads go by offset |
/// | `forget_cached` | `posix_fadvise` | nothing | nothing |
///
/// It is tested on Linux (ext4); the other systems are written after their manuals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct OsVfs;

impl Vfs for OsVfs {
    fn create_dir_all(&self, directory: &Path) -> io::Result<()> {
        fs::create_dir_all(directory)
    }

    fn names(&self, directory: &Path) -> io::Result<Vec<String>> {
        let mut names = fs::read_dir(directory)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<io::Result<Vec<String>>>()?;
        names.sort_unstable();
        Ok(names)
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn VfsFile>> {
        let file = OpenOptions::new()
            .read(true)
            .write(access != Access::Read)
            .create_new(access == Access::Create)
            .open(path)?;
        Ok(Arc::new(OsFile {
            file: Arc::new(file),
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        if cfg!(unix) {
            File::open(directory)?.sync_all()
        } else {
            fs::metadata(directory).map(drop)
        }
    }

    fn lock(&self, path: &Path, holder: &str) -> io::Result<Box<dyn VfsLock>> {
        lock::take(path, holder)
    }

    fn readers_max(&self) -> NonZeroUsize {
        /// Each holds a window of a file, or its longest frame, in memory.
        const READERS_MAX: usize = 8;
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        NonZeroUsize::new(cores.min(READERS_MAX)).unwrap_or(NonZeroUsize::MIN)
    }

    fn watch(&self, path: &Path) -> io::Result<Box<dyn Watch>> {
        watch::begin(path)
    }
}

/// An open file. It has no position: every call names its offset.
#[derive(Debug)]
struct OsFile {
    file: Arc<File>,
}

impl VfsFile for OsFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match read_once(&self.file, rest, offset + filled as u64) {
                Ok(0) => break,
                Ok(bytes) => filled += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        loop {
            match write_once(&self.file, bytes, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    fn forget_cached(&self, range: Range<u64>) -> io::Result<()> {
        forget_cached(&self.file, range)
    }

    fn map(&self, length: u64) -> io::Result<Option<Arc<dyn MappedFile>>> {
        map::map(&self.file, length)
    }
}

#[cfg(unix)]
fn read_once(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset)
}

#[cfg(windows)]
fn read_once(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, offset)
}

#[cfg(unix)]
fn write_once(file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::write_at(file, bytes, offset)
}

#[cfg(windows)]
fn write_once(file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_write(file, bytes, offset)
}

/// The kernel drops whole folios only, and neither dirty nor mapped ones; so the range is widened to the
/// borders of the largest, which are 2^11 pages (`MAX_XAS_ORDER` in `include/linux/pagemap.h`).
#[cfg(target_os = "linux")]
fn forget_cached(file: &File, range: Range<u64>) -> io::Result<()> {
    let folio = (rustix::param::page_size() as u64) << 11;
    let begin = range.start - range.start % folio;
    let end = range.end.checked_next_multiple_of(folio);
    let end = end.unwrap_or(u64::MAX).min(i64::MAX as u64);
    // The kernel takes a length of 0 for "to the end of the file".
    match std::num::NonZeroU64::new(end.saturating_sub(begin)) {
        Some(length) if range.start < range.end => {
            rustix::fs::fadvise(file, begin, Some(length), rustix::fs::Advice::DontNeed)?;
            Ok(())
        }
        _ => Ok(()),
    }
}

#[cfg(not(target_os = "linux"))]
#[expect(clippy::unnecessary_wraps, reason = "the same signature as on Linux")]
fn forget_cached(_file: &File, _range: Range<u64>) -> io::Result<()> {
    Ok(())
}
