//! A file system that asks before calls that change something: to stall them, to refuse them, to panic.

use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use annals_log::vfs::{Access, MappedFile, Vfs, VfsFile, VfsLock, Watch};

type Hook = Arc<dyn Fn(Asked, &Path) -> io::Result<()> + Send + Sync>;

/// What is about to be done to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Create,
    Write,
    Sync,
}

/// A file system that asks first.
#[derive(Clone)]
pub(crate) struct Hooked {
    inner: Arc<dyn Vfs>,
    hook: Hook,
}

struct HookedFile {
    inner: Arc<dyn VfsFile>,
    path: PathBuf,
    hook: Hook,
}

impl Hooked {
    pub(crate) fn new(
        inner: impl Vfs + 'static,
        hook: impl Fn(Asked, &Path) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self {
            inner: Arc::new(inner),
            hook: Arc::new(hook),
        }
    }
}

impl Vfs for Hooked {
    fn create_dir_all(&self, directory: &Path) -> io::Result<()> {
        self.inner.create_dir_all(directory)
    }

    fn names(&self, directory: &Path) -> io::Result<Vec<String>> {
        self.inner.names(directory)
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn VfsFile>> {
        if access == Access::Create {
            (self.hook)(Asked::Create, path)?;
        }
        Ok(Arc::new(HookedFile {
            inner: self.inner.open(path, access)?,
            path: path.to_owned(),
            hook: Arc::clone(&self.hook),
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.hard_link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.inner.remove(path)
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        self.inner.sync_directory(directory)
    }

    fn lock(&self, path: &Path, holder: &str) -> io::Result<Box<dyn VfsLock>> {
        self.inner.lock(path, holder)
    }

    fn readers_max(&self) -> NonZeroUsize {
        self.inner.readers_max()
    }

    fn watch(&self, path: &Path) -> io::Result<Box<dyn Watch>> {
        self.inner.watch(path)
    }
}

impl VfsFile for HookedFile {
    fn length(&self) -> io::Result<u64> {
        self.inner.length()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.inner.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        (self.hook)(Asked::Write, &self.path)?;
        self.inner.write_at(bytes, offset)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.inner.set_length(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        (self.hook)(Asked::Sync, &self.path)?;
        self.inner.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        (self.hook)(Asked::Sync, &self.path)?;
        self.inner.sync_all()
    }

    fn forget_cached(&self, range: Range<u64>) -> io::Result<()> {
        self.inner.forget_cached(range)
    }

    fn map(&self, length: u64) -> io::Result<Option<Arc<dyn MappedFile>>> {
        self.inner.map(length)
    }
}

impl fmt::Debug for Hooked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl fmt::Debug for HookedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

/// A gate that calls wait at while it is closed.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    state: Mutex<GateState>,
    moved: Condvar,
}

#[derive(Debug, Default)]
struct GateState {
    is_closed: bool,
    waiting: usize,
}

impl Gate {
    pub(crate) fn close(&self) {
        self.set(true);
    }

    pub(crate) fn open(&self) {
        self.set(false);
    }

    /// Goes through, once it is open.
    pub(crate) fn pass(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.waiting += 1;
        self.moved.notify_all();
        while state.is_closed {
            state = self
                .moved
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state.waiting -= 1;
    }

    /// Waits until somebody waits.
    pub(crate) fn await_one(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while state.waiting == 0 {
            state = self
                .moved
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn set(&self, is_closed: bool) {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_closed = is_closed;
        self.moved.notify_all();
    }
}
