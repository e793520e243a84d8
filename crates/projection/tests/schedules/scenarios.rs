//! What is played in every schedule.

use std::borrow::Cow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use annals_concurrency::ManualTimer;
use annals_core::{
    Append, AppendId, Capabilities, CheckpointName, ConsistencyLevel, ContentType, Cursor, Error,
    EventStore, EventType, Expected, Ids, NewEvent, Page, PolicyChange, ReadRequest, Receipt,
    RecordedEvent, StreamHead, StreamId, UuidIds,
};
use annals_store_memory::MemoryStore;
use async_trait::async_trait;
use futures_util::future::BoxFuture;
use shuttle::future::{block_on, spawn, yield_now};

use super::{
    Batch, Consumer, EventChoice, FailurePolicy, Handled, Partition, Prepare, Processor,
    ProcessorHandle, ProcessorSettings, Progress,
};

/// Consumers join at any moment while events come.
pub(crate) fn joining_while_events_come() {
    block_on(async {
        let store: Arc<dyn EventStore> = Arc::new(Stepping(MemoryStore::new()));
        append(&*store, 3).await;
        let logs: Vec<Log> = ["first", "second", "third"].map(Log::new).to_vec();
        let (running, tasks) = start(&store, &logs[..2]);
        let writer = spawn({
            let store = Arc::clone(&store);
            async move {
                append(&*store, 1).await;
                append(&*store, 3).await
            }
        });
        let joining = spawn({
            let (running, third) = (running.clone(), logs[2].boxed());
            async move { running.add(third).unwrap() }
        });
        joining.await.unwrap();
        let last = writer.await.unwrap();
        for log in &logs {
            running.wait_for(log.name.as_str(), &last).await.unwrap();
        }
        running.stop().await;
        tasks.ended().await;
        for log in &logs {
            assert_eq!(log.positions(), [1, 2, 3, 4, 5, 6, 7]);
        }
    });
}

/// One consumer is paused, resumed and reset while events come and another goes on.
pub(crate) fn steering_while_events_come() {
    block_on(async {
        let store: Arc<dyn EventStore> = Arc::new(Stepping(MemoryStore::new()));
        let logs: Vec<Log> = ["steered", "other"].map(Log::new).to_vec();
        let (running, tasks) = start(&store, &logs);
        let writer = spawn({
            let store = Arc::clone(&store);
            async move {
                append(&*store, 2).await;
                append(&*store, 3).await
            }
        });
        let steering = spawn({
            let running = running.clone();
            async move {
                running.pause("steered").await.unwrap();
                running.resume("steered").unwrap();
                running.reset("steered").await.unwrap();
            }
        });
        steering.await.unwrap();
        let last = writer.await.unwrap();
        for log in &logs {
            running.wait_for(log.name.as_str(), &last).await.unwrap();
        }
        running.stop().await;
        tasks.ended().await;
        for log in &logs {
            assert_eq!(log.positions(), [1, 2, 3, 4, 5]);
        }
    });
}

fn start(store: &Arc<dyn EventStore>, logs: &[Log]) -> (ProcessorHandle, Tasks) {
    let tasks = Tasks::default();
    let spawned = tasks.clone();
    let mut settings = ProcessorSettings::DEFAULT;
    settings.page_events_max = 2;
    settings.window_pages = 1;
    let mut builder = Processor::builder(Arc::clone(store))
        .settings(settings)
        .timer(ManualTimer::default())
        .spawn(move |task| spawned.spawn(task));
    for log in logs {
        builder = builder.consume(log.boxed());
    }
    (builder.build().unwrap().start(), tasks)
}

/// The tasks of a processor: a schedule ends after the last of them.
#[derive(Clone, Default)]
pub(crate) struct Tasks(Arc<AtomicUsize>);

impl Tasks {
    pub(crate) fn spawn(&self, task: BoxFuture<'static, ()>) {
        let running = Arc::clone(&self.0);
        running.fetch_add(1, Ordering::SeqCst);
        drop(spawn(async move {
            task.await;
            running.fetch_sub(1, Ordering::SeqCst);
        }));
    }

    pub(crate) async fn ended(&self) {
        while self.0.load(Ordering::SeqCst) > 0 {
            yield_now().await;
        }
    }
}

pub(crate) async fn append(store: &dyn EventStore, events: usize) -> Receipt {
    let event = NewEvent::new(EventType::from_static("noted"), ContentType::JSON, "{}").unwrap();
    let append = Append::builder(UuidIds::default().append_id())
        .write(
            StreamId::from_static("notes"),
            Expected::Any,
            std::iter::repeat_n(event, events),
        )
        .build()
        .unwrap();
    store.append(append).await.unwrap()
}

/// Writes down the positions of its events.
#[derive(Clone, Debug)]
struct Log {
    name: CheckpointName,
    policy: FailurePolicy,
    kept: Arc<Mutex<(Vec<u64>, Cursor)>>,
}

impl Log {
    fn new(name: &str) -> Self {
        Self {
            name: CheckpointName::parse(name).unwrap(),
            policy: FailurePolicy::stop(),
            kept: Arc::default(),
        }
    }

    fn boxed(&self) -> Box<dyn Consumer> {
        Box::new(self.clone())
    }

    fn positions(&self) -> Vec<u64> {
        self.kept.lock().unwrap().0.clone()
    }
}

#[async_trait]
impl Consumer for Log {
    fn name(&self) -> &CheckpointName {
        &self.name
    }

    fn partition(&self) -> Partition {
        Partition::WHOLE
    }

    fn choice(&self) -> &EventChoice {
        &EventChoice::ALL
    }

    fn key<'e>(&self, event: &'e RecordedEvent) -> Cow<'e, str> {
        Cow::Borrowed(event.stream().as_str())
    }

    fn failure_policy(&self) -> &FailurePolicy {
        &self.policy
    }

    fn preparation(&self) -> Option<Arc<dyn Prepare>> {
        None
    }

    async fn open(&mut self) -> Result<Progress, Error> {
        yield_now().await;
        Ok(Progress {
            cursor: self.kept.lock().unwrap().1.clone(),
            ..Progress::default()
        })
    }

    async fn handle(&mut self, batch: &Batch) -> Result<Handled, Error> {
        {
            let mut kept = self.kept.lock().unwrap();
            let events = batch.events().map(|(_, event)| event.position().value());
            kept.0.extend(events);
            kept.1 = batch.step().cursor.clone();
        }
        yield_now().await;
        Ok(Handled::Whole)
    }

    async fn reset(&mut self) -> Result<(), Error> {
        *self.kept.lock().unwrap() = Default::default();
        Ok(())
    }
}

/// A store at which others may take their turns.
#[derive(Debug)]
pub(crate) struct Stepping(pub(crate) MemoryStore);

#[async_trait]
impl EventStore for Stepping {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    async fn append(&self, append: Append) -> Result<Receipt, Error> {
        yield_now().await;
        self.0.append(append).await
    }

    async fn receipt(&self, id: &AppendId) -> Result<Option<Receipt>, Error> {
        self.0.receipt(id).await
    }

    async fn read(&self, request: ReadRequest) -> Result<Page, Error> {
        yield_now().await;
        self.0.read(request).await
    }

    async fn head(&self, consistency: ConsistencyLevel) -> Result<Cursor, Error> {
        self.0.head(consistency).await
    }

    async fn stream_head(&self, stream: &StreamId) -> Result<StreamHead, Error> {
        self.0.stream_head(stream).await
    }

    async fn change_stream_policy(&self, change: PolicyChange) -> Result<StreamHead, Error> {
        self.0.change_stream_policy(change).await
    }

    async fn changed_since(&self, cursor: &Cursor) -> Result<Cursor, Error> {
        self.0.changed_since(cursor).await
    }
}
