//! A sink in memory.

use std::fmt;
use std::sync::Arc;

use annals_codec::Format;
use annals_core::{Cursor, Error, SnapshotStore};
use arc_swap::ArcSwap;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::saving::Saving;
use super::view::{Current, MemoryView, Published};
use super::views::MemoryViews;
use crate::contract::model_id::ModelId;
use crate::contract::parked::ParkedEvents;
use crate::contract::progress::{Progress, Step};
use crate::contract::sink::Sink;

/// Keeps a model in memory, to be read without a lock while it is updated: any type that can be cloned.
///
/// There are two copies of the state. A batch goes into the one that nobody reads, which is then published in one
/// step, and the other is brought up by the same batch; so an update costs what its events cost, twice, and not what
/// the state costs. Only where a reader still holds the other copy ([`ReadModel`](crate::ReadModel)), a batch
/// failed, or the projection catches up, is the state cloned: then the batches of a while
/// ([`put_off_max`](crate::ProcessorSettings::put_off_max)) are published together.
///
/// ```
/// use annals_projection::MemorySink;
///
/// let sink = MemorySink::new(0_u64);
/// let view = sink.view(); // give the sink to a processor, and keep the view
/// assert_eq!(*view.read(), 0);
/// ```
pub struct MemorySink<S> {
    initial: S,
    current: Current<S>,
    /// The copy that the next step changes, held by nobody else.
    next: Option<Arc<Published<S>>>,
    /// What was published before, behind by one step.
    before: Option<Arc<Published<S>>>,
    saving: Option<Saving<S>>,
    /// Whether what was saved is loaded, or there is nothing of it.
    is_loaded: bool,
}

impl<S: Clone + Send + Sync + 'static> MemorySink<S> {
    /// A model that begins as this state.
    pub fn new(initial: S) -> Self {
        let published = Published {
            state: initial.clone(),
            cursor: Cursor::START,
            parked: Arc::default(),
        };
        Self {
            initial,
            current: Arc::new(ArcSwap::from_pointee(published)),
            next: None,
            before: None,
            saving: None,
            is_loaded: false,
        }
    }

    /// The same, saved with its cursor in this store of snapshots, in this form, whenever its cursor moved so many
    /// positions on; and loaded from there when the sink is opened. So a restart folds the events of the last so many
    /// positions again, or a few more, and not all.
    ///
    /// A model is saved beside the updates, by a thread of the crate `blocking`; while that encodes it, an update copies
    /// the state once. A save that is under way when the processor stops goes on, and holds the store until it is done.
    ///
    /// A model is found under the name and the version of the projection: **raise the version when the type of the state
    /// changes**, as a saved state that can't be read is passed over, and one that can be read is taken. What is damaged,
    /// or was saved by a newer version of annals, is passed over too, and the events are folded. A state is at most
    /// [`SNAPSHOT_BYTES_MAX`](annals_core::limits::SNAPSHOT_BYTES_MAX) in that form; a larger one is not saved, with a
    /// warning.
    #[must_use]
    pub fn saved_in(
        mut self,
        store: Arc<dyn SnapshotStore>,
        form: impl Format + 'static,
        every_positions: u64,
    ) -> Self
    where
        S: Serialize + DeserializeOwned,
    {
        self.saving = Some(Saving::new(store, form, every_positions));
        self
    }

    /// So many models that begin as this state, for a projection that is
    /// [split](crate::ProcessorBuilder::project_split), and what all of them are read by.
    pub fn split(count: usize, initial: &S) -> (Vec<Self>, MemoryViews<S>) {
        let sinks: Vec<Self> = (0..count).map(|_| Self::new(initial.clone())).collect();
        let views = sinks.iter().map(Self::view).collect();
        (sinks, MemoryViews::new(views))
    }

    /// What the model is read by.
    pub fn view(&self) -> MemoryView<S> {
        MemoryView::new(Arc::clone(&self.current))
    }

    /// The copy to change, made of the current one where there is none.
    fn next(&mut self) -> &mut Published<S> {
        let current = &self.current;
        let next = self.next.get_or_insert_with(|| current.load_full());
        Arc::make_mut(next)
    }

    fn publish(&mut self, published: Arc<Published<S>>) {
        if let Some(saving) = &mut self.saving {
            saving.offer(&published);
        }
        self.before = Some(self.current.swap(published));
    }

    /// Begins with what was saved, the first time that the sink is opened.
    fn load(&mut self, model: &ModelId) -> Result<(), Error> {
        let Some(saving) = self.saving.as_mut().filter(|_| !self.is_loaded) else {
            return Ok(());
        };
        if let Some(published) = saving.load(model)? {
            self.current.store(Arc::new(published));
        }
        self.is_loaded = true;
        Ok(())
    }
}

impl<S: Clone + Send + Sync + 'static> Sink for MemorySink<S> {
    type Model = S;

    fn open(&mut self, model: &ModelId) -> Result<Progress, Error> {
        self.roll_back()?;
        self.load(model)?;
        let current = self.current.load();
        Ok(Progress {
            cursor: current.cursor.clone(),
            parked: ParkedEvents::clone(&current.parked),
        })
    }

    fn begin(&mut self) -> Result<(), Error> {
        self.next();
        Ok(())
    }

    fn model(&mut self) -> &mut S {
        &mut self.next().state
    }

    fn commit(&mut self, step: &Step<'_>) -> Result<(), Error> {
        let current = self.current.load_full();
        let next = self.next();
        next.cursor = step.cursor.clone();
        next.parked = match step.parked {
            Some(parked) => Arc::new(parked.clone()),
            None => Arc::clone(&current.parked),
        };
        drop(current);
        if let Some(next) = self.next.take() {
            self.publish(next);
        }
        Ok(())
    }

    fn second_copy(&mut self) -> Option<&mut S> {
        let mut before = self.before.take()?;
        // A reader may hold it: then the next step begins with a copy of what is current.
        Arc::get_mut(&mut before)?;
        let next = self.next.insert(before);
        Arc::get_mut(next).map(|next| &mut next.state)
    }

    fn roll_back(&mut self) -> Result<(), Error> {
        self.next = None;
        self.before = None;
        Ok(())
    }

    fn reset(&mut self) -> Result<(), Error> {
        self.roll_back()?;
        if let Some(saving) = &mut self.saving {
            saving.forget()?;
        }
        self.current.store(Arc::new(Published {
            state: self.initial.clone(),
            cursor: Cursor::START,
            parked: Arc::default(),
        }));
        Ok(())
    }

    fn puts_off(&self) -> bool {
        true
    }

    fn blocks(&self) -> bool {
        // Opening and resetting ask the store of snapshots.
        self.saving.is_some()
    }
}

impl<S> fmt::Debug for MemorySink<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cursor = &self.current.load().cursor;
        f.debug_struct("MemorySink")
            .field("cursor", cursor)
            .finish_non_exhaustive()
    }
}
