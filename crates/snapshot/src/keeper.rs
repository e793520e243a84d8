//! The way between states and a store of snapshots.

use std::sync::Arc;

use annals_codec::{Format, FormatExt};
use annals_core::{
    ContentType, Error, ErrorKind, FoldId, Snapshot, SnapshotKey, SnapshotRemoval, SnapshotStore,
    StreamId, Timestamp, Version,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::counts::Counters;
use crate::envelope;
use crate::fold::FoldIds;
use crate::{Fold, Folded, SnapshotMark};

/// How many folds of one name the list of a stream remembers: the newest.
const FOLDS_MAX: usize = 16;

/// What reads and writes the snapshots of one fold.
pub(crate) struct Keeper<S> {
    store: Arc<dyn SnapshotStore>,
    format: Arc<dyn Format>,
    content_type: ContentType,
    ids: FoldIds,
    write: fn(&dyn Format, &S) -> Result<Vec<u8>, annals_codec::Error>,
    read: fn(&dyn Format, &[u8]) -> Result<S, annals_codec::Error>,
    pub(crate) counters: Counters,
}

/// A snapshot to be taken.
pub(crate) struct Job<S> {
    pub(crate) stream: StreamId,
    pub(crate) folded: Folded<S>,
    pub(crate) taken_at: Timestamp,
    pub(crate) keep_newest: usize,
}

impl<S> Keeper<S> {
    pub(crate) fn new(store: Arc<dyn SnapshotStore>, format: Arc<dyn Format>, fold: Fold) -> Self
    where
        S: Serialize + DeserializeOwned,
    {
        let content_type = format.content_type();
        Self {
            store,
            ids: fold.ids::<S>(&content_type),
            format,
            content_type,
            write: |format, state| format.to_bytes(state),
            read: |format, bytes| format.from_bytes(bytes),
            counters: Counters::default(),
        }
    }

    pub(crate) fn fold(&self) -> &FoldId {
        &self.ids.fold
    }

    /// The newest usable state up to a version. What goes wrong is counted and logged: the caller has the
    /// events.
    pub(crate) async fn load(
        &self,
        stream: &StreamId,
        at_most: Version,
    ) -> Option<(Folded<S>, SnapshotMark)> {
        let key = key(stream, &self.ids.fold);
        let found = match self.store.load_snapshot(&key, at_most).await {
            Ok(found) => found?,
            Err(error) => {
                tracing::warn!(%stream, %error, "a snapshot can't be read; the events are folded");
                self.counters.load_failures.add(1);
                return None;
            }
        };
        let mark = SnapshotMark {
            version: found.version(),
            taken_at: found.taken_at(),
        };
        match self.parse(&key, &found, at_most) {
            Ok(folded) => Some((folded, mark)),
            Err(error) => {
                tracing::warn!(%stream, %error, "a snapshot is passed over");
                self.counters.dropped.add(1);
                None
            }
        }
    }

    fn parse(
        &self,
        key: &SnapshotKey,
        found: &Snapshot,
        at_most: Version,
    ) -> Result<Folded<S>, Error> {
        let (begins_at, bytes) = envelope::open(found.payload())?;
        let version = found.version();
        let is_asked_for = found.key() == key
            && *found.content_type() == self.content_type
            && (begins_at..=at_most).contains(&version);
        if !is_asked_for {
            let message = "snapshot is another than was asked for; the store of snapshots is wrong";
            return Err(Error::new(ErrorKind::Corrupt, message).with("version", version));
        }
        let state = (self.read)(&*self.format, bytes).map_err(Error::from)?;
        Ok(Folded {
            state,
            begins_at,
            version,
        })
    }

    /// Encodes a state and saves it, then removes what it supersedes.
    pub(crate) async fn save(&self, job: &Job<S>) -> Result<(), Error> {
        let saved = self.save_one(job).await;
        let stream = &job.stream;
        match &saved {
            Ok(()) => self.counters.saved.add(1),
            Err(error) => {
                tracing::warn!(%stream, %error, "a snapshot is not taken");
                self.counters.save_failures.add(1);
                return saved;
            }
        }
        if let Err(error) = self.clean(job).await {
            tracing::warn!(%stream, %error, "old snapshots are not removed; the next one tries again");
        }
        Ok(())
    }

    async fn save_one(&self, job: &Job<S>) -> Result<(), Error> {
        let Folded {
            state,
            begins_at,
            version,
        } = &job.folded;
        let bytes = (self.write)(&*self.format, state).map_err(Error::from)?;
        let snapshot = Snapshot::new(
            key(&job.stream, &self.ids.fold),
            *version,
            self.content_type.clone(),
            envelope::seal(*begins_at, &bytes),
            job.taken_at,
        )?;
        self.store.save_snapshot(snapshot).await
    }

    /// Removes all but the newest snapshots of this fold, and those of the folds that it superseded.
    async fn clean(&self, job: &Job<S>) -> Result<(), Error> {
        self.remove(&job.stream, &self.ids.fold, job.keep_newest)
            .await?;
        let listed = self.listed(&job.stream).await?;
        let place = listed.iter().position(|fold| *fold == self.ids.fold);
        // A fold that came after this one is left alone: where two releases run side by side, the older
        // one does not take away what the newer one needs.
        let superseded = listed.get(..place.unwrap_or(listed.len()));
        for fold in superseded.unwrap_or_default() {
            self.remove(&job.stream, fold, 0).await?;
        }
        if place.is_none() {
            self.list(job, listed).await?;
        }
        Ok(())
    }

    async fn remove(
        &self,
        stream: &StreamId,
        fold: &FoldId,
        keep_newest: usize,
    ) -> Result<(), Error> {
        let removal = SnapshotRemoval::Older {
            key: key(stream, fold),
            keep_newest,
        };
        let removed = self.store.remove_snapshots(removal).await?;
        let removed = u64::try_from(removed).unwrap_or(u64::MAX);
        self.counters.removed.add(removed);
        Ok(())
    }

    /// The folds of this name that the stream had snapshots of, in the order in which they came.
    async fn listed(&self, stream: &StreamId) -> Result<Vec<FoldId>, Error> {
        let key = key(stream, &self.ids.list);
        let Some(list) = self.store.load_snapshot(&key, Version::MAX).await? else {
            return Ok(Vec::new());
        };
        let text = String::from_utf8_lossy(list.payload());
        Ok(text
            .lines()
            .filter_map(|id| FoldId::parse(id).ok())
            .collect())
    }

    /// Adds this fold to the list.
    async fn list(&self, job: &Job<S>, mut listed: Vec<FoldId>) -> Result<(), Error> {
        listed.push(self.ids.fold.clone());
        let newest = listed.len().saturating_sub(FOLDS_MAX);
        let lines: Vec<&str> = listed.iter().skip(newest).map(FoldId::as_str).collect();
        let list = Snapshot::new(
            key(&job.stream, &self.ids.list),
            Version::FIRST,
            ContentType::from_static("text/plain"),
            lines.join("\n"),
            job.taken_at,
        )?;
        self.store.save_snapshot(list).await
    }
}

fn key(stream: &StreamId, fold: &FoldId) -> SnapshotKey {
    SnapshotKey {
        stream: stream.clone(),
        fold: fold.clone(),
    }
}
