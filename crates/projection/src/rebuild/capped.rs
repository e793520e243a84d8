//! A store that ends where it is told.

use std::sync::{Arc, PoisonError};

use annals_core::{
    Append, AppendId, Capabilities, ConsistencyLevel, Cursor, Error, EventStore, Page,
    PolicyChange, ReadRequest, Receipt, StreamHead, StreamId,
};
use async_trait::async_trait;
use event_listener::Event as Bell;

use crate::sync::Mutex;

/// A store that shows no event after a place, until it is told to show more: so that a model can be had of exactly
/// the events that another one has.
#[derive(Debug)]
pub(super) struct Capped {
    store: Arc<dyn EventStore>,
    /// `None` for no cap.
    cap: Mutex<Option<Cursor>>,
    moved: Bell,
}

impl Capped {
    /// Shows nothing yet.
    pub(super) fn new(store: Arc<dyn EventStore>) -> Self {
        Self {
            store,
            cap: Mutex::new(Some(Cursor::START)),
            moved: Bell::new(),
        }
    }

    /// Shows the events up to here; all where there is no cap.
    pub(super) fn show(&self, cap: Option<Cursor>) {
        *self.cap.lock().unwrap_or_else(PoisonError::into_inner) = cap;
        self.moved.notify(usize::MAX);
    }

    fn cap(&self) -> Option<Cursor> {
        let cap = self.cap.lock().unwrap_or_else(PoisonError::into_inner);
        cap.clone()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl EventStore for Capped {
    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }

    async fn append(&self, append: Append) -> Result<Receipt, Error> {
        self.store.append(append).await
    }

    async fn receipt(&self, id: &AppendId) -> Result<Option<Receipt>, Error> {
        self.store.receipt(id).await
    }

    async fn read(&self, mut request: ReadRequest) -> Result<Page, Error> {
        if request.until.is_some() {
            return self.store.read(request).await;
        }
        request.until = self.cap();
        let mut page = self.store.read(request).await?;
        if let Some(next) = &mut page.next {
            // The rest is asked for by the cap of then.
            next.until = None;
        }
        Ok(page)
    }

    async fn head(&self, consistency: ConsistencyLevel) -> Result<Cursor, Error> {
        match self.cap() {
            Some(cap) => Ok(cap),
            None => self.store.head(consistency).await,
        }
    }

    async fn stream_head(&self, stream: &StreamId) -> Result<StreamHead, Error> {
        self.store.stream_head(stream).await
    }

    async fn change_stream_policy(&self, change: PolicyChange) -> Result<StreamHead, Error> {
        self.store.change_stream_policy(change).await
    }

    async fn changed_since(&self, cursor: &Cursor) -> Result<Cursor, Error> {
        loop {
            // Listen before looking, so that no move is missed.
            let bell = self.moved.listen();
            match self.cap() {
                None => return self.store.changed_since(cursor).await,
                Some(cap) if !cursor.covers(&cap) => return Ok(cap),
                Some(_) => bell.await,
            }
        }
    }
}
