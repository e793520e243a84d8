//! Erasing a person.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use annals_core::{
    Append, AppendId, Clock, Criteria, CriteriaItem, Error, ErrorKind, Event, EventStore, Expected,
    Metadata, ReadRequest, SnapshotRemoval, SnapshotStore, StreamId, SystemClock, Tags, limits,
};
use serde::Serialize;

use super::encrypted_fields::tag_of;
use super::erased::SubjectErased;
use super::key::KeyId;
use super::key_store::{KeyStore, Tombstone};
use super::subject::Subject;
use crate::{EventCodec, JsonCodec};

/// Erases people: their keys, the snapshots that hold their data, and a record of it.
///
/// ```
/// use annals_codec::privacy::{Eraser, ErasureReport, KeyStore, Subject};
/// use annals_core::{Error, EventStore, Metadata, SnapshotStore};
///
/// async fn forget(
///     store: &dyn EventStore,
///     snapshots: &dyn SnapshotStore,
///     keys: &dyn KeyStore,
/// ) -> Result<ErasureReport, Error> {
///     let why = Metadata::default().with_header("reason", "request of 2026-11-26")?;
///     let eraser = Eraser::new(store, keys).with_snapshots(snapshots).with_metadata(why);
///     eraser.erase(&Subject::new("customer-42")?).await
/// }
/// ```
///
/// # What it does, in this order
/// 1. It erases the key: the point of no return. From then on the subject's personal fields read as
///    [`Erased`](super::Personal::Erased), wherever the events are.
/// 2. It counts the events that hold data under the subject's keys, by stream: they carry the keys' tags.
/// 3. It removes every snapshot of these streams, by [`SnapshotRemoval::Purged`].
/// 4. It records a [`SubjectErased`] for each key that has none yet, under an append id of its own.
///
/// When it fails or stops anywhere, [`erase`](Self::erase) again goes on from there: each step can be repeated, and
/// the record is written once. Erase again too where a process that still held the data may have saved a snapshot
/// meanwhile.
#[derive(Clone, Debug)]
pub struct Eraser<'a> {
    store: &'a dyn EventStore,
    keys: &'a dyn KeyStore,
    snapshots: Option<&'a dyn SnapshotStore>,
    clock: Arc<dyn Clock>,
    metadata: Metadata,
}

/// What an erasure covers. Its `Display` is for people; it serialises to JSON and the like.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ErasureReport {
    /// Who.
    pub subject: String,
    /// Whether the key is erased; a preview leaves it.
    pub is_done: bool,
    /// The keys that the subject has or had, oldest first, and when each was erased.
    pub keys: Vec<KeyErasure>,
    /// How many events hold data under these keys.
    pub events: u64,
    /// The streams of these events, in order.
    pub streams: Vec<StreamErasure>,
    /// How many snapshots of these streams were removed; nothing where no store of snapshots was given.
    pub snapshots_removed: Option<u64>,
    /// The positions of the records of the erasure that are new.
    pub recorded: Vec<u64>,
    /// What is said of snapshots.
    pub snapshots: &'static str,
    /// What is said of checkpoints.
    pub checkpoints: &'static str,
    /// What an erasure can't see.
    pub not_covered: &'static [&'static str],
}

/// A key of the subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct KeyErasure {
    /// The key's id.
    pub key: String,
    /// When it was erased.
    pub erased_at: Option<String>,
}

/// The events of one stream that are covered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StreamErasure {
    /// The stream.
    pub stream: String,
    /// How many of its events.
    pub events: u64,
}

const SNAPSHOTS_LEFT: &str =
    "they were not looked at; a preview, or no store of snapshots was given";
const SNAPSHOTS_GONE: &str =
    "none of these streams is left in the store, nor a byte of one in its files";
const CHECKPOINTS: &str = "they hold cursors, and nothing of any event";
const NOT_COVERED: &[&str] = &[
    "backups and copies of the key store, and blocks that its disk still holds",
    "read models, caches, logs and other stores that the data was written to",
    "processes that read the data before and still hold it, and snapshots that they may save",
    "events that a retention policy hides: they are not counted, but can't be read either",
    "what says something by itself: the subject, stream ids, tags, types, times and sizes of events",
];

impl<'a> Eraser<'a> {
    /// Erases in this store the subjects of these keys; with the machine's clock.
    pub fn new(store: &'a dyn EventStore, keys: &'a dyn KeyStore) -> Self {
        Self {
            store,
            keys,
            snapshots: None,
            clock: Arc::new(SystemClock),
            metadata: Metadata::default(),
        }
    }

    /// The same, and removes snapshots from here.
    #[must_use]
    pub fn with_snapshots(mut self, snapshots: &'a dyn SnapshotStore) -> Self {
        self.snapshots = Some(snapshots);
        self
    }

    /// The same with the time of this clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The same, and the record says by whom and why it was.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }

    /// What erasing this subject would cover; changes nothing.
    ///
    /// # Errors
    /// As the key store and the event store have it.
    pub async fn preview(&self, subject: &Subject) -> Result<ErasureReport, Error> {
        let keys = self.keys.keys_of(subject)?;
        let current = keys.current.map(|key| KeyErasure::of(key, None));
        let ids: Vec<KeyId> = keys.all().collect();
        let counted = self.count(&ids).await?;
        let mut report = ErasureReport::of(subject, &keys.erased, &counted);
        report.keys.extend(current);
        Ok(report)
    }

    /// Erases this subject. One who has no data, and one who was erased before, are no error.
    ///
    /// # Errors
    /// As the key store, the event store and the store of snapshots have it. The key may be erased all the same;
    /// erase again, until the report is here.
    pub async fn erase(&self, subject: &Subject) -> Result<ErasureReport, Error> {
        let tombstones = self.keys.erase(subject, self.clock.now())?;
        let ids: Vec<KeyId> = tombstones.iter().map(|tombstone| tombstone.key).collect();
        let counted = self.count(&ids).await?;
        let mut report = ErasureReport::of(subject, &tombstones, &counted);
        report.is_done = true;
        if let Some(snapshots) = self.snapshots {
            let streams = counted.into_keys().collect();
            let removed = snapshots.remove_snapshots(SnapshotRemoval::Purged { streams });
            report.snapshots_removed = Some(removed.await?.try_into().unwrap_or(u64::MAX));
            report.snapshots = SNAPSHOTS_GONE;
        }
        for tombstone in tombstones {
            let position = self.record(subject, tombstone, &report).await?;
            report.recorded.extend(position);
        }
        Ok(report)
    }

    /// How many events hold data under these keys, by stream.
    async fn count(&self, keys: &[KeyId]) -> Result<BTreeMap<StreamId, u64>, Error> {
        let mut counted = BTreeMap::new();
        for keys in keys.chunks(limits::CRITERIA_ITEMS_MAX) {
            let items = keys.iter().map(|key| {
                let tag = tag_of(*key)?;
                CriteriaItem::new([], Tags::new([tag])?)
            });
            let items = items.collect::<Result<Vec<CriteriaItem>, Error>>()?;
            let request = ReadRequest::matching(Criteria::any_of(items)?);
            let mut next = Some(request.ordering(self.store.capabilities().ordering()));
            while let Some(request) = next.take() {
                let page = self.store.read(request).await?;
                for event in &page.events {
                    *counted.entry(event.stream().clone()).or_insert(0) += 1;
                }
                next = page.next;
            }
        }
        Ok(counted)
    }

    /// Records the erasure of a key, unless that was done before, and gives the position.
    async fn record(
        &self,
        subject: &Subject,
        tombstone: Tombstone,
        report: &ErasureReport,
    ) -> Result<Option<u64>, Error> {
        let id = AppendId::parse(&format!("erasure-{}", tombstone.key))?;
        if self.store.receipt(&id).await?.is_some() {
            return Ok(None);
        }
        let erased = SubjectErased {
            subject: subject.clone(),
            key: tombstone.key,
            erased_at: tombstone.erased_at,
            events: report.events,
            streams: report.streams.len().try_into().unwrap_or(u64::MAX),
            snapshots_removed: report.snapshots_removed,
        };
        let event = JsonCodec.encode(&erased)?;
        let event = event
            .with_metadata(self.metadata.clone())
            .with_recorded_at(tombstone.erased_at);
        let stream = StreamId::new(&SubjectErased::CATEGORY, &tombstone.key.to_string())?;
        let append = Append::builder(id)
            .write(stream, Expected::NoStream, [event])
            .build()?;
        match self.store.append(append).await {
            Ok(receipt) => Ok(Some(receipt.first_position.value())),
            // Somebody else erases the same subject and was faster.
            Err(error) if error.kind() == ErrorKind::AppendIdReused => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl KeyErasure {
    fn of(key: KeyId, erased_at: Option<String>) -> Self {
        let key = key.to_string();
        Self { key, erased_at }
    }
}

impl ErasureReport {
    fn of(subject: &Subject, tombstones: &[Tombstone], counted: &BTreeMap<StreamId, u64>) -> Self {
        let keys = tombstones.iter().map(|tombstone| {
            let erased_at = tombstone.erased_at.to_string();
            KeyErasure::of(tombstone.key, Some(erased_at))
        });
        let streams = counted.iter().map(|(stream, events)| StreamErasure {
            stream: stream.to_string(),
            events: *events,
        });
        Self {
            subject: subject.as_str().to_owned(),
            keys: keys.collect(),
            events: counted.values().sum(),
            streams: streams.collect(),
            snapshots: SNAPSHOTS_LEFT,
            checkpoints: CHECKPOINTS,
            not_covered: NOT_COVERED,
            ..Self::default()
        }
    }
}

impl fmt::Display for ErasureReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.is_done {
            "erased"
        } else {
            "a preview, nothing is erased"
        };
        writeln!(f, "subject {}: {state}", self.subject)?;
        for KeyErasure { key, erased_at } in &self.keys {
            match erased_at {
                Some(time) => writeln!(f, "  key {key}: erased at {time}")?,
                None => writeln!(f, "  key {key}: in use")?,
            }
        }
        writeln!(
            f,
            "events with data under these keys: {} of {} streams",
            self.events,
            self.streams.len()
        )?;
        for StreamErasure { stream, events } in &self.streams {
            writeln!(f, "  {stream}: {events}")?;
        }
        match self.snapshots_removed {
            Some(removed) => writeln!(f, "snapshots: {removed} removed; {}", self.snapshots)?,
            None => writeln!(f, "snapshots: {}", self.snapshots)?,
        }
        writeln!(f, "checkpoints: {}", self.checkpoints)?;
        writeln!(f, "not covered:")?;
        self.not_covered
            .iter()
            .try_for_each(|what| writeln!(f, "  {what}"))
    }
}
