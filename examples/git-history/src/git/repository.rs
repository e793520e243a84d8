//! Opening a repository, and reading its objects.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use gix::discover::upwards;
use gix::open;
use gix::sec::trust::Mapping;

use super::{Mainline, ObjectId};

/// Memory for decoded objects, in bytes: the trees that consecutive commits share.
const OBJECT_CACHE_BYTES: usize = 16 * 1024 * 1024;

/// A git repository, bare or not, opened for reading.
///
/// Nothing but the repository itself counts: no environment variable and no configuration of the user or
/// the machine changes what is read, and objects are read as they were committed (`refs/replace/` is not
/// followed). A clone is for use on another thread. No program is run and nothing is fetched, so that a repository of another owner is safe to open.
#[derive(Clone, Debug)]
pub struct Repository {
    pub(super) inner: gix::Repository,
}

impl Repository {
    /// Opens the repository that `path` lies in: the folder itself or the nearest one above it.
    ///
    /// # Errors
    /// When there is no such folder, no repository in it or above it, or when it can't be read.
    pub fn open(path: &Path) -> Result<Self> {
        if !path.is_dir() {
            bail!(
                "no folder at {}; give the path of a git repository",
                path.display()
            );
        }
        let options = || open::Options::isolated().config_overrides(["core.useReplaceRefs=false"]);
        let trust = Mapping {
            full: options(),
            reduced: options(),
        };
        let discovered =
            gix::ThreadSafeRepository::discover_opts(path, upwards::Options::default(), trust);
        let mut inner = match discovered {
            Ok(repository) => repository.to_thread_local(),
            Err(error) if error.is_not_found() => bail!(
                "no git repository at {} or in a folder above it; give the path of one",
                path.display()
            ),
            Err(error) => {
                return Err(anyhow!(error)).with_context(|| {
                    format!("the git repository at {} can't be opened", path.display())
                });
            }
        };
        inner.object_cache_size(OBJECT_CACHE_BYTES);
        Ok(Self { inner })
    }

    /// Where git keeps its files: the `.git` folder, or the bare repository.
    pub fn git_dir(&self) -> &Path {
        self.inner.git_dir()
    }

    /// What a person calls the repository: its working tree, or where a bare one lies.
    pub fn place(&self) -> PathBuf {
        let place = self.inner.workdir().unwrap_or(self.inner.git_dir());
        place.canonicalize().unwrap_or_else(|_| place.to_owned())
    }

    /// The first-parent chain of `HEAD`, oldest commit first.
    ///
    /// # Errors
    /// When `HEAD` has no commit yet, or a commit of the chain can't be read.
    pub fn mainline(&self) -> Result<Mainline> {
        Mainline::read(self)
    }

    /// How many bytes a blob has; its content is not read.
    ///
    /// # Errors
    /// When the repository does not have it.
    pub fn size(&self, blob: ObjectId) -> Result<u64> {
        let header = self.inner.find_header(blob).map_err(|error| {
            anyhow!(error).context(format!("the size of blob {blob} can't be read"))
        })?;
        Ok(header.size())
    }

    /// A commit of the object database.
    pub(super) fn commit_object(&self, id: ObjectId) -> Result<gix::Commit<'_>> {
        self.inner.find_commit(id).map_err(|error| {
            anyhow!(error).context(format!(
                "commit {id} can't be read; `git fsck` tells what is missing"
            ))
        })
    }
}
