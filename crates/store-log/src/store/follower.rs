//! A store that another process writes, to read and to follow.

mod look;

use std::fmt;
use std::sync::Arc;

use annals_core::{
    Append, AppendId, Capabilities, Checkpoint, CheckpointName, CheckpointSave, CheckpointStore,
    Clock, ConsistencyLevel, Cursor, Error, ErrorKind, EventStore, Page, PolicyChange, ReadRequest,
    Receipt, Snapshot, SnapshotKey, SnapshotRemoval, SnapshotStore, StreamHead, StreamId,
    Timestamp, Version,
};
use annals_log::Follower;
use async_trait::async_trait;

use self::look::{Follow, damaged_run, wait_and_look};
use super::heat::{Heat, Needs};
use super::ids::Ids;
use super::log_store::capabilities;
use super::read;
use super::receipts;
use super::settings::Settings;
use super::shared::Shared;
use super::snapshot::Snapshot as State;
use crate::auxiliary::Auxiliary;
use crate::index::RunDirectory;

/// A store in a directory that another process writes, to read and to follow.
///
/// Appends, policies, snapshots and checkpoints are the writer's: they are refused as
/// [`Unsupported`](annals_core::ErrorKind::Unsupported). A strong read shows everything that the writer acknowledged before it
/// began; waiting is told by the file system. What a follower can't read at the moment is an error of the call
/// that asks, and of those who wait; it goes on trying by itself.
///
/// # Capabilities
/// They tell what can be asked of this handle: all reads. Everything about appends is `false` or 0, but for
/// [`append_ids`](Capabilities::append_ids), which is for [`receipt`](EventStore::receipt). The durability is
/// that of the settings given here; the writer's is the writer's.
///
/// # Memory
/// Of the index it holds what the writer has not put into index files yet, which the *writer's*
/// [`index_bytes_max`](Settings::index_bytes_max) bounds, and up to as much again until newer files are looked
/// for: when the memory reaches the follower's own `index_bytes_max`, then when it has doubled, and before more
/// than 8192 events at a time are read from the log. While index files are missing or damaged it holds what
/// they would, some hundred bytes for each event, as it writes nothing: open the store to write, which builds
/// them. At most some 200 bytes more go to each segment and index file.
pub struct LogFollower {
    follow: Arc<Follow>,
    heat: Arc<Heat>,
    settings: Settings,
}

impl LogFollower {
    /// Opens the store in this directory, whose log this follows.
    pub(crate) fn start(
        follower: Follower,
        directory: RunDirectory,
        settings: Settings,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn annals_core::Ids>,
    ) -> Result<Self, Error> {
        let shared = |state| Shared::new(state, clock, ids);
        let follow = Follow::begin(follower, directory, &settings, shared)?;
        let follow = Arc::new(follow);
        let watch = follow.watch()?;
        let weak = Arc::downgrade(&follow);
        std::thread::Builder::new()
            .name("annals-follower".to_owned())
            .spawn(move || wait_and_look(&weak, watch))
            .map_err(|error| {
                Error::new(ErrorKind::Unavailable, "no thread to follow the store with")
                    .caused_by(error)
            })?;
        Ok(Self {
            follow,
            heat: Arc::default(),
            settings,
        })
    }

    /// The state to read from, as fresh as asked for.
    ///
    /// A look that finds nothing reads two blocks that the writer just wrote, from memory: it is done here.
    /// One that finds something may wait for a disk, and is done on a thread that may.
    async fn fresh(&self, consistency: &ConsistencyLevel) -> Result<Arc<State>, Error> {
        // A session may have changed a policy, which no cursor tells.
        if *consistency == ConsistencyLevel::Eventual {
            return Ok(self.follow.shared.snapshot());
        }
        if let Some(state) = self.follow.nothing_new()? {
            return Ok(state);
        }
        let follow = Arc::clone(&self.follow);
        blocking::unblock(move || follow.look()).await
    }

    /// The state after a look at what the writer did. Blocks.
    pub(super) fn newest(&self) -> Result<Arc<State>, Error> {
        self.follow.look()
    }

    /// Asks a state, on this task where all is in memory and on a thread that may block where not. When an
    /// index file is found damaged, has the log read in its place and asks once more.
    async fn ask<T, A>(&self, consistency: ConsistencyLevel, ask: A) -> Result<T, Error>
    where
        T: Send + 'static,
        A: Fn(&State, Timestamp) -> Result<T, Error> + Clone + Send + 'static,
    {
        let asked = self.ask_once(&consistency, ask.clone()).await;
        let Err(error) = asked else {
            return asked;
        };
        let Some(damaged) = damaged_run(&error) else {
            return Err(error);
        };
        let follow = Arc::clone(&self.follow);
        blocking::unblock(move || follow.heal(&damaged)).await?;
        self.ask_once(&consistency, ask).await
    }

    async fn ask_once<T, A>(&self, consistency: &ConsistencyLevel, ask: A) -> Result<T, Error>
    where
        T: Send + 'static,
        A: Fn(&State, Timestamp) -> Result<T, Error> + Send + 'static,
    {
        let state = self.fresh(consistency).await?;
        let now = self.follow.shared.now(&state);
        if !state.view.has_archived() && self.heat.is_hot(&self.follow.shared, Needs::Events) {
            return ask(&state, now);
        }
        blocking::unblock(move || ask(&state, now)).await
    }

    /// Waits until there is something after the cursor.
    async fn wait(&self, cursor: &Cursor) -> Result<Cursor, Error> {
        // Listen before looking: what is entered in between rings this bell.
        let mut bell = self.follow.shared.changed.listen();
        let mut state = self.fresh(&ConsistencyLevel::Strong).await?;
        loop {
            state.check_not_ahead(cursor)?;
            let head = Cursor::at(state.head);
            if head > *cursor {
                return Ok(head);
            }
            bell.await;
            bell = self.follow.shared.changed.listen();
            state = self.follow.shared.snapshot();
            if Cursor::at(state.head) <= *cursor {
                // It may have rung for a failure, which this look meets.
                state = self.fresh(&ConsistencyLevel::Strong).await?;
            }
        }
    }
}

#[async_trait]
impl EventStore for LogFollower {
    fn capabilities(&self) -> Capabilities {
        let mut capabilities = capabilities(&self.settings);
        capabilities.payload_bytes_max = 0;
        capabilities.append_events_max = 0;
        capabilities.append_bytes_max = 0;
        capabilities.multi_stream_appends = false;
        capabilities.stream_checks = false;
        capabilities.conditions = false;
        capabilities.unique_event_ids = false;
        capabilities.stream_policies = false;
        capabilities
    }

    async fn append(&self, _: Append) -> Result<Receipt, Error> {
        Err(Error::unsupported("append"))
    }

    async fn receipt(&self, id: &AppendId) -> Result<Option<Receipt>, Error> {
        let id = *id;
        let found = self.ask(ConsistencyLevel::Strong, move |state, _| {
            receipts::find(state, &id, Ids::All)
        });
        found.await.map_err(|error| error.during("receipt"))
    }

    async fn read(&self, request: ReadRequest) -> Result<Page, Error> {
        request.validate()?;
        let page = self.ask(request.consistency.clone(), move |state, now| {
            read::page(state, &request, now)
        });
        page.await.map_err(|error| error.during("read"))
    }

    async fn head(&self, consistency: ConsistencyLevel) -> Result<Cursor, Error> {
        let state = self.fresh(&consistency).await;
        let head = state.and_then(|state| {
            read::check_consistency(&state, &consistency)?;
            Ok(Cursor::at(state.head))
        });
        head.map_err(|error| error.during("head"))
    }

    async fn stream_head(&self, stream: &StreamId) -> Result<StreamHead, Error> {
        let stream = stream.clone();
        let head = self.ask(ConsistencyLevel::Strong, move |state, _| {
            state.stream_head(&stream)
        });
        head.await.map_err(|error| error.during("stream head"))
    }

    async fn change_stream_policy(&self, _: PolicyChange) -> Result<StreamHead, Error> {
        Err(Error::unsupported("change stream policy"))
    }

    async fn changed_since(&self, cursor: &Cursor) -> Result<Cursor, Error> {
        let changed = self.wait(cursor).await;
        changed.map_err(|error| error.during("changed since"))
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
