//! What a repository keeps of states between loads: in memory, and as snapshots.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use annals_core::{Aggregate, StreamId, Version};
use annals_snapshot::{CacheSettings, Folded, Occasion, SnapshotMark, Snapshots, StateCache};

use crate::{Loaded, Repository, Skipped};

/// The parts of a repository that keep states; none by default.
pub(crate) struct Keeping<A> {
    pub(crate) cache: Option<Arc<Cache<A>>>,
    pub(crate) snapshots: Option<Snapshots<A>>,
    /// `Clone` of the state, there where one of the others is.
    copy: Option<fn(&A) -> A>,
}

/// The states in memory, and what they are estimated to take.
pub(crate) struct Cache<A> {
    pub(crate) states: StateCache<Kept<A>>,
    bytes_of: Box<dyn Fn(&A) -> usize + Send + Sync>,
}

/// A state, and what else a load tells.
pub(crate) struct Kept<A> {
    pub(crate) state: A,
    pub(crate) skipped: Skipped,
    /// The newest snapshot that is known of.
    pub(crate) snapshot: Option<SnapshotMark>,
}

/// Where the state of a loaded aggregate comes from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origin {
    /// The first event that is folded in it; `None` while there is none.
    pub(crate) begins_at: Option<Version>,
    pub(crate) snapshot: Option<SnapshotMark>,
    /// How long the load took.
    pub(crate) fold_time: Duration,
}

impl<A: Aggregate> Repository<A> {
    /// The same with snapshots: a load begins with the newest one and folds the tail, and after an append
    /// one is taken where the policy says so, beside the caller.
    ///
    /// Clones share them. An aggregate whose codec passed over events is not snapshotted.
    #[must_use]
    pub fn with_snapshots(mut self, snapshots: Snapshots<A>) -> Self
    where
        A: Clone,
    {
        self.keeping.snapshots = Some(snapshots);
        self.keeping.copy = Some(A::clone);
        self
    }

    /// The same with a cache of the states that were used lately, each counted with the size of its type: see
    /// [`with_sized_cache`](Self::with_sized_cache) for states with much on the heap.
    ///
    /// A load goes on from the cached state, so it reads the tail after it, whoever wrote that. Clones share
    /// the cache.
    #[must_use]
    pub fn with_cache(self, settings: CacheSettings) -> Self
    where
        A: Clone,
    {
        self.with_sized_cache(settings, |_| size_of::<A>())
    }

    /// Like [`with_cache`](Self::with_cache), with this estimate of what a state takes, in bytes.
    #[must_use]
    pub fn with_sized_cache(
        mut self,
        settings: CacheSettings,
        bytes_of: impl Fn(&A) -> usize + Send + Sync + 'static,
    ) -> Self
    where
        A: Clone,
    {
        let (states, bytes_of) = (StateCache::new(settings), Box::new(bytes_of));
        self.keeping.cache = Some(Arc::new(Cache { states, bytes_of }));
        self.keeping.copy = Some(A::clone);
        self
    }

    /// Keeps what was loaded as of now, unless it is what is kept already.
    pub(crate) fn keep_loaded(&self, loaded: &Loaded<A>, cached: Option<Version>) {
        if let Some(folded) = loaded.folded().filter(|it| Some(it.version) != cached) {
            self.keeping.hold(loaded, folded, loaded.origin().snapshot);
        }
    }

    /// Keeps the state whose uncommitted events were appended just now, and takes a snapshot where one is due.
    pub(crate) fn keep_appended(&self, loaded: &Loaded<A>) {
        let Some(folded) = loaded.folded() else {
            return;
        };
        let taken = self.take_snapshot(loaded, &folded);
        self.keeping
            .hold(loaded, folded, taken.or(loaded.origin().snapshot));
    }

    fn take_snapshot(&self, loaded: &Loaded<A>, folded: &Folded<&A>) -> Option<SnapshotMark> {
        let (snapshots, copy) = (self.keeping.snapshots.as_ref()?, self.keeping.copy?);
        let Origin {
            snapshot,
            fold_time,
            ..
        } = loaded.origin();
        let now = self.writer.clock.now();
        let before = snapshot.map_or(folded.begins_at.previous(), |it| it.version);
        let occasion = Occasion {
            stream: loaded.stream(),
            version: folded.version,
            events_since: folded.version.since(before),
            fold_time: *fold_time,
            taken_at: snapshot.map(|it| it.taken_at),
            now,
        };
        if !loaded.skipped().is_empty() || !snapshots.is_due(&occasion) {
            return None;
        }
        let version = folded.version;
        let copied = folded.clone().map(copy);
        let mark = SnapshotMark {
            version,
            taken_at: now,
        };
        let is_taken = snapshots.take(loaded.stream().clone(), copied, now);
        is_taken.then_some(mark)
    }
}

impl<A: Aggregate> Keeping<A> {
    /// The cached state of a stream.
    pub(crate) fn cached(&self, stream: &StreamId) -> Option<Arc<Folded<Kept<A>>>> {
        self.cache.as_ref()?.states.find(stream)
    }

    /// A cached state for another user.
    pub(crate) fn copy_of(&self, cached: &Folded<Kept<A>>) -> Option<Folded<Kept<A>>> {
        let copy = self.copy?;
        Some(Folded {
            state: cached.state.copied(copy),
            begins_at: cached.begins_at,
            version: cached.version,
        })
    }

    fn hold(&self, loaded: &Loaded<A>, folded: Folded<&A>, snapshot: Option<SnapshotMark>) {
        let (Some(cache), Some(copy)) = (&self.cache, self.copy) else {
            return;
        };
        let bytes = (cache.bytes_of)(folded.state).saturating_add(size_of::<Kept<()>>());
        let kept = folded.map(|state| Kept {
            state: copy(state),
            skipped: loaded.skipped().clone(),
            snapshot,
        });
        cache.states.hold(loaded.stream(), kept, bytes);
    }
}

impl<A> Kept<A> {
    /// A state from a snapshot.
    pub(crate) fn of_snapshot(state: A, mark: SnapshotMark) -> Self {
        Self {
            state,
            skipped: Skipped::default(),
            snapshot: Some(mark),
        }
    }

    fn copied(&self, copy: fn(&A) -> A) -> Self {
        Self {
            state: copy(&self.state),
            skipped: self.skipped.clone(),
            snapshot: self.snapshot,
        }
    }
}

impl<A> Default for Keeping<A> {
    fn default() -> Self {
        Self {
            cache: None,
            snapshots: None,
            copy: None,
        }
    }
}

impl<A> Clone for Keeping<A> {
    fn clone(&self) -> Self {
        Self {
            cache: self.cache.clone(),
            snapshots: self.snapshots.clone(),
            copy: self.copy,
        }
    }
}

impl<A> fmt::Debug for Keeping<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeping")
            .field("cache", &self.cache.as_ref().map(|cache| &cache.states))
            .field("snapshots", &self.snapshots)
            .finish_non_exhaustive()
    }
}
