//! The first-parent chain of `HEAD`.

use anyhow::{Context as _, Result, anyhow, bail};

use super::{ObjectId, Repository};

/// The first-parent chain of `HEAD`, oldest commit first: what was merged into the main branch, in the
/// order in which it arrived there. Never empty.
#[derive(Clone, Debug)]
pub struct Mainline {
    links: Vec<Link>,
    root: Root,
}

/// One commit of the mainline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// The commit.
    pub id: ObjectId,
    /// Its tree.
    pub tree: ObjectId,
    /// When it was committed, in seconds since 1970; 0 where the commit doesn't say it legibly. Clocks
    /// differ, so this need not grow along the mainline.
    pub seconds: i64,
}

/// Where the mainline begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// At a commit without parents: the history is whole.
    Whole,
    /// At the edge of a shallow clone: this commit has parents, but they are not here. It is read as a
    /// root, so that all its files appear as added in it.
    Shallow,
}

impl Mainline {
    pub(super) fn read(repository: &Repository) -> Result<Self> {
        let shallow = repository
            .inner
            .shallow_commits()
            .map_err(|error| anyhow!(error).context("the list of shallow commits can't be read"))?;
        let mut links = Vec::new();
        let mut root = Root::Whole;
        let mut next = Some(head(repository)?);
        while let Some(id) = next {
            let commit = repository.commit_object(id)?;
            let damaged = || format!("commit {id} is damaged; `git fsck` tells more");
            let decoded = commit
                .decode()
                .map_err(|error| anyhow!(error))
                .with_context(damaged)?;
            let seconds = decoded
                .committer()
                .map_or(0, |committer| committer.seconds());
            links.push(Link {
                id,
                tree: decoded.tree(),
                seconds,
            });
            next = decoded.parents().next();
            if next.is_some() && shallow.as_ref().is_some_and(|edge| edge.contains(&id)) {
                root = Root::Shallow;
                next = None;
            }
        }
        links.reverse();
        Ok(Self { links, root })
    }

    /// The commits, oldest first.
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// How many commits there are; at least one.
    #[expect(clippy::len_without_is_empty, reason = "a mainline is never empty")]
    pub fn len(&self) -> usize {
        self.links.len()
    }

    /// The commit at a place, counted from 0.
    ///
    /// # Errors
    /// When there are not so many.
    pub fn link(&self, place: usize) -> Result<&Link> {
        let link = self.links.get(place);
        link.with_context(|| format!("the mainline has no commit {place}"))
    }

    /// Where it begins.
    pub fn root(&self) -> Root {
        self.root
    }

    /// The place of a commit, counted from 0.
    pub fn index_of(&self, id: ObjectId) -> Option<usize> {
        self.links.iter().position(|link| link.id == id)
    }
}

fn head(repository: &Repository) -> Result<ObjectId> {
    let mut head = repository.inner.head().map_err(|error| {
        anyhow!(error).context("HEAD can't be read; check out a branch or repair the repository")
    })?;
    let branch = head.referent_name().map(|name| name.shorten().to_string());
    if head.is_unborn() {
        bail!(
            "branch {}, which HEAD names, has no commits; commit something or check out another branch",
            branch.unwrap_or_default()
        );
    }
    let commit = head.peel_to_commit().map_err(|error| {
        anyhow!(error).context("the commit of HEAD can't be read; `git fsck` tells what is missing")
    })?;
    Ok(commit.id)
}
