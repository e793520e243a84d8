//! A file system in memory that lies: for crash tests of whatever is built on a log.
//!
//! [`SimFs`] keeps apart what processes see and what the disk has for certain. What lies between is pending,
//! and [`SimFs::crash`] draws one of the images that a power loss may leave behind:
//!
//! - of each 512-byte sector that was written and not synced: any of the contents that it had since, the
//!   synced one included, or [garbage](Garbage); of bytes that are written again and again, the last eight;
//! - of each file that was made longer or shorter and not synced: any of the lengths that it had since, or
//!   one on the way;
//! - of the names that were made, changed or removed and not synced by their directory: any of these changes, in order
//!   for each name; a rename happens whole or not at all.
//!
//! [`SimFs::every_crash`] goes through all of them where they are few. Faults are planned by the number of
//! the call ([`SimFs::fail_at`]), and every call is in the [trace](SimFs::trace). Nothing here asks a clock or
//! waits, and the same calls with the same seeds give the same bytes.
//!
//! Files, pages and names are shared between copies, so a copy or a crash costs as much as is pending and as there are
//! files, whatever their size. It is made for stores of a few megabytes; what is a hole or zeros takes no memory.
//!
//! ```
//! use annals_log::vfs::sim::SimFs;
//! use annals_log::vfs::{Access, Vfs};
//! # fn main() -> std::io::Result<()> {
//! let disk = SimFs::new();
//! let file = disk.open("/a".as_ref(), Access::Create)?;
//! disk.sync_directory("/".as_ref())?;
//! file.write_at(b"acknowledged", 0)?;
//! file.sync_data()?;
//! file.write_at(b" or not", 12)?;
//! for seed in 0..100 {
//!     let bytes = disk.crash(seed).disk().read("/a")?;
//!     assert!(bytes.starts_with(b"acknowledged"));
//! }
//! # Ok(())
//! # }
//! ```

mod choices;
mod crash;
mod disk;
mod every;
mod fault;
mod handle;
mod image;
mod inode;
mod state;
#[cfg(test)]
mod tests;
mod trace;
mod tree;

use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::path::Path;
use std::process;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use choices::Garbage;
pub use disk::Disk;
pub use every::{EveryCrash, TooManyCrashes};
pub use fault::{Fault, IoFault};
pub use inode::Reached;
pub use trace::{Call, Operation};

use choices::Random;
use handle::{SimFile, SimLock, SimWatch};
use image::Image;
use state::State;

use super::{Access, Vfs, VfsFile, VfsLock, Watch};

/// A handle to a simulated file system; a clone is another handle to the same one.
///
/// It has no maps. A watch does not wait: it tells at once whether something changed. The text and the name of a
/// lock file are durable at once, since nothing relies on either.
#[derive(Clone, Default)]
pub struct SimFs {
    state: Arc<Mutex<State>>,
}

/// A moment between two calls.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Boundary {
    /// How many calls there were before it.
    pub calls: u64,
    /// The file system at that moment, as [`SimFs::restart`] gives it.
    pub file_system: SimFs,
}

impl SimFs {
    /// An empty file system.
    pub fn new() -> Self {
        Self::default()
    }

    /// The machine loses power and starts again: a file system with one of the images that the disk may have, which the
    /// seed draws. This one stays as it is. Plans, locks, trace and boundaries are not carried over; capacity and
    /// flipped bits are, as they are of the disk.
    #[must_use]
    pub fn crash(&self, seed: u64) -> Self {
        self.crash_with(seed, Garbage::default())
    }

    /// [`crash`](Self::crash), on a disk that makes garbage as told.
    #[must_use]
    pub fn crash_with(&self, seed: u64, garbage: Garbage) -> Self {
        Self::of(self.state().crashed(&mut Random::new(seed, garbage)))
    }

    /// Every image that a power loss may leave behind, without garbage: each combination of the states of sectors,
    /// lengths (old ones, new ones and the middle between two, by whole sectors) and names. Some images come
    /// more than once.
    ///
    /// # Errors
    /// There may be more than `images_max`: nothing is left out in silence, so draw some by
    /// [`crash`](Self::crash). While a cut of a length is pending the number is an estimate.
    pub fn every_crash(&self, images_max: u64) -> Result<EveryCrash, TooManyCrashes> {
        EveryCrash::new(self.state().restarted(), images_max)
    }

    /// The process is killed and starts again: a copy with the same disk and page cache. This one stays as it is.
    /// Plans, locks, trace and boundaries are not carried over. The copy shares all bytes until one of the two changes.
    #[must_use]
    pub fn restart(&self) -> Self {
        Self::of(self.state().restarted())
    }

    /// How many calls there were, refused ones included. Maps and waits are not counted.
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// Spoils the call before which there were `call` others, counted from the beginning ([`calls`](Self::calls)).
    pub fn fail_at(&self, call: u64, fault: Fault) {
        self.state().plan.fail_at(call, fault);
    }

    /// Spoils that call and every later one which the fault fits.
    pub fn fail_from(&self, call: u64, fault: Fault) {
        self.state().plan.fail_from(call, fault);
    }

    /// Takes all plans back, a lost power too.
    pub fn clear_faults(&self) {
        self.state().plan = fault::Plan::default();
    }

    /// Cuts the power after that many more calls: all later ones fail and change nothing. The image is drawn by
    /// [`crash`](Self::crash).
    pub fn power_off_after(&self, calls: u64) {
        let mut state = self.state();
        let at = state.calls.saturating_add(calls);
        state.plan.power_off_at(at);
    }

    /// Limits the bytes that all files together may have; holes count as bytes do. A write beyond it is short, and
    /// fails for want of space where nothing of it fits.
    pub fn set_capacity(&self, bytes_max: Option<u64>) {
        self.state().capacity = bytes_max;
    }

    /// Makes reads of this bit of the file (0 for the lowest of its first byte) see it flipped, until the file is removed;
    /// the disk keeps it as it is.
    ///
    /// # Errors
    /// There is no such file.
    pub fn flip_on_read(&self, path: impl AsRef<Path>, bit: u64) -> io::Result<()> {
        let mut state = self.state();
        let file = state.tree.file(path.as_ref())?;
        state.flips.push((file, bit));
        Ok(())
    }

    /// All calls so far, since [`take_trace`](Self::take_trace) if that was called.
    pub fn trace(&self) -> Vec<Call> {
        self.state().trace.clone()
    }

    /// Takes the trace out, so that it takes no memory any more.
    pub fn take_trace(&self) -> Vec<Call> {
        std::mem::take(&mut self.state().trace)
    }

    /// Keeps a copy of the file system after each call from now on that can change what a crash leaves behind.
    pub fn record_boundaries(&self) {
        self.state().boundaries.get_or_insert_default();
    }

    /// The copies since the recording began or was taken out, oldest first.
    pub fn take_boundaries(&self) -> Vec<Boundary> {
        let mut state = self.state();
        state
            .boundaries
            .as_mut()
            .map(std::mem::take)
            .unwrap_or_default()
    }

    /// Makes everything durable that is pending, as a quiet hour does. What a failed sync lost stays lost.
    pub fn settle(&self) {
        let mut state = self.state();
        state.tree.settle();
        for file in state.inodes_mut().filter(|file| !file.is_settled()) {
            Arc::make_mut(file).sync();
        }
    }

    /// Drops all clean pages from the page cache, as a machine short of memory does.
    pub fn drop_caches(&self) {
        let mut state = self.state();
        for file in state.inodes_mut().filter(|file| !file.is_settled()) {
            Arc::make_mut(file).forget(&(0..u64::MAX));
        }
    }

    /// Whether the disk has exactly what processes see, so that every crash leaves the same image.
    pub fn is_settled(&self) -> bool {
        self.state().is_settled()
    }

    /// The files, to look at and to damage without any call.
    pub fn disk(&self) -> Disk<'_> {
        Disk::new(self)
    }

    fn of(state: State) -> Self {
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// A panic of one test thread leaves the state as it is after some call.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for SimFs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        let paths: Vec<&Arc<Path>> = state.tree.files().map(|(path, _)| path).collect();
        f.debug_struct("SimFs")
            .field("calls", &state.calls)
            .field("files", &paths)
            .finish_non_exhaustive()
    }
}

impl Vfs for SimFs {
    fn create_dir_all(&self, directory: &Path) -> io::Result<()> {
        self.state().call(
            Operation::CreateDirectories,
            &directory.into(),
            |state, _| state.tree.create_directories(directory),
        )
    }

    fn names(&self, directory: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        self.state()
            .call(Operation::Names, &directory.into(), |state, _| {
                names = state.tree.names(directory)?;
                Ok(names.len())
            })?;
        Ok(names)
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn VfsFile>> {
        let name: Arc<Path> = path.into();
        let operation = Operation::Open(access);
        let file = self.state().call(operation, &name, |state, _| {
            let file = if access == Access::Create {
                state.tree.check_vacant(path)?;
                let file = state.new_file(Image::default());
                state.tree.add(path, file);
                file
            } else {
                state.tree.file(path)?
            };
            state.opened(file);
            Ok(file)
        })?;
        Ok(Arc::new(SimFile::new(self.clone(), file, name, access)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let operation = Operation::Rename { to: to.into() };
        self.state().call(operation, &from.into(), |state, _| {
            state.tree.rename(from, to)
        })
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let operation = Operation::HardLink { to: to.into() };
        self.state().call(operation, &from.into(), |state, _| {
            state.tree.hard_link(from, to)
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.state()
            .call(Operation::Remove, &path.into(), |state, _| {
                state.tree.remove(path)
            })
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        self.state().call(
            Operation::SyncDirectory,
            &directory.into(),
            |state, fault| {
                if fault == Some(Fault::LyingSync) {
                    return state.tree.names(directory).map(drop);
                }
                state.tree.sync(directory)?;
                state.collect();
                Ok(())
            },
        )
    }

    fn lock(&self, path: &Path, holder: &str) -> io::Result<Box<dyn VfsLock>> {
        let holder = format!("process {}, {holder}", process::id());
        self.state()
            .call(Operation::Lock, &path.into(), |state, _| {
                if let Some(holder) = state.locks.get(path) {
                    let text = format!("held by {holder}");
                    return Err(io::Error::new(io::ErrorKind::WouldBlock, text));
                }
                state.put(path, Image::of(holder.as_bytes()))?;
                state.locks.insert(path.to_owned(), holder);
                Ok(())
            })?;
        Ok(Box::new(SimLock::new(self.clone(), path.to_owned())))
    }

    fn readers_max(&self) -> NonZeroUsize {
        NonZeroUsize::MIN
    }

    fn watch(&self, path: &Path) -> io::Result<Box<dyn Watch>> {
        let mut version = 0;
        let file = self
            .state()
            .call(Operation::Watch, &path.into(), |state, _| {
                let file = state.tree.file(path)?;
                version = state.inode(file)?.version();
                state.opened(file);
                Ok(file)
            })?;
        Ok(Box::new(SimWatch::new(self.clone(), file, version)))
    }
}
