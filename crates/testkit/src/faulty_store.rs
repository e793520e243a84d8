//! An event store that fails when it is told to.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use annals_core::{
    Append, AppendId, Capabilities, ConsistencyLevel, Cursor, Error, ErrorKind, EventStore, Page,
    PolicyChange, ReadRequest, Receipt, StreamHead, StreamId,
};
use async_trait::async_trait;

/// An event store that fails at the n-th append or read, and is the store inside it otherwise: to see
/// how an application retries.
///
/// Calls are counted from 1, from when this store was made, failing ones included; what goes straight
/// to the store inside (as [`inner`](Self::inner) gives it) is not counted.
///
/// ```
/// use annals_core::{Append, ContentType, ErrorKind, EventType, Expected, Ids, NewEvent, Outcome, StreamId};
/// use annals_core::EventStore;
/// use annals_store_memory::MemoryStore;
/// use annals_testkit::{CountingIds, Fault, FaultyStore};
///
/// # futures_executor::block_on(async {
/// let store = FaultyStore::new(MemoryStore::new())
///     .on_append(1, Fault::Rejected(ErrorKind::Overloaded))
///     .on_append(2, Fault::LostAfterWrite);
///
/// let opened = NewEvent::new(EventType::parse("opened")?, ContentType::JSON, "{}")?;
/// let append = Append::builder(CountingIds::default().append_id())
///     .write(StreamId::parse("account-42")?, Expected::NoStream, [opened])
///     .build()?;
/// let first = store.append(append.clone()).await.unwrap_err();
/// assert_eq!(first.kind(), ErrorKind::Overloaded);
/// let second = store.append(append.clone()).await.unwrap_err();
/// assert_eq!(second.outcome(), Outcome::Unknown);
/// assert!(store.append(append).await?.is_duplicate());
/// store.assert_all_faults_met();
/// # Ok::<(), annals_core::Error>(())
/// # }).unwrap();
/// ```
pub struct FaultyStore<S> {
    inner: S,
    script: Mutex<Script>,
}

/// What goes wrong with an append.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Fault {
    /// It is answered by an error of this kind, as [`ErrorKind::Overloaded`]; nothing is written. For a
    /// conflict take [`Competing`](Self::Competing), whose conflict is a real one.
    Rejected(ErrorKind),
    /// The request is lost: the answer is [`ErrorKind::Unknown`], and nothing is written.
    LostBeforeWrite,
    /// The answer is lost: it is [`ErrorKind::Unknown`], and the append is written, if the store inside
    /// takes it.
    LostAfterWrite,
    /// The answer never comes, and the append is written, if the store inside takes it: for callers that
    /// have a deadline and drop the future.
    HangAfterWrite,
    /// Another writer comes first: its append is recorded, then the store judges this one. The other
    /// must succeed, so [`Expected::Any`](annals_core::Expected::Any) suits it.
    Competing(Append),
}

/// What is to go wrong, by the number of the call, and how many calls there were.
#[derive(Debug, Default)]
struct Script {
    append_faults: BTreeMap<u64, Fault>,
    read_faults: BTreeMap<u64, ErrorKind>,
    appends: u64,
    reads: u64,
}

impl<S> FaultyStore<S> {
    /// A store in which nothing goes wrong yet.
    pub fn new(inner: S) -> Self {
        Self {
            inner,
            script: Mutex::default(),
        }
    }

    /// Lets the n-th append meet this fault.
    ///
    /// # Panics
    /// For 0: calls are counted from 1.
    #[must_use]
    #[track_caller]
    pub fn on_append(self, nth: u64, fault: Fault) -> Self {
        assert!(nth > 0, "calls are counted from 1; there is no append 0");
        self.script().append_faults.insert(nth, fault);
        self
    }

    /// Lets the n-th page that is read be an error of this kind instead, as
    /// [`ErrorKind::Unavailable`].
    ///
    /// # Panics
    /// For 0: calls are counted from 1.
    #[must_use]
    #[track_caller]
    pub fn on_read(self, nth: u64, kind: ErrorKind) -> Self {
        assert!(nth > 0, "calls are counted from 1; there is no read 0");
        self.script().read_faults.insert(nth, kind);
        self
    }

    /// The store inside, which never fails by script.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// How many appends were called for, failing ones included.
    pub fn appends(&self) -> u64 {
        self.script().appends
    }

    /// How many pages were called for, failing ones included.
    pub fn reads(&self) -> u64 {
        self.script().reads
    }

    /// Holds the application to having met every fault: a fault that nobody met tested nothing.
    ///
    /// # Panics
    /// When an append or a read that was to fail was never called for.
    #[track_caller]
    pub fn assert_all_faults_met(&self) {
        let script = self.script();
        let appends = script
            .append_faults
            .iter()
            .map(|(nth, fault)| format!("append {nth}: {fault:?}"));
        let reads = script
            .read_faults
            .iter()
            .map(|(nth, kind)| format!("read {nth}: {kind:?}"));
        let unmet: Vec<String> = appends.chain(reads).collect();
        assert!(
            unmet.is_empty(),
            "there were {} appends and {} reads, so these faults were not met; call the store more \
             often, or drop them:\n    {}",
            script.appends,
            script.reads,
            unmet.join("\n    ")
        );
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Script {
    fn next_append(&mut self) -> (u64, Option<Fault>) {
        self.appends += 1;
        (self.appends, self.append_faults.remove(&self.appends))
    }

    fn next_read(&mut self) -> (u64, Option<ErrorKind>) {
        self.reads += 1;
        (self.reads, self.read_faults.remove(&self.reads))
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: EventStore> EventStore for FaultyStore<S> {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn append(&self, append: Append) -> Result<Receipt, Error> {
        let (nth, fault) = self.script().next_append();
        match fault {
            None => self.inner.append(append).await,
            Some(Fault::Rejected(kind)) => Err(injected(kind, "append", nth)),
            Some(Fault::LostBeforeWrite) => Err(injected(ErrorKind::Unknown, "append", nth)),
            Some(Fault::LostAfterWrite) => {
                let lost = injected(ErrorKind::Unknown, "append", nth);
                Err(match self.inner.append(append).await {
                    Ok(_) => lost,
                    Err(error) => lost.caused_by(error),
                })
            }
            Some(Fault::HangAfterWrite) => {
                let _ = self.inner.append(append).await;
                std::future::pending().await
            }
            Some(Fault::Competing(other)) => {
                let other = self.inner.append(other).await;
                other.map_err(|error| competitor_failed(error, nth))?;
                self.inner.append(append).await
            }
        }
    }

    async fn receipt(&self, id: &AppendId) -> Result<Option<Receipt>, Error> {
        self.inner.receipt(id).await
    }

    async fn read(&self, request: ReadRequest) -> Result<Page, Error> {
        let (nth, fault) = self.script().next_read();
        match fault {
            None => self.inner.read(request).await,
            Some(kind) => Err(injected(kind, "read", nth)),
        }
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

impl<S: fmt::Debug> fmt::Debug for FaultyStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyStore")
            .field("inner", &self.inner)
            .field("script", &*self.script())
            .finish()
    }
}

fn injected(kind: ErrorKind, operation: &'static str, nth: u64) -> Error {
    Error::new(kind, "failed as the test's script says; handle it")
        .during(operation)
        .with("call", nth)
}

fn competitor_failed(error: Error, nth: u64) -> Error {
    let message = "the competing append of the script failed; let it expect any version";
    Error::new(ErrorKind::Invalid, message)
        .during("append")
        .with("call", nth)
        .caused_by(error)
}
