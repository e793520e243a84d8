//! An archive in a directory.

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Archive;
use crate::compress::{Pace, copy};
use crate::files::staged;
use crate::open::make_directory;
use crate::planted::{self, Bug};
use crate::vfs::{Access, Vfs, VfsFile};

/// A folder in a directory, perhaps on another disk. Its parents are made with the first file.
#[derive(Debug)]
pub(super) struct DirectoryArchive {
    vfs: Arc<dyn Vfs>,
    directory: PathBuf,
}

impl DirectoryArchive {
    pub(super) fn new(vfs: Arc<dyn Vfs>, directory: PathBuf) -> Self {
        Self { vfs, directory }
    }

    /// Makes the folder, and the name of every directory above durable: an earlier attempt may have made it and been
    /// killed, or a person just now. What may not be opened was not made by either.
    fn make_directory(&self) -> io::Result<()> {
        make_directory(&*self.vfs, &self.directory)?;
        let parents = self.directory.ancestors().skip(1);
        for parent in parents.filter(|parent| !parent.as_os_str().is_empty()) {
            match self.vfs.sync_directory(parent) {
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => break,
                synced => synced?,
            }
        }
        Ok(())
    }

    /// Copies a file under the one name, and gives it the other when it is whole.
    fn put_staged(
        &self,
        (new_path, path): (&Path, &Path),
        file: &dyn VfsFile,
        bytes: u64,
        pace: &mut Pace<'_>,
    ) -> io::Result<ControlFlow<()>> {
        let copied = self.vfs.open(new_path, Access::Create)?;
        if copy(file, &*copied, bytes, pace)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
        if planted::is_active(Bug::ArchiveNotSynced) {
            self.vfs.rename(new_path, path)?;
            return Ok(ControlFlow::Continue(()));
        }
        copied.sync_all()?;
        self.vfs.rename(new_path, path)?;
        self.vfs.sync_directory(&self.directory)?;
        Ok(ControlFlow::Continue(()))
    }

    /// Removes a file if it is there; whether it was.
    fn remove_file(&self, path: &Path) -> io::Result<bool> {
        match self.vfs.remove(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
            Ok(()) => Ok(true),
        }
    }
}

impl Archive for DirectoryArchive {
    fn put(
        &self,
        name: &str,
        file: &dyn VfsFile,
        bytes: u64,
        pace: &mut Pace<'_>,
    ) -> io::Result<ControlFlow<()>> {
        self.make_directory()?;
        let path = self.directory.join(name);
        let new_path = staged(&path);
        self.remove_file(&new_path)?;
        let put = self.put_staged((&new_path, &path), file, bytes, pace);
        if !matches!(put, Ok(ControlFlow::Continue(())))
            && let Err(error) = self.remove_file(&new_path)
        {
            tracing::debug!(%error, name, "an unfinished copy stays in the archive for now");
        }
        put
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn VfsFile>> {
        match self.vfs.open(&self.directory.join(name), Access::Read) {
            // A disk that is not mounted has no folder; what is missing there is not lost.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.vfs.names(&self.directory).map_err(|error| {
                    let directory = self.directory.display();
                    io::Error::other(format!("{directory} can't be opened: {error}"))
                })?;
                Err(error)
            }
            opened => opened,
        }
    }

    fn names(&self) -> io::Result<Vec<String>> {
        match self.vfs.names(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            names => names,
        }
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let path = self.directory.join(name);
        let removed = self.remove_file(&path)? | self.remove_file(&staged(&path))?;
        if removed {
            self.vfs.sync_directory(&self.directory)?;
        }
        Ok(())
    }
}

#[cfg(all(test, feature = "sim"))]
mod tests {
    use super::*;
    use crate::vfs::sim::SimFs;

    #[test]
    fn a_folder_that_an_earlier_attempt_made_is_durable_too() {
        let disk = SimFs::new();
        let folder = Path::new("/far/cold/log");
        // It was killed before it came to make the names durable.
        disk.create_dir_all(folder).unwrap();
        let archive = DirectoryArchive::new(Arc::new(disk.clone()), folder.to_owned());
        let file = disk.open(Path::new("/file"), Access::Create).unwrap();
        file.write_at(b"whole", 0).unwrap();
        let mut pace = |_| ControlFlow::Continue(());
        assert!(
            archive
                .put("it", &*file, 5, &mut pace)
                .unwrap()
                .is_continue()
        );
        for seed in 0..64 {
            let vfs = Arc::new(disk.crash(seed));
            let archive = DirectoryArchive::new(vfs, folder.to_owned());
            assert_eq!(archive.open("it").unwrap().length().unwrap(), 5);
        }
    }
}
