//! Keeping a model in memory beyond the process, as snapshots.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use annals_codec::Format;
use annals_concurrency::{BlockingThreads, Spawn};
use annals_core::{
    Category, Clock, Cursor, Error, FoldId, Snapshot, SnapshotKey, SnapshotRemoval, SnapshotStore,
    StreamId, SystemClock, Version,
};
use futures_executor::block_on;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::envelope::{self, Read, Written};
use super::view::Published;
use crate::contract::model_id::ModelId;

const CATEGORY: Category = Category::from_static("projection");

/// How many snapshots of a model are kept.
const KEPT: usize = 2;

/// Where a model in memory is saved, in which form, and how often.
pub(super) struct Saving<S> {
    store: Arc<dyn SnapshotStore>,
    form: Arc<dyn Format>,
    every_positions: u64,
    clock: Arc<dyn Clock>,
    spawn: Arc<dyn Spawn>,
    write: Write<S>,
    read: ReadFrom<S>,
    key: Option<SnapshotKey>,
    /// The place of the newest that was saved, or is being saved.
    saved: u64,
    is_busy: Arc<AtomicBool>,
}

type Write<S> = fn(&dyn Format, &Published<S>) -> Result<Vec<u8>, Error>;
type ReadFrom<S> = fn(&dyn Format, &Snapshot) -> Result<Published<S>, Error>;

impl<S: Send + Sync + 'static> Saving<S> {
    pub(super) fn new(
        store: Arc<dyn SnapshotStore>,
        form: impl Format + 'static,
        every_positions: u64,
    ) -> Self
    where
        S: Serialize + DeserializeOwned,
    {
        Self {
            store,
            form: Arc::new(form),
            every_positions: every_positions.max(1),
            clock: Arc::new(SystemClock),
            spawn: Arc::new(BlockingThreads),
            write: write::<S>,
            read: read::<S>,
            key: None,
            saved: 0,
            is_busy: Arc::default(),
        }
    }

    /// The newest saved model; one that can't be read is passed over, and the events are folded.
    pub(super) fn load(&mut self, model: &ModelId) -> Result<Option<Published<S>>, Error> {
        let key = key_of(model)?;
        self.key = Some(key.clone());
        let found = block_on(self.store.load_snapshot(&key, Version::MAX))?;
        let Some(found) = found else {
            return Ok(None);
        };
        match (self.read)(&*self.form, &found) {
            Ok(published) => {
                self.saved = place(&published.cursor);
                Ok(Some(published))
            }
            Err(error) => {
                tracing::info!(%model, %error, "a saved model is passed over; its events are folded");
                Ok(None)
            }
        }
    }

    /// Has a model saved beside the caller, where one is due and none is being saved.
    pub(super) fn offer(&mut self, published: &Arc<Published<S>>) {
        let at = place(&published.cursor);
        let is_due = at.saturating_sub(self.saved) >= self.every_positions;
        let Some(key) = self.key.clone().filter(|_| is_due) else {
            return;
        };
        if self.is_busy.swap(true, Ordering::AcqRel) {
            return;
        }
        self.saved = at;
        let done = Done(Arc::clone(&self.is_busy));
        let (store, form, write) = (Arc::clone(&self.store), Arc::clone(&self.form), self.write);
        let (clock, published) = (Arc::clone(&self.clock), Arc::clone(published));
        self.spawn.spawn(Box::pin(async move {
            let _done = done;
            let saved = async {
                let bytes = write(&*form, &published)?;
                // The copy is free for the next step from here on.
                drop(published);
                let version = Version::new(at);
                let form = form.content_type();
                let snapshot = Snapshot::new(key.clone(), version, form, bytes, clock.now())?;
                store.save_snapshot(snapshot).await?;
                let keep_newest = KEPT;
                let removal = SnapshotRemoval::Older { key, keep_newest };
                store.remove_snapshots(removal).await.map(drop)
            };
            if let Err(error) = saved.await {
                tracing::warn!(%error, "a model is not saved; the next step tries again");
            }
        }));
    }

    /// Removes what was saved.
    pub(super) fn forget(&mut self) -> Result<(), Error> {
        self.saved = 0;
        let Some(key) = self.key.clone() else {
            return Ok(());
        };
        let keep_newest = 0;
        let removal = SnapshotRemoval::Older { key, keep_newest };
        block_on(self.store.remove_snapshots(removal)).map(drop)
    }
}

/// The end of a save, however it comes.
struct Done(Arc<AtomicBool>);

impl Drop for Done {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

fn write<S: Serialize>(form: &dyn Format, published: &Published<S>) -> Result<Vec<u8>, Error> {
    let written = Written {
        cursor: &published.cursor,
        parked: &published.parked,
        state: &published.state,
    };
    envelope::seal(form, &written)
}

fn read<S: DeserializeOwned>(form: &dyn Format, found: &Snapshot) -> Result<Published<S>, Error> {
    let Read {
        cursor,
        parked,
        state,
    } = envelope::open(form, found)?;
    Ok(Published {
        state,
        cursor,
        parked: Arc::new(parked),
    })
}

/// Under which name a model is saved: another version of the projection is another fold.
fn key_of(model: &ModelId) -> Result<SnapshotKey, Error> {
    let name = if model.partition.is_whole() {
        model.name.as_str().to_owned()
    } else {
        format!("{}.{}", model.name, model.partition)
    };
    Ok(SnapshotKey {
        stream: StreamId::new(&CATEGORY, &name)?,
        fold: FoldId::parse(&format!("read-model.v{}", model.version))?,
    })
}

/// How far a cursor is, as one number that grows with it.
fn place(cursor: &Cursor) -> u64 {
    let positions = cursor.positions().iter().map(|position| position.value());
    positions.fold(0, u64::saturating_add)
}

impl<S> fmt::Debug for Saving<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Saving")
            .field("every_positions", &self.every_positions)
            .field("key", &self.key)
            .field("saved", &self.saved)
            .finish_non_exhaustive()
    }
}
