//! A history walked back in time: which commit first had a file, and what the tree would be without a commit.

use std::collections::BTreeSet;
use std::sync::Arc;

use annals::codec::EventCodecExt as _;
use annals::replay::{
    AlteredEvents, Comparison, OnRefusal, Replay, ReplayFold, ReplayObserver, WhatIf,
};
use annals::{Event as _, EventStore, RecordedEvent, Selection, SystemTimer};
use anyhow::Result;
use futures_executor::block_on;

use super::{AUTHOR, COMMIT, LogEntry, PAGE_EVENTS, summary_of, tag};
use crate::codec;
use crate::events::{FileEvent, Tree};
use crate::git::{GitPath, ObjectId};

/// Questions about other moments, and other histories, than the present one. Nothing is written.
#[derive(Clone, Debug)]
pub struct TimeTravel {
    store: Arc<dyn EventStore>,
}

/// The first that was seen of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstSeen {
    /// The event that brought it, or the first file below it.
    pub entry: LogEntry,
    /// How many events were folded to find it.
    pub folded: u64,
    /// How many states were looked at.
    pub asked: u64,
}

/// A history without one of its commits.
#[derive(Clone, Debug)]
pub struct Without {
    /// The trees, and what is different between them.
    pub comparison: Comparison<Tree>,
    /// The first of the later events that do not fit without the commit, and were left out too.
    pub misfits: Vec<Misfit>,
}

/// An event that does not fit a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// The commit, in hex.
    pub commit: String,
    /// The path that it is about.
    pub path: GitPath,
    /// Why.
    pub reason: String,
}

impl TimeTravel {
    /// Through the history in this store.
    pub fn new(store: Arc<dyn EventStore>) -> Self {
        Self { store }
    }

    /// The commit that first had a file at this path, or below it where it is a folder: by halving the history.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn first_with(
        &self,
        path: &GitPath,
        observer: impl ReplayObserver + 'static,
    ) -> Result<Option<FirstSeen>> {
        // All paths that ever were: a path that is in it stays in it, whatever becomes of the file.
        let seen = ReplayFold::new(codec::reader(), BTreeSet::new, |seen, event: &FileEvent| {
            if !seen.contains(event.path()) {
                seen.insert(event.path().clone());
            }
            Ok(())
        });
        let replay = self.replay(seen, observer);
        let below = GitPath::new([path.as_bytes(), b"/"].concat());
        let is_there = |seen: &BTreeSet<GitPath>| {
            let next = seen.range(&below..).next();
            let has_below = next.is_some_and(|it| it.as_bytes().starts_with(below.as_bytes()));
            seen.contains(path) || has_below
        };
        let found = block_on(replay.bisect(is_there))?;
        let Some(point) = found.turning_point() else {
            return Ok(None);
        };
        Ok(Some(FirstSeen {
            entry: entry_of(&point.event)?,
            folded: found.folded,
            asked: found.asked,
        }))
    }

    /// The tree as it would be without a commit. What later commits did that does not fit then, such as a change of a
    /// file that the commit brought, is left out as well.
    ///
    /// # Errors
    /// When the store can't be read, or an event does not fit the ones before it.
    pub fn without(
        &self,
        commit: ObjectId,
        observer: impl ReplayObserver + 'static,
    ) -> Result<Without> {
        let commit = commit.to_string();
        let of_commit = AlteredEvents::matching(move |event| tag(event, COMMIT) == commit);
        let what_if = WhatIf::new()
            .without(of_commit)
            .on_refusal(OnRefusal::LeaveOut);
        let fold = ReplayFold::new(codec::reader(), Tree::default, Tree::apply);
        let comparison = block_on(self.replay(fold, observer).what_if(&what_if))?;
        let misfits = comparison.refused.iter().filter_map(|refused| {
            let event = refused.at.as_ref()?;
            Some(misfit_of(event, &refused.reason))
        });
        let misfits = misfits.collect::<Result<_>>()?;
        Ok(Without {
            comparison,
            misfits,
        })
    }

    fn replay<S: Send + Sync + 'static>(
        &self,
        fold: ReplayFold<S, FileEvent>,
        observer: impl ReplayObserver + 'static,
    ) -> Replay<S, FileEvent> {
        let files = Selection::Category(FileEvent::CATEGORY);
        Replay::new(Arc::clone(&self.store), files, fold)
            .with_page_events_max(PAGE_EVENTS)
            .with_observer(observer, SystemTimer)
    }
}

fn entry_of(recorded: &RecordedEvent) -> Result<LogEntry> {
    Ok(LogEntry {
        version: recorded.version(),
        time: recorded.recorded_at(),
        commit: tag(recorded, COMMIT).to_owned(),
        author: tag(recorded, AUTHOR).to_owned(),
        summary: summary_of(recorded),
        event: codec::reader().decode(recorded)?.one()?,
    })
}

fn misfit_of(recorded: &RecordedEvent, reason: &str) -> Result<Misfit> {
    let event: FileEvent = codec::reader().decode(recorded)?.one()?;
    Ok(Misfit {
        commit: tag(recorded, COMMIT).to_owned(),
        path: event.path().clone(),
        reason: reason.to_owned(),
    })
}
