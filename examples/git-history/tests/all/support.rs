//! Small repositories written object by object, so that a test needs no `git` and nothing of the user's
//! configuration has a say.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use git_history::events::{Content, FileEvent, Tree};
use git_history::git::{Commit, Commits, Entry, GitPath, Mode, ObjectId, Repository, TreeSource};
use gix::objs::{Kind, Write as _};
use tempfile::TempDir;

/// A file of a tree: path, mode, and its content, or the commit of a submodule in hex.
pub(crate) type TreeFile<'a> = (&'a [u8], Mode, &'a str);

/// A path, its mode as it stands in the tree, and its content.
pub(crate) type RawEntry<'a> = (&'a [u8], String, ObjectId);

/// A commit that a submodule may point to; it is in no repository.
pub(crate) const ELSEWHERE: &str = "1234567890123456789012345678901234567890";

/// A repository in a folder of its own that is removed in the end.
pub(crate) struct Fixture {
    folder: TempDir,
    git_dir: PathBuf,
    repository: gix::Repository,
}

impl Fixture {
    /// A repository with a working tree.
    pub(crate) fn new() -> Self {
        Self::create(
            ".git",
            "[core]\nrepositoryformatversion = 0\nbare = false\n",
        )
    }

    /// A bare repository.
    pub(crate) fn bare() -> Self {
        Self::create(
            "project.git",
            "[core]\nrepositoryformatversion = 0\nbare = true\n",
        )
    }

    /// A repository whose ids are SHA-256.
    pub(crate) fn sha256() -> Self {
        let config = "[core]\nrepositoryformatversion = 1\nbare = false\n[extensions]\nobjectFormat = sha256\n";
        Self::create(".git", config)
    }

    fn create(name: &str, config: &str) -> Self {
        let folder = TempDir::with_prefix("git history-").unwrap();
        let git_dir = folder.path().join(name);
        for below in ["objects", "refs/heads", "refs/tags", "refs/replace"] {
            fs::create_dir_all(git_dir.join(below)).unwrap();
        }
        fs::write(git_dir.join("config"), config).unwrap();
        fs::write(git_dir.join("HEAD"), "ref: refs/heads/main\n").unwrap();
        let repository = gix::open_opts(&git_dir, gix::open::Options::isolated()).unwrap();
        Self {
            folder,
            git_dir,
            repository,
        }
    }

    /// The folder that holds the repository, which is the working tree if there is one.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn git_dir(&self) -> &Path {
        &self.git_dir
    }

    /// Writes a commit of exactly these files, and makes it the head of `main`.
    pub(crate) fn commit(
        &self,
        parents: &[ObjectId],
        seconds: i64,
        files: &[TreeFile<'_>],
    ) -> ObjectId {
        let header = format!("author A U Thor <author@example.com> {seconds} +0000");
        let tree = self.tree(files);
        let text =
            format!("{header}\ncommitter C <c@example.com> {seconds} +0000\n\nat {seconds}\n");
        self.commit_of(tree, parents, text.as_bytes())
    }

    /// Writes a commit of this tree with whatever follows its parents, and makes it the head of `main`.
    pub(crate) fn commit_of(&self, tree: ObjectId, parents: &[ObjectId], rest: &[u8]) -> ObjectId {
        let mut text = format!("tree {tree}\n").into_bytes();
        for parent in parents {
            text.extend(format!("parent {parent}\n").bytes());
        }
        text.extend(rest);
        let id = self
            .repository
            .objects
            .write_buf(Kind::Commit, &text)
            .unwrap();
        self.reference("refs/heads/main", &id.to_string());
        id
    }

    /// A chain of commits, each of these files, a day apart from 2020-01-01 on.
    pub(crate) fn chain(&self, trees: &[&[TreeFile<'_>]]) -> Vec<ObjectId> {
        let mut commits = Vec::new();
        for (files, day) in trees.iter().zip(0..) {
            let seconds = 1_577_836_800 + day * 86_400;
            commits.push(self.commit(
                commits.last().map_or(&[], std::slice::from_ref),
                seconds,
                files,
            ));
        }
        commits
    }

    pub(crate) fn blob(&self, content: &str) -> ObjectId {
        self.repository
            .objects
            .write_buf(Kind::Blob, content.as_bytes())
            .unwrap()
    }

    /// The id that the tree has for a file's content.
    pub(crate) fn id_of(&self, mode: Mode, content: &str) -> ObjectId {
        match mode {
            Mode::Submodule => ObjectId::from_hex(content.as_bytes()).unwrap(),
            _ => self.blob(content),
        }
    }

    pub(crate) fn tree(&self, files: &[TreeFile<'_>]) -> ObjectId {
        let entries = files.iter().map(|(path, mode, content)| {
            (
                *path,
                mode.as_octal().to_owned(),
                self.id_of(*mode, content),
            )
        });
        self.tree_of(entries.collect())
    }

    /// Writes the tree of these paths, with modes as they stand.
    pub(crate) fn tree_of(&self, entries: Vec<RawEntry<'_>>) -> ObjectId {
        // Git orders a folder as if its name ended in a slash.
        let mut direct: BTreeMap<Vec<u8>, (String, ObjectId)> = BTreeMap::new();
        let mut folders: BTreeMap<Vec<u8>, Vec<RawEntry<'_>>> = BTreeMap::new();
        for (path, mode, id) in entries {
            match path.iter().position(|byte| *byte == b'/') {
                None => drop(direct.insert(path.to_owned(), (mode, id))),
                Some(at) => {
                    folders.entry(path[..=at].to_owned()).or_default().push((
                        &path[at + 1..],
                        mode,
                        id,
                    ));
                }
            }
        }
        for (name, below) in folders {
            direct.insert(name, ("40000".to_owned(), self.tree_of(below)));
        }
        let mut bytes = Vec::new();
        for (name, (mode, id)) in direct {
            bytes.extend(mode.bytes().chain([b' ']));
            bytes.extend(name.strip_suffix(b"/").unwrap_or(&name));
            bytes.extend([&[0], id.as_slice()].concat());
        }
        self.repository
            .objects
            .write_buf(Kind::Tree, &bytes)
            .unwrap()
    }

    /// Makes a branch, a tag or `HEAD`.
    pub(crate) fn reference(&self, name: &str, target: &str) {
        fs::write(self.git_dir.join(name), format!("{target}\n")).unwrap();
    }

    /// Makes an object missing.
    pub(crate) fn lose(&self, id: ObjectId) {
        let hex = id.to_string();
        let (folder, file) = hex.split_at(2);
        fs::remove_file(self.git_dir.join("objects").join(folder).join(file)).unwrap();
    }
}

/// A tree of one file.
pub(crate) fn single(content: &str) -> [TreeFile<'_>; 1] {
    [(b"f", Mode::File, content)]
}

/// What `git` prints; `None`, with a word about it, where there is no `git`.
pub(crate) fn git(folder: &Path, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new("git");
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"GIT_") {
            command.env_remove(name);
        }
    }
    command
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", folder.join("no such file"))
        .current_dir(folder)
        .args(arguments);
    let Ok(output) = command.output() else {
        println!(
            "no git on the PATH: left out the comparison with `git {}`",
            arguments.join(" ")
        );
        return None;
    };
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {arguments:?}: {error}");
    Some(String::from_utf8(output.stdout).unwrap())
}

pub(crate) fn path(bytes: &[u8]) -> GitPath {
    GitPath::new(bytes)
}

/// The message of an error with its causes.
pub(crate) fn error_of(result: anyhow::Result<impl std::fmt::Debug>) -> String {
    format!("{:#}", result.unwrap_err())
}

/// Reads a repository, folds each commit's changes, and holds the tree that they give against a walk and,
/// where there is one, against git.
pub(crate) fn check(place: &Path) -> Vec<Commit> {
    let repository = Repository::open(place).unwrap();
    let mainline = repository.mainline().unwrap();
    let commits: Vec<_> = Commits::new(&repository, &mainline)
        .collect::<Result<_, _>>()
        .unwrap();
    let sources = [
        TreeSource::walk(&repository),
        TreeSource::choose(&repository),
    ];
    let mut tree = Tree::default();
    for commit in &commits {
        for change in &commit.changes {
            let before = tree.clone();
            tree.apply(&FileEvent::of(change.clone())).unwrap();
            assert_ne!(tree, before, "{change:?} changes nothing");
        }
        let entry = |(path, content): (&GitPath, &Content)| Entry {
            mode: content.mode,
            id: content.blob,
            path: path.clone(),
        };
        let folded: Vec<_> = tree.iter().map(entry).collect();
        for source in &sources {
            assert_eq!(
                source.listing(commit.id).unwrap(),
                folded,
                "{}: {}",
                source.name(),
                commit.id
            );
        }
    }
    commits
}
