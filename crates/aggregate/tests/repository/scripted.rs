//! A store that misbehaves on cue: the n-th append does what the n-th step says.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use annals_aggregate::{Context, Repository};
use annals_core::{
    Append, AppendId, Capabilities, ConsistencyLevel, ContentType, Cursor, Error, ErrorKind,
    EventStore, EventStoreExt, EventType, Expected, Ids, NewEvent, Page, PolicyChange, ReadRequest,
    Receipt, StreamHead, StreamId, UuidIds,
};
use annals_store_memory::MemoryStore;
use async_trait::async_trait;

use crate::account::{Account, AccountEvent, accounts};

/// What happens at an append; without a step it is passed on.
#[derive(Debug)]
pub(crate) enum Step {
    /// It is passed on.
    Pass,
    /// The stream of account 42 is soft-deleted just before.
    Delete,
    /// Another writer deposits into this account just before.
    Compete(&'static str, u64),
    /// Another writer deposits 100 into this account just before; then another execution of the same
    /// command, so under the same append id, deposits so much.
    Twin(&'static str, u64),
    /// It is lost on the way there.
    LoseRequest,
    /// It is recorded, and the answer is lost on the way back.
    LoseAnswer,
    /// It is recorded, and the answer never comes.
    Hang,
    /// It fails in this way.
    Fail(ErrorKind),
}

#[derive(Debug)]
pub(crate) struct Scripted {
    pub(crate) inner: Arc<MemoryStore>,
    steps: Mutex<VecDeque<Step>>,
    receipt_failure: Mutex<Option<ErrorKind>>,
    twin: Mutex<Option<Twin>>,
    calls: Mutex<Calls>,
}

/// Another execution of a command, which deposits 5 into account 42.
#[derive(Debug)]
struct Twin {
    context: Context,
    /// Before which read or receipt, counted from 0.
    question: usize,
}

/// What the store was asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Calls {
    pub(crate) reads: usize,
    pub(crate) receipts: usize,
    pub(crate) append_ids: Vec<AppendId>,
}

impl Scripted {
    pub(crate) fn new(steps: impl IntoIterator<Item = Step>) -> Arc<Self> {
        Arc::new(Self {
            inner: Arc::new(MemoryStore::new()),
            steps: Mutex::new(steps.into_iter().collect()),
            receipt_failure: Mutex::default(),
            twin: Mutex::default(),
            calls: Mutex::default(),
        })
    }

    pub(crate) fn calls(&self) -> Calls {
        self.calls.lock().unwrap().clone()
    }

    /// From now on the store does not tell receipts.
    pub(crate) fn fail_receipts(&self, kind: ErrorKind) {
        *self.receipt_failure.lock().unwrap() = Some(kind);
    }

    /// Before the read or receipt of this number, counted from 0, another execution with this context
    /// deposits 5 into account 42.
    pub(crate) fn twin_before(&self, question: usize, context: Context) {
        *self.twin.lock().unwrap() = Some(Twin { context, question });
    }

    async fn meet_twin(&self) {
        let calls = self.calls();
        let is_due = |twin: &mut Twin| twin.question == calls.reads + calls.receipts;
        let due = self.twin.lock().unwrap().take_if(is_due);
        if let Some(twin) = due {
            deposit_with(&self.inner, &twin.context, "42", 5).await;
        }
    }

    fn lost() -> Error {
        Error::new(ErrorKind::Unknown, "the connection was lost").during("append")
    }
}

/// Deposits behind the back of whoever is tested.
pub(crate) async fn deposit(store: &Arc<MemoryStore>, key: &str, amount: u64) {
    deposit_with(store, &Context::new(), key, amount).await;
}

async fn deposit_with(store: &Arc<MemoryStore>, context: &Context, key: &str, amount: u64) {
    let accounts: Repository<Account> = accounts(store);
    let deposited = accounts
        .execute_with(context, key, |_| {
            Ok::<_, ()>(AccountEvent::Deposited { amount })
        })
        .await;
    deposited.unwrap();
}

/// Soft-deletes the stream of account 42.
pub(crate) async fn delete(store: &Arc<MemoryStore>) {
    let stream = StreamId::parse("account-42").unwrap();
    store.soft_delete(stream, Expected::Any).await.unwrap();
}

/// Appends an event of this type and form to account 42, whether it makes sense or not.
pub(crate) async fn append_raw(
    store: &Arc<MemoryStore>,
    event_type: &'static str,
    payload: &'static str,
) {
    let stream = StreamId::parse("account-42").unwrap();
    append_event(store, stream, event_type, payload).await;
}

/// Appends some event to this stream.
pub(crate) async fn append_to(store: &Arc<MemoryStore>, stream: StreamId) {
    append_event(store, stream, "noted", "{}").await;
}

async fn append_event(
    store: &Arc<MemoryStore>,
    stream: StreamId,
    event_type: &'static str,
    payload: &'static str,
) {
    let event_type = EventType::from_static(event_type);
    let event = NewEvent::new(event_type, ContentType::JSON, payload).unwrap();
    let append = Append::builder(UuidIds::default().append_id());
    let append = append.write(stream, Expected::Any, [event]).build();
    store.append(append.unwrap()).await.unwrap();
}

#[async_trait]
impl EventStore for Scripted {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn append(&self, append: Append) -> Result<Receipt, Error> {
        self.calls.lock().unwrap().append_ids.push(append.id());
        let step = self.steps.lock().unwrap().pop_front();
        match step.unwrap_or(Step::Pass) {
            Step::Pass => self.inner.append(append).await,
            Step::Compete(key, amount) => {
                deposit(&self.inner, key, amount).await;
                self.inner.append(append).await
            }
            Step::Delete => {
                delete(&self.inner).await;
                self.inner.append(append).await
            }
            Step::Twin(key, amount) => {
                deposit(&self.inner, key, 100).await;
                let context = Context::new().with_append_id(append.id());
                deposit_with(&self.inner, &context, key, amount).await;
                self.inner.append(append).await
            }
            Step::LoseRequest => Err(Self::lost()),
            Step::LoseAnswer => {
                self.inner.append(append).await?;
                Err(Self::lost())
            }
            Step::Hang => {
                self.inner.append(append).await?;
                std::future::pending().await
            }
            Step::Fail(kind) => Err(Error::new(kind, "as the script says").during("append")),
        }
    }

    async fn receipt(&self, id: &AppendId) -> Result<Option<Receipt>, Error> {
        self.meet_twin().await;
        self.calls.lock().unwrap().receipts += 1;
        let failure = *self.receipt_failure.lock().unwrap();
        match failure {
            Some(kind) => Err(Error::new(kind, "as the script says").during("receipt")),
            None => self.inner.receipt(id).await,
        }
    }

    async fn read(&self, request: ReadRequest) -> Result<Page, Error> {
        self.meet_twin().await;
        self.calls.lock().unwrap().reads += 1;
        self.inner.read(request).await
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
