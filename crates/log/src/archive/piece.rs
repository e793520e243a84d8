//! Reading a file in an archive.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use crate::compress::{BlockCache, Cached};
use crate::files::read_full;
use crate::vfs::{MappedFile, VfsFile};

/// How much is read at once, in bytes.
const PIECE_BYTES: u64 = 256 * 1024;

/// A file in an archive that is open to be read. It is never mapped: an archive that is gone is an error to who
/// reads, not the end of the process.
#[derive(Debug)]
pub(crate) struct ArchivedFile {
    file: Arc<dyn VfsFile>,
    bytes: u64,
    /// Keeps pieces for the next record, where those who read don't keep blocks of their own.
    pieces: Option<(Arc<BlockCache>, u64)>,
}

impl ArchivedFile {
    pub(super) fn new(file: Arc<dyn VfsFile>, bytes: u64, cache: Option<Arc<BlockCache>>) -> Self {
        Self {
            file,
            bytes,
            pieces: cache.map(|cache| {
                let opening = cache.next_opening();
                (cache, opening)
            }),
        }
    }

    /// Reads what a piece has of the buffer, all of it into the cache.
    fn read_piece(
        &self,
        (cache, opening): &(Arc<BlockCache>, u64),
        buffer: &mut [u8],
        offset: u64,
    ) -> io::Result<usize> {
        let start = offset - offset % PIECE_BYTES;
        if start >= self.bytes {
            return Ok(0);
        }
        let index = u32::try_from(start / PIECE_BYTES).map_err(|_| io::ErrorKind::InvalidInput)?;
        let key = (*opening, index);
        let piece = if let Some(Cached::Block(piece)) = cache.find(key) {
            piece
        } else {
            let piece: Arc<[u8]> = self.fetch(start)?.into();
            cache.keep(key, Cached::Block(Arc::clone(&piece)));
            piece
        };
        let within = usize::try_from(offset - start).unwrap_or(usize::MAX);
        let there = piece.get(within..).unwrap_or_default();
        let bytes = there.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..bytes), there.get(..bytes)) {
            to.copy_from_slice(from);
        }
        Ok(bytes)
    }

    fn fetch(&self, start: u64) -> io::Result<Vec<u8>> {
        let bytes = (self.bytes - start).min(PIECE_BYTES);
        let mut piece = vec![0; usize::try_from(bytes).unwrap_or(0)];
        let read = read_full(&*self.file, &mut piece, start)?;
        if read < piece.len() {
            return Err(cut_off());
        }
        Ok(piece)
    }
}

fn cut_off() -> io::Error {
    let message = "the archive gave less than it has; read again";
    io::Error::new(io::ErrorKind::UnexpectedEof, message)
}

impl VfsFile for ArchivedFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.bytes)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let Some(pieces) = &self.pieces else {
            let rest = self.bytes.saturating_sub(offset);
            let wanted = usize::try_from(rest).map_or(buffer.len(), |rest| rest.min(buffer.len()));
            let buffer = buffer.get_mut(..wanted).unwrap_or_default();
            let read = read_full(&*self.file, buffer, offset)?;
            return if read == wanted {
                Ok(read)
            } else {
                Err(cut_off())
            };
        };
        let mut read = 0;
        while let Some(rest) = buffer.get_mut(read..).filter(|rest| !rest.is_empty()) {
            match self.read_piece(pieces, rest, offset + read as u64)? {
                0 => break,
                more => read += more,
            }
        }
        Ok(read)
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn set_length(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync_data(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync_all(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn forget_cached(&self, range: Range<u64>) -> io::Result<()> {
        self.file.forget_cached(range)
    }

    fn map(&self, _: u64) -> io::Result<Option<Arc<dyn MappedFile>>> {
        Ok(None)
    }
}
