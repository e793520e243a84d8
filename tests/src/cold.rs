//! An archive beside a store that is killed: a directory, or a store of objects in one.

use std::path::{Path, absolute};
use std::sync::Arc;

use annals_archive_object::{ObjectArchives, Settings};
use annals_core::{Error, ErrorKind};
use annals_store_log::Archives;
use object_store::local::LocalFileSystem;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cold {
    /// Files in a directory.
    Directory,
    /// Objects, in files of another directory, as an object store keeps them: whole or not at all.
    Objects,
}

impl Cold {
    /// As it is named on a command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::Objects => "objects",
        }
    }

    /// That of this name.
    pub fn of_name(name: &str) -> Option<Self> {
        [Self::Directory, Self::Objects]
            .into_iter()
            .find(|it| it.name() == name)
    }

    /// Where the archive of the store in this directory is, and how it is found.
    ///
    /// # Errors
    /// `Invalid` when the directory has no path that is a text, or can't be made.
    pub fn place(self, store: &Path) -> Result<(String, Archives), Error> {
        let invalid = |error: std::io::Error| {
            Error::new(ErrorKind::Invalid, "there is no place for the archive").caused_by(error)
        };
        let path = absolute(store.with_extension(self.name())).map_err(invalid)?;
        if self == Self::Directory {
            return Ok((path.to_string_lossy().into_owned(), Archives::default()));
        }
        std::fs::create_dir_all(&path).map_err(invalid)?;
        let objects = LocalFileSystem::new_with_prefix(&path);
        let objects = objects
            .map_err(|error| invalid(error.into()))?
            .with_fsync(true);
        // So that a segment is an upload of several parts.
        let mut settings = Settings::default();
        settings.part_bytes = 8 * 1024;
        let opener = ObjectArchives::default()
            .store("objects://cold", Arc::new(objects))
            .settings(settings);
        let archives = Archives::default().opened_by(Arc::new(opener));
        Ok(("objects://cold".to_owned(), archives))
    }
}
