//! Blocks of compressed segments in plain form, as many as a bound allows.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lru::LruCache;
use zstd::dict::DecoderDictionary;
use zstd::zstd_safe::DCtx;

use crate::planted::{self, Bug};

/// How many contexts of decompression are kept for the next block.
const CONTEXTS_MAX: usize = 8;

/// What a cache knows a block by: the opening of a file, and the block in it.
pub(crate) type Key = (u64, u32);

/// What readers of one log share.
pub(crate) struct BlockCache {
    kept: Mutex<Kept>,
    bytes_max: AtomicUsize,
    openings: AtomicU64,
    contexts: Mutex<Vec<DCtx<'static>>>,
}

struct Kept {
    entries: LruCache<Key, Cached>,
    bytes: usize,
}

/// Something that is kept.
#[derive(Clone)]
pub(crate) enum Cached {
    Block(Arc<[u8]>),
    Dictionary(Arc<DecoderDictionary<'static>>, usize),
}

impl Cached {
    fn bytes(&self) -> usize {
        match self {
            Self::Block(block) => block.len(),
            Self::Dictionary(_, bytes) => *bytes,
        }
    }
}

impl BlockCache {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            kept: Mutex::new(Kept {
                entries: LruCache::unbounded(),
                bytes: 0,
            }),
            bytes_max: AtomicUsize::new(bytes_max),
            openings: AtomicU64::new(0),
            contexts: Mutex::default(),
        }
    }

    /// Keeps at most so many bytes from the next block on.
    pub(crate) fn limit(&self, bytes_max: usize) {
        self.bytes_max.store(bytes_max, Ordering::Relaxed);
    }

    /// A number for a file that is opened, which no other has.
    pub(crate) fn next_opening(&self) -> u64 {
        self.openings.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn find(&self, key: Key) -> Option<Cached> {
        self.kept().entries.get(&planted_key(key)).cloned()
    }

    /// Keeps something in place of what was used longest ago. What is over the bound alone is not kept.
    pub(crate) fn keep(&self, key: Key, value: Cached) {
        let bytes_max = self.bytes_max.load(Ordering::Relaxed);
        let mut kept = self.kept();
        if value.bytes() <= bytes_max {
            kept.bytes += value.bytes();
            if let Some(before) = kept.entries.put(planted_key(key), value) {
                kept.bytes -= before.bytes();
            }
        }
        while kept.bytes > bytes_max {
            let Some((_, oldest)) = kept.entries.pop_lru() else {
                return;
            };
            kept.bytes -= oldest.bytes();
        }
    }

    /// Runs something with a context of decompression, which is kept afterwards.
    pub(crate) fn with_context<T>(&self, run: impl FnOnce(&mut DCtx<'static>) -> T) -> T {
        let mut context = self.contexts().pop().unwrap_or_default();
        let value = run(&mut context);
        let mut contexts = self.contexts();
        if contexts.len() < CONTEXTS_MAX {
            contexts.push(context);
        }
        value
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn contexts(&self) -> MutexGuard<'_, Vec<DCtx<'static>>> {
        self.contexts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for BlockCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockCache")
            .field("bytes", &self.kept().bytes)
            .field("bytes_max", &self.bytes_max)
            .finish_non_exhaustive()
    }
}

fn planted_key((opening, block): Key) -> Key {
    if planted::is_active(Bug::BlockOfAnother) {
        return (0, block);
    }
    (opening, block)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(bytes: usize) -> Cached {
        Cached::Block(vec![0; bytes].into())
    }

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let cache = BlockCache::new(100);
        cache.keep((0, 1), block(40));
        cache.keep((0, 2), block(40));
        assert!(cache.find((0, 1)).is_some());
        cache.keep((1, 1), block(40));
        assert!(cache.find((0, 2)).is_none());
        assert!(cache.find((0, 1)).is_some() && cache.find((1, 1)).is_some());
        cache.keep((1, 1), block(60));
        assert_eq!(cache.kept().bytes, 100);
        cache.keep((2, 0), block(101));
        assert!(cache.find((2, 0)).is_none() && cache.find((0, 1)).is_some());
        cache.limit(0);
        cache.keep((3, 0), block(1));
        let kept = cache.kept();
        assert_eq!((kept.bytes, kept.entries.len()), (0, 0));
    }
}
