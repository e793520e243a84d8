//! A world of a seed: who goes on next, what is lost, who dies where.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Waker};

use annals_concurrency::{Chance, SeededChance};
use annals_core::{
    Append, AppendId, Capabilities, ConsistencyLevel, Cursor, Error, ErrorKind, EventStore,
    Expected, Ids, ManualClock, Page, PolicyChange, ReadRequest, Receipt, StreamHead, StreamId,
    UuidIds,
};
use annals_store_memory::MemoryStore;
use annals_testkit::{Fault, FaultyStore};
use async_trait::async_trait;

/// How many appends of a run may meet a fault.
const FAULTY_APPENDS: u64 = 5_000;

/// The seeds of a test: that of `ANNALS_SEED`, or the first of these.
pub(crate) fn seeds(count: u64) -> impl Iterator<Item = u64> {
    let chosen = std::env::var("ANNALS_SEED").ok();
    let chosen = chosen.map(|seed| seed.parse::<u64>().expect("ANNALS_SEED is a number"));
    let range = chosen.map_or(0..count, |seed| seed..seed + 1);
    range.inspect(|seed| println!("ANNALS_SEED={seed}"))
}

/// A number from 0 up to and without `end`.
pub(crate) fn below(chance: &SeededChance, end: u64) -> u64 {
    chance.draw() % end
}

/// A store that lets others go first at every call, before and after, and whose appends fail by chance.
#[derive(Debug)]
pub(crate) struct Restless {
    pub(crate) inner: FaultyStore<MemoryStore>,
    chance: SeededChance,
    bug: Option<Bug>,
}

/// A bug that is planted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Bug {
    /// Every send has an id of its own: the bug of whoever resends with a new one.
    ForgetsIds,
    /// Every append is recorded whatever the state of its streams is.
    ForgetsExpectations,
}

impl Restless {
    /// One that loses so many of a hundred appends, and refuses as many.
    pub(crate) fn new(chance: &SeededChance, lost_percent: u64) -> Self {
        let store = MemoryStore::builder().clock(Arc::new(ManualClock::default()));
        let mut inner = FaultyStore::new(store.build());
        for nth in 1..=FAULTY_APPENDS {
            let drawn = below(chance, 300);
            inner = match drawn {
                _ if drawn < lost_percent => inner.on_append(nth, Fault::LostBeforeWrite),
                _ if drawn < 2 * lost_percent => inner.on_append(nth, Fault::LostAfterWrite),
                _ if drawn < 3 * lost_percent => {
                    inner.on_append(nth, Fault::Rejected(ErrorKind::Overloaded))
                }
                _ => inner,
            };
        }
        Self {
            inner,
            chance: chance.clone(),
            bug: None,
        }
    }

    /// The same with this bug.
    pub(crate) fn planted(mut self, bug: Bug) -> Self {
        self.bug = Some(bug);
        self
    }

    async fn rest(&self) {
        for _ in 0..below(&self.chance, 3) {
            Yield::default().await;
        }
    }
}

impl Bug {
    /// What becomes of an append.
    fn applied(self, append: &Append) -> Append {
        let mut spoiled = Append::builder(match self {
            Self::ForgetsIds => UuidIds::default().append_id(),
            Self::ForgetsExpectations => append.id(),
        });
        for write in append.writes() {
            let expected = match self {
                Self::ForgetsIds => write.expected,
                Self::ForgetsExpectations => Expected::Any,
            };
            spoiled = spoiled.write(write.stream.clone(), expected, write.events.clone());
        }
        spoiled.build().expect("it was an append before")
    }
}

#[async_trait]
impl EventStore for Restless {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn append(&self, append: Append) -> Result<Receipt, Error> {
        self.rest().await;
        let append = match self.bug {
            Some(bug) => bug.applied(&append),
            None => append,
        };
        let answer = self.inner.append(append).await;
        self.rest().await;
        answer
    }

    async fn receipt(&self, id: &AppendId) -> Result<Option<Receipt>, Error> {
        self.rest().await;
        let answer = self.inner.receipt(id).await;
        self.rest().await;
        answer
    }

    async fn read(&self, request: ReadRequest) -> Result<Page, Error> {
        self.rest().await;
        let answer = self.inner.read(request).await;
        self.rest().await;
        answer
    }

    async fn head(&self, consistency: ConsistencyLevel) -> Result<Cursor, Error> {
        self.inner.head(consistency).await
    }

    async fn stream_head(&self, stream: &StreamId) -> Result<StreamHead, Error> {
        self.rest().await;
        self.inner.stream_head(stream).await
    }

    async fn change_stream_policy(&self, change: PolicyChange) -> Result<StreamHead, Error> {
        self.inner.change_stream_policy(change).await
    }

    async fn changed_since(&self, cursor: &Cursor) -> Result<Cursor, Error> {
        self.inner.changed_since(cursor).await
    }
}

/// Pending once.
#[derive(Debug, Default)]
pub(crate) struct Yield {
    polled: bool,
}

impl Future for Yield {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.polled, true) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

/// A future that dies after so many polls, and gives nothing then.
pub(crate) struct Mortal<F> {
    future: Option<Pin<Box<F>>>,
    polls_left: u64,
}

impl<F: Future> Mortal<F> {
    pub(crate) fn new(future: F, polls: u64) -> Self {
        Self {
            future: Some(Box::pin(future)),
            polls_left: polls,
        }
    }
}

impl<F: Future> Future for Mortal<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut TaskContext<'_>) -> Poll<Self::Output> {
        if self.polls_left == 0 {
            self.future = None;
        }
        self.polls_left = self.polls_left.saturating_sub(1);
        match &mut self.future {
            Some(future) => future.as_mut().poll(context).map(Some),
            None => Poll::Ready(None),
        }
    }
}

/// Runs all tasks to their ends, in turns of chance.
pub(crate) fn run<T>(chance: &SeededChance, tasks: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut tasks: Vec<_> = tasks.into_iter().map(Box::pin).collect();
    let mut context = TaskContext::from_waker(Waker::noop());
    let mut answers = Vec::with_capacity(tasks.len());
    while !tasks.is_empty() {
        let count = u64::try_from(tasks.len()).expect("few tasks");
        let next = usize::try_from(below(chance, count)).expect("few tasks");
        if let Poll::Ready(answer) = tasks[next].as_mut().poll(&mut context) {
            answers.push(answer);
            drop(tasks.swap_remove(next));
        }
    }
    answers
}

/// A store of this seed as an object, and by itself.
pub(crate) fn restless(store: Restless) -> (Arc<Restless>, Arc<dyn EventStore>) {
    let store = Arc::new(store);
    (store.clone(), store)
}
