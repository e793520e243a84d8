//! Commits to appends.

use std::collections::{HashMap, VecDeque};

use annals::core::limits::NAME_BYTES_MAX;
use annals::{
    Append, Error, ErrorKind, EventStore, Expected, Metadata, NewEvent, Receipt, StreamId, Tag,
    Tags, Timestamp, Version,
};
use anyhow::{Context as _, Result};
use futures_executor::block_on;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesOrdered, StreamExt as _};

use super::known::Known;
use super::{AUTHOR, COMMIT, Imported, SUMMARY, append_id, stream_of};
use crate::codec::Codec;
use crate::events::FileEvent;
use crate::git::{Commit, ObjectId, shorten};

/// The longest summary of a commit that is kept with its events, in bytes.
const SUMMARY_BYTES_MAX: usize = 1024;

/// How many appends may wait for their answers, so that a store writes and syncs many of them at once.
const APPENDS_IN_FLIGHT_MAX: usize = 256;

/// How many bytes of events these may have, a single append apart.
const BYTES_IN_FLIGHT_MAX: usize = 16 * 1024 * 1024;

/// Records commits one after the other, without waiting for each.
///
/// Every append is handed over after the one before it and checks a stream as that one leaves it, so that
/// none is recorded unless all before it are.
pub(super) struct Recorder<'a> {
    store: &'a dyn EventStore,
    codec: Codec,
    /// How far each stream will be once all appends are recorded, so that the next says on what it builds.
    versions: HashMap<StreamId, Version>,
    /// A stream of the append before, and its version after that.
    before: Option<(StreamId, Version)>,
    answers: FuturesOrdered<BoxFuture<'a, Result<Receipt, Error>>>,
    /// What was handed over and has no answer yet, oldest first.
    in_flight: VecDeque<InFlight>,
    bytes_in_flight: usize,
    imported: Imported,
}

/// An append without an answer.
struct InFlight {
    commit: ObjectId,
    append: Append,
    /// Of its events.
    bytes: usize,
}

impl<'a> Recorder<'a> {
    pub(super) fn new(store: &'a dyn EventStore, codec: Codec, known: Known) -> Self {
        Self {
            store,
            codec,
            versions: HashMap::new(),
            before: known.newest,
            answers: FuturesOrdered::new(),
            in_flight: VecDeque::new(),
            bytes_in_flight: 0,
            imported: Imported {
                known: known.commits,
                ..Imported::default()
            },
        }
    }

    /// Hands a commit to the store. An error may be that of an earlier one.
    pub(super) fn record(&mut self, commit: &Commit) -> Result<()> {
        if commit.changes.is_empty() {
            self.imported.without_changes += 1;
            return Ok(());
        }
        let append = self.append(commit).with_context(|| failed(commit.id))?;
        let bytes = append.events().map(|(_, event)| event.bytes()).sum();
        while self.in_flight.len() >= APPENDS_IN_FLIGHT_MAX
            || (self.bytes_in_flight + bytes > BYTES_IN_FLIGHT_MAX && !self.in_flight.is_empty())
        {
            let answer = block_on(self.answers.next());
            self.settle(answer)?;
        }
        self.answers.push_back(self.store.append(append.clone()));
        self.in_flight.push_back(InFlight {
            commit: commit.id,
            append,
            bytes,
        });
        self.bytes_in_flight += bytes;
        // The first poll hands an append over, so that the store works while the next one is made.
        while let Some(Some(answer)) = self.answers.next().now_or_never() {
            self.settle(Some(answer))?;
        }
        Ok(())
    }

    /// Waits for all answers.
    pub(super) fn finish(mut self) -> Result<Imported> {
        while let Some(answer) = block_on(self.answers.next()) {
            self.settle(Some(answer))?;
        }
        Ok(self.imported)
    }

    /// Takes the answer to the oldest append.
    fn settle(&mut self, answer: Option<Result<Receipt, Error>>) -> Result<()> {
        let Some((answer, handed_over)) = answer.zip(self.in_flight.pop_front()) else {
            return Ok(());
        };
        let InFlight {
            commit,
            append,
            bytes,
        } = handed_over;
        let answer = match answer {
            // A store that takes appends in another order judged it too early. Now all before it are recorded.
            Err(error) if error.kind() == ErrorKind::Conflict => {
                block_on(self.store.append(append))
            }
            answer => answer,
        };
        let receipt = answer.with_context(|| failed(commit))?;
        self.bytes_in_flight -= bytes;
        self.imported.recorded += 1;
        self.imported.events += receipt.streams.len();
        Ok(())
    }

    fn append(&mut self, commit: &Commit) -> Result<Append> {
        let context = CommitContext::of(commit)?;
        let mut append = Append::builder(append_id(commit.id)?);
        let before = self.before.take();
        let mut check = before.as_ref();
        // The same forms whenever a commit is recorded, and all of them alike.
        let first = usize::from(commit.id.as_bytes().first().copied().unwrap_or_default());
        for (number, change) in (first..).zip(&commit.changes) {
            let stream = stream_of(&change.path)?;
            let version = self.version(&stream)?;
            check = check.filter(|(checked, _)| *checked != stream);
            let event = FileEvent::of(change.clone());
            let event = context.event(self.codec.encode(&event, number)?);
            self.versions.insert(stream.clone(), version.next());
            self.before = Some((stream.clone(), version.next()));
            append = append.write(stream, Expected::Exactly(version), [event]);
        }
        if let Some((stream, version)) = check {
            append = append.check(stream.clone(), Expected::Exactly(*version));
        }
        Ok(append.build()?)
    }

    /// How far a stream is after all appends so far.
    fn version(&self, stream: &StreamId) -> Result<Version> {
        match self.versions.get(stream) {
            Some(version) => Ok(*version),
            None if self.imported.known == 0 => Ok(Version::ABSENT),
            None => Ok(block_on(self.store.stream_head(stream))?.version),
        }
    }
}

fn failed(commit: ObjectId) -> String {
    format!("commit {commit} can't be recorded")
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

    fn event(&self, event: NewEvent) -> NewEvent {
        event
            .with_tags(self.tags.clone())
            .with_metadata(self.metadata.clone())
            .with_recorded_at(self.time)
    }
}
