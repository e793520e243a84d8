//! A store that another process writes, to read and to follow.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use annals_core::{
    Append, AppendId, Capabilities, Checkpoint, CheckpointName, CheckpointSave, CheckpointStore,
    Clock, ConsistencyLevel, Cursor, Error, ErrorKind, EventStore, Page, PolicyChange, Position,
    ReadRequest, Receipt, Snapshot, SnapshotKey, SnapshotRemoval, SnapshotStore, StreamHead,
    StreamId, Version,
};
use annals_log::vfs::Watch;
use annals_log::{Follower, View};
use async_trait::async_trait;
use tracing::warn;

use super::error::from_log;
use super::ids::Ids;
use super::log_store::capabilities;
use super::read;
use super::receipts;
use super::recover::{Entering, enter};
use super::settings::Settings;
use super::shared::Shared;
use super::snapshot::{Snapshot as State, unusable};
use crate::auxiliary::Auxiliary;
use crate::index::RunDirectory;

/// How often a follower looks for itself, should a notification be missed.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// A store in a directory that another process writes, to read and to follow.
///
/// Appends, policies, snapshots and checkpoints are the writer's: they are refused as
/// [`Unsupported`](annals_core::ErrorKind::Unsupported). A strong read shows everything that the writer acknowledged before it
/// began; waiting is told by the file system.
pub struct LogFollower {
    follow: Arc<Follow>,
}

/// What reads and the thread that waits share.
struct Follow {
    shared: Shared,
    follower: Mutex<Follower>,
    directory: RunDirectory,
    settings: Settings,
}

impl LogFollower {
    /// Opens the store in this directory, whose log this follows.
    pub(crate) fn start(
        mut follower: Follower,
        directory: RunDirectory,
        settings: Settings,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn annals_core::Ids>,
    ) -> Result<Self, Error> {
        let view = follower.refresh().map_err(from_log)?;
        let snapshot = survey(&view, &directory)?;
        let watch = follower.watch().map_err(from_log)?;
        let follow = Arc::new(Follow {
            shared: Shared::new(snapshot, clock, ids),
            follower: Mutex::new(follower),
            directory,
            settings,
        });
        let weak = Arc::downgrade(&follow);
        std::thread::Builder::new()
            .name("annals-follower".to_owned())
            .spawn(move || wait_and_look(&weak, watch))
            .map_err(|error| {
                Error::new(ErrorKind::Unavailable, "no thread to follow the store with")
                    .caused_by(error)
            })?;
        Ok(Self { follow })
    }

    /// The state to read from, as fresh as asked for.
    fn snapshot(&self, consistency: &ConsistencyLevel) -> Result<Arc<State>, Error> {
        let Follow { shared, .. } = &*self.follow;
        // A session may have changed a policy, which no cursor tells.
        if *consistency == ConsistencyLevel::Eventual {
            return Ok(shared.snapshot());
        }
        self.follow.look()?;
        Ok(shared.snapshot())
    }
}

impl Follow {
    /// Enters what the writer made durable since the last look.
    fn look(&self) -> Result<(), Error> {
        let mut follower = self.follower.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.shared.snapshot();
        let view = follower.refresh().map_err(from_log)?;
        if view.end() == before.view.end() {
            return Ok(());
        }
        let full = before.live.read().bytes() > self.settings.index_bytes_max;
        let snapshot = if full {
            survey(&view, &self.directory)?
        } else {
            // What a failure left half entered is thrown away with the rest.
            extend(&before, &view).or_else(|_| survey(&view, &self.directory))?
        };
        self.shared.publish(|published| *published = snapshot);
        self.shared.changed.notify(usize::MAX);
        Ok(())
    }
}

/// The state by the index files and the log after them.
fn survey(view: &View, directory: &RunDirectory) -> Result<State, Error> {
    let runs = directory.look(view.end()).map_err(unusable)?;
    let mut entering = Entering::after(view, &runs)?;
    entering.fill(usize::MAX)?;
    entering.finish(&runs)
}

/// The state with what a newer view shows, entered into the newest part of the index.
fn extend(before: &State, view: &View) -> Result<State, Error> {
    let from = before.view.end();
    let mut scan = view.scan(from);
    let (mut next, mut kinds) = (from.next_number, before.kinds.clone());
    let entered = before.live.change(|memtable| {
        while let Some(record) = scan.next_record().map_err(from_log)? {
            enter(view, record, &mut next, memtable, &mut kinds)?;
        }
        Ok::<(), Error>(())
    });
    entered?;
    let mut snapshot = State {
        head: Position::new(view.last_number()),
        view: view.clone(),
        kinds,
        ..before.clone()
    };
    if snapshot.head > Position::START {
        snapshot.newest_at = snapshot.appended_at(snapshot.head, &mut Vec::new())?;
    }
    Ok(snapshot)
}

/// Looks whenever the writer made something durable, until the follower is gone.
fn wait_and_look(follow: &Weak<Follow>, mut watch: Box<dyn Watch>) {
    loop {
        let waited = watch.wait(LOOK_INTERVAL);
        let Some(follow) = follow.upgrade() else {
            return;
        };
        let looked = waited.map_err(|error| {
            Error::new(ErrorKind::Unavailable, "the store can't be watched").caused_by(error)
        });
        if let Err(error) = looked.and_then(|_| follow.look()) {
            warn!(%error, "the follower does not see what the writer makes durable");
            return;
        }
    }
}

#[async_trait]
impl EventStore for LogFollower {
    fn capabilities(&self) -> Capabilities {
        capabilities(&self.follow.settings)
    }

    async fn append(&self, _: Append) -> Result<Receipt, Error> {
        Err(Error::unsupported("append"))
    }

    async fn receipt(&self, id: &AppendId) -> Result<Option<Receipt>, Error> {
        let snapshot = self.snapshot(&ConsistencyLevel::Strong)?;
        receipts::find(&snapshot, id, Ids::All).map_err(|error| error.during("receipt"))
    }

    async fn read(&self, request: ReadRequest) -> Result<Page, Error> {
        request.validate()?;
        let snapshot = self.snapshot(&request.consistency)?;
        let now = self.follow.shared.now(&snapshot);
        read::page(&snapshot, &request, now).map_err(|error| error.during("read"))
    }

    async fn head(&self, consistency: ConsistencyLevel) -> Result<Cursor, Error> {
        let snapshot = self.snapshot(&consistency)?;
        read::check_consistency(&snapshot, &consistency)?;
        Ok(Cursor::at(snapshot.head))
    }

    async fn stream_head(&self, stream: &StreamId) -> Result<StreamHead, Error> {
        self.snapshot(&ConsistencyLevel::Strong)?
            .stream_head(stream)
    }

    async fn change_stream_policy(&self, _: PolicyChange) -> Result<StreamHead, Error> {
        Err(Error::unsupported("change stream policy"))
    }

    async fn changed_since(&self, cursor: &Cursor) -> Result<Cursor, Error> {
        let mut first = true;
        loop {
            // Listen before looking: what is entered in between rings this bell.
            let bell = self.follow.shared.changed.listen();
            let consistency = if first {
                ConsistencyLevel::Strong
            } else {
                ConsistencyLevel::Eventual
            };
            let snapshot = self.snapshot(&consistency)?;
            snapshot.check_not_ahead(cursor)?;
            let head = Cursor::at(snapshot.head);
            if head > *cursor {
                return Ok(head);
            }
            bell.await;
            first = false;
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl SnapshotStore for LogFollower {
    async fn save_snapshot(&self, snapshot: Snapshot) -> Result<(), Error> {
        Auxiliary::of_follower().save_snapshot(snapshot).await
    }

    async fn load_snapshot(
        &self,
        key: &SnapshotKey,
        at_most: Version,
    ) -> Result<Option<Snapshot>, Error> {
        Auxiliary::of_follower().load_snapshot(key, at_most).await
    }

    async fn remove_snapshots(&self, removal: SnapshotRemoval) -> Result<usize, Error> {
        Auxiliary::of_follower().remove_snapshots(removal).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl CheckpointStore for LogFollower {
    async fn load_checkpoint(&self, name: &CheckpointName) -> Result<Option<Checkpoint>, Error> {
        Auxiliary::of_follower().load_checkpoint(name).await
    }

    async fn save_checkpoint(&self, save: CheckpointSave) -> Result<Checkpoint, Error> {
        Auxiliary::of_follower().save_checkpoint(save).await
    }

    async fn remove_checkpoint(
        &self,
        name: &CheckpointName,
        expected_revision: u64,
    ) -> Result<(), Error> {
        let none = Auxiliary::of_follower();
        none.remove_checkpoint(name, expected_revision).await
    }
}

impl fmt::Debug for LogFollower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogFollower")
            .field("head", &self.follow.shared.snapshot().head)
            .finish_non_exhaustive()
    }
}
