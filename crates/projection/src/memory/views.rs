//! Reading a model that is split into partitions.

use std::fmt;
use std::sync::Arc;

use annals_core::Error;

use super::view::{MemoryView, ReadModel};
use crate::contract::partition::Partition;

/// Reads a model that is split into partitions: the part of one key, or all parts. Cheap to clone; from
/// [`MemorySink::split`](crate::MemorySink::split).
///
/// Each part is of one moment; of different parts one may be further than another.
pub struct MemoryViews<S> {
    parts: Arc<[MemoryView<S>]>,
}

impl<S> MemoryViews<S> {
    pub(crate) fn new(parts: Vec<MemoryView<S>>) -> Self {
        Self {
            parts: parts.into(),
        }
    }

    /// The part that holds this key, as it is now; `None` of no parts.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](annals_core::ErrorKind::Invalid) when there are no parts, or more than
    /// [`Partition::COUNT_MAX`].
    pub fn read(&self, key: &str) -> Result<ReadModel<S>, Error> {
        let count = u32::try_from(self.parts.len()).unwrap_or(u32::MAX);
        let index = Partition::index_of(key, count)?;
        let part = usize::try_from(index).ok();
        let part = part.and_then(|index| self.parts.get(index));
        part.map(MemoryView::read)
            .ok_or_else(|| Error::unsupported("read"))
    }

    /// All parts as they are now, in order.
    pub fn read_all(&self) -> Vec<ReadModel<S>> {
        self.parts.iter().map(MemoryView::read).collect()
    }
}

impl<S> Clone for MemoryViews<S> {
    fn clone(&self) -> Self {
        Self {
            parts: Arc::clone(&self.parts),
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for MemoryViews<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.parts.iter()).finish()
    }
}
