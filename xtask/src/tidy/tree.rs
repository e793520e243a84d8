//! The files of the workspace, read once, as every rule sees them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use ignore::WalkBuilder;

use crate::tidy::outline::Outline;
use crate::workspace::{Member, Workspace};

/// Every file and folder that git does not ignore, the text of the sources, and the members.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    sources: Vec<Source>,
    paths: BTreeSet<String>,
    members: Vec<Member>,
}

/// A file that people write: code, a manifest, a script or a page.
#[derive(Debug)]
pub(crate) struct Source {
    /// Relative to the root, with `/` between the parts.
    pub(crate) path: String,
    /// The whole text.
    pub(crate) text: String,
    /// What a Rust file declares; none for other files, and for one that does not lex.
    pub(crate) outline: Option<Outline>,
}

impl Tree {
    /// Reads the tree under the workspace's root.
    pub(crate) fn load(workspace: &Workspace) -> Result<Self> {
        let mut tree = Self {
            members: workspace.members.clone(),
            ..Self::default()
        };
        for entry in walk(&workspace.root).build() {
            let entry = entry?;
            let path = relative(entry.path(), &workspace.root)?;
            if entry.file_type().is_some_and(|kind| kind.is_file()) && is_source(&path) {
                let bytes = fs::read(entry.path()).with_context(|| format!("reading {path}"))?;
                // What is not UTF-8 turns into a character that the ASCII rule refuses.
                let text = String::from_utf8_lossy(&bytes).into_owned();
                tree.sources.push(Source::new(path.clone(), text));
            }
            tree.paths.insert(path);
        }
        Ok(tree)
    }

    /// Every source file, sorted by path.
    pub(crate) fn sources(&self) -> impl Iterator<Item = &Source> {
        self.sources.iter()
    }

    /// The sources with this file extension.
    pub(crate) fn with_extension(&self, extension: &str) -> impl Iterator<Item = &Source> {
        self.sources()
            .filter(move |source| has_extension(&source.path, extension))
    }

    /// The source with exactly this path.
    pub(crate) fn source(&self, path: &str) -> Option<&Source> {
        self.sources.iter().find(|source| source.path == path)
    }

    /// Whether there is such a file or folder; the root is the empty path.
    pub(crate) fn contains(&self, path: &str) -> bool {
        path.is_empty() || self.paths.contains(path)
    }

    /// The packages of the workspace.
    pub(crate) fn members(&self) -> &[Member] {
        &self.members
    }

    /// The packages in `crates/`, each with its short name.
    pub(crate) fn crates(&self) -> impl Iterator<Item = (&str, &Member)> {
        self.members
            .iter()
            .filter_map(|member| Some((member.short_name()?, member)))
    }
}

impl Source {
    fn new(path: String, text: String) -> Self {
        let outline = has_extension(&path, "rs")
            .then(|| Outline::parse(&text).ok())
            .flatten();
        Self {
            path,
            text,
            outline,
        }
    }

    /// Its lines, each with its number from 1.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.text.lines())
    }
}

/// Whether a path ends in a dot and this extension.
pub(crate) fn has_extension(path: &str, extension: &str) -> bool {
    Path::new(path)
        .extension()
        .is_some_and(|found| found == extension)
}

/// What git would list: everything but `.git` and what `.gitignore` names, hidden files included. The
/// machine's own ignore files play no part, so that every machine sees one tree.
fn walk(root: &Path) -> WalkBuilder {
    let mut walk = WalkBuilder::new(root);
    walk.standard_filters(false)
        .git_ignore(true)
        .require_git(false)
        .sort_by_file_path(Path::cmp)
        .filter_entry(|entry| entry.file_name() != ".git");
    walk
}

fn relative(path: &Path, root: &Path) -> Result<String> {
    let parts: Vec<_> = path
        .strip_prefix(root)?
        .iter()
        .map(|part| part.to_string_lossy())
        .collect();
    Ok(parts.join("/"))
}

fn is_source(path: &str) -> bool {
    let extension = Path::new(path)
        .extension()
        .and_then(|extension| extension.to_str());
    matches!(
        extension,
        Some("rs" | "toml" | "sh" | "sql" | "md" | "yml" | "yaml")
    ) || path.starts_with(".ci/")
        || path.ends_with(".gitignore")
}

#[cfg(test)]
impl Tree {
    /// A tree of these files, and no members.
    pub(crate) fn planted(files: &[(&str, &str)]) -> Self {
        let mut tree = Self::default();
        for (path, text) in files {
            let folders = path
                .match_indices('/')
                .filter_map(|(end, _)| path.get(..end));
            tree.paths.extend(folders.map(str::to_owned));
            tree.paths.insert((*path).to_owned());
            if is_source(path) {
                tree.sources
                    .push(Source::new((*path).to_owned(), (*text).to_owned()));
            }
        }
        tree
    }

    /// The same tree with these packages: folder, name, and the names that it depends on.
    pub(crate) fn with_members(mut self, members: &[(&str, &str, &[&str])]) -> Self {
        use cargo_metadata::DependencyKind;

        use crate::workspace::{MemberDependency, Publish};

        self.members
            .extend(members.iter().map(|(folder, name, dependencies)| {
                Member {
                    name: (*name).to_owned(),
                    folder: (*folder).to_owned(),
                    publish: Publish::Public,
                    features: Vec::new(),
                    dependencies: dependencies
                        .iter()
                        .map(|name| match name.strip_prefix("dev:") {
                            Some(name) => (name, DependencyKind::Development),
                            None => (*name, DependencyKind::Normal),
                        })
                        .map(|(name, kind)| MemberDependency {
                            name: name.to_owned(),
                            kind,
                        })
                        .collect(),
                }
            }));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_ignores_is_not_part_of_the_tree() {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in [
            (".gitignore", "/target\n"),
            (".ci/run", "true\n"),
            (".git/notes.md", "private\n"),
            ("target/build.rs", "fn main() {}\n"),
            ("image.png", "pixels"),
            ("src/lib.rs", "//! A crate.\n"),
        ] {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let workspace = Workspace {
            root: folder.path().to_owned(),
            target: folder.path().join("target"),
            members: Vec::new(),
        };
        let tree = Tree::load(&workspace).unwrap();
        let sources: Vec<&str> = tree.sources().map(|source| source.path.as_str()).collect();
        assert_eq!(sources, [".ci/run", ".gitignore", "src/lib.rs"]);
        assert!(tree.contains("image.png") && tree.contains("src"));
        assert!(!tree.contains("target") && !tree.contains(".git"));
    }
}
