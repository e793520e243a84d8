//! The read models as they are asked.

use std::path::{Path, PathBuf};

use annals::projection::{ModelId, Partition};
use annals::sqlite::{SqliteView, ToSql};
use annals::{CheckpointName, Cursor};
use anyhow::Result;

use super::VERSION;
use crate::git::GitPath;

/// A file of read models, to be asked while another process writes it.
#[derive(Debug)]
pub struct ReadModels {
    file: PathBuf,
}

/// Who changed how much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author {
    /// The name with the address.
    pub name: String,
    /// How many commits that changed something.
    pub commits: u64,
    /// How many changes of a file.
    pub changes: u64,
    /// When the first commit was, in seconds since 1970.
    pub first: i64,
    /// When the last commit was, in seconds since 1970.
    pub last: i64,
}

/// How often the files below a folder changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Churn {
    /// The folder, `.` for all, in its text form.
    pub folder: String,
    /// How often one came to be.
    pub added: u64,
    /// How often one changed.
    pub changed: u64,
    /// How often one was removed.
    pub removed: u64,
}

/// How large a file was from a commit on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Size {
    /// When that was, in seconds since 1970.
    pub seconds: i64,
    /// The commit, in hex.
    pub commit: String,
    /// How large; `None` where the file was removed, or is a submodule.
    pub bytes: Option<u64>,
}

impl ReadModels {
    /// Opens a file.
    ///
    /// # Errors
    /// When it is not there, or no file of read models.
    pub fn open(file: &Path) -> Result<Self> {
        let models = Self {
            file: file.to_owned(),
        };
        models.view("authors")?;
        Ok(models)
    }

    /// Up to where the events of a store are in all of them.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn cursors(&self) -> Result<Vec<Cursor>> {
        let cursors = super::NAMES
            .iter()
            .map(|name| Ok(self.view(name)?.progress()?.cursor));
        cursors.collect()
    }

    /// Who changed how much, the busiest first.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn authors(&self) -> Result<Vec<Author>> {
        let query =
            "SELECT name, commits, changes, first, last FROM {authors} ORDER BY commits DESC, name";
        let authors = self.view("authors")?.query(query, (), |row| {
            Ok(Author {
                name: row.get(0)?,
                commits: row.get::<_, i64>(1)?.unsigned_abs(),
                changes: row.get::<_, i64>(2)?.unsigned_abs(),
                first: row.get(3)?,
                last: row.get(4)?,
            })
        });
        Ok(authors?)
    }

    /// How often the files below each folder changed, the busiest first.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn churn(&self) -> Result<Vec<Churn>> {
        let query = "SELECT folder, added, changed, removed FROM {folders}
            ORDER BY added + changed + removed DESC, folder";
        let churn = self.view("churn")?.query(query, (), |row| {
            Ok(Churn {
                folder: row.get(0)?,
                added: row.get::<_, i64>(1)?.unsigned_abs(),
                changed: row.get::<_, i64>(2)?.unsigned_abs(),
                removed: row.get::<_, i64>(3)?.unsigned_abs(),
            })
        });
        Ok(churn?)
    }

    /// How large a file was over time, oldest first; empty when it never was.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn sizes(&self, path: &GitPath) -> Result<Vec<Size>> {
        let query =
            "SELECT seconds, git_commit, bytes FROM {sizes} WHERE path = ?1 ORDER BY version";
        let path = path.encoded();
        let sizes = self
            .view("sizes")?
            .query(query, [&path as &dyn ToSql], |row| {
                Ok(Size {
                    seconds: row.get(0)?,
                    commit: row.get(1)?,
                    bytes: row.get::<_, Option<i64>>(2)?.map(i64::unsigned_abs),
                })
            });
        Ok(sizes?)
    }

    fn view(&self, name: &str) -> Result<SqliteView> {
        let id = ModelId {
            name: CheckpointName::parse(name)?,
            version: VERSION,
            partition: Partition::WHOLE,
        };
        Ok(SqliteView::open(&self.file, &id)?)
    }
}
