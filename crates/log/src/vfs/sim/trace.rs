//! What was asked of the file system, in order.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use crate::vfs::Access;

/// A call and how it ended. Two runs did the same when their calls are equal.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Call {
    /// What was asked.
    pub operation: Operation,
    /// Of which file or directory.
    pub path: Arc<Path>,
    /// The number that the call returned, or 0 where it returns none; or the kind of its error.
    pub outcome: Result<u64, io::ErrorKind>,
}

/// What was asked. Maps and waits of a watch are not calls.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation {
    /// `create_dir_all`
    CreateDirectories,
    /// `names`
    Names,
    /// `open`
    Open(Access),
    /// `rename`
    Rename {
        /// The new name.
        to: Arc<Path>,
    },
    /// `hard_link`
    HardLink {
        /// The second name.
        to: Arc<Path>,
    },
    /// `remove`
    Remove,
    /// `sync_directory`
    SyncDirectory,
    /// `lock`
    Lock,
    /// `watch`
    Watch,
    /// `length`
    Length,
    /// `read_at`
    Read {
        /// Where it begins.
        offset: u64,
        /// How many bytes were asked for.
        bytes: u64,
    },
    /// `write_at`
    Write {
        /// Where it begins.
        offset: u64,
        /// How many bytes were offered.
        bytes: u64,
        /// Their CRC32C.
        crc: u32,
    },
    /// `set_length`
    SetLength(u64),
    /// `sync_data`
    SyncData,
    /// `sync_all`
    SyncAll,
    /// `forget_cached`
    ForgetCached(Range<u64>),
}

impl Operation {
    /// Whether it can change what a crash leaves behind.
    pub fn changes(&self) -> bool {
        match self {
            Self::CreateDirectories
            | Self::Open(Access::Create)
            | Self::Rename { .. }
            | Self::HardLink { .. }
            | Self::Remove
            | Self::SyncDirectory
            | Self::Write { .. }
            | Self::SetLength(_)
            | Self::SyncData
            | Self::SyncAll => true,
            Self::Names
            | Self::Open(Access::Read | Access::Write)
            | Self::Lock
            | Self::Watch
            | Self::Length
            | Self::Read { .. }
            | Self::ForgetCached(_) => false,
        }
    }
}
