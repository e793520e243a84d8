//! A store in which others record events between two calls, at moments that a test chooses.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use annals_core::{
    Append, AppendId, Capabilities, ConsistencyLevel, Cursor, Error, ErrorKind, EventStore, Page,
    PolicyChange, ReadRequest, Receipt, StreamHead, StreamId,
};
use annals_store_memory::MemoryStore;
use async_trait::async_trait;

use crate::seats::{RoomEvent, record};

/// A memory store that keeps to a script, and notes what it is asked for.
#[derive(Debug)]
pub(crate) struct Meddled {
    pub(crate) inner: Arc<MemoryStore>,
    after_reads: Mutex<VecDeque<Vec<RoomEvent>>>,
    answers: Mutex<VecDeque<Answer>>,
    has_conditions: bool,
    calls: Mutex<Calls>,
}

/// What becomes of an append.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    Given,
    /// It is recorded, if the store takes it, and nobody is told.
    Lost,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Calls {
    pub(crate) reads: Vec<ReadRequest>,
    pub(crate) pages: Vec<Page>,
    pub(crate) appends: Vec<Append>,
}

impl Meddled {
    /// After the n-th page was read and before it is handed out, others record the n-th of these.
    pub(crate) fn after_reads(steps: impl IntoIterator<Item = Vec<RoomEvent>>) -> Arc<Self> {
        Arc::new(Self {
            inner: Arc::new(MemoryStore::new()),
            after_reads: Mutex::new(steps.into_iter().collect()),
            answers: Mutex::default(),
            has_conditions: true,
            calls: Mutex::default(),
        })
    }

    pub(crate) fn without_conditions() -> Arc<Self> {
        let mut store = Self::after_reads([]);
        Arc::get_mut(&mut store).unwrap().has_conditions = false;
        store
    }

    pub(crate) fn answer(self: &Arc<Self>, answers: impl IntoIterator<Item = Answer>) {
        self.answers.lock().unwrap().extend(answers);
    }

    pub(crate) fn calls(&self) -> Calls {
        self.calls.lock().unwrap().clone()
    }
}

#[async_trait]
impl EventStore for Meddled {
    fn capabilities(&self) -> Capabilities {
        let mut capabilities = self.inner.capabilities();
        capabilities.conditions = self.has_conditions;
        capabilities
    }

    async fn append(&self, append: Append) -> Result<Receipt, Error> {
        self.calls.lock().unwrap().appends.push(append.clone());
        let answer = self.answers.lock().unwrap().pop_front();
        let receipt = self.inner.append(append).await;
        match answer.unwrap_or(Answer::Given) {
            Answer::Given => receipt,
            Answer::Lost => Err(Error::new(ErrorKind::Unknown, "the connection was lost")),
        }
    }

    async fn receipt(&self, id: &AppendId) -> Result<Option<Receipt>, Error> {
        self.inner.receipt(id).await
    }

    async fn read(&self, request: ReadRequest) -> Result<Page, Error> {
        self.calls.lock().unwrap().reads.push(request.clone());
        let page = self.inner.read(request).await?;
        self.calls.lock().unwrap().pages.push(page.clone());
        let others = self.after_reads.lock().unwrap().pop_front();
        if let Some(others) = others.filter(|others| !others.is_empty()) {
            record(&self.inner, others).await;
        }
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
        self.inner.changed_since(cursor).await
    }
}
