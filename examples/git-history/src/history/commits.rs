//! Commits as a store holds them, the newest, and those that come.

use annals::codec::EventCodecExt as _;
use annals::{Cursor, Position, ReadRequest, RecordedEvent, Timestamp, Version};
use anyhow::Result;
use futures_executor::block_on;

use super::{AUTHOR, COMMIT, History, PAGE_EVENTS, summary_of, tag};
use crate::codec;
use crate::events::FileEvent;

/// A commit as it was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedCommit {
    /// The position of its first event.
    pub position: Position,
    /// The commit, in hex.
    pub commit: String,
    /// When it was committed.
    pub time: Timestamp,
    /// Who wrote it.
    pub author: String,
    /// The title of its message.
    pub summary: String,
    /// What happened, in the order in which it was recorded, each with its number in the stream of its file.
    pub changes: Vec<(Version, FileEvent)>,
}

impl History<'_> {
    /// The newest `count` commits, oldest first, and where a reader stands who has seen them.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn newest(&self, count: usize) -> Result<(Vec<RecordedCommit>, Cursor)> {
        let mut events: Vec<RecordedEvent> = Vec::new();
        let mut begun = 0;
        let mut next = Some(ReadRequest::all().backward().events_max(PAGE_EVENTS));
        let mut head = Cursor::START;
        'pages: while let Some(request) = next {
            let page = block_on(self.store.read(request))?;
            for recorded in page.events {
                if head == Cursor::START {
                    head = recorded.position().into();
                }
                let begins = events
                    .last()
                    .is_none_or(|last| tag(last, COMMIT) != tag(&recorded, COMMIT));
                begun += usize::from(begins);
                if begun > count {
                    break 'pages;
                }
                events.push(recorded);
            }
            next = page.next;
        }
        let mut commits = Vec::new();
        for recorded in events.iter().rev() {
            extend(&mut commits, recorded)?;
        }
        Ok((commits, head))
    }

    /// Visits the commits after a place, as far as there are any now, and gives where a reader stands who has
    /// seen them.
    ///
    /// # Errors
    /// When the store can't be read, and as `visit` says.
    pub fn visit_after(
        &self,
        cursor: Cursor,
        mut visit: impl FnMut(&RecordedCommit) -> Result<()>,
    ) -> Result<Cursor> {
        let mut reached = cursor.clone();
        let mut commits = Vec::new();
        let mut next = Some(ReadRequest::all().after(cursor).events_max(PAGE_EVENTS));
        while let Some(request) = next {
            let page = block_on(self.store.read(request))?;
            for recorded in &page.events {
                extend(&mut commits, recorded)?;
                // All but the last are whole; that one may go on, on the next page too.
                for whole in commits.drain(..commits.len() - 1) {
                    visit(&whole)?;
                }
            }
            reached = page.cursor;
            next = page.next;
        }
        // A commit is one append, and an append is seen whole.
        commits.iter().try_for_each(visit)?;
        Ok(reached)
    }

    /// Waits until there is something after this place.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn wait(&self, cursor: &Cursor) -> Result<()> {
        block_on(self.store.changed_since(cursor))?;
        Ok(())
    }
}

/// Adds an event to the commit that it is of, the last one or a new one.
fn extend(commits: &mut Vec<RecordedCommit>, recorded: &RecordedEvent) -> Result<()> {
    let change = (recorded.version(), codec::reader().decode(recorded)?.one()?);
    let commit = tag(recorded, COMMIT);
    match commits.last_mut() {
        Some(last) if last.commit == commit => last.changes.push(change),
        _ => commits.push(RecordedCommit {
            position: recorded.position(),
            commit: commit.to_owned(),
            time: recorded.recorded_at(),
            author: tag(recorded, AUTHOR).to_owned(),
            summary: summary_of(recorded),
            changes: vec![change],
        }),
    }
    Ok(())
}
