//! Snapshots on demand, and whether those that are kept are right.

use std::collections::HashSet;
use std::fmt;

use annals_core::{
    Aggregate, Error, ErrorKind, Event as _, FoldId, ReadRequest, StreamId, Version,
};
use annals_snapshot::{Folded, SnapshotCounts, Snapshots};

use crate::Repository;
use crate::reading::Reading;

/// What a verification of snapshots found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SnapshotVerification {
    /// Snapshots that are what their events give.
    pub right: u64,
    /// Aggregates without a snapshot of this fold.
    pub without: u64,
    /// Snapshots that no load would use, as the policy of the stream hides events that are folded in them.
    pub hidden: u64,
    /// Snapshots that are something else than their events give.
    pub divergent: Vec<Divergence>,
}

/// A snapshot that is something else than its events give: `apply` or an upcaster was changed without a new
/// version of the fold, or `apply` is not pure.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Divergence {
    /// The stream.
    pub stream: StreamId,
    /// The version that the snapshot is of.
    pub version: Version,
    /// The fold that it is of.
    pub fold: FoldId,
}

impl SnapshotVerification {
    /// Whether no snapshot is wrong.
    pub fn is_right(&self) -> bool {
        self.divergent.is_empty()
    }
}

impl<A: Aggregate> Repository<A> {
    /// The snapshots that it uses: to look at the counts, or to flush what waits.
    pub fn snapshots(&self) -> Option<&Snapshots<A>> {
        self.keeping.snapshots.as_ref()
    }

    /// What snapshots did so far; `None` without snapshots.
    pub fn snapshot_counts(&self) -> Option<SnapshotCounts> {
        self.snapshots().map(Snapshots::counts)
    }

    /// Takes a snapshot of an aggregate as it is now, whatever the policy says, and gives the version when it
    /// is saved; `None` where nothing is folded, or the codec passed over events.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] without snapshots; as loading, encoding and the store of snapshots have it.
    pub async fn take_snapshot_now(&self, key: &str) -> Result<Option<Version>, Error> {
        let snapshots = self.required("take snapshot")?;
        let loaded = self.load(key).await?;
        let folded = loaded.folded().filter(|_| loaded.skipped().is_empty());
        let Some(Folded {
            begins_at, version, ..
        }) = folded
        else {
            return Ok(None);
        };
        let stream = loaded.stream().clone();
        let folded = Folded {
            state: loaded.into_state(),
            begins_at,
            version,
        };
        let now = self.writer.clock.now();
        snapshots.save(stream, folded, now).await?;
        Ok(Some(version))
    }

    /// Folds these aggregates again, each up to the version of its newest snapshot, and compares.
    ///
    /// Neither the cache nor a snapshot has a part in the fold, so it costs the length of the streams: choose
    /// a sample, as by [`recent_keys`](Self::recent_keys).
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] without snapshots; as for [`load`](Self::load).
    pub async fn verify_snapshots<K: AsRef<str>>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<SnapshotVerification, Error>
    where
        A: PartialEq,
    {
        let snapshots = self.required("verify snapshots")?;
        let mut found = SnapshotVerification::default();
        for key in keys {
            let stream = self.stream(key.as_ref())?;
            match snapshots.load(&stream, Version::MAX).await {
                Some((folded, _)) => self.verify(&stream, &folded, &mut found).await?,
                None => found.without += 1,
            }
        }
        Ok(found)
    }

    async fn verify(
        &self,
        stream: &StreamId,
        snapshot: &Folded<A>,
        found: &mut SnapshotVerification,
    ) -> Result<(), Error>
    where
        A: PartialEq,
    {
        let reading = Reading::until(stream.clone(), snapshot.version);
        let (loaded, _) = self.read_whole(&reading).await?;
        match loaded.folded() {
            Some(folded) if folded == snapshot.as_ref() => found.right += 1,
            Some(folded)
                if (folded.begins_at, folded.version) == (snapshot.begins_at, snapshot.version) =>
            {
                found.divergent.push(Divergence {
                    stream: stream.clone(),
                    version: snapshot.version,
                    fold: self.required("verify snapshots")?.fold().clone(),
                });
            }
            _ => found.hidden += 1,
        }
        Ok(())
    }

    /// The keys of the aggregates that were written last, at most so many: found by reading the category
    /// backward, and no more than [`RECENT_EVENTS_MAX`](Self::RECENT_EVENTS_MAX) events of it.
    ///
    /// # Errors
    /// As reading the store has it.
    pub async fn recent_keys(&self, keys_max: usize) -> Result<Vec<String>, Error> {
        let (mut keys, mut met) = (Vec::new(), HashSet::new());
        let mut events_left = Self::RECENT_EVENTS_MAX;
        let category = ReadRequest::category(A::Event::CATEGORY)
            .backward()
            .ordering(self.writer.store.capabilities().ordering());
        let mut next = Some(category.events_max(self.page_events_max));
        while let Some(request) = next.take_if(|_| keys.len() < keys_max && events_left > 0) {
            let page = self.writer.store.read(request).await?;
            events_left = events_left.saturating_sub(page.events.len().max(1));
            for event in &page.events {
                if keys.len() < keys_max && met.insert(event.stream().clone()) {
                    keys.push(event.stream().key().to_owned());
                }
            }
            next = page.next;
        }
        Ok(keys)
    }

    /// How many events [`recent_keys`](Self::recent_keys) looks at.
    pub const RECENT_EVENTS_MAX: usize = 100_000;

    fn required(&self, operation: &'static str) -> Result<&Snapshots<A>, Error> {
        self.snapshots().ok_or_else(|| {
            let message = "repository has no snapshots; give it some by `with_snapshots`";
            Error::new(ErrorKind::Invalid, message).during(operation)
        })
    }
}

impl fmt::Display for SnapshotVerification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            right,
            without,
            hidden,
            divergent,
        } = self;
        let wrong = divergent.len();
        write!(
            f,
            "{right} right, {wrong} divergent, {hidden} hidden, {without} without a snapshot"
        )?;
        divergent
            .iter()
            .try_for_each(|divergence| write!(f, "\n{divergence}"))
    }
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            stream,
            version,
            fold,
        } = self;
        write!(
            f,
            "{stream} at version {version} diverges from its events; raise the version of the fold {fold}"
        )
    }
}
