//! A file of the engine's file system as redb wants it.

use std::io;
use std::sync::Arc;

use annals_log::vfs::VfsFile;
use redb::StorageBackend;

/// Gives redb a file. The store's own lock keeps other processes out, so that redb needs none.
#[derive(Debug)]
pub(super) struct VfsBackend(Arc<dyn VfsFile>);

impl VfsBackend {
    pub(super) fn new(file: Arc<dyn VfsFile>) -> Self {
        Self(file)
    }
}

impl StorageBackend for VfsBackend {
    fn len(&self) -> io::Result<u64> {
        self.0.length()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        read_exact(&*self.0, out, offset)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.0.set_length(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        write_all(&*self.0, bytes, offset)
    }
}

/// Writes all of it, however little the file system takes at a time.
pub(super) fn write_all(file: &dyn VfsFile, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = file.write_at(bytes, offset)?;
        bytes = match bytes.get(written..) {
            Some(rest) if written > 0 => rest,
            _ => return Err(io::ErrorKind::WriteZero.into()),
        };
        offset += written as u64;
    }
    Ok(())
}

/// Reads exactly as many bytes as the buffer has.
pub(super) fn read_exact(file: &dyn VfsFile, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    if file.read_at(buffer, offset)? == buffer.len() {
        Ok(())
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}
