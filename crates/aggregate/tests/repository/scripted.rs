//! A store that misbehaves on cue: the n-th append does what the n-th step says.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use annals_aggregate::Repository;
use annals_core::{
    Append, AppendId, Capabilities, ConsistencyLevel, Cursor, Error, ErrorKind, EventStore, Page,
    PolicyChange, ReadRequest, Receipt, StreamHead, StreamId,
};
use annals_store_memory::MemoryStore;
use async_trait::async_trait;

use crate::account::{Account, AccountEvent, accounts};

/// What happens at an append; without a step it is passed on.
#[derive(Debug)]
pub(crate) enum Step {
    /// It is passed on.
    Pass,
    /// Another writer deposits into this account just before.
    Compete(&'static str, u64),
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
    calls: Mutex<Calls>,
}

/// What the store was asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Calls {
    pub(crate) reads: usize,
    pub(crate) append_ids: Vec<AppendId>,
}

impl Scripted {
    pub(crate) fn new(steps: impl IntoIterator<Item = Step>) -> Arc<Self> {
        Arc::new(Self {
            inner: Arc::new(MemoryStore::new()),
            steps: Mutex::new(steps.into_iter().collect()),
            calls: Mutex::default(),
        })
    }

    pub(crate) fn calls(&self) -> Calls {
        self.calls.lock().unwrap().clone()
    }

    fn lost() -> Error {
        Error::new(ErrorKind::Unknown, "the connection was lost").during("append")
    }
}

/// Deposits behind the back of whoever is tested.
pub(crate) async fn deposit(store: &Arc<MemoryStore>, key: &str, amount: u64) {
    let accounts: Repository<Account> = accounts(store);
    let deposited = accounts
        .execute(key, |_| Ok::<_, ()>(AccountEvent::Deposited { amount }))
        .await;
    deposited.unwrap();
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

    async fn read(&self, request: ReadRequest) -> Result<Page, Error> {
        self.calls.lock().unwrap().reads += 1;
        self.inner.read(request).await
    }

    async fn head(&self, consistency: ConsistencyLevel) -> Result<Cursor, Error> {
        self.inner.head(consistency).await
    }

    async fn stream_head(&self, stream: &StreamId) -> Result<StreamHead, Error> {
        self.inner.stream_head(stream).await
    }

    async fn set_stream_policy(&self, change: PolicyChange) -> Result<(), Error> {
        self.inner.set_stream_policy(change).await
    }

    async fn changed_since(&self, cursor: &Cursor) -> Result<Cursor, Error> {
        self.inner.changed_since(cursor).await
    }
}
