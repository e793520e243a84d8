//! Contexts of zstd, which are dear to make.

use std::fmt;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use zstd::bulk::{Compressor, Decompressor};

use super::{Dictionary, SUFFIX};

/// How many contexts of each kind are kept for the next event; as many threads find one at once.
const KEPT_MAX: usize = 16;

/// How large a context for writing may be that is kept: what it took for a large payload at a high level, it
/// would hold for ever. One for reading takes about 0.2 MiB, whatever it read.
const KEPT_BYTES_MAX: usize = 8 << 20;

/// A way to write zstd: with a dictionary or without.
pub(super) struct Dialect {
    dictionary: Option<Dictionary>,
    level: i32,
    suffix: String,
    compressors: Pool<Compressor<'static>>,
    decompressors: Pool<Decompressor<'static>>,
}

/// Contexts that nobody uses at the moment.
struct Pool<T>(Mutex<Vec<T>>);

impl Dialect {
    pub(super) fn new(dictionary: Option<Dictionary>, level: i32) -> Self {
        let suffix = match &dictionary {
            None => SUFFIX.to_owned(),
            Some(dictionary) => format!("{SUFFIX}.{}", dictionary.id()),
        };
        Self {
            dictionary,
            level,
            suffix,
            compressors: Pool(Mutex::default()),
            decompressors: Pool(Mutex::default()),
        }
    }

    pub(super) fn dictionary(&self) -> Option<&Dictionary> {
        self.dictionary.as_ref()
    }

    pub(super) fn level(&self) -> i32 {
        self.level
    }

    /// What the content type says of it.
    pub(super) fn suffix(&self) -> &str {
        &self.suffix
    }

    /// The frame of a payload; `None` when zstd has no memory for it.
    pub(super) fn compress(&self, payload: &[u8]) -> Option<Vec<u8>> {
        let mut compressor = self.compressors.take(|| self.compressor())?;
        let frame = compressor.compress(payload).ok()?;
        if compressor.context_mut().sizeof() <= KEPT_BYTES_MAX {
            self.compressors.give_back(compressor);
        }
        Some(frame)
    }

    /// The payload of a frame, of up to so many bytes; `None` when it is damaged.
    pub(super) fn decompress(&self, frame: &[u8], bytes_max: usize) -> Option<Vec<u8>> {
        let mut decompressor = self.decompressors.take(|| self.decompressor())?;
        let payload = decompressor.decompress(frame, bytes_max).ok()?;
        self.decompressors.give_back(decompressor);
        Some(payload)
    }

    fn compressor(&self) -> io::Result<Compressor<'static>> {
        let mut compressor = match &self.dictionary {
            None => Compressor::new(self.level)?,
            Some(dictionary) => Compressor::with_dictionary(self.level, dictionary.as_bytes())?,
        };
        compressor.include_checksum(true)?;
        Ok(compressor)
    }

    fn decompressor(&self) -> io::Result<Decompressor<'static>> {
        match &self.dictionary {
            None => Decompressor::new(),
            Some(dictionary) => Decompressor::with_dictionary(dictionary.as_bytes()),
        }
    }
}

impl<T> Pool<T> {
    fn take(&self, make: impl FnOnce() -> io::Result<T>) -> Option<T> {
        let kept = self.kept().pop();
        kept.or_else(|| make().ok())
    }

    fn give_back(&self, context: T) {
        let mut kept = self.kept();
        if kept.len() < KEPT_MAX {
            kept.push(context);
        }
    }

    /// Nothing is done under the lock that could leave the list half changed.
    fn kept(&self) -> MutexGuard<'_, Vec<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialect")
            .field("dictionary", &self.dictionary)
            .field("level", &self.level)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_that_grew_large_is_not_kept() {
        let large = vec![7; 16 << 20];
        for (level, payload, kept) in [
            (3, &large[..100], 1),
            (3, &large, 1),
            (19, &large[..100], 1),
            (19, &large, 0),
        ] {
            let dialect = Dialect::new(None, level);
            let frame = dialect.compress(payload);
            assert!(frame.is_some());
            assert_eq!(dialect.compressors.kept().len(), kept, "level {level}");
        }
    }
}
