//! What a log can be told.

use std::path::Path;
use std::sync::Arc;

use crate::archive::Archives;
use crate::error::{Error, ErrorKind};
use crate::vfs::{Rng, Vfs};
use crate::{Result, vfs};

/// How a log works. Settings may differ from one opening to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogSettings {
    /// How long a segment's file may become, in bytes; from [`SEGMENT_BYTES_MIN`](Self::SEGMENT_BYTES_MIN)
    /// to [`SEGMENT_BYTES_MAX`](Self::SEGMENT_BYTES_MAX). Holds for segments begun from now on; a frame
    /// that needs more gets a segment of its own size. Default: 64 MiB.
    pub segment_bytes: u32,
    /// How records are read. Default: [`ReadMode::Map`].
    pub reads: ReadMode,
    /// What an acknowledged record survives. Default: [`Durability::Sync`].
    pub durability: Durability,
    /// How much of compressed segments is kept in plain form for the next reader, in bytes. Default:
    /// [`BLOCK_CACHE_BYTES_DEFAULT`](Self::BLOCK_CACHE_BYTES_DEFAULT).
    pub block_cache_bytes_max: usize,
}

impl LogSettings {
    /// The least length of a segment, in bytes.
    pub const SEGMENT_BYTES_MIN: u32 = 16 * 1024;
    /// The greatest length of a segment, in bytes.
    pub const SEGMENT_BYTES_MAX: u32 = 1 << 30;
    /// How much of compressed segments is kept in plain form unless it is told: 32 MiB.
    pub const BLOCK_CACHE_BYTES_DEFAULT: usize = 32 * 1024 * 1024;

    pub(crate) fn validate(&self, directory: &Path) -> Result<()> {
        let sizes = Self::SEGMENT_BYTES_MIN..=Self::SEGMENT_BYTES_MAX;
        if sizes.contains(&self.segment_bytes) && self.segment_bytes.is_multiple_of(4096) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Invalid,
            format!(
                "segment_bytes is {}; give a multiple of 4096 from {} to {}",
                self.segment_bytes,
                sizes.start(),
                sizes.end()
            ),
        )
        .at(directory))
    }
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            segment_bytes: 64 * 1024 * 1024,
            reads: ReadMode::Map,
            durability: Durability::Sync,
            block_cache_bytes_max: Self::BLOCK_CACHE_BYTES_DEFAULT,
        }
    }
}

/// How records are read from files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReadMode {
    /// Through a map of each file: fastest. A disk that fails under the map, or a file that somebody
    /// cuts, ends the process (SIGBUS on unix).
    Map,
    /// By reading into a buffer: slower, and every fault is an error.
    Pread,
}

/// What an acknowledged record survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Durability {
    /// Power loss, a crash of the system, a kill of the process.
    Sync,
    /// A kill of the process. A power loss or a crash of the system takes the newest records: all since
    /// the last rotation, idle marker or close.
    Process,
}

/// What a log is built on.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The file system.
    pub vfs: Arc<dyn Vfs>,
    /// Chance.
    pub rng: Arc<dyn Rng>,
    /// How archives are found, on this file system and elsewhere.
    pub archives: Archives,
}

impl Parts {
    /// The operating system's.
    pub fn os() -> Self {
        Self {
            vfs: Arc::new(vfs::OsVfs),
            rng: Arc::new(vfs::OsRng),
            archives: Archives::default(),
        }
    }
}
