//! Several stores on one log, as processes have them, that look like one.

use std::sync::atomic::{AtomicUsize, Ordering};

use annals_core::{
    Append, AppendId, Capabilities, ConsistencyLevel, Cursor, Error, EventStore, Page,
    PolicyChange, ReadRequest, Receipt, StreamHead, StreamId,
};
use async_trait::async_trait;

/// Several stores on one log, as several processes have them, in place of one: each question goes to the next of them.
/// A backend that lets processes share a log gives it to the checks, as `Stores::new(Spread::over(first, others))`.
#[derive(Debug)]
pub struct Spread<S> {
    first: S,
    others: Vec<S>,
    next: AtomicUsize,
}

impl<S> Spread<S> {
    /// Asks these stores in turn, all of which are on one log.
    pub const fn over(first: S, others: Vec<S>) -> Self {
        Self {
            first,
            others,
            next: AtomicUsize::new(0),
        }
    }

    fn next(&self) -> &S {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % (self.others.len() + 1);
        turn.checked_sub(1)
            .and_then(|other| self.others.get(other))
            .unwrap_or(&self.first)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: EventStore> EventStore for Spread<S> {
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
