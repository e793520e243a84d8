//! How a partitioned store is opened.

use std::num::NonZeroU16;
use std::sync::Arc;

use annals_core::{CheckpointStore, Error, ErrorKind, EventStore, Ids, UuidIds};
use futures_util::future::try_join_all;

use crate::capabilities;
use crate::heads::Heads;
use crate::identity;
use crate::routing::Router;
use crate::store::Partitioned;

/// The most partitions of a store.
pub const PARTITIONS_MAX: usize = 1024;

/// A [`Partitioned`] store in the making; [`open`](Self::open) is the only step that can fail.
#[derive(Clone, Debug)]
#[must_use = "call `open` to have a store"]
pub struct PartitionedBuilder<S> {
    stores: Vec<S>,
    ids: Arc<dyn Ids>,
}

impl<S> PartitionedBuilder<S> {
    pub(crate) fn over(stores: impl IntoIterator<Item = S>) -> Self {
        Self {
            stores: stores.into_iter().collect(),
            ids: Arc::new(UuidIds::default()),
        }
    }

    /// With the identity of a new store from here; a random one unless said otherwise.
    pub fn ids(mut self, ids: Arc<dyn Ids>) -> Self {
        self.ids = ids;
        self
    }
}

impl<S: EventStore + CheckpointStore> PartitionedBuilder<S> {
    /// The store.
    ///
    /// What is opened for the first time must be empty; it is recorded in each store which partition it is, as a
    /// checkpoint. A store of one partition is the store itself, and nothing is recorded.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for no store or more than [`PARTITIONS_MAX`], for a store that holds events of before, and
    /// for stores in another order or number than when they were first opened. [`ErrorKind::Unsupported`] for a store
    /// that has no total order: a partition is a single log.
    pub async fn open(self) -> Result<Partitioned<S>, Error> {
        let count = NonZeroU16::try_from(u16::try_from(self.stores.len()).unwrap_or(0));
        let count = count.ok().filter(|_| self.stores.len() <= PARTITIONS_MAX);
        let offered = capabilities::of_all(self.stores.iter().map(EventStore::capabilities));
        let (Some(count), Some(offered)) = (count, offered) else {
            let message = "a store has 1 to PARTITIONS_MAX (1024) partitions";
            let error = Error::new(ErrorKind::Invalid, message).during("open");
            return Err(error.with("partitions", self.stores.len()));
        };
        let is_single_log = |store: &S| store.capabilities().total_order;
        if count.get() > 1 && !self.stores.iter().all(is_single_log) {
            let message = "a partition is a single log, with one order of its events";
            return Err(Error::new(ErrorKind::Unsupported, message).during("open"));
        }
        identity::check(&self.stores, &*self.ids).await?;
        let heads = Heads::new(self.stores.len());
        if count.get() > 1 {
            let found = try_join_all(self.stores.iter().map(identity::head_of)).await?;
            heads.heard_all(&found.into_iter().collect());
        }
        Ok(Partitioned {
            stores: self.stores,
            router: Router::new(count),
            offered,
            heads,
        })
    }
}
