//! Lock files of the operating system.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::process;

use super::VfsLock;

/// How much of a holder's text is shown, in bytes.
const HOLDER_BYTES_MAX: u64 = 256;

/// Locks the file, which is created where there is none, and writes who holds it.
///
/// The lock goes with the process, however that ends; the text alone locks nothing.
pub(super) fn take(path: &Path, holder: &str) -> io::Result<Box<dyn VfsLock>> {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) => return Err(held(&mut file)),
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    file.set_len(0)?;
    file.write_all(format!("process {}, {holder}", process::id()).as_bytes())?;
    Ok(Box::new(OsLock { file }))
}

/// A held lock; dropping it lets go.
#[derive(Debug)]
struct OsLock {
    file: File,
}

impl VfsLock for OsLock {}

impl Drop for OsLock {
    /// Takes the name back before letting go, so that no later holder is called by it.
    ///
    /// Closing the file would let go only with its last copy, and a process that another thread starts just now has one until
    /// it runs its program.
    fn drop(&mut self) {
        if let Err(error) = self.file.set_len(0) {
            tracing::debug!(%error, "the holder's name stays in the lock file");
        }
        if let Err(error) = self.file.unlock() {
            tracing::debug!(%error, "the lock goes when the last copy of its file is closed");
        }
    }
}

/// The error for a lock that another holds.
fn held(file: &mut File) -> io::Error {
    io::Error::new(
        io::ErrorKind::WouldBlock,
        format!("held by {}", holder(file)),
    )
}

/// Who holds it; a text that can't be read, or isn't there yet, hides nothing but the name.
fn holder(file: &mut File) -> String {
    let mut bytes = Vec::new();
    let read = file
        .rewind()
        .and_then(|()| file.take(HOLDER_BYTES_MAX).read_to_end(&mut bytes));
    let text: String = String::from_utf8_lossy(&bytes)
        .chars()
        .filter(|character| !character.is_control())
        .collect();
    match read {
        Ok(_) if !text.is_empty() => text,
        _ => "a process that did not say its name".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_was_dropped_is_free_while_a_new_process_has_a_copy_of_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let _first = take(&path, "the first").unwrap();
        let refused = take(&path, "the second").unwrap_err();
        assert!(refused.to_string().contains("the first"), "{refused}");

        let path = directory.path().join("another");
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .unwrap();
        file.try_lock().unwrap();
        let copy = file.try_clone().unwrap();
        drop(OsLock { file });
        take(&path, "the next").unwrap();
        drop(copy);
    }
}
