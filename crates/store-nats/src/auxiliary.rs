//! Snapshots and checkpoints: the last message of each subject of a stream beside the log.

use annals_core::{
    Checkpoint, CheckpointName, CheckpointSave, CheckpointStore, ContentType, Cursor, Error,
    ErrorKind, Snapshot, SnapshotKey, SnapshotRemoval, SnapshotStore, StreamId, Timestamp, Version,
};
use async_nats::HeaderMap;
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Failure, Meaning, unknown};
use crate::layout::auxiliary;
use crate::record::{Message, Raw, SNAPSHOT, escaped, is_sound, plain, sealed, value};
use crate::shared::Shared;
use crate::store::NatsStore;
use crate::subject::{push_hex, token};
use crate::wire::Guard;

/// The most bytes of a snapshot in one message, and the least room that is left for its headers.
const PART_BYTES_MAX: usize = 512 * 1024;
const PART_HEADER_BYTES: usize = 16 * 1024;

/// How often a message is asked for that is said to be there and is not given.
const LOOKS_MAX: usize = 8;

/// What is kept of a name: its newest revision, for ever, and where its reader stands.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    revision: u64,
    /// As text.
    cursor: Option<String>,
}

/// What the header of a part says: the save that it is of, its number from 0, how many there are, and what is the same
/// in all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    save: String,
    number: usize,
    count: usize,
    taken_at: Timestamp,
    content_type: ContentType,
}

#[async_trait]
impl CheckpointStore for NatsStore {
    async fn load_checkpoint(&self, name: &CheckpointName) -> Result<Option<Checkpoint>, Error> {
        let name = name.clone();
        let load = |shared: std::sync::Arc<Shared>| async move {
            let (_, saved) = shared.saved(&name).await?;
            saved.checkpoint()
        };
        let loaded = self.shared.aside(load).await;
        loaded.map_err(|error| error.during("load checkpoint"))
    }

    async fn save_checkpoint(&self, save: CheckpointSave) -> Result<Checkpoint, Error> {
        let CheckpointSave {
            name,
            cursor,
            expected_revision,
        } = save;
        let change = |shared: std::sync::Arc<Shared>| async move {
            let cursor = Some(cursor);
            shared.change_saved(&name, expected_revision, cursor).await
        };
        let saved = self.shared.change_aside(change).await;
        let saved = saved.map_err(|error| error.during("save checkpoint"))?;
        saved
            .checkpoint()?
            .ok_or_else(|| Error::new(ErrorKind::Corrupt, "checkpoint was saved without a cursor"))
    }

    async fn remove_checkpoint(
        &self,
        name: &CheckpointName,
        expected_revision: u64,
    ) -> Result<(), Error> {
        let name = name.clone();
        let change = |shared: std::sync::Arc<Shared>| async move {
            shared.change_saved(&name, expected_revision, None).await
        };
        let removed = self.shared.change_aside(change).await;
        removed
            .map(drop)
            .map_err(|error| error.during("remove checkpoint"))
    }
}

impl Saved {
    fn checkpoint(&self) -> Result<Option<Checkpoint>, Error> {
        let cursor = self.cursor.as_ref().map(|cursor| cursor.parse());
        Ok(cursor.transpose()?.map(|cursor| Checkpoint {
            cursor,
            revision: self.revision,
        }))
    }

    /// Refuses a caller who knows another revision.
    fn check(&self, name: &CheckpointName, expected: u64) -> Result<(), Error> {
        let actual = self.cursor.as_ref().map_or(0, |_| self.revision);
        if actual == expected {
            return Ok(());
        }
        let message = "checkpoint was changed by another reader of this name; stop one of the two";
        Err(Error::new(ErrorKind::Conflict, message)
            .with("name", name)
            .with("expected_revision", expected)
            .with("actual_revision", actual))
    }
}

/// Checkpoints.
impl Shared {
    fn checkpoint_subject(&self, name: &CheckpointName) -> String {
        format!("{}.c.{}", auxiliary(self.log()), token(name.as_str()))
    }

    /// What is saved under a name, and the sequence of its message; 0 where there is none.
    async fn saved(&self, name: &CheckpointName) -> Result<(u64, Saved), Error> {
        let subject = self.checkpoint_subject(name);
        let Some(raw) = self.kept(&subject).await? else {
            return Ok((0, Saved::default()));
        };
        let saved = serde_json::from_slice(&raw.payload).map_err(|error| {
            Error::new(
                ErrorKind::Corrupt,
                "checkpoint can't be read; see the cause",
            )
            .with("name", name)
            .caused_by(error)
        })?;
        Ok((raw.sequence, saved))
    }

    async fn change_saved(
        &self,
        name: &CheckpointName,
        expected: u64,
        cursor: Option<Cursor>,
    ) -> Result<Saved, Error> {
        loop {
            let (sequence, mut saved) = self.saved(name).await?;
            saved.check(name, expected)?;
            if cursor.is_none() && saved.cursor.is_none() {
                return Ok(saved);
            }
            saved.revision += u64::from(cursor.is_some());
            saved.cursor = cursor.as_ref().map(ToString::to_string);
            let text = serde_json::to_vec(&saved).map_err(|error| {
                Error::new(ErrorKind::Invalid, "checkpoint can't be written").caused_by(error)
            })?;
            let subject = self.checkpoint_subject(name);
            let message = sealed(subject, HeaderMap::new(), text.into());
            if self.keep(message, Guard::LastOfSubject(sequence)).await? {
                return Ok(saved);
            }
        }
    }

    /// The message of a subject, by the leader.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] for one that is damaged, or that should be there.
    pub(crate) async fn kept(&self, subject: &str) -> Result<Option<Raw>, Error> {
        let stream = auxiliary(self.log());
        for _ in 0..LOOKS_MAX {
            let found = self.wire.last_of(&stream, subject).await;
            match found.map_err(Failure::into_error)? {
                Some(raw) if is_sound(&raw) => return Ok(Some(raw)),
                Some(_) => break,
                None if self.names(subject).await?.is_empty() => return Ok(None),
                // It came in between, or is damaged.
                None => {}
            }
        }
        let message = "message beside the log is damaged on the server that leads its stream; restore or remove it";
        Err(Error::new(ErrorKind::Corrupt, message).with("subject", subject))
    }

    /// Publishes a message in place of that of its subject; `false` where it is guarded against another.
    pub(crate) async fn keep(&self, message: Message, guard: Guard) -> Result<bool, Error> {
        let stream = auxiliary(self.log());
        match self.wire.publish(&stream, "", vec![message], guard).await {
            Ok(_) => Ok(true),
            Err(Failure::Refused(refusal)) if refusal.meaning() == Meaning::Moved => Ok(false),
            Err(Failure::Refused(refusal)) => Err(refusal.to_error()),
            Err(Failure::NobodyAnswers) => Err(unknown("no server leads the stream")),
            Err(Failure::Lost(cause)) => Err(unknown(cause)),
        }
    }

    /// The subjects of the messages that a pattern selects.
    async fn names(&self, pattern: &str) -> Result<Vec<String>, Error> {
        let stream = auxiliary(self.log());
        let info = self.wire.info(&stream, Some(pattern)).await;
        let subjects = info.map_err(Failure::into_error)?.state.subjects;
        Ok(subjects.into_keys().collect())
    }
}

#[async_trait]
impl SnapshotStore for NatsStore {
    async fn save_snapshot(&self, snapshot: Snapshot) -> Result<(), Error> {
        let save =
            |shared: std::sync::Arc<Shared>| async move { shared.save_snapshot(&snapshot).await };
        let saved = self.shared.change_aside(save).await;
        saved.map_err(|error| error.during("save snapshot"))
    }

    async fn load_snapshot(
        &self,
        key: &SnapshotKey,
        at_most: Version,
    ) -> Result<Option<Snapshot>, Error> {
        let key = key.clone();
        let load = |shared: std::sync::Arc<Shared>| async move {
            shared.load_snapshot(&key, at_most).await
        };
        let loaded = self.shared.aside(load).await;
        loaded.map_err(|error| error.during("load snapshot"))
    }

    async fn remove_snapshots(&self, removal: SnapshotRemoval) -> Result<usize, Error> {
        let remove =
            |shared: std::sync::Arc<Shared>| async move { shared.remove_snapshots(removal).await };
        let removed = self.shared.change_aside(remove).await;
        removed.map_err(|error| error.during("remove snapshots"))
    }
}

/// Snapshots: the subject of a part is of a fixed length, however long the names are.
impl Shared {
    fn snapshots_of(&self, stream: &StreamId) -> String {
        format!("{}.n.{}", auxiliary(self.log()), hash(stream.as_str()))
    }

    fn snapshot(&self, key: &SnapshotKey, version: Version) -> String {
        let stream = self.snapshots_of(&key.stream);
        format!("{stream}.{}.{version}", hash(key.fold.as_str()))
    }

    /// The parts from the last to the first, with which it is there.
    async fn save_snapshot(&self, snapshot: &Snapshot) -> Result<(), Error> {
        let room = self
            .wire
            .client
            .max_payload()
            .saturating_sub(PART_HEADER_BYTES);
        let size = PART_BYTES_MAX.min(room).max(1);
        let payload = snapshot.payload();
        let count = payload.len().div_ceil(size).max(1);
        let subject = self.snapshot(snapshot.key(), snapshot.version());
        let save = self.ids.event_id().as_uuid().simple().to_string();
        for number in (0..count).rev() {
            let part = Part {
                save: save.clone(),
                number,
                count,
                taken_at: snapshot.taken_at(),
                content_type: snapshot.content_type().clone(),
            };
            let mut headers = HeaderMap::new();
            headers.insert(SNAPSHOT, part.to_text());
            let end = payload.len().min((number + 1) * size);
            let bytes = payload.slice(number * size..end);
            let message = sealed(format!("{subject}.{number}"), headers, bytes);
            self.keep(message, Guard::Open).await?;
        }
        Ok(())
    }

    /// The versions of the snapshots of a key, the newest first.
    async fn versions(&self, key: &SnapshotKey) -> Result<Vec<Version>, Error> {
        let fold = format!(
            "{}.{}",
            self.snapshots_of(&key.stream),
            hash(key.fold.as_str())
        );
        let names = self.names(&format!("{fold}.*.0")).await?;
        let version = |name: &String| name.rsplit('.').nth(1)?.parse().ok().map(Version::new);
        let mut versions: Vec<Version> = names.iter().filter_map(version).collect();
        versions.sort_unstable_by(|left, right| right.cmp(left));
        Ok(versions)
    }

    /// One that can't be read is passed over: it is taken again.
    async fn load_snapshot(
        &self,
        key: &SnapshotKey,
        at_most: Version,
    ) -> Result<Option<Snapshot>, Error> {
        let versions = self.versions(key).await?;
        for version in versions.into_iter().filter(|version| *version <= at_most) {
            match self.read_snapshot(key, version).await {
                Ok(Some(snapshot)) => return Ok(Some(snapshot)),
                Ok(None) => {}
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    tracing::warn!(%error, "a snapshot is passed over");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// The parts of one snapshot put together; `None` where they are not all of one save.
    async fn read_snapshot(
        &self,
        key: &SnapshotKey,
        version: Version,
    ) -> Result<Option<Snapshot>, Error> {
        let subject = self.snapshot(key, version);
        let mut first: Option<Part> = None;
        let mut payload = BytesMut::new();
        let mut number = 0;
        while first.as_ref().is_none_or(|first| number < first.count) {
            let found = self.kept(&format!("{subject}.{number}")).await?;
            let Some((part, bytes)) = found.and_then(|raw| Some((Part::of(&raw)?, raw.payload)))
            else {
                return Ok(None);
            };
            let first = first.get_or_insert_with(|| part.clone());
            let expected = Part {
                number,
                ..first.clone()
            };
            if part != expected {
                return Ok(None);
            }
            payload.extend_from_slice(&bytes);
            number += 1;
        }
        let Some(Part {
            taken_at,
            content_type,
            ..
        }) = first
        else {
            return Ok(None);
        };
        let payload: Bytes = payload.freeze();
        Snapshot::new(key.clone(), version, content_type, payload, taken_at).map(Some)
    }

    async fn remove_snapshots(&self, removal: SnapshotRemoval) -> Result<usize, Error> {
        match removal {
            SnapshotRemoval::Older { key, keep_newest } => {
                let versions = self.versions(&key).await?;
                let older: Vec<Version> = versions.into_iter().skip(keep_newest).collect();
                for version in &older {
                    let parts = format!("{}.*", self.snapshot(&key, *version));
                    self.purge(&parts).await?;
                }
                Ok(older.len())
            }
            SnapshotRemoval::Purged { streams } => {
                let mut count = 0;
                for stream in streams {
                    count += self.erase_snapshots(&stream).await?;
                }
                Ok(count)
            }
            _ => Err(Error::unsupported("remove snapshots")),
        }
    }

    /// Has the bytes of all parts overwritten, then the parts removed.
    async fn erase_snapshots(&self, stream: &StreamId) -> Result<usize, Error> {
        let all = format!("{}.>", self.snapshots_of(stream));
        let names = self.names(&all).await?;
        let auxiliary = auxiliary(self.log());
        for name in &names {
            let found = self.wire.last_of(&auxiliary, name).await;
            if let Some(raw) = found.map_err(Failure::into_error)? {
                let erased = self.wire.erase(&auxiliary, raw.sequence).await;
                erased.map_err(Failure::into_error)?;
            }
        }
        self.purge(&all).await?;
        Ok(names.iter().filter(|name| name.ends_with(".0")).count())
    }

    async fn purge(&self, pattern: &str) -> Result<(), Error> {
        let purged = self.wire.purge(&auxiliary(self.log()), pattern).await;
        purged.map_err(Failure::into_error)
    }
}

impl Part {
    fn to_text(&self) -> String {
        format!(
            "{} {} {} {} {}",
            self.save,
            self.number,
            self.count,
            self.taken_at.as_micros(),
            escaped(self.content_type.as_str()),
        )
    }

    fn of(raw: &Raw) -> Option<Self> {
        let mut texts = value(&raw.headers, SNAPSHOT)?.split(' ');
        Some(Self {
            save: texts.next()?.to_owned(),
            number: texts.next()?.parse().ok()?,
            count: texts.next()?.parse().ok()?,
            taken_at: Timestamp::from_micros(texts.next()?.parse().ok()?),
            content_type: ContentType::parse(&plain(texts.next()?)?).ok()?,
        })
    }
}

/// The first half of the SHA-256 of a name, in hexadecimal digits.
fn hash(name: &str) -> String {
    let digest = Sha256::digest(name.as_bytes());
    let mut text = String::with_capacity(48);
    for byte in digest.iter().take(16) {
        push_hex(&mut text, 'x', *byte);
    }
    text
}
