//! Maps of files: what of the file system has no safe form.
#![cfg_attr(
    unix,
    expect(
        unsafe_code,
        reason = "reading a map, asking for its residency and releasing it have no safe form"
    )
)]

use std::fs::File;
use std::io;
use std::sync::Arc;

use super::MappedFile;

/// Maps the file read-only and shared, from its beginning.
#[cfg(unix)]
pub(super) fn map(file: &Arc<File>, length: u64) -> io::Result<Option<Arc<dyn MappedFile>>> {
    let Ok(length) = usize::try_from(length) else {
        return Ok(None);
    };
    if length == 0 {
        return Ok(None);
    }
    let memory = memmap2::MmapOptions::new()
        .len(length)
        .map_raw_read_only(file)?;
    Ok(Some(Arc::new(unix::Map::new(memory, Arc::clone(file)))))
}

/// Elsewhere a map is no longer than its file and hinders cutting it, so there is none.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "the same signature as on unix")]
pub(super) fn map(_file: &Arc<File>, _length: u64) -> io::Result<Option<Arc<dyn MappedFile>>> {
    Ok(None)
}

#[cfg(unix)]
mod unix {
    use std::fs::File;
    use std::ops::Range;
    use std::slice;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use memmap2::{MmapRaw, UncheckedAdvice};

    use crate::vfs::MappedFile;

    /// Address space for a file that may still grow into it.
    #[derive(Debug)]
    pub(super) struct Map {
        memory: MmapRaw,
        file: Arc<File>,
        /// The file was seen to be at least this long.
        length_seen: AtomicUsize,
    }

    impl Map {
        pub(super) fn new(memory: MmapRaw, file: Arc<File>) -> Self {
            Self {
                memory,
                file,
                length_seen: AtomicUsize::new(0),
            }
        }

        /// Whether the map and the file reach that far.
        fn reaches(&self, end: usize) -> bool {
            end <= self.length_seen.load(Ordering::Relaxed) || self.look_again(end)
        }

        /// The file has grown since, or the range is beyond its end.
        #[cold]
        fn look_again(&self, end: usize) -> bool {
            let Ok(metadata) = self.file.metadata() else {
                return false;
            };
            let length = usize::try_from(metadata.len()).unwrap_or(usize::MAX);
            let length = length.min(self.memory.len());
            self.length_seen.store(length, Ordering::Relaxed);
            end <= length
        }

        /// The range cut to the map, as offset and length; `None` when that is empty.
        fn within(&self, range: &Range<usize>) -> Option<(usize, usize)> {
            let end = range.end.min(self.memory.len());
            let length = end.checked_sub(range.start).filter(|length| *length > 0)?;
            Some((range.start, length))
        }
    }

    impl MappedFile for Map {
        fn bytes(&self, range: Range<usize>) -> Option<&[u8]> {
            let length = range.end.checked_sub(range.start)?;
            if !self.reaches(range.end) {
                return None;
            }
            // SAFETY: `reaches` says that `range.end` is within the mapping, which lives as long as
            // `self.memory`, to which the slice's lifetime is bound; `start + length` is that end, so the
            // pointer stays in one allocation and the length in `isize`. The mapping is readable, and bytes
            // have no invalid values. The file reached that far when it was looked at, and by the contract
            // of `MappedFile` nobody cuts a mapped file and nobody writes again to bytes that are asked for,
            // so no byte of the slice changes under it. The slice covers no other byte of the map.
            Some(unsafe { slice::from_raw_parts(self.memory.as_ptr().add(range.start), length) })
        }

        fn is_resident(&self, range: Range<usize>) -> bool {
            match self.within(&range) {
                Some((offset, length)) => resident(&self.memory, offset, length),
                None => true,
            }
        }

        fn release(&self, range: Range<usize>) {
            let Some((offset, length)) = self.within(&range) else {
                return;
            };
            // SAFETY: the mapping is shared, read-only and of a file. DONTNEED drops its pages, and the next
            // read fetches the same bytes again; no byte that a slice shows changes.
            let advised = unsafe {
                self.memory
                    .unchecked_advise_range(UncheckedAdvice::DontNeed, offset, length)
            };
            if let Err(error) = advised {
                tracing::debug!(%error, "the memory of a mapped file was not released");
            }
        }
    }

    /// Asks the kernel, page by page; an answer that it refuses counts as resident.
    #[cfg(target_os = "linux")]
    fn resident(memory: &MmapRaw, offset: usize, length: usize) -> bool {
        /// Pages asked for by one call.
        const PAGES: usize = 256;
        let page = rustix::param::page_size();
        let mut begin = offset - offset % page;
        let end = offset + length;
        while begin < end {
            let bytes = (end - begin).min(PAGES * page);
            let mut states = [0_u8; PAGES];
            // SAFETY: `begin` is a multiple of the page size and `begin + bytes` at most the map's length, as
            // `within` saw to, so the range is mapped and begins at a page, as the map does; the
            // kernel writes one byte a page, at most `PAGES` of them, into `states`.
            let answer = unsafe {
                let address = memory.as_ptr().add(begin).cast_mut();
                libc::mincore(address.cast(), bytes, states.as_mut_ptr())
            };
            let pages = states.iter().take(bytes.div_ceil(page));
            if answer == 0 && pages.into_iter().any(|state| state & 1 == 0) {
                return false;
            }
            begin += bytes;
        }
        true
    }

    #[cfg(not(target_os = "linux"))]
    fn resident(_memory: &MmapRaw, _offset: usize, _length: usize) -> bool {
        true
    }
}
