//! Several stores on one log, as processes have them, that look like one.

use std::sync::atomic::{AtomicUsize, Ordering};

use annals_core::{
    Append, AppendId, Capabilities, ConsistencyLevel, Cursor, Error, EventStore, Page,
    PolicyChange, ReadRequest, Receipt, StreamHead, StreamId,
};
use annals_store_nats::NatsStore;
use async_trait::async_trait;

/// Asks one store after the other.
#[derive(Debug)]
pub(crate) struct Spread {
    stores: Vec<NatsStore>,
    next: AtomicUsize,
}

impl Spread {
    pub(crate) fn over(stores: Vec<NatsStore>) -> Self {
        Self {
            stores,
            next: AtomicUsize::new(0),
        }
    }

    fn next(&self) -> &NatsStore {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        &self.stores[number % self.stores.len()]
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl EventStore for Spread {
    fn capabilities(&self) -> Capabilities {
        self.next().capabilities()
    }

    async fn append(&self, append: Append) -> Result<Receipt, Error> {
        self.next().append(append).await
    }

    async fn receipt(&self, id: &AppendId) -> Result<Option<Receipt>, Error> {
        self.next().receipt(id).await
    }

    async fn read(&self, request: ReadRequest) -> Result<Page, Error> {
        self.next().read(request).await
    }

    async fn head(&self, consistency: ConsistencyLevel) -> Result<Cursor, Error> {
        self.next().head(consistency).await
    }

    async fn stream_head(&self, stream: &StreamId) -> Result<StreamHead, Error> {
        self.next().stream_head(stream).await
    }

    async fn change_stream_policy(&self, change: PolicyChange) -> Result<StreamHead, Error> {
        self.next().change_stream_policy(change).await
    }

    async fn changed_since(&self, cursor: &Cursor) -> Result<Cursor, Error> {
        self.next().changed_since(cursor).await
    }
}
