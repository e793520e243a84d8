//! What is open of a simulated file system: files, locks, watches.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::fault::{Fault, IoFault};
use super::image::Image;
use super::trace::Operation;
use super::tree::FileId;
use super::{SimFs, state::State};
use crate::vfs::{Access, MappedFile, VfsFile, VfsLock, Watch, Watched};

/// No file is longer, in bytes.
const LENGTH_MAX: u64 = 1 << 36;

/// An open file.
#[derive(Debug)]
pub(super) struct SimFile {
    file_system: SimFs,
    file: FileId,
    path: Arc<Path>,
    access: Access,
}

impl SimFile {
    pub(super) fn new(file_system: SimFs, file: FileId, path: Arc<Path>, access: Access) -> Self {
        Self {
            file_system,
            file,
            path,
            access,
        }
    }

    fn check_writable(&self) -> io::Result<()> {
        match self.access {
            Access::Read => Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "simulated: the file was opened to read",
            )),
            Access::Write | Access::Create => Ok(()),
        }
    }

    fn sync(&self, operation: Operation) -> io::Result<()> {
        self.file_system
            .state()
            .call(operation, &self.path, |state, fault| {
                state.sync_file(self.file, fault)
            })
    }

    /// Writes as much as is allowed and fits.
    fn write(
        &self,
        state: &mut State,
        bytes: &[u8],
        offset: u64,
        fault: Option<Fault>,
    ) -> io::Result<usize> {
        self.check_writable()?;
        let wanted = match fault {
            Some(Fault::ShortWrite) => bytes.len() / 2,
            _ => bytes.len(),
        };
        let end = offset.saturating_add(wanted as u64);
        let end_max = state.inode(self.file)?.cache().length();
        let end_max = end_max.saturating_add(state.space());
        let missing = usize::try_from(end.saturating_sub(end_max)).unwrap_or(usize::MAX);
        let bytes = bytes
            .get(..wanted.saturating_sub(missing))
            .unwrap_or_default();
        if bytes.is_empty() {
            return match wanted {
                0 => Ok(0),
                _ => Err(IoFault::NoSpace.error()),
            };
        }
        check_length(end)?;
        state.inode_mut(self.file)?.write(bytes, offset);
        Ok(bytes.len())
    }
}

impl VfsFile for SimFile {
    fn length(&self) -> io::Result<u64> {
        self.file_system
            .state()
            .call(Operation::Length, &self.path, |state, _| {
                Ok(state.inode(self.file)?.cache().length())
            })
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let operation = Operation::Read {
            offset,
            bytes: buffer.len() as u64,
        };
        self.file_system
            .state()
            .call(operation, &self.path, |state, _| {
                let read = state.inode(self.file)?.cache().read(buffer, offset);
                let buffer = buffer.get_mut(..read).unwrap_or_default();
                let flips = state.flips.iter().filter(|(file, _)| *file == self.file);
                for (_, bit) in flips {
                    let at = (bit / 8).checked_sub(offset);
                    let at = at.and_then(|at| usize::try_from(at).ok());
                    if let Some(byte) = at.and_then(|at| buffer.get_mut(at)) {
                        *byte ^= 1 << (bit % 8);
                    }
                }
                Ok(read)
            })
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let operation = Operation::Write {
            offset,
            bytes: bytes.len() as u64,
            crc: crc32c::crc32c(bytes),
        };
        self.file_system
            .state()
            .call(operation, &self.path, |state, fault| {
                self.write(state, bytes, offset, fault)
            })
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.file_system
            .state()
            .call(Operation::SetLength(length), &self.path, |state, _| {
                self.check_writable()?;
                check_length(length)?;
                let grown = length.saturating_sub(state.inode(self.file)?.cache().length());
                if grown > state.space() {
                    return Err(IoFault::NoSpace.error());
                }
                state.inode_mut(self.file)?.set_length(length);
                Ok(())
            })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync(Operation::SyncData)
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync(Operation::SyncAll)
    }

    fn forget_cached(&self, range: Range<u64>) -> io::Result<()> {
        let operation = Operation::ForgetCached(range.clone());
        self.file_system
            .state()
            .call(operation, &self.path, |state, _| {
                if !state.inode(self.file)?.is_settled() {
                    state.inode_mut(self.file)?.forget(&range);
                }
                Ok(())
            })
    }

    fn map(&self, _length: u64) -> io::Result<Option<Arc<dyn MappedFile>>> {
        Ok(None)
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        self.file_system.state().closed(self.file);
    }
}

/// A held lock.
#[derive(Debug)]
pub(super) struct SimLock {
    file_system: SimFs,
    path: PathBuf,
}

impl SimLock {
    pub(super) fn new(file_system: SimFs, path: PathBuf) -> Self {
        Self { file_system, path }
    }
}

impl VfsLock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut state = self.file_system.state();
        state.locks.remove(&self.path);
        // A file that was renamed or removed meanwhile is not made anew.
        if state.tree.file(&self.path).is_ok() {
            state.put(&self.path, Image::default()).ok();
        }
    }
}

/// A watched file.
#[derive(Debug)]
pub(super) struct SimWatch {
    file_system: SimFs,
    file: FileId,
    seen: u64,
}

impl SimWatch {
    pub(super) fn new(file_system: SimFs, file: FileId, seen: u64) -> Self {
        Self {
            file_system,
            file,
            seen,
        }
    }
}

impl Watch for SimWatch {
    fn wait(&mut self, _timeout: Duration) -> io::Result<Watched> {
        let version = self.file_system.state().inode(self.file)?.version();
        if version == self.seen {
            return Ok(Watched::TimedOut);
        }
        self.seen = version;
        Ok(Watched::Changed)
    }
}

impl Drop for SimWatch {
    fn drop(&mut self) {
        self.file_system.state().closed(self.file);
    }
}

fn check_length(length: u64) -> io::Result<()> {
    if length > LENGTH_MAX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(())
}
