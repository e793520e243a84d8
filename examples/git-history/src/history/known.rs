//! How much of a mainline a store holds already.

use annals::{EventStore, ReadRequest, RecordedEvent, StreamId, Version};
use anyhow::{Result, bail};
use futures_executor::block_on;

use super::{COMMIT, tag};
use crate::git::{Commits, Mainline, ObjectId, Repository};

/// The beginning of a mainline that is recorded.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// How many commits, those at the end apart that changed nothing.
    pub(super) commits: usize,
    /// The stream of the newest event, and its version; none in an empty store.
    pub(super) newest: Option<(StreamId, Version)>,
}

impl Known {
    /// Looks at both ends of the store. Commits are recorded in order and whole, and a hash stands for
    /// all that is before it, so that nothing between the ends is in question.
    pub(super) fn of(
        store: &dyn EventStore,
        repository: &Repository,
        mainline: &Mainline,
    ) -> Result<Self> {
        let (Some(oldest), Some(newest)) = (
            first_of(store, ReadRequest::all())?,
            first_of(store, ReadRequest::all().backward())?,
        ) else {
            return Ok(Self::default());
        };
        let Some(place) = place_of(&newest, mainline)? else {
            bail!(
                "commit {}, the newest in the store, is not on the mainline of HEAD: the history is another \
                 one, or was rewritten; give another store to --store",
                tag(&newest, COMMIT)
            );
        };
        if !begins_at(&oldest, repository, mainline)? {
            bail!(
                "the history in the store begins with commit {}, and that of the repository does not, as \
                 where a shallow clone was deepened; give another store to --store",
                tag(&oldest, COMMIT)
            );
        }
        Ok(Self {
            commits: place + 1,
            newest: Some((newest.stream().clone(), newest.version())),
        })
    }
}

fn first_of(store: &dyn EventStore, request: ReadRequest) -> Result<Option<RecordedEvent>> {
    let page = block_on(store.read(request.events_max(1)))?;
    Ok(page.events.into_iter().next())
}

/// Where on the mainline the commit of an event is; none when it is not there.
fn place_of(recorded: &RecordedEvent, mainline: &Mainline) -> Result<Option<usize>> {
    match ObjectId::from_hex(tag(recorded, COMMIT).as_bytes()) {
        Ok(id) => Ok(mainline.index_of(id)),
        Err(_) => bail!(
            "the store holds events of something else than a git history; give another store to --store"
        ),
    }
}

/// Whether the commit of an event is the first of the mainline that changed something.
fn begins_at(oldest: &RecordedEvent, repository: &Repository, mainline: &Mainline) -> Result<bool> {
    let Some(place) = place_of(oldest, mainline)? else {
        return Ok(false);
    };
    for commit in Commits::new(repository, mainline).take(place) {
        if !commit?.changes.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}
