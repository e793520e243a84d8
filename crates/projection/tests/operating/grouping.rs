//! Members of a group come, go, die and sleep: each event is handled, in the order of its key, by one holder at a
//! time, and what a stale one saves is refused.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use annals_core::{
    Append, Category, CheckpointName, CheckpointSave, CheckpointStore, ContentType, Cursor, Error,
    ErrorKind, EventStore, EventStoreExt, EventType, Expected, Ids, NewEvent, ReadRequest,
    RecordedEvent, StreamId, UuidIds,
};
use annals_projection::{
    Batch, Consumer, EventChoice, FailurePolicy, GroupHandle, GroupMember, GroupSettings, Handled,
    HeldPartition, Partition, Prepare, Processor, ProcessorSettings, Progress,
};
use annals_store_memory::MemoryStore;
use async_trait::async_trait;
use proptest::prelude::*;

use crate::shop::place;
use crate::tasks::{Tasks, pass};
use crate::world::World;
use crate::yielding::Yielding;

const PARTITIONS: u32 = 4;

/// What is seen from outside.
#[derive(Debug, Default)]
struct Seen {
    /// How many consumers are in a batch of each partition, and whether each may be.
    working: BTreeMap<u32, u32>,
    overlaps: u32,
}

/// Handles events by noting them in the store, under the fence.
#[derive(Debug)]
struct Noting {
    name: CheckpointName,
    choice: EventChoice,
    policy: FailurePolicy,
    held: HeldPartition,
    checkpoints: Arc<dyn CheckpointStore>,
    revision: u64,
    store: Arc<dyn EventStore>,
    seen: Arc<Mutex<Seen>>,
    slowness: usize,
}

/// Counts who works on a partition, for as long as they do.
struct Working(Arc<Mutex<Seen>>, u32);

impl Working {
    fn on(seen: &Arc<Mutex<Seen>>, partition: u32) -> Self {
        let mut locked = seen.lock().unwrap();
        let working = locked.working.entry(partition).or_default();
        *working += 1;
        if *working > 1 {
            locked.overlaps += 1;
        }
        Self(Arc::clone(seen), partition)
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        let mut locked = self.0.lock().unwrap();
        *locked.working.get_mut(&self.1).unwrap() -= 1;
    }
}

impl Noting {
    fn new(
        store: Arc<dyn EventStore>,
        seen: Arc<Mutex<Seen>>,
        slowness: usize,
        held: HeldPartition,
    ) -> Self {
        let name = format!("notes.{}", held.partition());
        Self {
            name: CheckpointName::parse(&name).unwrap(),
            choice: EventChoice::category(Category::from_static("order")),
            policy: FailurePolicy::default(),
            checkpoints: held.checkpoints(),
            held,
            revision: 0,
            store,
            seen,
            slowness,
        }
    }

    async fn note(&self, event: &RecordedEvent) -> Result<(), Error> {
        let note = format!(
            r#"{{"position":{},"token":{}}}"#,
            event.position(),
            self.held.token()
        );
        let note = NewEvent::new(EventType::from_static("noted"), ContentType::JSON, note)?;
        let stream = StreamId::parse(&format!("note-{}", self.held.partition().index()))?;
        let append = self
            .held
            .fence()
            .guard(Append::builder(UuidIds::default().append_id()))
            .write(stream, Expected::Any, [note])
            .build()?;
        self.store.append(append).await.map(drop)
    }
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
        let working = Working::on(&self.seen, self.held.partition().index());
        for (_, event) in batch.events() {
            self.note(event).await?;
            for _ in 0..self.slowness {
                pass().await;
            }
        }
        let save = CheckpointSave {
            name: self.name.clone(),
            cursor: batch.step().cursor.clone(),
            expected_revision: self.revision,
        };
        self.revision = self.checkpoints.save_checkpoint(save).await?.revision;
        drop(working);
        Ok(Handled::Whole)
    }

    async fn reset(&mut self) -> Result<(), Error> {
        Err(Error::unsupported("reset"))
    }
}

/// One process.
struct Process {
    tasks: Tasks,
    handle: GroupHandle,
    sleeps: usize,
}

struct Scene {
    world: World,
    inner: Arc<MemoryStore>,
    store: Arc<dyn EventStore>,
    seen: Arc<Mutex<Seen>>,
    processes: Vec<Process>,
    outside: Tasks,
    begun: u64,
    orders: u64,
    slowness: usize,
}

impl Scene {
    fn new(seed: u64, slowness: usize) -> Self {
        let world = World::new();
        let inner = MemoryStore::builder().clock(Arc::new(world.clone()));
        let inner = Arc::new(inner.build());
        Self {
            store: Arc::new(Yielding(Arc::<MemoryStore>::clone(&inner))),
            inner,
            world,
            seen: Arc::default(),
            processes: Vec::new(),
            outside: Tasks::new(seed),
            begun: 0,
            orders: 0,
            slowness,
        }
    }

    fn joins(&mut self) {
        self.begun += 1;
        let tasks = Tasks::new(self.outside.below(1 << 30) as u64);
        let mut settings = ProcessorSettings::DEFAULT;
        settings.page_events_max = 5;
        let processor = Processor::builder(Arc::clone(&self.store))
            .settings(settings)
            .timer(self.world.clone())
            .clock(self.world.clone())
            .spawn(tasks.clone())
            .build()
            .unwrap()
            .start();
        let (store, seen, slowness) = (
            Arc::clone(&self.store),
            Arc::clone(&self.seen),
            self.slowness,
        );
        let make = move |held: HeldPartition| {
            let noting = Noting::new(Arc::clone(&store), Arc::clone(&seen), slowness, held);
            Ok(Box::new(noting) as Box<dyn Consumer>)
        };
        let mut settings = GroupSettings::DEFAULT;
        settings.partitions = PARTITIONS;
        let name = format!("member-{}", self.begun);
        let member = GroupMember::new(Arc::clone(&self.store), "notes", &name, processor, make)
            .unwrap()
            .with_settings(settings)
            .unwrap()
            .with_timer(Arc::new(self.world.clone()))
            .with_clock(Arc::new(self.world.clone()));
        let handle = member.handle();
        tasks.begin(async move { member.run().await });
        self.processes.push(Process {
            tasks,
            handle,
            sleeps: 0,
        });
    }

    /// Lets each process that is awake take some turns, then time goes on.
    fn turns(&mut self, turns: usize) {
        for _ in 0..turns {
            for process in &mut self.processes {
                if process.sleeps > 0 {
                    process.sleeps -= 1;
                    continue;
                }
                for _ in 0..8 {
                    process.tasks.turn();
                }
            }
            self.world.goes_on(Duration::from_millis(100));
        }
    }

    fn places(&mut self, orders: usize) {
        for _ in 0..orders {
            self.orders += 1;
            let (inner, order) = (Arc::clone(&self.inner), self.orders % 11);
            self.outside
                .run(async move { place(&*inner, order, 1).await });
        }
    }

    fn events(&self, category: &'static str) -> Vec<RecordedEvent> {
        let inner = Arc::clone(&self.inner);
        let request = ReadRequest::category(Category::from_static(category));
        self.outside
            .run(async move { inner.collect(request).await.unwrap() })
    }

    fn is_all_noted(&self) -> bool {
        let noted: BTreeSet<u64> = self.notes().into_iter().map(|note| note.1).collect();
        let orders = self.events("order");
        orders
            .iter()
            .all(|order| noted.contains(&order.position().value()))
    }

    /// The notes in the order of the log: partition, position, token, and the position of the note.
    fn notes(&self) -> Vec<(u32, u64, u64, u64)> {
        let notes = self.events("note");
        let notes = notes.iter().map(|note| {
            let value: serde_json::Value = serde_json::from_slice(note.payload()).unwrap();
            let number = |field: &str| value.get(field).unwrap().as_u64().unwrap();
            let partition = note.stream().as_str().strip_prefix("note-").unwrap();
            (
                partition.parse().unwrap(),
                number("position"),
                number("token"),
                note.position().value(),
            )
        });
        notes.collect()
    }

    /// Ends the scene: who sleeps wakes, and one more joins, so that somebody is there.
    fn finish(&mut self) {
        for process in &mut self.processes {
            process.sleeps = 0;
        }
        self.joins();
        for _ in 0..400 {
            self.turns(20);
            if self.is_all_noted() && self.is_settled() {
                return;
            }
        }
        let statuses = self.processes.iter().map(|process| process.handle.status());
        let statuses: Vec<_> = statuses.collect();
        panic!("events are lost, or nobody settles: {statuses:#?}");
    }

    /// Whether all partitions are held, and fairly.
    fn is_settled(&self) -> bool {
        let statuses = self.processes.iter().map(|process| process.handle.status());
        let held: Vec<usize> = statuses
            .filter(|status| !status.is_over)
            .map(|status| status.held.len())
            .collect();
        let (least, most) = (held.iter().min().unwrap(), held.iter().max().unwrap());
        held.iter().sum::<usize>() == PARTITIONS as usize && most - least <= 1
    }

    /// What holds of the whole log.
    fn check(&self) {
        let grants = self.events("lease");
        let token_at = |partition: u32, position: u64| {
            let stream = format!("lease-notes.{partition}-of-{PARTITIONS}");
            let grants = grants
                .iter()
                .filter(|grant| grant.stream().as_str() == stream);
            let grant = grants.filter(|grant| grant.position().value() < position);
            grant
                .max_by_key(|grant| grant.version())
                .map_or(0, |grant| grant.version().value())
        };
        let mut last_of_key: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        let keys: BTreeMap<u64, String> = self
            .events("order")
            .iter()
            .map(|order| (order.position().value(), order.stream().to_string()))
            .collect();
        let mut tokens: BTreeMap<u32, u64> = BTreeMap::new();
        for (partition, position, token, at) in self.notes() {
            assert_eq!(token, token_at(partition, at), "a stale holder wrote");
            let last = tokens.insert(partition, token).unwrap_or_default();
            assert!(token >= last);
            let key = keys.get(&position).unwrap();
            assert_eq!(Partition::index_of(key, PARTITIONS).unwrap(), partition);
            // Events may come again under a later token, and go on in their order from there.
            let before = last_of_key.insert(key.clone(), (token, position));
            let (before_token, before) = before.unwrap_or_default();
            assert!(token > before_token || position > before, "out of order");
        }
        let mut cursors: BTreeMap<String, Cursor> = BTreeMap::new();
        for saved in self.events("group_checkpoint") {
            let value: serde_json::Value = serde_json::from_slice(saved.payload()).unwrap();
            let cursor: Cursor = serde_json::from_value(value["cursor"].clone()).unwrap();
            let stream = saved.stream().to_string();
            let partition = stream.strip_prefix("group_checkpoint-notes.").unwrap();
            let partition = partition.split('-').next().unwrap().parse().unwrap();
            let expected = token_at(partition, saved.position().value());
            assert_eq!(
                value["token"].as_u64(),
                Some(expected),
                "a stale holder saved"
            );
            let before = cursors.insert(stream, cursor.clone()).unwrap_or_default();
            assert!(cursor.covers(&before), "a checkpoint went back");
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Happening {
    Joins,
    Leaves(usize),
    Dies(usize),
    Sleeps(usize, usize),
    Orders(usize),
    Turns(usize),
}

fn happening(sleepers: u32) -> impl Strategy<Value = Happening> {
    prop_oneof![
        2 => Just(Happening::Joins),
        1 => any::<usize>().prop_map(Happening::Leaves),
        1 => any::<usize>().prop_map(Happening::Dies),
        sleepers => (any::<usize>(), 50..900_usize).prop_map(|(who, turns)| Happening::Sleeps(who, turns)),
        4 => (1..12_usize).prop_map(Happening::Orders),
        5 => (1..150_usize).prop_map(Happening::Turns),
    ]
}

fn play(seed: u64, slowness: usize, happenings: &[Happening]) -> Scene {
    let mut scene = Scene::new(seed, slowness);
    scene.joins();
    for happening in happenings {
        let count = scene.processes.len();
        match *happening {
            Happening::Joins if count < 6 => scene.joins(),
            Happening::Leaves(who) if count > 0 => {
                let process = &scene.processes[who % count];
                let handle = process.handle.clone();
                process.tasks.begin(async move { handle.leave().await });
            }
            Happening::Dies(who) if count > 0 => {
                let process = scene.processes.swap_remove(who % count);
                process.tasks.crash();
            }
            Happening::Sleeps(who, turns) if count > 0 => {
                scene.processes[who % count].sleeps = turns;
            }
            Happening::Joins
            | Happening::Leaves(_)
            | Happening::Dies(_)
            | Happening::Sleeps(..) => {}
            Happening::Orders(orders) => scene.places(orders),
            Happening::Turns(turns) => scene.turns(turns),
        }
    }
    scene.finish();
    scene
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn no_event_is_lost_and_no_stale_holder_writes(
        seed in any::<u64>(),
        slowness in 0..40_usize,
        happenings in proptest::collection::vec(happening(2), 0..25),
    ) {
        play(seed, slowness, &happenings).check();
    }

    #[test]
    fn awake_members_never_work_on_a_partition_at_once(
        seed in any::<u64>(),
        slowness in 0..40_usize,
        happenings in proptest::collection::vec(happening(0), 0..25),
    ) {
        let scene = play(seed, slowness, &happenings);
        scene.check();
        prop_assert_eq!(scene.seen.lock().unwrap().overlaps, 0);
    }
}

#[test]
fn members_share_fairly_and_give_back_for_others() {
    let mut scene = Scene::new(5, 3);
    scene.joins();
    scene.places(20);
    scene.turns(300);
    assert_eq!(scene.processes[0].handle.status().held.len(), 4);
    scene.joins();
    scene.turns(600);
    let held = |scene: &Scene| -> Vec<usize> {
        let processes = scene.processes.iter();
        processes
            .map(|process| process.handle.status().held.len())
            .collect()
    };
    assert_eq!(held(&scene), [2, 2]);
    scene.joins();
    scene.turns(600);
    assert_eq!(held(&scene), [2, 1, 1]);
    // One dies: the others take over once its leases have expired.
    scene.processes.remove(0).tasks.crash();
    scene.turns(100);
    assert_eq!(held(&scene), [1, 1]);
    scene.turns(600);
    assert_eq!(held(&scene), [2, 2]);
    // One leaves: the other takes over in its next round.
    let handle = scene.processes[1].handle.clone();
    scene.processes[1]
        .tasks
        .begin(async move { handle.leave().await });
    scene.turns(220);
    assert!(scene.processes[1].handle.status().is_over);
    assert_eq!(held(&scene), [4, 0]);
    scene.processes.remove(1);
    scene.finish();
    scene.check();
}

#[test]
fn who_slept_beyond_its_lease_is_refused() {
    let mut scene = Scene::new(9, 30);
    scene.joins();
    scene.places(40);
    scene.turns(20);
    // It falls asleep in the middle of its batches.
    assert!(
        scene
            .seen
            .lock()
            .unwrap()
            .working
            .values()
            .any(|count| *count > 0)
    );
    scene.processes[0].sleeps = 1500;
    scene.joins();
    scene.turns(1400);
    let tokens =
        |scene: &Scene| -> BTreeSet<u64> { scene.notes().into_iter().map(|note| note.2).collect() };
    assert!(
        tokens(&scene).len() > 1,
        "another took over: {:?}",
        tokens(&scene)
    );
    scene.finish();
    scene.check();
    // Both were in a batch of one partition, and only one of them could write.
    assert!(scene.seen.lock().unwrap().overlaps > 0);
}

#[test]
fn a_consumer_of_another_partition_is_refused() {
    let mut scene = Scene::new(3, 0);
    let tasks = Tasks::new(1);
    let processor = Processor::builder(Arc::clone(&scene.store))
        .spawn(tasks.clone())
        .build()
        .unwrap()
        .start();
    let refused = Error::new(ErrorKind::Invalid, "no consumer today");
    let refused = Mutex::new(Some(refused));
    let make = move |_: HeldPartition| {
        let refused = refused.lock().unwrap().take();
        Err(refused.unwrap_or_else(|| Error::unsupported("make")))
    };
    let member = GroupMember::new(Arc::clone(&scene.store), "notes", "clumsy", processor, make)
        .unwrap()
        .with_timer(Arc::new(scene.world.clone()))
        .with_clock(Arc::new(scene.world.clone()));
    let handle = member.handle();
    tasks.begin(async move { member.run().await });
    for _ in 0..200 {
        tasks.turn();
    }
    assert_eq!(
        handle.status().trouble.as_deref(),
        Some("no consumer today")
    );
    // What it could not feed is free for others.
    scene.joins();
    scene.turns(100);
    assert!(!scene.processes[0].handle.status().held.is_empty());
}

#[test]
fn who_is_told_to_leave_does_not_wait_for_its_next_round() {
    for turns in 0..500 {
        let mut scene = Scene::new(turns, 0);
        scene.joins();
        let process = &scene.processes[0];
        for _ in 0..turns {
            process.tasks.turn();
        }
        let handle = process.handle.clone();
        process.tasks.begin(async move { handle.leave().await });
        // No time passes.
        for _ in 0..5000 {
            process.tasks.turn();
            if process.handle.status().is_over {
                break;
            }
        }
        assert!(process.handle.status().is_over, "after {turns} turns");
    }
}
