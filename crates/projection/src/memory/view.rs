//! Reading a model in memory while it is updated.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use annals_core::Cursor;
use arc_swap::ArcSwap;

use crate::contract::parked::ParkedEvents;

/// A model with the progress that belongs to it.
#[derive(Clone, Debug)]
pub(crate) struct Published<S> {
    pub(crate) state: S,
    pub(crate) cursor: Cursor,
    pub(crate) parked: Arc<ParkedEvents>,
}

/// What readers and the sink share.
pub(crate) type Current<S> = Arc<ArcSwap<Published<S>>>;

/// Reads a model in memory without a lock, while it is updated. Cheap to clone; from
/// [`MemorySink::view`](crate::MemorySink::view).
pub struct MemoryView<S> {
    current: Current<S>,
}

/// A model as it was at one moment: whole batches, never half of one. Dereferences to the state.
///
/// Cheap to clone. The sink reuses the memory of a state that nobody holds; while one is held for long, updates copy
/// the state.
pub struct ReadModel<S>(Arc<Published<S>>);

impl<S> MemoryView<S> {
    pub(crate) fn new(current: Current<S>) -> Self {
        Self { current }
    }

    /// The model as it is now.
    pub fn read(&self) -> ReadModel<S> {
        ReadModel(self.current.load_full())
    }
}

impl<S> ReadModel<S> {
    /// Up to where the events are in it. Events that the projection does not take may be recorded since without
    /// moving it.
    pub fn cursor(&self) -> &Cursor {
        &self.0.cursor
    }

    /// Which events up to the cursor are not in it.
    pub fn parked(&self) -> &ParkedEvents {
        &self.0.parked
    }
}

impl<S> Deref for ReadModel<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.0.state
    }
}

impl<S> Clone for MemoryView<S> {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.current))
    }
}

impl<S> Clone for ReadModel<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: fmt::Debug> fmt::Debug for MemoryView<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MemoryView").field(&self.read()).finish()
    }
}

impl<S: fmt::Debug> fmt::Debug for ReadModel<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}
