//! Appends whose answers are late, so that others stand behind them when they fail.

use std::future::poll_fn;
use std::task::Poll;

use annals::{
    Append, AppendId, Capabilities, ConsistencyLevel, Cursor, Error, ErrorKind, EventStore,
    MemoryStore, Page, PolicyChange, ReadRequest, Receipt, StreamHead, StreamId,
};
use annals_testkit::{Fault, FaultyStore};
use async_trait::async_trait;
use git_history::git::{Mode, ObjectId, Repository};
use git_history::history::{History, Imported};

use crate::history::import;
use crate::support::{Fixture, error_of};

/// A store that judges an append when it is handed over, and answers only when it was asked this often.
#[derive(Debug)]
struct Late {
    store: FaultyStore<MemoryStore>,
    polls: u32,
}

#[async_trait]
impl EventStore for Late {
    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }

    async fn append(&self, append: Append) -> Result<Receipt, Error> {
        let answer = self.store.append(append).await;
        let mut left = self.polls;
        let late = poll_fn(|context| {
            left = left.saturating_sub(1);
            context.waker().wake_by_ref();
            if left == 0 {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        });
        late.await;
        answer
    }

    async fn receipt(&self, id: &AppendId) -> Result<Option<Receipt>, Error> {
        self.store.receipt(id).await
    }

    async fn read(&self, request: ReadRequest) -> Result<Page, Error> {
        self.store.read(request).await
    }

    async fn head(&self, consistency: ConsistencyLevel) -> Result<Cursor, Error> {
        self.store.head(consistency).await
    }

    async fn stream_head(&self, stream: &StreamId) -> Result<StreamHead, Error> {
        self.store.stream_head(stream).await
    }

    async fn change_stream_policy(&self, change: PolicyChange) -> Result<StreamHead, Error> {
        self.store.change_stream_policy(change).await
    }

    async fn changed_since(&self, cursor: &Cursor) -> Result<Cursor, Error> {
        self.store.changed_since(cursor).await
    }
}

/// Imports commits that each add a file into a store that refuses the third one once.
fn check(kind: ErrorKind, polls: u32) -> (anyhow::Result<Imported>, usize, Vec<ObjectId>) {
    let files: Vec<_> = (b'a'..=b'z').map(|name| [name]).collect();
    let trees: Vec<Vec<_>> = (1..=files.len())
        .map(|count| {
            let there = files.iter().take(count);
            there.map(|name| (&name[..], Mode::File, "1")).collect()
        })
        .collect();
    let fixture = Fixture::new();
    let commits = fixture.chain(&trees.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let store = FaultyStore::new(MemoryStore::new()).on_append(3, Fault::Rejected(kind));
    let late = Late { store, polls };
    let repository = Repository::open(fixture.path()).unwrap();
    let mainline = repository.mainline().unwrap();
    let imported = History::new(&late).import(&repository, &mainline, |_| ());
    late.store.assert_all_faults_met();
    // Compares every commit, and finds a hole.
    let known = import(late.store.inner(), &fixture).known;
    (imported, known, commits)
}

#[test]
fn a_commit_that_is_refused_leaves_no_hole() {
    for polls in [1, 2, 3, 5, 20, 100] {
        let (imported, known, commits) = check(ErrorKind::Overloaded, polls);
        let error = error_of(imported);
        let expected = format!("commit {} can't be recorded: ", commits[2]);
        assert!(error.starts_with(&expected), "{polls} polls: {error}");
        assert_eq!(known, 2, "{polls} polls");
    }
}

#[test]
fn a_commit_that_is_judged_too_early_is_handed_over_again() {
    for polls in [1, 2, 3, 5, 20, 100] {
        let (imported, known, commits) = check(ErrorKind::Conflict, polls);
        assert_eq!(imported.unwrap().recorded, commits.len(), "{polls} polls");
        assert_eq!(known, commits.len());
    }
}
