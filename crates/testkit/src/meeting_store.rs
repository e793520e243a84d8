//! An event store at which clients meet before they go on.

use std::fmt;
use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use annals_core::{
    Append, AppendId, Capabilities, ConsistencyLevel, Cursor, Error, EventStore, Page,
    PolicyChange, ReadRequest, Receipt, StreamHead, StreamId,
};
use async_trait::async_trait;

/// An event store at which a number of clients meet: each has its first page once all of them have read
/// theirs. So all of them decide on the same state, and a race that comes about once in a thousand runs
/// comes about in each.
///
/// The first pages count, as many as there are clients, and from then on it is the store inside. Give the
/// clients nothing to read before, and prepare the history in the store inside.
///
/// ```
/// use annals_core::{EventStore, ReadRequest};
/// use annals_store_memory::MemoryStore;
/// use annals_testkit::MeetingStore;
///
/// let store = MeetingStore::new(MemoryStore::new(), 2);
/// let read = || futures_executor::block_on(store.read(ReadRequest::all()));
/// std::thread::scope(|scope| {
///     scope.spawn(read);
///     scope.spawn(read);
/// });
/// ```
///
/// # Cancellation
/// A client whose future is dropped while it waits has arrived all the same. Where fewer clients come than
/// are waited for, those that came wait for ever.
pub struct MeetingStore<S> {
    inner: S,
    clients: usize,
    meeting: Mutex<Meeting>,
}

/// Who has arrived, and who waits.
#[derive(Debug, Default)]
struct Meeting {
    arrived: usize,
    waiting: Vec<Waker>,
}

impl<S> MeetingStore<S> {
    /// A store at which so many clients meet.
    pub fn new(inner: S, clients: usize) -> Self {
        Self {
            inner,
            clients,
            meeting: Mutex::default(),
        }
    }

    /// The store inside, where nobody waits.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// Arrives, and waits for the others.
    async fn meet(&self) {
        if self.arrive() {
            poll_fn(|context| self.poll_all_there(context)).await;
        }
    }

    /// Whether this client is one of those that meet.
    fn arrive(&self) -> bool {
        let mut meeting = self.meeting();
        if meeting.arrived >= self.clients {
            return false;
        }
        meeting.arrived += 1;
        if meeting.arrived == self.clients {
            meeting.waiting.drain(..).for_each(Waker::wake);
        }
        true
    }

    fn poll_all_there(&self, context: &Context<'_>) -> Poll<()> {
        let mut meeting = self.meeting();
        if meeting.arrived >= self.clients {
            return Poll::Ready(());
        }
        meeting.waiting.push(context.waker().clone());
        Poll::Pending
    }

    fn meeting(&self) -> MutexGuard<'_, Meeting> {
        // Who panicked with it left it whole.
        self.meeting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: EventStore> EventStore for MeetingStore<S> {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn append(&self, append: Append) -> Result<Receipt, Error> {
        self.inner.append(append).await
    }

    async fn receipt(&self, id: &AppendId) -> Result<Option<Receipt>, Error> {
        self.inner.receipt(id).await
    }

    async fn read(&self, request: ReadRequest) -> Result<Page, Error> {
        let page = self.inner.read(request).await;
        self.meet().await;
        page
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

impl<S: fmt::Debug> fmt::Debug for MeetingStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MeetingStore")
            .field("inner", &self.inner)
            .field("clients", &self.clients)
            .finish_non_exhaustive()
    }
}
