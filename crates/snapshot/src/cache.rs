//! States that were used lately, in memory.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use annals_core::StreamId;
use lru::LruCache;

use crate::Folded;

/// How much a [`StateCache`] holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheSettings {
    /// The most states: 10,000 by default. 0 holds none.
    pub entries_max: usize,
    /// The most bytes, by estimate: 64 MiB by default. A state that is larger by itself is not held.
    pub bytes_max: usize,
}

/// The states of streams that were used lately, each with the version that it is of; the one that was not
/// used for longest goes when there are too many, or too many bytes.
///
/// What it gives is a state to go on from, not an answer: its holder reads the stream's tail, and
/// [`Folded::validity`] says whether the state may be used.
pub struct StateCache<S> {
    settings: CacheSettings,
    entries: Mutex<Entries<S>>,
    hits: AtomicU64,
    misses: AtomicU64,
    evictions: AtomicU64,
}

/// What a cache did so far, and what it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheCounts {
    /// Look-ups that found a state.
    pub hits: u64,
    /// Look-ups that found none.
    pub misses: u64,
    /// States that went to make room.
    pub evictions: u64,
    /// States that it holds.
    pub entries: usize,
    /// Bytes that it holds, by estimate.
    pub bytes: usize,
}

struct Entries<S> {
    states: LruCache<StreamId, Entry<S>>,
    bytes: usize,
}

struct Entry<S> {
    folded: Arc<Folded<S>>,
    bytes: usize,
}

impl Default for CacheSettings {
    fn default() -> Self {
        Self {
            entries_max: 10_000,
            bytes_max: 64 * 1024 * 1024,
        }
    }
}

impl CacheSettings {
    /// The same with at most this many states.
    #[must_use]
    pub fn with_entries_max(mut self, entries_max: usize) -> Self {
        self.entries_max = entries_max;
        self
    }

    /// The same with at most this many bytes, by estimate.
    #[must_use]
    pub fn with_bytes_max(mut self, bytes_max: usize) -> Self {
        self.bytes_max = bytes_max;
        self
    }
}

impl<S> StateCache<S> {
    /// What a state costs beside itself, in bytes: its place in the table, in the order, and its name.
    const ENTRY_BYTES: usize = 160;

    /// An empty cache.
    pub fn new(settings: CacheSettings) -> Self {
        Self {
            settings,
            entries: Mutex::new(Entries {
                states: LruCache::unbounded(),
                bytes: 0,
            }),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            evictions: AtomicU64::new(0),
        }
    }

    /// The state of a stream, if it is here.
    pub fn find(&self, stream: &StreamId) -> Option<Arc<Folded<S>>> {
        let found = self.look().states.get(stream).map(|it| it.folded.clone());
        let counter = if found.is_some() {
            &self.hits
        } else {
            &self.misses
        };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    /// Holds a state of about so many bytes, unless it holds one of a later version.
    pub fn hold(&self, stream: &StreamId, folded: Folded<S>, state_bytes: usize) {
        let name_bytes = stream.as_str().len();
        let bytes = state_bytes.saturating_add(Self::ENTRY_BYTES + name_bytes);
        if bytes > self.settings.bytes_max || self.settings.entries_max == 0 {
            self.drop_older(stream, &folded);
            return;
        }
        let folded = Arc::new(folded);
        // Freed when the lock is free again.
        let _freed = self.look().hold(stream, Entry { folded, bytes });
        let _evicted = self.evict();
    }

    /// Lets go of a state, if it is still this one.
    pub fn drop_state(&self, stream: &StreamId, folded: &Arc<Folded<S>>) {
        let mut entries = self.look();
        let is_same = |entry: &Entry<S>| Arc::ptr_eq(&entry.folded, folded);
        let is_held = entries.states.peek(stream).is_some_and(is_same);
        let freed = is_held.then(|| entries.remove(stream));
        drop(entries);
        drop(freed);
    }

    /// Lets go of the state of a stream.
    pub fn forget(&self, stream: &StreamId) {
        let _freed = self.look().remove(stream);
    }

    /// Lets go of every state.
    pub fn clear(&self) {
        let mut entries = self.look();
        entries.bytes = 0;
        let freed = std::mem::replace(&mut entries.states, LruCache::unbounded());
        drop(entries);
        drop(freed);
    }

    /// What it did so far, and what it holds.
    pub fn counts(&self) -> CacheCounts {
        let entries = self.look();
        CacheCounts {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            evictions: self.evictions.load(Ordering::Relaxed),
            entries: entries.states.len(),
            bytes: entries.bytes,
        }
    }

    fn drop_older(&self, stream: &StreamId, folded: &Folded<S>) {
        let mut entries = self.look();
        let is_older = |entry: &Entry<S>| entry.folded.version < folded.version;
        if entries.states.peek(stream).is_some_and(is_older) {
            let _freed = entries.remove(stream);
        }
    }

    /// Makes room for what came last.
    fn evict(&self) -> Vec<Entry<S>> {
        let mut evicted = Vec::new();
        let mut entries = self.look();
        while entries.states.len() > self.settings.entries_max
            || entries.bytes > self.settings.bytes_max
        {
            let Some((_, entry)) = entries.states.pop_lru() else {
                break;
            };
            entries.bytes = entries.bytes.saturating_sub(entry.bytes);
            evicted.push(entry);
        }
        drop(entries);
        let count = u64::try_from(evicted.len()).unwrap_or(u64::MAX);
        self.evictions.fetch_add(count, Ordering::Relaxed);
        evicted
    }

    fn look(&self) -> MutexGuard<'_, Entries<S>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Entries<S> {
    /// Gives what is not held any more, or is not to be held.
    fn hold(&mut self, stream: &StreamId, entry: Entry<S>) -> Option<Entry<S>> {
        let is_later = |held: &Entry<S>| held.folded.version > entry.folded.version;
        if self.states.get(stream).is_some_and(is_later) {
            return Some(entry);
        }
        self.bytes += entry.bytes;
        let before = match self.states.get_mut(stream) {
            Some(held) => Some(std::mem::replace(held, entry)),
            None => self.states.put(stream.clone(), entry),
        };
        let before_bytes = before.as_ref().map_or(0, |before| before.bytes);
        self.bytes = self.bytes.saturating_sub(before_bytes);
        before
    }

    fn remove(&mut self, stream: &StreamId) -> Option<Entry<S>> {
        let removed = self.states.pop(stream)?;
        self.bytes = self.bytes.saturating_sub(removed.bytes);
        Some(removed)
    }
}

impl<S> fmt::Debug for StateCache<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateCache")
            .field("settings", &self.settings)
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use annals_core::Version;

    use super::*;

    fn stream(key: u64) -> StreamId {
        StreamId::parse(&format!("account-{key}")).unwrap()
    }

    fn hold(cache: &StateCache<u64>, key: u64, version: u64, bytes: usize) {
        let folded = Folded {
            state: key,
            begins_at: Version::FIRST,
            version: Version::new(version),
        };
        cache.hold(&stream(key), folded, bytes);
    }

    fn version(cache: &StateCache<u64>, key: u64) -> Option<u64> {
        cache.find(&stream(key)).map(|it| it.version.value())
    }

    fn held(cache: &StateCache<u64>) -> Vec<u64> {
        let peek = |key: &u64| cache.look().states.peek(&stream(*key)).is_some();
        (0..10).filter(peek).collect()
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let cache = StateCache::new(CacheSettings::default().with_entries_max(3));
        (0..3).for_each(|key| hold(&cache, key, 1, 8));
        assert_eq!(version(&cache, 0), Some(1));
        hold(&cache, 3, 1, 8);
        assert_eq!(held(&cache), [0, 2, 3]);
        hold(&cache, 2, 2, 8);
        hold(&cache, 4, 1, 8);
        assert_eq!(held(&cache), [2, 3, 4]);
        assert_eq!(cache.counts().evictions, 2);
    }

    #[test]
    fn bytes_are_bounded_and_add_up() {
        let cache = StateCache::new(CacheSettings::default().with_bytes_max(3 * 1_200));
        (0..5).for_each(|key| hold(&cache, key, 1, 1_000));
        assert_eq!(held(&cache), [2, 3, 4]);
        hold(&cache, 4, 2, 2_000);
        assert_eq!(held(&cache), [3, 4]);
        hold(&cache, 4, 3, 10_000);
        assert_eq!(
            held(&cache),
            [3],
            "one that is too large takes the older one with it"
        );
        cache.forget(&stream(3));
        assert_eq!(cache.counts().bytes, 0);
        hold(&cache, 1, 1, 1);
        cache.clear();
        assert_eq!((held(&cache), cache.counts().bytes), (vec![], 0));
    }

    #[test]
    fn a_later_version_stays() {
        let cache = StateCache::new(CacheSettings::default());
        hold(&cache, 1, 5, 8);
        hold(&cache, 1, 4, 8);
        assert_eq!(version(&cache, 1), Some(5));
        let other = cache.find(&stream(1)).unwrap();
        hold(&cache, 1, 6, 8);
        cache.drop_state(&stream(1), &other);
        assert_eq!(version(&cache, 1), Some(6), "another state is there by now");
        assert_eq!(version(&cache, 2), None);
        assert_eq!((cache.counts().hits, cache.counts().misses), (3, 1));
    }

    #[test]
    fn a_cache_of_nothing_holds_nothing() {
        let cache = StateCache::new(CacheSettings::default().with_entries_max(0));
        hold(&cache, 1, 1, 1);
        assert_eq!(version(&cache, 1), None);
    }
}
