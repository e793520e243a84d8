//! Members of a group come and go while events come.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use annals_core::{
    Append, Category, CheckpointName, CheckpointSave, CheckpointStore, ContentType, Cursor, Error,
    EventStore, EventType, Expected, Ids, ManualClock, NewEvent, Receipt, RecordedEvent, StreamId,
    Timestamp, UuidIds,
};
use annals_store_memory::MemoryStore;
use async_trait::async_trait;
use shuttle::future::{JoinHandle, block_on, spawn, yield_now};

use super::group::held::HeldPartition;
use super::group::member::{GroupHandle, GroupMember};
use super::group::settings::GroupSettings;
use super::scenarios::{Stepping, Tasks};
use super::taking_over::Turns;
use super::{
    Batch, Consumer, EventChoice, FailurePolicy, Handled, Partition, Prepare, Processor,
    ProcessorHandle, Progress,
};

const KEYS: u64 = 3;

/// Who handled what, in order: the versions of each stream.
#[derive(Debug, Default)]
struct Seen {
    handled: BTreeMap<String, Vec<u64>>,
    working: BTreeMap<u32, bool>,
}

/// Notes what it handles, outside of the store.
#[derive(Debug)]
struct Noting {
    name: CheckpointName,
    choice: EventChoice,
    policy: FailurePolicy,
    held: HeldPartition,
    checkpoints: Arc<dyn CheckpointStore>,
    revision: u64,
    seen: Arc<Mutex<Seen>>,
}

#[async_trait]
impl Consumer for Noting {
    fn name(&self) -> &CheckpointName {
        &self.name
    }

    fn partition(&self) -> Partition {
        self.held.partition()
    }

    fn choice(&self) -> &EventChoice {
        &self.choice
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
        let known = self.checkpoints.load_checkpoint(&self.name).await?;
        self.revision = known.as_ref().map_or(0, |known| known.revision);
        Ok(Progress {
            cursor: known.map_or(Cursor::START, |known| known.cursor),
            ..Progress::default()
        })
    }

    async fn handle(&mut self, batch: &Batch) -> Result<Handled, Error> {
        let partition = self.held.partition().index();
        let was_working = self.work(partition, true);
        assert!(!was_working, "two handle a partition at once");
        yield_now().await;
        for (_, event) in batch.events() {
            let mut seen = self.seen.lock().unwrap();
            let stream = event.stream().as_str().to_owned();
            let handled = seen.handled.entry(stream).or_default();
            handled.push(event.version().value());
        }
        let save = CheckpointSave {
            name: self.name.clone(),
            cursor: batch.step().cursor.clone(),
            expected_revision: self.revision,
        };
        let saved = self.checkpoints.save_checkpoint(save).await;
        self.work(partition, false);
        self.revision = saved?.revision;
        Ok(Handled::Whole)
    }

    async fn reset(&mut self) -> Result<(), Error> {
        Err(Error::unsupported("reset"))
    }
}

impl Noting {
    fn work(&self, partition: u32, is_working: bool) -> bool {
        let mut seen = self.seen.lock().unwrap();
        let before = seen.working.insert(partition, is_working);
        before.unwrap_or_default()
    }
}

/// A member, with what feeds its consumers.
struct Member {
    handle: GroupHandle,
    processor: ProcessorHandle,
    run: JoinHandle<Result<(), Error>>,
}

struct Group {
    store: Arc<dyn EventStore>,
    seen: Arc<Mutex<Seen>>,
    tasks: Tasks,
}

impl Group {
    /// Has a member take part. Time stands still, so that no lease expires.
    fn join(&self, name: &str) -> Member {
        let spawned = self.tasks.clone();
        let processor = Processor::builder(Arc::clone(&self.store))
            .timer(Turns)
            .spawn(move |task| spawned.spawn(task))
            .build()
            .unwrap()
            .start();
        let seen = Arc::clone(&self.seen);
        let make = move |held: HeldPartition| {
            let name = format!("notes.{}", held.partition());
            let consumer = Noting {
                name: CheckpointName::parse(&name)?,
                choice: EventChoice::category(Category::from_static("note")),
                policy: FailurePolicy::default(),
                checkpoints: held.checkpoints(),
                held,
                revision: 0,
                seen: Arc::clone(&seen),
            };
            Ok(Box::new(consumer) as Box<dyn Consumer>)
        };
        let mut settings = GroupSettings::DEFAULT;
        settings.partitions = 2;
        let store = Arc::clone(&self.store);
        let clock = ManualClock::at(Timestamp::from_seconds(1_000));
        let member = GroupMember::new(store, "notes", name, processor.clone(), make)
            .and_then(|member| member.with_settings(settings))
            .unwrap()
            .with_timer(Arc::new(Turns))
            .with_clock(Arc::new(clock));
        Member {
            handle: member.handle(),
            processor,
            run: spawn(member.run()),
        }
    }

    fn handled(&self) -> usize {
        let seen = self.seen.lock().unwrap();
        seen.handled.values().map(Vec::len).sum()
    }
}

impl Member {
    async fn leave(self) {
        self.handle.leave().await;
        self.run.await.unwrap().unwrap();
        self.processor.stop().await;
    }
}

/// Notes an event of each key.
async fn note(store: &dyn EventStore) -> Option<Receipt> {
    let mut last = None;
    for key in 0..KEYS {
        let event = NewEvent::new(EventType::from_static("noted"), ContentType::JSON, "{}");
        let stream = StreamId::parse(&format!("note-{key}")).unwrap();
        let append = Append::builder(UuidIds::default().append_id())
            .write(stream, Expected::Any, [event.unwrap()])
            .build();
        last = Some(store.append(append.unwrap()).await.unwrap());
    }
    last
}

/// A second member comes while events come, and the first one leaves: each event is handled once, those of a key in
/// their order, and no two work on a partition at once.
pub(crate) fn members_come_and_go() {
    block_on(async {
        let group = Group {
            store: Arc::new(Stepping(MemoryStore::new())),
            seen: Arc::default(),
            tasks: Tasks::default(),
        };
        let first = group.join("first");
        note(&*group.store).await;
        let writer = spawn({
            let store = Arc::clone(&group.store);
            async move { note(&*store).await }
        });
        let second = group.join("second");
        first.leave().await;
        writer.await.unwrap();
        while group.handled() < 2 * usize::try_from(KEYS).unwrap() {
            yield_now().await;
        }
        second.leave().await;
        group.tasks.ended().await;
        let seen = group.seen.lock().unwrap();
        for (stream, versions) in &seen.handled {
            assert_eq!(versions, &[1, 2], "{stream}");
        }
    });
}
