//! What a commit's tree holds, by a way that knows nothing of diffs: to verify a fold against.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, anyhow, bail};

use super::{GitPath, Mode, ObjectId, Repository};

/// An entry of `git ls-tree -r`: a file, a symbolic link or a submodule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub mode: Mode,
    /// Its content: a blob, or the commit of a submodule.
    pub id: ObjectId,
    /// Where it is.
    pub path: GitPath,
}

/// Who says what a tree holds.
#[derive(Clone, Debug)]
pub enum TreeSource {
    /// The `git` program, by `git ls-tree -r`.
    Git(GitBinary),
    /// A walk over the tree objects, where there is no `git` to ask.
    Walk(Box<Repository>),
}

impl TreeSource {
    /// `git` when it is on the `PATH` and reads this repository, else a walk.
    pub fn choose(repository: &Repository) -> Self {
        GitBinary::find(repository).map_or_else(|| Self::walk(repository), Self::Git)
    }

    /// A walk, whether there is a `git` or not.
    pub fn walk(repository: &Repository) -> Self {
        Self::Walk(Box::new(repository.clone()))
    }

    /// What it is, for a report.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Git(_) => "git ls-tree -r",
            Self::Walk(_) => "a walk over the tree objects",
        }
    }

    /// Everything in the tree of a commit, ordered by the bytes of the path.
    ///
    /// # Errors
    /// When an object is missing, or `git` fails or prints what can't be read.
    pub fn listing(&self, commit: ObjectId) -> Result<Vec<Entry>> {
        match self {
            Self::Git(git) => git.listing(commit),
            Self::Walk(repository) => walk(repository, commit),
        }
    }
}

/// The `git` program and a repository to ask it about.
#[derive(Clone, Debug)]
pub struct GitBinary {
    git_dir: PathBuf,
    /// Variables that would point git elsewhere.
    foreign: Vec<OsString>,
}

impl GitBinary {
    /// The program, when it is on the `PATH` and reads this repository.
    pub fn find(repository: &Repository) -> Option<Self> {
        let foreign = std::env::vars_os()
            .map(|(name, _)| name)
            .filter(|name| name.as_encoded_bytes().starts_with(b"GIT_"))
            .collect();
        let git = Self {
            git_dir: absolute(repository.git_dir())?,
            foreign,
        };
        let works = git
            .command()
            .args(["rev-parse", "--git-dir"])
            .output()
            .ok()?
            .status
            .success();
        works.then_some(git)
    }

    fn command(&self) -> Command {
        let mut command = Command::new("git");
        for name in &self.foreign {
            command.env_remove(name);
        }
        // A missing object is an error here, not something to fetch; and naming the folder tells git that
        // it is meant, whoever owns it.
        command
            .env("GIT_NO_LAZY_FETCH", "1")
            .env("LC_ALL", "C")
            .stdin(Stdio::null());
        command
            .arg("--no-replace-objects")
            .arg("--git-dir")
            .arg(&self.git_dir);
        command
    }

    fn listing(&self, commit: ObjectId) -> Result<Vec<Entry>> {
        let commit = commit.to_string();
        let output = self
            .command()
            .args(["ls-tree", "-r", "-z", "--full-tree", &commit])
            .output()
            .context("git can't be run")?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("git ls-tree -r {commit} failed: {}", said.trim());
        }
        output
            .stdout
            .split_inclusive(|byte| *byte == 0)
            .map(|line| {
                parse_line(line).with_context(|| {
                    format!(
                        "git ls-tree printed what can't be read: {}",
                        line.escape_ascii()
                    )
                })
            })
            .collect()
    }
}

/// `<mode> <kind> <id>\t<path>\0`
fn parse_line(line: &[u8]) -> Option<Entry> {
    let line = line.strip_suffix(b"\0")?;
    let tab = line.iter().position(|byte| *byte == b'\t')?;
    let (head, path) = line.split_at_checked(tab)?;
    let mut words = head.split(|byte| *byte == b' ');
    let mode = Mode::from_octal(words.next()?)?;
    let kind = words.next()?;
    let id = ObjectId::from_hex(words.next()?).ok()?;
    let whole = words.next().is_none() && kind == mode.object_kind().as_bytes();
    whole.then(|| Entry {
        mode,
        id,
        path: GitPath::new(path.strip_prefix(b"\t").unwrap_or_default()),
    })
}

fn walk(repository: &Repository, commit: ObjectId) -> Result<Vec<Entry>> {
    let missing =
        || format!("the tree of commit {commit} can't be read; `git fsck` tells what is missing");
    let tree = repository
        .commit_object(commit)?
        .tree()
        .map_err(|error| anyhow!(error));
    let files = tree
        .and_then(|tree| {
            tree.traverse()
                .breadthfirst
                .files()
                .map_err(|error| anyhow!(error))
        })
        .with_context(missing)?;
    let mut entries: Vec<_> = files
        .into_iter()
        .filter_map(|file| {
            let mode = Mode::of_entry(file.mode)?;
            Some(Entry {
                mode,
                id: file.oid,
                path: GitPath::new(file.filepath),
            })
        })
        .collect();
    entries.sort_unstable_by(|one, other| one.path.cmp(&other.path));
    Ok(entries)
}

fn absolute(path: &Path) -> Option<PathBuf> {
    std::path::absolute(path).ok()
}
