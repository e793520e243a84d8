//! Commits with what they changed.

use anyhow::{Context as _, Result, anyhow};
use gix::diff::tree::{Recorder, State, recorder};
use gix::objs::bstr::ByteSlice as _;
use gix::objs::{FindExt as _, TreeRefIter};

use super::{GitPath, Link, Mainline, Mode, ObjectId, Repository, encode_path};

/// A commit of the mainline, and how its tree differs from the one before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The commit.
    pub id: ObjectId,
    /// Who wrote it, in the text form of [`encode_path`], since old commits hold names that are not UTF-8.
    pub author_name: String,
    /// The author's address, in the same form.
    pub author_email: String,
    /// When it was committed, in seconds since 1970.
    pub seconds: i64,
    /// The title of its message, in the same form.
    pub summary: String,
    /// What it changed, ordered by path; empty when it changed nothing.
    pub changes: Vec<Change>,
}

/// What a commit did to one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The path.
    pub path: GitPath,
    /// What was done.
    pub action: Action,
}

/// What was done to a path. A rename is a removal and an addition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The path came to be.
    Added {
        /// What it is.
        mode: Mode,
        /// Its content: a blob, or the commit of a submodule.
        blob: ObjectId,
    },
    /// It has other content now, and perhaps another mode too.
    Changed {
        /// What it is now.
        mode: Mode,
        /// Its content now.
        blob: ObjectId,
    },
    /// Only its mode is another.
    ModeChanged {
        /// What it is now.
        mode: Mode,
    },
    /// It is gone.
    Removed,
}

/// Reads the commits of a mainline one after the other, oldest first.
pub struct Commits<'a> {
    repository: &'a Repository,
    links: std::slice::Iter<'a, Link>,
    /// The tree of the commit before; none before the first.
    before: Option<ObjectId>,
    before_bytes: Vec<u8>,
    after_bytes: Vec<u8>,
    state: State,
}

impl<'a> Commits<'a> {
    /// The commits of `mainline`, from its root.
    pub fn new(repository: &'a Repository, mainline: &'a Mainline) -> Self {
        Self::after(repository, mainline, 0)
    }

    /// The commits of `mainline` but its first `count`.
    pub fn after(repository: &'a Repository, mainline: &'a Mainline, count: usize) -> Self {
        let (before, links) = mainline
            .links()
            .split_at_checked(count)
            .unwrap_or((mainline.links(), &[]));
        Self {
            repository,
            links: links.iter(),
            before: before.last().map(|link| link.tree),
            before_bytes: Vec::new(),
            after_bytes: Vec::new(),
            state: State::default(),
        }
    }

    fn read(&mut self, link: &Link) -> Result<Commit> {
        let changes = self.changes(link)?;
        let commit = self.repository.commit_object(link.id)?;
        let decoded = commit.decode().map_err(|error| anyhow!(error))?;
        let (author_name, author_email) = match decoded.author() {
            Ok(author) => (encode_path(author.name), encode_path(author.email)),
            // What stands there is no name and address, but it is what is known.
            Err(_) => (encode_path(decoded.author), String::new()),
        };
        Ok(Commit {
            id: link.id,
            author_name,
            author_email,
            seconds: link.seconds,
            summary: encode_path(decoded.message().summary().trim()),
            changes,
        })
    }

    fn changes(&mut self, link: &Link) -> Result<Vec<Change>> {
        if self.before == Some(link.tree) {
            return Ok(Vec::new());
        }
        let missing = || {
            format!(
                "a tree of commit {} can't be read; fetch what is missing (`git fsck` names it)",
                link.id
            )
        };
        let objects = &self.repository.inner.objects;
        let before = match self.before {
            Some(tree) => objects.find_tree_iter(&tree, &mut self.before_bytes),
            None => Ok(TreeRefIter::from_bytes(&[], link.tree.kind())),
        };
        let before = before
            .map_err(|error| anyhow!(error))
            .with_context(missing)?;
        let after = objects
            .find_tree_iter(&link.tree, &mut self.after_bytes)
            .map_err(|error| anyhow!(error))
            .with_context(missing)?;
        let mut recorder = Recorder::default();
        gix::diff::tree(before, after, &mut self.state, objects, &mut recorder)
            .map_err(|error| anyhow!(error))
            .with_context(missing)?;
        self.before = Some(link.tree);
        let mut changes: Vec<_> = recorder.records.into_iter().filter_map(change).collect();
        changes.sort_unstable_by(|one, other| one.path.cmp(&other.path));
        Ok(changes)
    }
}

impl Iterator for Commits<'_> {
    type Item = Result<Commit>;

    fn next(&mut self) -> Option<Self::Item> {
        let link = self.links.next()?;
        Some(self.read(link))
    }
}

impl std::fmt::Debug for Commits<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Commits")
            .field("left", &self.links.len())
            .finish_non_exhaustive()
    }
}

/// The change of a file; `None` for a folder, whose files follow as changes of their own.
fn change(record: recorder::Change) -> Option<Change> {
    let (path, action) = match record {
        recorder::Change::Addition {
            entry_mode,
            oid,
            path,
            ..
        } => (
            path,
            Action::Added {
                mode: Mode::of_entry(entry_mode)?,
                blob: oid,
            },
        ),
        recorder::Change::Deletion {
            entry_mode, path, ..
        } => {
            Mode::of_entry(entry_mode)?;
            (path, Action::Removed)
        }
        recorder::Change::Modification {
            previous_entry_mode,
            previous_oid,
            entry_mode,
            oid,
            path,
        } => {
            let mode = Mode::of_entry(entry_mode)?;
            let action = if oid != previous_oid {
                Action::Changed { mode, blob: oid }
            } else if Mode::of_entry(previous_entry_mode) != Some(mode) {
                Action::ModeChanged { mode }
            } else {
                // Two spellings of one mode, such as 100664 and 100644.
                return None;
            };
            (path, action)
        }
    };
    Some(Change {
        path: GitPath::new(path),
        action,
    })
}
