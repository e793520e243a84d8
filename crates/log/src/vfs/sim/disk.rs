//! Looking at files, and damaging them, past the file system.

use std::io;
use std::path::{Path, PathBuf};

use super::SimFs;
use super::image::Image;

/// The files of a [`SimFs`], to look at and to damage. Nothing here is a call: it is not counted, not traced and not
/// spoiled. What is changed is durable at once, with all else of that file; open handles see it.
#[derive(Debug)]
pub struct Disk<'a> {
    file_system: &'a SimFs,
}

impl<'a> Disk<'a> {
    pub(super) fn new(file_system: &'a SimFs) -> Self {
        Self { file_system }
    }

    /// The paths of all files, in order.
    pub fn paths(&self) -> Vec<PathBuf> {
        let state = self.file_system.state();
        let files = state.tree.files();
        files.map(|(path, _)| path.to_path_buf()).collect()
    }

    /// The content that processes see.
    ///
    /// # Errors
    /// There is no such file; so for all that follow.
    pub fn read(&self, path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
        let state = self.file_system.state();
        let file = state.tree.file(path.as_ref())?;
        Ok(state.inode(file)?.cache().to_vec())
    }

    /// The content that the disk has for certain under a name that it has for certain.
    pub fn read_durable(&self, path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
        let state = self.file_system.state();
        let file = state.tree.durable_file(path.as_ref());
        let file = file.ok_or(io::ErrorKind::NotFound)?;
        Ok(state.inode(file)?.on_disk().to_vec())
    }

    /// The length that processes see, in bytes.
    pub fn length(&self, path: impl AsRef<Path>) -> io::Result<u64> {
        let state = self.file_system.state();
        let file = state.tree.file(path.as_ref())?;
        Ok(state.inode(file)?.cache().length())
    }

    /// Replaces the content of a file, or makes one; its directory must be there.
    pub fn write(&self, path: impl AsRef<Path>, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.file_system.state();
        state.put(path.as_ref(), Image::of(bytes))
    }

    /// Overwrites bytes from this offset on; the file grows where they reach beyond its end.
    pub fn write_at(&self, path: impl AsRef<Path>, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.edit(path.as_ref(), |image| {
            image.write(bytes, offset);
            let end = offset.saturating_add(bytes.len() as u64);
            image.set_length(end.max(image.length()));
        })
    }

    /// Flips a bit: 0 is the lowest of the first byte. Beyond the end there is none, and nothing happens.
    pub fn flip_bit(&self, path: impl AsRef<Path>, bit: u64) -> io::Result<()> {
        self.edit(path.as_ref(), |image| {
            let mut byte = [0];
            if image.read(&mut byte, bit / 8) == 1 {
                image.write(&byte.map(|byte| byte ^ (1 << (bit % 8))), bit / 8);
            }
        })
    }

    /// Cuts a file, or lengthens it by zeros.
    pub fn set_length(&self, path: impl AsRef<Path>, length: u64) -> io::Result<()> {
        self.edit(path.as_ref(), |image| image.set_length(length))
    }

    /// Removes a file. All names become durable.
    pub fn remove(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let mut state = self.file_system.state();
        state.tree.remove(path.as_ref())?;
        state.tree.settle();
        state.collect();
        Ok(())
    }

    /// Renames a file, over a file of the new name. All names become durable.
    pub fn rename(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
        let mut state = self.file_system.state();
        state.tree.rename(from.as_ref(), to.as_ref())?;
        state.tree.settle();
        state.collect();
        Ok(())
    }

    fn edit(&self, path: &Path, change: impl FnOnce(&mut Image)) -> io::Result<()> {
        let mut state = self.file_system.state();
        let file = state.tree.file(path)?;
        let mut image = state.inode(file)?.cache().clone();
        change(&mut image);
        state.inode_mut(file)?.replace(image);
        Ok(())
    }
}
