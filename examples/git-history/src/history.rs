//! A mainline as events in a store: recording it, and reading it back.

mod commits;
mod known;
mod recorder;
mod travel;

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::thread;

use annals::codec::EventCodecExt as _;
use annals::core::limits::STREAM_ID_BYTES_MAX;
use annals::{
    AppendId, Cursor, Event as _, EventStore, ReadRequest, Receipt, RecordedEvent, StreamId, Tag,
    Timestamp, Version,
};
use anyhow::{Context as _, Result};
use futures_executor::block_on;

pub use self::commits::RecordedCommit;
use self::known::Known;
use self::recorder::Recorder;
pub use self::travel::{FirstSeen, Misfit, TimeTravel, Without};
use crate::codec::{self, Codec};
use crate::events::{FileEvent, Tree};
use crate::git::{Commits, GitPath, Mainline, ObjectId, Repository, shorten};

/// How many commits the reader may be ahead of the recorder.
const COMMITS_AHEAD_MAX: usize = 256;

/// How many events a page of a whole read has.
const PAGE_EVENTS: usize = 4096;

/// A mainline as events in a store: a stream for each path, an append for each commit.
///
/// The calls block; the store's futures run on the calling thread.
#[derive(Clone, Copy, Debug)]
pub struct History<'a> {
    store: &'a dyn EventStore,
    codec: Codec,
}

/// What an import recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Commits at the start of the mainline that the store had already, and that were not read again.
    pub known: usize,
    /// Commits that were recorded now.
    pub recorded: usize,
    /// Commits that were read now and changed no path, so that there is nothing to record of them.
    pub without_changes: usize,
    /// Events that were recorded now.
    pub events: usize,
}

/// Counts over all events of a store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// All events.
    pub events: u64,
    /// Commits that changed something.
    pub commits: u64,
    /// The tree that they fold to.
    pub tree: Tree,
    /// For each path that ever was, how often it changed.
    pub changes: BTreeMap<GitPath, u64>,
    /// For each author, how many commits that changed something.
    pub authors: BTreeMap<String, u64>,
}

/// One entry of a file's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Its number in the stream of the file.
    pub version: Version,
    /// When it was committed.
    pub time: Timestamp,
    /// The commit, in hex.
    pub commit: String,
    /// Who wrote it.
    pub author: String,
    /// The title of its message.
    pub summary: String,
    /// What happened.
    pub event: FileEvent,
}

impl<'a> History<'a> {
    /// The history in this store.
    pub fn new(store: &'a dyn EventStore) -> Self {
        let codec = Codec::default();
        Self { store, codec }
    }

    /// Records what it imports in this form. What is there is read in whatever form it is.
    #[must_use]
    pub fn writing(self, codec: Codec) -> Self {
        Self { codec, ..self }
    }

    /// Records the commits of a mainline, oldest first, from the first that the store lacks on: each as one
    /// atomic append over all paths that it changed, under its hash as the append id.
    ///
    /// An import that was interrupted anywhere, by a lost machine as well, goes on where it stopped: the
    /// store holds the commits up to one of them, whole, and none after it.
    ///
    /// Another thread reads the repository ahead. `on_commits` is told how many more commits are handled:
    /// those that are known in one, the rest one by one.
    ///
    /// # Errors
    /// When a commit can't be read, when the store holds another history, or refuses an append.
    pub fn import(
        &self,
        repository: &Repository,
        mainline: &Mainline,
        mut on_commits: impl FnMut(usize),
    ) -> Result<Imported> {
        let known = Known::of(self.store, repository, mainline)?;
        let first = known.commits;
        on_commits(first);
        let (sender, receiver) = mpsc::sync_channel(COMMITS_AHEAD_MAX);
        let ahead = repository.clone();
        thread::scope(|scope| {
            scope.spawn(move || {
                for commit in Commits::after(&ahead, mainline, first) {
                    let last = commit.is_err();
                    // Nobody listens any more when the recorder failed.
                    if sender.send(commit).is_err() || last {
                        return;
                    }
                }
            });
            let mut recorder = Recorder::new(self.store, self.codec, known);
            for commit in receiver {
                recorder.record(&commit?)?;
                on_commits(1);
            }
            recorder.finish()
        })
    }

    /// Where a reader stands who has seen the commit at this place of the mainline and nothing later.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn cursor(&self, mainline: &Mainline, place: usize) -> Result<Cursor> {
        let receipt = self.receipt(mainline, place)?;
        Ok(receipt.map_or(Cursor::START, |receipt| receipt.cursor))
    }

    /// The receipt of the commit at this place of the mainline, or of the newest before it that changed something.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn receipt(&self, mainline: &Mainline, place: usize) -> Result<Option<Receipt>> {
        let seen = mainline.links().iter().take(place.saturating_add(1));
        for link in seen.rev() {
            // A commit that changed nothing is not recorded: the one before it shows the same.
            let receipt = block_on(self.store.receipt(&append_id(link.id)?))?;
            if receipt.is_some() {
                return Ok(receipt);
            }
        }
        Ok(None)
    }

    /// The tree as of a place in the store: the fold of the events of every file up to there.
    ///
    /// # Errors
    /// When the store can't be read, or an event does not fit the ones before it.
    pub fn tree_at(&self, cursor: &Cursor) -> Result<Tree> {
        let mut tree = Tree::default();
        self.each(
            ReadRequest::category(FileEvent::CATEGORY).until(cursor.clone()),
            |_, event| Ok(tree.apply(&event)?),
        )?;
        Ok(tree)
    }

    /// Applies to a tree what happened after one place and up to another.
    ///
    /// # Errors
    /// As for [`tree_at`](Self::tree_at).
    pub fn advance(&self, tree: &mut Tree, from: &Cursor, to: &Cursor) -> Result<()> {
        if from.covers(to) {
            return Ok(());
        }
        let request = ReadRequest::category(FileEvent::CATEGORY)
            .after(from.clone())
            .until(to.clone());
        self.each(request, |_, event| Ok(tree.apply(&event)?))
    }

    /// What happened to one path, oldest first; empty when it never was.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn log(&self, path: &GitPath) -> Result<Vec<LogEntry>> {
        let mut log = Vec::new();
        self.each(ReadRequest::stream(stream_of(path)?), |recorded, event| {
            log.push(LogEntry {
                version: recorded.version(),
                time: recorded.recorded_at(),
                commit: tag(recorded, COMMIT).to_owned(),
                author: tag(recorded, AUTHOR).to_owned(),
                summary: summary_of(recorded),
                event,
            });
            Ok(())
        })?;
        Ok(log)
    }

    /// Counts over everything, by one pass over all events. `on_event` is called after each.
    ///
    /// # Errors
    /// As for [`tree_at`](Self::tree_at).
    pub fn summary(&self, mut on_event: impl FnMut()) -> Result<Summary> {
        let mut summary = Summary::default();
        let mut last_commit = None;
        self.each(ReadRequest::all(), |recorded, event| {
            summary.events += 1;
            on_event();
            summary.tree.apply(&event)?;
            match summary.changes.get_mut(event.path()) {
                Some(changes) => *changes += 1,
                None => drop(summary.changes.insert(event.path().clone(), 1)),
            }
            // The events of one commit stand side by side, and share their tags.
            let commit = recorded
                .tags()
                .iter()
                .find(|tag| tag.key() == COMMIT)
                .cloned();
            if commit != last_commit {
                last_commit = commit;
                summary.commits += 1;
                *summary
                    .authors
                    .entry(tag(recorded, AUTHOR).to_owned())
                    .or_default() += 1;
            }
            Ok(())
        })?;
        Ok(summary)
    }

    fn each(
        &self,
        request: ReadRequest,
        mut visit: impl FnMut(&RecordedEvent, FileEvent) -> Result<()>,
    ) -> Result<()> {
        let mut next = Some(request.events_max(PAGE_EVENTS));
        while let Some(request) = next {
            let page = block_on(self.store.read(request))?;
            for recorded in &page.events {
                let event = codec::reader().decode(recorded)?.one()?;
                visit(recorded, event).with_context(|| {
                    format!(
                        "event {} of stream {}",
                        recorded.version(),
                        recorded.stream()
                    )
                })?;
            }
            next = page.next;
        }
        Ok(())
    }
}

/// The key of the tag that names the commit.
pub(crate) const COMMIT: &str = "commit";
/// The key of the tag that names the author.
pub(crate) const AUTHOR: &str = "author";
/// The name of the header with the title of the commit's message.
const SUMMARY: &str = "summary";

/// The stream of a path: its text form, shortened where a stream id can't hold it.
fn stream_of(path: &GitPath) -> Result<StreamId> {
    let category = FileEvent::CATEGORY;
    let room = STREAM_ID_BYTES_MAX - category.as_str().len() - "-".len();
    Ok(StreamId::new(&category, &shorten(path.encoded(), room))?)
}

/// The id under which a commit is recorded, which is known for ever.
fn append_id(commit: ObjectId) -> Result<AppendId> {
    Ok(AppendId::parse(&commit.to_string())?)
}

/// The value of an event's tag.
pub(crate) fn tag<'e>(recorded: &'e RecordedEvent, key: &str) -> &'e str {
    recorded
        .tags()
        .iter()
        .find(|tag| tag.key() == key)
        .map_or("", Tag::value)
}

/// The title of the commit's message.
fn summary_of(recorded: &RecordedEvent) -> String {
    let header = recorded.metadata().header(SUMMARY);
    header.unwrap_or_default().to_owned()
}
