//! A run file while it is written.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use annals_log::checksum::crc32c;
use annals_log::vfs::VfsFile;

use super::super::{Result, RunError};
use super::header::{BLOCK_BYTES, HEADER_BYTES, Header, Section};

/// A run file that grows at its end, with a checksum for each block of its body.
#[derive(Debug)]
pub(crate) struct Output {
    path: PathBuf,
    file: Arc<dyn VfsFile>,
    /// What is not written yet; begins with a block.
    buffer: Vec<u8>,
    written: u64,
    checksums: Vec<u8>,
}

/// How much is gathered before it is written, in bytes: whole blocks.
const BUFFER_BYTES: usize = 16 * BLOCK_BYTES as usize;

impl Output {
    /// Begins the body of this empty file.
    pub(crate) fn new(path: &Path, file: Arc<dyn VfsFile>) -> Self {
        Self {
            path: path.to_path_buf(),
            file,
            buffer: Vec::with_capacity(BUFFER_BYTES + BLOCK_BYTES as usize),
            written: HEADER_BYTES as u64,
            checksums: Vec::new(),
        }
    }

    /// Where the next byte goes.
    pub(crate) fn offset(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    /// Appends bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER_BYTES {
            let whole = self.buffer.len() - self.buffer.len() % BLOCK_BYTES as usize;
            self.write_out(whole)?;
        }
        Ok(())
    }

    /// Ends a section that began at `start`: appends where its groups begin.
    pub(crate) fn end_section(
        &mut self,
        start: u64,
        entries: u64,
        groups: &[u64],
    ) -> Result<Section> {
        for group in groups {
            self.write(&group.to_le_bytes())?;
        }
        Ok(Section {
            offset: start,
            length: self.offset() - start,
            entries,
            groups: groups.len() as u64,
        })
    }

    /// Ends the file with the checksums and writes its header, in which it fills in what it knows. Durable
    /// afterwards, if its name is.
    pub(crate) fn finish(mut self, header: &mut Header) -> Result<()> {
        self.write_out(self.buffer.len())?;
        header.body_end = self.written;
        header.file_length = self.written + self.checksums.len() as u64;
        header.checksums_checksum = crc32c(&self.checksums);
        self.write_at(&self.checksums, self.written)?;
        self.write_at(&header.encode(), 0)?;
        self.file
            .sync_all()
            .map_err(|error| RunError::io(&self.path, "can't be synced", error))
    }

    fn write_out(&mut self, length: usize) -> Result<()> {
        let out = self.buffer.get(..length).unwrap_or_default();
        for block in out.chunks(BLOCK_BYTES as usize) {
            self.checksums.extend(crc32c(block).to_le_bytes());
        }
        self.write_at(out, self.written)?;
        self.written += length as u64;
        self.buffer.drain(..length);
        Ok(())
    }

    fn write_at(&self, mut bytes: &[u8], mut offset: u64) -> Result<()> {
        while !bytes.is_empty() {
            let written = match self.file.write_at(bytes, offset) {
                Ok(0) => Err(io::ErrorKind::WriteZero.into()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
                result => result,
            };
            let written =
                written.map_err(|error| RunError::io(&self.path, "can't be written", error))?;
            bytes = bytes.get(written..).unwrap_or_default();
            offset += written as u64;
        }
        Ok(())
    }
}
