//! Commits to appends.

use std::collections::HashMap;

use annals::core::limits::NAME_BYTES_MAX;
use annals::{
    Append, AppendId, Cursor, EventCodec as _, EventStore, Expected, JsonCodec, Metadata, NewEvent,
    StreamId, Tag, Tags, Timestamp, Version,
};
use anyhow::{Context as _, Result};
use futures_executor::block_on;

use super::{AUTHOR, COMMIT, Imported, SUMMARY, stream_of};
use crate::events::FileEvent;
use crate::git::{Commit, shorten};

/// The longest summary of a commit that is kept with its events, in bytes.
const SUMMARY_BYTES_MAX: usize = 1024;

/// Records commits one after the other.
pub(super) struct Recorder<'a> {
    store: &'a dyn EventStore,
    /// How far each stream is, so that an append says on what it builds.
    versions: HashMap<StreamId, Version>,
    cursor: Cursor,
    pub(super) imported: Imported,
}

impl<'a> Recorder<'a> {
    pub(super) fn new(store: &'a dyn EventStore) -> Self {
        let imported = Imported::default();
        Self {
            store,
            versions: HashMap::new(),
            cursor: Cursor::START,
            imported,
        }
    }

    pub(super) fn record(&mut self, commit: Commit) -> Result<()> {
        if commit.changes.is_empty() {
            self.imported.without_changes += 1;
        } else {
            let id = commit.id;
            self.append(commit)
                .with_context(|| format!("commit {id} can't be recorded"))?;
        }
        self.imported.cursors.push(self.cursor.clone());
        Ok(())
    }

    fn append(&mut self, commit: Commit) -> Result<()> {
        let context = CommitContext::of(&commit)?;
        let mut append = Append::builder(AppendId::parse(&commit.id.to_string())?);
        for change in commit.changes {
            let stream = stream_of(&change.path)?;
            let version = self
                .versions
                .get(&stream)
                .copied()
                .unwrap_or(Version::ABSENT);
            let event = context.event(&FileEvent::of(change))?;
            append = append.write(stream, Expected::Exactly(version), [event]);
        }
        let receipt = block_on(self.store.append(append.build()?))?;
        if receipt.is_duplicate() {
            self.imported.known += 1;
        } else {
            self.imported.events += receipt.streams.len();
        }
        self.versions.extend(
            receipt
                .streams
                .into_iter()
                .map(|stream| (stream.stream, stream.last_version)),
        );
        self.cursor = receipt.cursor;
        Ok(())
    }
}

/// What all events of a commit share.
struct CommitContext {
    tags: Tags,
    metadata: Metadata,
    time: Timestamp,
}

impl CommitContext {
    fn of(commit: &Commit) -> Result<Self> {
        let author = format!("{} <{}>", commit.author_name, commit.author_email);
        let author = shorten(author, NAME_BYTES_MAX - AUTHOR.len() - ":".len());
        let mut summary = commit.summary.clone();
        summary.truncate(summary.floor_char_boundary(SUMMARY_BYTES_MAX));
        let tags = [
            Tag::from_parts(COMMIT, commit.id)?,
            Tag::from_parts(AUTHOR, &author)?,
        ];
        Ok(Self {
            tags: Tags::new(tags)?,
            metadata: Metadata::EMPTY.with_header(SUMMARY, &summary)?,
            time: Timestamp::from_seconds(commit.seconds),
        })
    }

    fn event(&self, event: &FileEvent) -> Result<NewEvent> {
        Ok(JsonCodec
            .encode(event)?
            .with_tags(self.tags.clone())
            .with_metadata(self.metadata.clone())
            .with_recorded_at(self.time))
    }
}
