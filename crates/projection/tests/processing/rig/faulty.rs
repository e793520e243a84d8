//! A store that lets others take turns, counts its reads, and fails when told.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use annals_core::{
    Append, AppendId, Capabilities, ConsistencyLevel, Cursor, Error, ErrorKind, EventStore, Page,
    PolicyChange, ReadRequest, Receipt, StreamHead, StreamId,
};
use async_trait::async_trait;

use super::tasks::pass;

/// Another store, looked at and hindered.
#[derive(Debug)]
pub(crate) struct Faulty {
    inner: Arc<dyn EventStore>,
    pub(crate) reads: AtomicUsize,
    pub(crate) events: AtomicUsize,
    pub(crate) requests: Mutex<Vec<ReadRequest>>,
    /// How often reads are still to fail, and how.
    pub(crate) failing: Mutex<Option<(ErrorKind, usize)>>,
}

impl Faulty {
    pub(crate) fn new(inner: Arc<dyn EventStore>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            reads: AtomicUsize::new(0),
            events: AtomicUsize::new(0),
            requests: Mutex::default(),
            failing: Mutex::default(),
        })
    }

    pub(crate) fn fail(&self, kind: ErrorKind, times: usize) {
        *self.failing.lock().unwrap() = Some((kind, times));
    }

    fn check(&self) -> Result<(), Error> {
        let mut failing = self.failing.lock().unwrap();
        match &mut *failing {
            Some((kind, times)) if *times > 0 => {
                *times -= 1;
                Err(Error::new(*kind, "as told"))
            }
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl EventStore for Faulty {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn append(&self, append: Append) -> Result<Receipt, Error> {
        pass().await;
        let receipt = self.inner.append(append).await;
        pass().await;
        receipt
    }

    async fn receipt(&self, id: &AppendId) -> Result<Option<Receipt>, Error> {
        self.inner.receipt(id).await
    }

    async fn read(&self, request: ReadRequest) -> Result<Page, Error> {
        pass().await;
        self.check()?;
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.requests.lock().unwrap().push(request.clone());
        let page = self.inner.read(request).await?;
        self.events.fetch_add(page.events.len(), Ordering::SeqCst);
        pass().await;
        Ok(page)
    }

    async fn head(&self, consistency: ConsistencyLevel) -> Result<Cursor, Error> {
        self.inner.head(consistency).await
    }

    async fn stream_head(&self, stream: &StreamId) -> Result<StreamHead, Error> {
        self.inner.stream_head(stream).await
    }

    async fn change_stream_policy(&self, change: PolicyChange) -> Result<StreamHead, Error> {
        self.inner.change_stream_policy(change).await
    }

    async fn changed_since(&self, cursor: &Cursor) -> Result<Cursor, Error> {
        pass().await;
        let head = self.inner.changed_since(cursor).await;
        pass().await;
        head
    }
}
