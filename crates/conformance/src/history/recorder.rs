//! Notes what concurrent clients ask of a store and what they are told.

use std::sync::{Mutex, MutexGuard, PoisonError};

use annals_core::{
    Append, AppendId, Capabilities, Conflict, ConsistencyLevel, Cursor, Error, ErrorKind,
    EventStore, Outcome, Page, PolicyChange, ReadRequest, Receipt, StreamHead, StreamId,
};
use async_trait::async_trait;

/// An event store that forwards every call and notes it: who waits for whom can be told afterwards.
///
/// ```
/// use annals_conformance::Recorder;
/// use annals_core::{Append, ContentType, EventStore, EventStoreExt, EventType, Expected, Ids};
/// use annals_core::{NewEvent, ReadRequest, StreamId, UuidIds};
/// use annals_store_memory::MemoryStore;
///
/// # futures_executor::block_on(async {
/// let store = Recorder::new(MemoryStore::new());
/// let opened = NewEvent::new(EventType::from_static("opened"), ContentType::JSON, "{}")?;
/// let append = Append::builder(UuidIds::default().append_id())
///     .write(StreamId::parse("account-42")?, Expected::NoStream, [opened])
///     .build()?;
/// store.append(append).await?;
///
/// let history = store.history();
/// let log = store.collect(ReadRequest::all()).await?;
/// assert!(history.check(&log).is_empty());
/// # Ok::<(), annals_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct Recorder<S> {
    store: S,
    notes: Mutex<Notes>,
}

/// What concurrent clients asked of a store and what they were told, in the order in which it happened.
///
/// [`check`](Self::check) holds it against the log that the store ended with.
#[derive(Clone, Debug, Default)]
pub struct History {
    pub(super) calls: Vec<Call>,
}

/// One call of one client.
#[derive(Clone, Debug)]
pub(super) struct Call {
    /// When it began, as a count of beginnings and ends.
    pub(super) began: u64,
    /// When it ended; `u64::MAX` while it has not, as when its future was dropped.
    pub(super) ended: u64,
    pub(super) what: What,
}

/// What a call asked, and what it was told.
#[derive(Clone, Debug)]
pub(super) enum What {
    Append(Append, Told),
    Receipt(AppendId, ToldReceipt),
    Read(Box<ReadRequest>, Option<Page>),
    Head(ConsistencyLevel, Option<Cursor>),
    StreamHead(StreamId, Option<StreamHead>),
    ChangedSince(Cursor, Option<Cursor>),
    ChangePolicy,
}

/// What a client was told about its append.
#[derive(Clone, Debug)]
pub(super) enum Told {
    Recorded(Receipt),
    Rejected(ErrorKind, Option<Conflict>),
    /// Nothing, or that nobody knows.
    Unknown,
}

/// What a client was told who asked for a receipt.
#[derive(Clone, Debug)]
pub(super) enum ToldReceipt {
    /// Nothing, or an error.
    NoAnswer,
    /// That the append is not recorded.
    NoReceipt,
    Receipt(Receipt),
}

#[derive(Debug, Default)]
struct Notes {
    moment: u64,
    calls: Vec<Call>,
}

impl<S: EventStore> Recorder<S> {
    /// Notes what is asked of this store, which has nothing in it yet.
    pub fn new(store: S) -> Self {
        Self {
            store,
            notes: Mutex::default(),
        }
    }

    /// What was noted so far.
    pub fn history(&self) -> History {
        History {
            calls: self.notes().calls.clone(),
        }
    }

    /// The notes. A client that panicked leaves them whole, as each note is a single step.
    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, what: What) -> usize {
        let mut notes = self.notes();
        notes.moment += 1;
        let began = notes.moment;
        notes.calls.push(Call {
            began,
            ended: u64::MAX,
            what,
        });
        notes.calls.len() - 1
    }

    fn end(&self, index: usize, what: What) {
        let mut notes = self.notes();
        notes.moment += 1;
        let ended = notes.moment;
        if let Some(call) = notes.calls.get_mut(index) {
            call.ended = ended;
            call.what = what;
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: EventStore> EventStore for Recorder<S> {
    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }

    async fn append(&self, append: Append) -> Result<Receipt, Error> {
        let call = self.begin(What::Append(append.clone(), Told::Unknown));
        let answer = self.store.append(append.clone()).await;
        let told = match &answer {
            Ok(receipt) => Told::Recorded(receipt.clone()),
            Err(error) if error.outcome() == Outcome::Unknown => Told::Unknown,
            Err(error) => Told::Rejected(error.kind(), error.conflict().cloned()),
        };
        self.end(call, What::Append(append, told));
        answer
    }

    async fn receipt(&self, id: &AppendId) -> Result<Option<Receipt>, Error> {
        let call = self.begin(What::Receipt(*id, ToldReceipt::NoAnswer));
        let answer = self.store.receipt(id).await;
        let told = match &answer {
            Ok(Some(receipt)) => ToldReceipt::Receipt(receipt.clone()),
            Ok(None) => ToldReceipt::NoReceipt,
            Err(_) => ToldReceipt::NoAnswer,
        };
        self.end(call, What::Receipt(*id, told));
        answer
    }

    async fn read(&self, request: ReadRequest) -> Result<Page, Error> {
        let call = self.begin(What::Read(Box::new(request.clone()), None));
        let answer = self.store.read(request.clone()).await;
        let page = answer.as_ref().ok().cloned();
        self.end(call, What::Read(Box::new(request), page));
        answer
    }

    async fn head(&self, consistency: ConsistencyLevel) -> Result<Cursor, Error> {
        let call = self.begin(What::Head(consistency.clone(), None));
        let answer = self.store.head(consistency.clone()).await;
        self.end(call, What::Head(consistency, answer.as_ref().ok().cloned()));
        answer
    }

    async fn stream_head(&self, stream: &StreamId) -> Result<StreamHead, Error> {
        let call = self.begin(What::StreamHead(stream.clone(), None));
        let answer = self.store.stream_head(stream).await;
        let told = answer.as_ref().ok().cloned();
        self.end(call, What::StreamHead(stream.clone(), told));
        answer
    }

    async fn change_stream_policy(&self, change: PolicyChange) -> Result<StreamHead, Error> {
        let call = self.begin(What::ChangePolicy);
        let answer = self.store.change_stream_policy(change).await;
        self.end(call, What::ChangePolicy);
        answer
    }

    async fn changed_since(&self, cursor: &Cursor) -> Result<Cursor, Error> {
        let call = self.begin(What::ChangedSince(cursor.clone(), None));
        let answer = self.store.changed_since(cursor).await;
        let told = answer.as_ref().ok().cloned();
        self.end(call, What::ChangedSince(cursor.clone(), told));
        answer
    }
}
