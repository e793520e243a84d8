//! The names of files and directories: as processes see them, as the disk has them, and what lies between.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::choices::Choices;

/// A file, whatever its names.
pub(super) type FileId = u64;

/// Names and what they stand for.
type Names = BTreeMap<Arc<Path>, Node>;

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Directory,
    File(FileId),
}

/// All names. A clone shares them until one of the two changes.
#[derive(Clone, Debug, Default)]
pub(super) struct Tree {
    live: Arc<Names>,
    durable: Arc<Names>,
    /// What the disk does not have for certain, oldest first.
    pending: Vec<Change>,
}

/// A change of names that is not durable; each is atomic.
#[derive(Clone, Debug)]
enum Change {
    Add(Arc<Path>, Node),
    Rename {
        from: Arc<Path>,
        to: Arc<Path>,
        node: Node,
    },
    Remove(Arc<Path>),
}

impl Change {
    fn apply(&self, names: &mut Names) {
        match self {
            Self::Add(path, node) => {
                names.insert(Arc::clone(path), *node);
            }
            Self::Rename { from, to, node } => {
                names.remove(from);
                names.insert(Arc::clone(to), *node);
            }
            Self::Remove(path) => {
                names.remove(path);
            }
        }
    }

    /// The names that it changes; the one in whose directory it is made durable comes first.
    fn touched(&self) -> impl Iterator<Item = &Arc<Path>> {
        let (first, second) = match self {
            Self::Add(path, _) | Self::Remove(path) => (path, None),
            Self::Rename { from, to, .. } => (to, Some(from)),
        };
        std::iter::once(first).chain(second)
    }
}

impl Tree {
    /// What stands at the path.
    pub(super) fn node(&self, path: &Path) -> io::Result<Node> {
        if is_root(path) {
            return Ok(Node::Directory);
        }
        let node = self.live.get(path).copied();
        node.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such file or directory"))
    }

    /// The file at the path.
    pub(super) fn file(&self, path: &Path) -> io::Result<FileId> {
        match self.node(path)? {
            Node::File(file) => Ok(file),
            Node::Directory => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    /// The file that the disk has at the path for certain.
    pub(super) fn durable_file(&self, path: &Path) -> Option<FileId> {
        match self.durable.get(path)? {
            Node::File(file) => Some(*file),
            Node::Directory => None,
        }
    }

    /// The paths of all files, in order.
    pub(super) fn files(&self) -> impl Iterator<Item = (&Arc<Path>, FileId)> {
        self.live.iter().filter_map(|(path, node)| match node {
            Node::File(file) => Some((path, *file)),
            Node::Directory => None,
        })
    }

    /// The files that have a name, may have one after a crash, or both.
    pub(super) fn reachable(&self) -> BTreeSet<FileId> {
        let pending = self.pending.iter().filter_map(|change| match change {
            Change::Add(_, node) | Change::Rename { node, .. } => Some(*node),
            Change::Remove(_) => None,
        });
        let named = self.live.values().chain(self.durable.values()).copied();
        named
            .chain(pending)
            .filter_map(|node| match node {
                Node::File(file) => Some(file),
                Node::Directory => None,
            })
            .collect()
    }

    /// Whether the disk has exactly these names.
    pub(super) fn is_settled(&self) -> bool {
        self.pending.is_empty()
    }

    /// How many changes the disk may or may not have.
    pub(super) fn pending(&self) -> usize {
        self.pending.len()
    }

    /// The names in a directory, in order.
    pub(super) fn names(&self, directory: &Path) -> io::Result<Vec<String>> {
        self.directory(directory)?;
        let children = self
            .live
            .keys()
            .filter(|path| path.parent() == Some(directory));
        let names = children.filter_map(|path| path.file_name());
        let mut names: Vec<String> = names
            .map(|name| name.to_string_lossy().into_owned())
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Makes a directory and its parents.
    pub(super) fn create_directories(&mut self, directory: &Path) -> io::Result<()> {
        let mut path: Vec<&Path> = directory.ancestors().collect();
        path.reverse();
        for directory in path {
            match self.node(directory) {
                Ok(Node::Directory) => {}
                Ok(Node::File(_)) => return Err(io::ErrorKind::NotADirectory.into()),
                Err(_) => self.change(Change::Add(directory.into(), Node::Directory)),
            }
        }
        Ok(())
    }

    /// Whether a file can be created at the path.
    pub(super) fn check_vacant(&self, path: &Path) -> io::Result<()> {
        self.parent(path)?;
        match self.node(path) {
            Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
            Err(_) => Ok(()),
        }
    }

    /// Names a file.
    pub(super) fn add(&mut self, path: &Path, file: FileId) {
        self.change(Change::Add(path.into(), Node::File(file)));
    }

    /// Renames a file, over a file of the new name.
    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let node = Node::File(self.file(from)?);
        self.parent(to)?;
        if self.node(to).is_ok_and(|node| node == Node::Directory) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        if from != to {
            self.change(Change::Rename {
                from: from.into(),
                to: to.into(),
                node,
            });
        }
        Ok(())
    }

    /// Gives a file a second name.
    pub(super) fn hard_link(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let file = self.file(from)?;
        self.check_vacant(to)?;
        self.add(to, file);
        Ok(())
    }

    /// Removes a file's name.
    pub(super) fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.file(path)?;
        self.change(Change::Remove(path.into()));
        Ok(())
    }

    /// Makes the names in a directory durable, with what these changes build on.
    pub(super) fn sync(&mut self, directory: &Path) -> io::Result<()> {
        self.directory(directory)?;
        let mut carried: BTreeSet<Arc<Path>> = BTreeSet::new();
        let mut kept = Vec::new();
        let mut synced = Vec::new();
        for change in std::mem::take(&mut self.pending).into_iter().rev() {
            let home = change.touched().next().and_then(|path| path.parent());
            let here = home == Some(directory);
            if here || change.touched().any(|path| carried.contains(path)) {
                carried.extend(change.touched().cloned());
                synced.push(change);
            } else {
                kept.push(change);
            }
        }
        kept.reverse();
        self.pending = kept;
        if !synced.is_empty() {
            let durable = Arc::make_mut(&mut self.durable);
            synced.iter().rev().for_each(|change| change.apply(durable));
        }
        Ok(())
    }

    /// Makes all names durable.
    pub(super) fn settle(&mut self) {
        self.pending.clear();
        self.durable = Arc::clone(&self.live);
    }

    /// Names a file for certain, at once.
    pub(super) fn add_durable(&mut self, path: &Path, file: FileId) {
        let path: Arc<Path> = path.into();
        Arc::make_mut(&mut self.live).insert(Arc::clone(&path), Node::File(file));
        Arc::make_mut(&mut self.durable).insert(path, Node::File(file));
    }

    /// The names that the disk has after a crash.
    pub(super) fn crash(&self, choices: &mut dyn Choices) -> Self {
        if self.is_settled() {
            return self.clone();
        }
        let mut names = Arc::clone(&self.durable);
        let mut stuck: BTreeSet<&Arc<Path>> = BTreeSet::new();
        for change in &self.pending {
            if !change.touched().any(|path| stuck.contains(path)) && choices.choose(2) == 1 {
                change.apply(Arc::make_mut(&mut names));
            } else {
                stuck.extend(change.touched());
            }
        }
        remove_orphans(Arc::make_mut(&mut names));
        Self {
            durable: Arc::clone(&names),
            live: names,
            pending: Vec::new(),
        }
    }

    fn change(&mut self, change: Change) {
        change.apply(Arc::make_mut(&mut self.live));
        self.pending.push(change);
    }

    fn directory(&self, path: &Path) -> io::Result<()> {
        match self.node(path)? {
            Node::Directory => Ok(()),
            Node::File(_) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn parent(&self, path: &Path) -> io::Result<()> {
        path.parent()
            .map_or(Ok(()), |directory| self.directory(directory))
    }
}

/// The directories that are always there: of absolute and of relative paths.
fn is_root(path: &Path) -> bool {
    path.parent().is_none()
}

/// Names in directories that did not come to be are not there either.
fn remove_orphans(names: &mut Names) {
    // Parents come before their children in the order of paths.
    let paths: Vec<Arc<Path>> = names.keys().cloned().collect();
    for path in paths {
        let parent = path.parent().unwrap_or(&path);
        if !is_root(parent) && names.get(parent) != Some(&Node::Directory) {
            names.remove(&path);
        }
    }
}
