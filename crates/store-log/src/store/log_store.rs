//! The store: what callers hold.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use annals_core::{
    Append, AppendId, Capabilities, Checkpoint, CheckpointName, CheckpointSave, CheckpointStore,
    ConsistencyLevel, Cursor, Durability, Error, ErrorKind, EventStore, Expected, FailedCheck,
    Page, PolicyChange, ReadRequest, Receipt, Snapshot, SnapshotKey, SnapshotRemoval,
    SnapshotStore, StreamHead, StreamId, Version,
};
use annals_log::commit::{GroupCommit, SubmitError};
use async_trait::async_trait;
use tracing::warn;

use super::ahead::ReadAhead;
use super::batch::Batch;
use super::committer::Committer;
use super::error::from_log;
use super::heat::{Heat, Needs};
use super::idle::Idler;
use super::ids::Ids;
use super::judge::{Judge, refuse};
use super::keeper::Keeper;
use super::looked::Looked;
use super::open::LogStoreBuilder;
use super::optimize::Rewriting;
use super::prepared::Prepared;
use super::read;
use super::receipts;
use super::settings::{Maintenance, Settings};
use super::shared::Shared;
use super::verdict::{Reply, Request};
use crate::auxiliary::Auxiliary;
use crate::index::{RunError, RunErrorKind};

/// An embedded event store in a directory. Share it as `Arc<LogStore>` or `Arc<dyn EventStore>`.
pub struct LogStore {
    pub(crate) shared: Arc<Shared>,
    pub(crate) commits: Arc<GroupCommit<Committer>>,
    pub(crate) idler: Mutex<Option<Idler>>,
    pub(crate) keeper: Arc<Keeper>,
    pub(crate) heat: Arc<Heat>,
    pub(crate) ahead: ReadAhead,
    pub(crate) auxiliary: Auxiliary,
    pub(crate) rewriting: Rewriting,
    pub(crate) settings: Settings,
    pub(crate) directory: PathBuf,
}

/// What the caller finds out by itself.
enum Seen {
    Duplicate(Receipt),
    Nothing(Looked),
}

impl LogStore {
    /// Begins to open, or to create, a store in this directory.
    pub fn builder(directory: impl Into<PathBuf>) -> LogStoreBuilder {
        LogStoreBuilder::new(directory.into())
    }

    /// The directory that it was opened in.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Writes what is in memory only, and closes the files so that the next opening has nothing to recover.
    ///
    /// Waits for appends in the queue; later ones are refused, and so are subscriptions that wait for them.
    /// Reads go on. Blocks for as long as that takes, as does dropping the store, which does the same and
    /// says nothing of what fails. A second call does nothing.
    ///
    /// # Errors
    /// What the file system refuses. Acknowledged appends are durable all the same.
    pub fn close(&self) -> Result<(), Error> {
        self.end().map_err(|error| error.during("close"))
    }

    fn end(&self) -> Result<(), Error> {
        self.rewriting.end();
        let idler = self
            .idler
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        drop(idler);
        let committer = self.commits.close();
        self.shared.close();
        self.ahead.clear();
        if let Ok(committer) = &committer {
            committer.freeze(0);
        }
        self.keeper.finish();
        self.auxiliary.close();
        // Where it was closed before, or failed for good, there is nothing to mark.
        committer.map_or(Ok(()), |committer| committer.log.close().map_err(from_log))
    }

    /// Asks the published state, on this task where all is in memory and on a thread that may block where not.
    /// When an index file is found damaged, has it built again from the log and asks once more.
    async fn ask<T, A>(&self, needs: Needs, ask: A) -> Result<T, Error>
    where
        T: Send + 'static,
        A: Fn(&Shared) -> Result<T, Error> + Clone + Send + 'static,
    {
        match self.ask_once(needs, ask.clone()).await {
            Err(error) => {
                self.heal(error).await?;
                self.ask_once(needs, ask).await
            }
            answer => answer,
        }
    }

    async fn ask_once<T, A>(&self, needs: Needs, ask: A) -> Result<T, Error>
    where
        T: Send + 'static,
        A: Fn(&Shared) -> Result<T, Error> + Send + 'static,
    {
        if self.is_at_hand(needs) {
            return ask(&self.shared);
        }
        let shared = Arc::clone(&self.shared);
        blocking::unblock(move || ask(&shared)).await
    }

    /// Has a damaged index file built again; gives back an error that has another cause.
    async fn heal(&self, error: Error) -> Result<(), Error> {
        let Some(damaged) = damaged_run(&error) else {
            return Err(error);
        };
        if self.is_inline() {
            self.keeper.rebuild(&damaged);
        } else {
            let keeper = Arc::clone(&self.keeper);
            blocking::unblock(move || keeper.rebuild(&damaged)).await;
        }
        Ok(())
    }

    /// Whether all work is done where it is asked for, so that a simulation repeats exactly.
    fn is_inline(&self) -> bool {
        self.settings.maintenance == Maintenance::Inline
    }

    /// Whether the published state is asked on the task of the caller.
    fn is_at_hand(&self, needs: Needs) -> bool {
        self.is_inline() || self.heat.is_hot(&self.shared, needs)
    }

    async fn append_once(&self, append: &Append) -> Result<Receipt, Error> {
        let seen = if self.is_at_hand(Needs::Index) {
            look(&self.shared, append)
        } else {
            let (shared, sent) = (Arc::clone(&self.shared), append.clone());
            blocking::unblock(move || look(&shared, &sent)).await
        };
        let looked = match seen? {
            Seen::Duplicate(receipt) => return Ok(receipt),
            Seen::Nothing(looked) => looked,
        };
        let prepared = Arc::new(self.prepare(append, looked));
        match self.submit(Request::Append(Arc::clone(&prepared))).await {
            Ok(Reply::Recorded(placed)) => Ok(placed.receipt(&prepared.append)),
            Ok(Reply::Duplicate(receipt)) => Ok(*receipt),
            Ok(Reply::Changed(_)) => Err(mixed_up()),
            Err(error) => {
                self.shared.doubt.check(&append.id())?;
                Err(error)
            }
        }
    }

    /// Does for the committer all that can be done ahead.
    fn prepare(&self, append: &Append, looked: Looked) -> Prepared {
        let snapshot = self.shared.snapshot();
        Prepared::new(append, looked, snapshot.hasher(), &snapshot.kinds)
    }

    /// The page that was made for this request, if there is one that is still right.
    async fn page_made_ahead(&self, request: &ReadRequest) -> Option<Page> {
        let mut made = self.ahead.take(request).await?;
        if let Some(head) = &mut made.page.stream {
            *head = self.stream_head(&head.stream).await.ok()?;
        }
        // Last, so that no policy was set in between.
        made.is_right(&self.shared).then_some(made.page)
    }

    pub(super) async fn page(&self, request: &ReadRequest) -> Result<Page, Error> {
        let request = request.clone();
        let page = self.ask(Needs::Events, move |shared: &Shared| {
            let snapshot = shared.snapshot();
            read::page(&snapshot, &request, shared.now(&snapshot))
        });
        page.await.map_err(|error| error.during("read"))
    }

    async fn change_once(&self, change: PolicyChange) -> Result<StreamHead, Error> {
        match self.submit(Request::Policy(change)).await? {
            Reply::Changed(head) => Ok(*head),
            Reply::Recorded(_) | Reply::Duplicate(_) => Err(mixed_up()),
        }
    }

    async fn submit(&self, request: Request) -> Result<Reply, Error> {
        match self.commits.submit(request).await {
            Ok(answer) => answer,
            Err(error) => {
                let kind = match error {
                    SubmitError::Overloaded => ErrorKind::Overloaded,
                    SubmitError::Unknown => ErrorKind::Unknown,
                    _ => ErrorKind::Unavailable,
                };
                Err(Error::new(kind, error.to_string()))
            }
        }
    }
}

#[async_trait]
impl EventStore for LogStore {
    fn capabilities(&self) -> Capabilities {
        capabilities(&self.settings)
    }

    async fn append(&self, append: Append) -> Result<Receipt, Error> {
        let recorded = match self.append_once(&append).await {
            Err(error) if damaged_run(&error).is_some() => {
                self.heal(error).await?;
                self.append_once(&append).await
            }
            recorded => recorded,
        };
        recorded.map_err(|error| error.during("append"))
    }

    async fn receipt(&self, id: &AppendId) -> Result<Option<Receipt>, Error> {
        let id = *id;
        let find = move |shared: &Shared| {
            let found = receipts::find(&shared.snapshot(), &id, Ids::All)?;
            if found.is_none() {
                shared.doubt.check(&id)?;
            }
            Ok(found)
        };
        let found = self.ask(Needs::Events, find).await;
        found.map_err(|error| error.during("receipt"))
    }

    async fn read(&self, request: ReadRequest) -> Result<Page, Error> {
        request.validate()?;
        let page = match self.page_made_ahead(&request).await {
            Some(page) => page,
            None => self.page(&request).await?,
        };
        self.ahead.go_on(&self.shared, &request, &page);
        Ok(page)
    }

    async fn head(&self, consistency: ConsistencyLevel) -> Result<Cursor, Error> {
        let snapshot = self.shared.snapshot();
        read::check_consistency(&snapshot, &consistency)?;
        Ok(Cursor::at(snapshot.head))
    }

    async fn stream_head(&self, stream: &StreamId) -> Result<StreamHead, Error> {
        let stream = stream.clone();
        let head = self
            .ask(Needs::Index, move |shared: &Shared| {
                shared.snapshot().stream_head(&stream)
            })
            .await;
        head.map_err(|error| error.during("stream head"))
    }

    async fn change_stream_policy(&self, change: PolicyChange) -> Result<StreamHead, Error> {
        let changed = match self.change_once(change.clone()).await {
            Err(error) if damaged_run(&error).is_some() => {
                self.heal(error).await?;
                self.change_once(change).await
            }
            changed => changed,
        };
        changed.map_err(|error| error.during("change stream policy"))
    }

    async fn changed_since(&self, cursor: &Cursor) -> Result<Cursor, Error> {
        loop {
            // Listen before looking: an append in between rings this bell.
            let bell = self.shared.changed.listen();
            let snapshot = self.shared.snapshot();
            snapshot.check_not_ahead(cursor)?;
            let head = Cursor::at(snapshot.head);
            if head > *cursor {
                return Ok(head);
            }
            self.shared.check_open()?;
            bell.await;
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl SnapshotStore for LogStore {
    async fn save_snapshot(&self, snapshot: Snapshot) -> Result<(), Error> {
        self.auxiliary.save_snapshot(snapshot).await
    }

    async fn load_snapshot(
        &self,
        key: &SnapshotKey,
        at_most: Version,
    ) -> Result<Option<Snapshot>, Error> {
        self.auxiliary.load_snapshot(key, at_most).await
    }

    async fn remove_snapshots(&self, removal: SnapshotRemoval) -> Result<usize, Error> {
        self.auxiliary.remove_snapshots(removal).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl CheckpointStore for LogStore {
    async fn load_checkpoint(&self, name: &CheckpointName) -> Result<Option<Checkpoint>, Error> {
        self.auxiliary.load_checkpoint(name).await
    }

    async fn save_checkpoint(&self, save: CheckpointSave) -> Result<Checkpoint, Error> {
        self.auxiliary.save_checkpoint(save).await
    }

    async fn remove_checkpoint(
        &self,
        name: &CheckpointName,
        expected_revision: u64,
    ) -> Result<(), Error> {
        self.auxiliary
            .remove_checkpoint(name, expected_revision)
            .await
    }
}

impl Drop for LogStore {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            warn!(%error, "the store is not closed cleanly; opening it recovers it");
        }
    }
}

impl fmt::Debug for LogStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogStore")
            .field("head", &self.shared.snapshot().head)
            .finish_non_exhaustive()
    }
}

/// The index file whose damage is the cause of this error.
fn damaged_run(error: &Error) -> Option<PathBuf> {
    let cause = std::error::Error::source(error)?.downcast_ref::<RunError>()?;
    (cause.kind() == RunErrorKind::Damaged).then(|| cause.path().to_path_buf())
}

/// Looks at the published state: answers a duplicate, refuses what fails, and gathers what the committer need
/// not look up again.
fn look(shared: &Shared, append: &Append) -> Result<Seen, Error> {
    let policies = shared.policy_changes();
    let snapshot = shared.snapshot();
    if let Some(receipt) = receipts::answer_again(&snapshot, append, Ids::All)? {
        return Ok(Seen::Duplicate(receipt));
    }
    // Nothing that is said of it below may sound like a refusal.
    shared.doubt.check(&append.id())?;
    let mut looked = Looked::at(&snapshot, append)?;
    // Only policies ask for the time. A change of one that begins from here on is seen below.
    let time_matters = !policies.is_multiple_of(2) || snapshot.has_policies();
    let judge = Judge {
        snapshot: &snapshot,
        live: None,
        batch: &Batch::after(&snapshot),
        now: if time_matters {
            shared.now(&snapshot)
        } else {
            snapshot.newest_at
        },
    };
    let failures = judge.failures(append, &looked, &[], &mut Vec::new())?;
    if shared.policy_changes() == policies {
        if !failures.iter().all(may_hold_later) {
            refuse(failures)?;
        }
        looked.nothing_stands_against_it(snapshot.head);
    }
    Ok(Seen::Nothing(looked))
}

/// What a store with these settings offers.
pub(crate) fn capabilities(settings: &Settings) -> Capabilities {
    let mut capabilities = Capabilities::COMPLETE;
    capabilities.durability = match settings.durability {
        annals_log::Durability::Sync => Durability::Synced,
        annals_log::Durability::Process => Durability::Process,
    };
    capabilities
}

/// Whether an append that waits in the queue may yet make this expectation true: the committer will know, so
/// that a caller can have appends in flight that build on each other.
fn may_hold_later(failed: &FailedCheck) -> bool {
    match failed {
        FailedCheck::Stream {
            expected: Expected::Exactly(version),
            actual,
            ..
        } => actual < version,
        FailedCheck::Stream { expected, .. } => *expected == Expected::StreamExists,
        _ => false,
    }
}

fn mixed_up() -> Error {
    Error::new(
        ErrorKind::Unknown,
        "the writer answered another request; report this as a defect",
    )
}
