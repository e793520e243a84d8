//! The state that all handles of a file system share.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::SimFs;
use super::choices::Choices;
use super::crash::crash;
use super::fault::{Fault, Plan, power_is_off};
use super::image::Image;
use super::inode::{Inode, Reached};
use super::trace::{Call, Operation};
use super::tree::{FileId, Tree};

/// A whole file system. A clone shares all bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    pub(super) tree: Tree,
    files: BTreeMap<FileId, Arc<Inode>>,
    next_file: FileId,
    /// How many handles are open of each file that has one.
    handles: BTreeMap<FileId, usize>,
    pub(super) locks: BTreeMap<PathBuf, String>,
    /// How many bytes all files together may have.
    pub(super) capacity: Option<u64>,
    /// The bits that reads see wrong.
    pub(super) flips: Vec<(FileId, u64)>,
    pub(super) plan: Plan,
    pub(super) calls: u64,
    pub(super) trace: Vec<Call>,
    pub(super) boundaries: Option<Vec<super::Boundary>>,
}

impl State {
    /// Runs a call: counts it, lets the plan spoil it, and writes down how it ended.
    pub(super) fn call<T: Copy + Into<Answer>>(
        &mut self,
        operation: Operation,
        path: &Arc<Path>,
        run: impl FnOnce(&mut Self, Option<Fault>) -> io::Result<T>,
    ) -> io::Result<T> {
        let call = self.calls;
        self.calls += 1;
        if self.plan.is_off(call) {
            return Err(power_is_off());
        }
        let fault = self.plan.fault(call, &operation);
        let is_file_sync = matches!(operation, Operation::SyncData | Operation::SyncAll);
        let result = match fault {
            // The sync itself decides what a failure does to the pages.
            Some(Fault::Io(error)) if !is_file_sync => Err(error.error()),
            Some(Fault::LateIo(error)) => run(self, None).and_then(|_| Err(error.error())),
            fault => run(self, fault),
        };
        let changes = operation.changes();
        self.trace.push(Call {
            operation,
            path: Arc::clone(path),
            outcome: match &result {
                Ok(answer) => Ok((*answer).into().0),
                Err(error) => Err(error.kind()),
            },
        });
        if changes && self.boundaries.is_some() {
            let boundary = super::Boundary {
                calls: self.calls,
                file_system: SimFs::of(self.restarted()),
            };
            self.boundaries.get_or_insert_default().push(boundary);
        }
        result
    }

    /// The same disk and page cache, for a process that starts now.
    pub(super) fn restarted(&self) -> Self {
        Self {
            tree: self.tree.clone(),
            files: self.files.clone(),
            next_file: self.next_file,
            capacity: self.capacity,
            flips: self.flips.clone(),
            ..Self::default()
        }
    }

    /// The disk after a crash, for a machine that starts now.
    pub(super) fn crashed(&self, choices: &mut dyn Choices) -> Self {
        let tree = self.tree.crash(choices);
        let mut files = BTreeMap::new();
        for (_, id) in tree.files() {
            if let Some(file) = self.files.get(&id) {
                let after = if file.is_settled() {
                    Arc::clone(file)
                } else {
                    Arc::new(Inode::durable(crash(file, choices)))
                };
                files.insert(id, after);
            }
        }
        Self {
            tree,
            files,
            next_file: self.next_file,
            capacity: self.capacity,
            flips: self.flips.clone(),
            ..Self::default()
        }
    }

    /// Shows these choices all that is pending, whether or not it would survive together.
    pub(super) fn show_all(&self, choices: &mut dyn Choices) {
        for _ in 0..self.tree.pending() {
            choices.choose(2);
        }
        for id in self.tree.reachable() {
            if let Some(file) = self.files.get(&id) {
                crash(file, choices);
            }
        }
    }

    /// A file's state.
    pub(super) fn inode(&self, file: FileId) -> io::Result<&Inode> {
        self.files.get(&file).map(|file| &**file).ok_or_else(gone)
    }

    /// A file's state, to change.
    pub(super) fn inode_mut(&mut self, file: FileId) -> io::Result<&mut Inode> {
        self.files
            .get_mut(&file)
            .map(Arc::make_mut)
            .ok_or_else(gone)
    }

    /// All files, to change.
    pub(super) fn inodes_mut(&mut self) -> impl Iterator<Item = &mut Arc<Inode>> {
        self.files.values_mut()
    }

    /// Whether the disk has exactly what processes see.
    pub(super) fn is_settled(&self) -> bool {
        self.tree.is_settled() && self.files.values().all(|file| file.is_settled())
    }

    /// A file without a name.
    pub(super) fn new_file(&mut self, image: Image) -> FileId {
        self.next_file += 1;
        let file = Arc::new(Inode::durable(image));
        self.files.insert(self.next_file, file);
        self.next_file
    }

    /// Gives the file at the path this content, or makes one; durable at once.
    pub(super) fn put(&mut self, path: &Path, image: Image) -> io::Result<()> {
        match self.tree.check_vacant(path) {
            Ok(()) => {
                let file = self.new_file(image);
                self.tree.add_durable(path, file);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let file = self.tree.file(path)?;
                self.inode_mut(file)?.replace(image);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Ends the files that have neither a handle nor a name.
    pub(super) fn collect(&mut self) {
        let reachable = self.tree.reachable();
        let handles = &self.handles;
        self.files
            .retain(|file, _| reachable.contains(file) || handles.contains_key(file));
    }

    /// Counts a handle of the file.
    pub(super) fn opened(&mut self, file: FileId) {
        *self.handles.entry(file).or_default() += 1;
    }

    /// Counts a handle less; a file without a handle and a name ends.
    pub(super) fn closed(&mut self, file: FileId) {
        let Some(handles) = self.handles.get_mut(&file) else {
            return;
        };
        *handles -= 1;
        if *handles == 0 {
            self.handles.remove(&file);
            self.collect();
        }
    }

    /// How many more bytes fit.
    pub(super) fn space(&self) -> u64 {
        let Some(capacity) = self.capacity else {
            return u64::MAX;
        };
        let used: u64 = self.files.values().map(|file| file.cache().length()).sum();
        capacity.saturating_sub(used)
    }

    /// Makes a file durable, or fails to.
    pub(super) fn sync_file(&mut self, file: FileId, fault: Option<Fault>) -> io::Result<()> {
        let inode = self.inode_mut(file)?;
        match fault {
            Some(Fault::Io(error)) => {
                inode.fail_sync(Reached::Nothing);
                Err(error.error())
            }
            Some(Fault::FailedSync(reached)) => {
                inode.fail_sync(reached);
                Err(super::IoFault::Device.error())
            }
            Some(Fault::LyingSync) => Ok(()),
            _ => {
                if !inode.pending().is_empty() {
                    inode.sync();
                }
                Ok(())
            }
        }
    }
}

/// What a call returned, as a number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer(pub(super) u64);

impl From<()> for Answer {
    fn from((): ()) -> Self {
        Self(0)
    }
}

impl From<u64> for Answer {
    fn from(number: u64) -> Self {
        Self(number)
    }
}

impl From<usize> for Answer {
    fn from(number: usize) -> Self {
        Self(number as u64)
    }
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "simulated: no such file")
}
