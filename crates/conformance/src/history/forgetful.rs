//! A connection that now and then loses an append or its answer, so that the client can't know its fate.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use annals_core::{
    Append, AppendId, Capabilities, ConsistencyLevel, Cursor, Error, ErrorKind, EventStore, Page,
    PolicyChange, ReadRequest, Receipt, StreamHead, StreamId,
};
use async_trait::async_trait;

/// Of so many appends one never arrives.
const APPENDS_FOR_ONE_LOST: u64 = 31;
/// Of so many appends one is not answered.
const APPENDS_FOR_ONE_UNANSWERED: u64 = 13;

/// A store behind such a connection.
#[derive(Debug)]
pub(super) struct Forgetful {
    store: Arc<dyn EventStore>,
    appends: AtomicU64,
}

impl Forgetful {
    pub(super) fn new(store: Arc<dyn EventStore>) -> Self {
        Self {
            store,
            appends: AtomicU64::new(1),
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl EventStore for Forgetful {
    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }

    async fn append(&self, append: Append) -> Result<Receipt, Error> {
        let number = self.appends.fetch_add(1, Ordering::Relaxed);
        let lost = || Error::new(ErrorKind::Unknown, "the connection was lost; append again");
        if number.is_multiple_of(APPENDS_FOR_ONE_LOST) {
            return Err(lost());
        }
        let answer = self.store.append(append).await;
        if number.is_multiple_of(APPENDS_FOR_ONE_UNANSWERED) {
            return Err(lost());
        }
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
