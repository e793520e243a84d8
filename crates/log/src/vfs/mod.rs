//! The file system and chance, as the engine sees them.
//!
//! The engine touches files through [`Vfs`] only, so that a simulator can run it, cut its power and lie
//! to it. [`OsVfs`] is the operating system's.

mod lock;
mod map;
mod os;
mod rng;
#[cfg(feature = "sim")]
pub mod sim;
#[cfg(test)]
mod tests;
mod watch;

use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub use os::OsVfs;
pub use rng::{OsRng, SeededRng};

/// A file system. Paths are absolute or relative to the process; the engine only joins names to the
/// directory that it was given.
pub trait Vfs: fmt::Debug + Send + Sync {
    /// Makes the directory and its parents; nothing when it is there.
    fn create_dir_all(&self, directory: &Path) -> io::Result<()>;

    /// The names of the files and directories in it, in order.
    fn names(&self, directory: &Path) -> io::Result<Vec<String>>;

    /// Opens a file.
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn VfsFile>>;

    /// Gives the file another name, in place of a file of that name. Durable after
    /// [`sync_directory`](Self::sync_directory).
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives the file a second name, which must be free; what is written by one is read by the other. Durable after
    /// [`sync_directory`](Self::sync_directory). An error where the file system has no such names, or the two lie on
    /// different ones.
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes the file's name. Durable after [`sync_directory`](Self::sync_directory).
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in the directory durable.
    fn sync_directory(&self, directory: &Path) -> io::Result<()>;

    /// Takes the lock file for this process until the guard is dropped, and writes the process id and `holder` into
    /// it. The file is created where there is none, and stays. An error of [`io::ErrorKind::WouldBlock`] says who
    /// holds it.
    fn lock(&self, path: &Path, holder: &str) -> io::Result<Box<dyn VfsLock>>;

    /// How many threads that read different files at once are of use: 1 where the order of calls matters, as
    /// it does to a simulator.
    fn readers_max(&self) -> NonZeroUsize;

    /// Watches the file that has this name now, for changes by any process.
    fn watch(&self, path: &Path) -> io::Result<Box<dyn Watch>>;
}

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// An existing file, to read.
    Read,
    /// An existing file, to read and write.
    Write,
    /// A new file, to read and write; refused when the name is taken.
    Create,
}

/// An open file, read and written at offsets from several threads.
pub trait VfsFile: fmt::Debug + Send + Sync {
    /// Its length, in bytes.
    fn length(&self) -> io::Result<u64>;

    /// Reads up to a whole buffer from this offset; fewer bytes only at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes from this offset on; may write fewer bytes than asked. What was written is not durable yet.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Cuts the file, or lengthens it by a hole that reads as zeros.
    fn set_length(&self, length: u64) -> io::Result<()>;

    /// Makes the data durable, with the metadata that reading it back takes. After an error nothing is
    /// known of what is durable, and a second call may lie.
    fn sync_data(&self) -> io::Result<()>;

    /// Makes data and all metadata durable.
    fn sync_all(&self) -> io::Result<()>;

    /// Asks that the next read of this range comes from the device rather than from memory. Best effort, and more than
    /// the range may be forgotten. What is not synced, and what is mapped and in use, stays in memory: sync and
    /// unmap (or [release](MappedFile::release)) first.
    fn forget_cached(&self, range: Range<u64>) -> io::Result<()>;

    /// A map of the file from its beginning, `length` bytes long, which may be more than the file has as
    /// yet. `None` where the file system has no maps; the engine reads by offset then.
    fn map(&self, length: u64) -> io::Result<Option<Arc<dyn MappedFile>>>;
}

/// A read-only map of a file that shows later writes.
pub trait MappedFile: fmt::Debug + Send + Sync {
    /// The bytes of this range; `None` when it reaches past the map or past the file's end. The caller
    /// asks only for bytes that were written and don't change any more, and nobody cuts a mapped file:
    /// beyond an end that came nearer there is a fault.
    fn bytes(&self, range: Range<usize>) -> Option<&[u8]>;

    /// Whether the whole range is in memory, so that reading it waits for no disk. `true` where that
    /// can't be told.
    fn is_resident(&self, range: Range<usize>) -> bool;

    /// Lets go of the memory behind the range; later reads fetch it again.
    fn release(&self, range: Range<usize>);
}

/// How much of a map is asked for, or read, at a time, in bytes.
const PIECE_BYTES: usize = 64 * 1024;

/// About how many of the first `length` bytes of a map are not in memory.
pub fn missing_bytes(map: &dyn MappedFile, length: usize) -> usize {
    if map.is_resident(0..length) {
        return 0;
    }
    let pieces = pieces(length).filter(|piece| !map.is_resident(piece.clone()));
    pieces.map(|piece| piece.len()).sum()
}

/// Reads those of the first `length` bytes of a map that are not in memory.
pub fn load(map: &dyn MappedFile, length: usize) {
    /// At most how long a page of memory is that is read as a whole, in bytes.
    const PAGE_BYTES: usize = 4096;
    if map.is_resident(0..length) {
        return;
    }
    for piece in pieces(length) {
        if !map.is_resident(piece.clone())
            && let Some(bytes) = map.bytes(piece.clone())
        {
            let touched = bytes
                .iter()
                .step_by(PAGE_BYTES)
                .fold(0, |all, byte| all ^ byte);
            std::hint::black_box(touched);
            // It stays in the system's memory, and does not count as the process's.
            map.release(piece);
        }
    }
}

fn pieces(length: usize) -> impl Iterator<Item = Range<usize>> {
    (0..length)
        .step_by(PIECE_BYTES)
        .map(move |start| start..length.min(start + PIECE_BYTES))
}

/// A lock that is held; dropping it lets go.
pub trait VfsLock: fmt::Debug + Send + Sync {}

/// A file that is being watched.
pub trait Watch: fmt::Debug + Send {
    /// Blocks until the file may have changed since the last call, or the time is over; tells which.
    fn wait(&mut self, timeout: Duration) -> io::Result<Watched>;
}

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Watched {
    /// The file may have changed.
    Changed,
    /// The time is over.
    TimedOut,
}

/// Where the engine gets chance from: identities of logs, salts of segments.
pub trait Rng: fmt::Debug + Send + Sync {
    /// 64 random bits.
    ///
    /// # Errors
    /// The source is out of reach, as a system without its random device is; ask again later.
    fn next_u64(&self) -> io::Result<u64>;
}
