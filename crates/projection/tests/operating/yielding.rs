//! A store that may be left before and after each of its calls.

use std::sync::Arc;

use annals_core::{
    Append, AppendId, Capabilities, ConsistencyLevel, Cursor, Error, EventStore, Page,
    PolicyChange, ReadRequest, Receipt, StreamHead, StreamId,
};
use async_trait::async_trait;

use crate::tasks::pass;

/// Yields before and after each call, so that a crash can come there.
#[derive(Debug)]
pub(crate) struct Yielding(pub(crate) Arc<dyn EventStore>);

async fn between<T>(call: impl Future<Output = T>) -> T {
    pass().await;
    let answer = call.await;
    pass().await;
    answer
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl EventStore for Yielding {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    async fn append(&self, append: Append) -> Result<Receipt, Error> {
        between(self.0.append(append)).await
    }

    async fn receipt(&self, id: &AppendId) -> Result<Option<Receipt>, Error> {
        between(self.0.receipt(id)).await
    }

    async fn read(&self, request: ReadRequest) -> Result<Page, Error> {
        between(self.0.read(request)).await
    }

    async fn head(&self, consistency: ConsistencyLevel) -> Result<Cursor, Error> {
        between(self.0.head(consistency)).await
    }

    async fn stream_head(&self, stream: &StreamId) -> Result<StreamHead, Error> {
        between(self.0.stream_head(stream)).await
    }

    async fn change_stream_policy(&self, change: PolicyChange) -> Result<StreamHead, Error> {
        between(self.0.change_stream_policy(change)).await
    }

    async fn changed_since(&self, cursor: &Cursor) -> Result<Cursor, Error> {
        between(self.0.changed_since(cursor)).await
    }
}
