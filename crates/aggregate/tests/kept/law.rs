//! The law: whatever is kept, however it is bounded, and whoever writes, truncates or deletes meanwhile, a
//! load is a fold from the beginning.

use std::sync::Arc;
use std::time::Duration;

use annals_aggregate::{CommandError, Context, LoadChoice, Repository};
use annals_core::{ErrorKind, ManualClock, PolicyAction, Timestamp, Version};
use annals_snapshot::{CacheSettings, SnapshotPolicy, Snapshots};
use annals_store_memory::MemoryStore;
use futures_executor::block_on;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::Union;

use crate::counter::{
    Counter, CounterEvent, bare, change, check_load, count, delete, snapshots, stream, truncate,
};

/// What happens; the first number of each is the key.
#[derive(Clone, Debug)]
enum Step {
    Execute(u8, Vec<u64>),
    Save(u8, u64),
    Elsewhere(u8, u64),
    Both(u8, u64),
    Duplicate(u8, u64),
    Load(u8),
    LoadAt(u8, u64),
    Truncate(u8, u64),
    Delete(u8),
    Tombstone(u8),
    Retain(u8, Option<u64>, Option<u64>),
    /// Time goes on by so many seconds.
    Wait(u32),
    TakeNow(u8),
    Flush,
    Forget(u8),
    /// Another release, whose fold is another one, takes snapshots of states of its own.
    OtherRelease(u8),
    /// The process ends: the cache and what waits are gone.
    Restart,
}

/// What is kept, and how much of it.
#[derive(Clone, Debug)]
struct Plan {
    policy: SnapshotPolicy,
    keep_newest: usize,
    has_snapshots: bool,
    cache: Option<CacheSettings>,
    page_events_max: usize,
}

struct World {
    plan: Plan,
    clock: Arc<ManualClock>,
    store: Arc<MemoryStore>,
    bare: Repository<Counter>,
    counters: Repository<Counter>,
    commands: u64,
}

impl World {
    fn new(plan: Plan) -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp::from_seconds(1_000)));
        let store = Arc::new(MemoryStore::builder().clock(clock.clone()).build());
        let mut world = Self {
            bare: bare(&store),
            counters: bare(&store),
            plan,
            clock,
            store,
            commands: 0,
        };
        world.restart();
        world
    }

    fn restart(&mut self) {
        let plan = self.plan.clone();
        let mut counters = bare(&self.store)
            .with_clock(self.clock.clone())
            .with_page_events_max(plan.page_events_max);
        if plan.has_snapshots {
            let kept = self.snapshots(1).with_policy(plan.policy);
            counters = counters.with_snapshots(kept.with_keep_newest(plan.keep_newest));
        }
        self.counters = match plan.cache {
            Some(settings) => counters.with_cache(settings),
            None => counters,
        };
    }

    fn snapshots(&self, fold: u32) -> Snapshots<Counter> {
        snapshots(&self.store, fold)
    }

    async fn take(&mut self, step: &Step) {
        match step.clone() {
            Step::Execute(key, numbers) => {
                let events = |_: &Counter| {
                    let counted = |number: &u64| CounterEvent::Counted { number: *number };
                    Ok::<Vec<_>, ()>(numbers.iter().map(counted).collect())
                };
                let executed = self.counters.execute(&name(key), events).await;
                self.check_executed(key, executed).await;
            }
            Step::Save(key, number) => self.save_cached(&name(key), number).await,
            Step::Elsewhere(key, number) => {
                let counted = |_: &Counter| Ok::<_, ()>(CounterEvent::Counted { number });
                let _ = self.bare.execute(&name(key), counted).await;
            }
            Step::Both(key, number) => {
                let other = name((key + 1) % KEYS);
                let counted = |_: &Counter, _: &Counter| {
                    Ok::<_, ()>((CounterEvent::Counted { number }, None::<CounterEvent>))
                };
                let counters = &self.counters;
                let pair = (counters, other.as_str());
                let _ = counters
                    .execute_both(&Context::new(), &name(key), pair, counted)
                    .await;
            }
            Step::Duplicate(key, number) => self.execute_twice(key, number).await,
            Step::Load(key) => drop(self.counters.load(&name(key)).await.unwrap()),
            Step::LoadAt(key, at) => {
                let at = Version::new(at);
                check_load(&self.counters, &self.bare, &name(key), at).await;
            }
            Step::Truncate(key, before) if !self.is_closed(key).await => {
                truncate(&self.store, &name(key), before).await;
            }
            Step::Delete(key) if !self.is_closed(key).await => {
                delete(&self.store, &name(key)).await;
            }
            Step::Retain(key, age, max_count) if !self.is_closed(key).await => {
                let max_age = age.map(Duration::from_secs);
                let action = PolicyAction::Retain { max_age, max_count };
                change(&self.store, &name(key), action).await;
            }
            Step::Tombstone(key) => change(&self.store, &name(key), PolicyAction::Tombstone).await,
            Step::TakeNow(key) if self.plan.has_snapshots => {
                let _ = self.counters.take_snapshot_now(&name(key)).await.unwrap();
            }
            Step::Truncate(..) | Step::Delete(_) | Step::Retain(..) | Step::TakeNow(_) => {}
            Step::Wait(seconds) => {
                self.clock.advance(Duration::from_secs(seconds.into()));
            }
            Step::Flush => {
                if let Some(snapshots) = self.counters.snapshots() {
                    snapshots.flush().await;
                }
            }
            Step::Forget(key) => self.counters.forget(&name(key)).unwrap(),
            Step::OtherRelease(key) => self.take_other(key).await,
            Step::Restart => self.restart(),
        }
    }

    /// Works on the state at hand, whatever its age.
    async fn save_cached(&self, key: &str, number: u64) {
        let loaded = self.counters.load_with(key, &LoadChoice::AnyCached).await;
        let mut loaded = loaded.unwrap();
        loaded.record(CounterEvent::Counted { number }).unwrap();
        let saved = self.counters.save(&mut loaded, &Context::new()).await;
        if let Ok(Some(receipt)) = saved {
            let at_least = LoadChoice::AtLeast(receipt);
            let again = self.counters.load_with(key, &at_least).await.unwrap();
            assert!(again.version() >= loaded.version());
        }
    }

    async fn check_executed(
        &self,
        key: u8,
        executed: Result<annals_aggregate::Executed<Counter>, CommandError<()>>,
    ) {
        match executed {
            Ok(executed) => {
                let whole = self.bare.load(&name(key)).await.unwrap();
                assert_eq!(executed.version, whole.version());
                // An append pushes older events out of sight where a stream is kept by count: the answer of
                // a command holds what it was decided on.
                if !self.is_kept_by_count(key).await {
                    assert_eq!(&executed.state, whole.state());
                }
            }
            Err(error) => assert!(self.is_closed(key).await, "{error:?}"),
        }
    }

    /// A command whose answer was lost, and that comes again after somebody else's.
    async fn execute_twice(&mut self, key: u8, number: u64) {
        self.commands += 1;
        let id = annals_core::AppendId::parse(&format!("command-{}", self.commands)).unwrap();
        let context = Context::new().with_append_id(id);
        let counted = |_: &Counter| Ok::<_, ()>(CounterEvent::Counted { number });
        let first = self
            .counters
            .execute_with(&context, &name(key), counted)
            .await;
        let Ok(first) = first else { return };
        count(&self.bare, &name(key), 7).await;
        let again = self
            .counters
            .execute_with(&context, &name(key), counted)
            .await;
        let whole = self.bare.execute_with(&context, &name(key), counted).await;
        let (again, whole) = (again.unwrap(), whole.unwrap());
        assert_eq!(again.version, first.version);
        assert_eq!((again.state, again.events), (whole.state, whole.events));
    }

    async fn take_other(&self, key: u8) {
        let loaded = self.bare.load(&name(key)).await.unwrap();
        let folded = annals_snapshot::Folded {
            state: Counter {
                events: 666,
                digest: 666,
            },
            begins_at: Version::FIRST,
            version: loaded.version(),
        };
        let now = self.clock_now();
        let other = self.snapshots(2);
        let saved = other.save(stream(&name(key)), folded, now).await;
        saved.unwrap();
    }

    fn clock_now(&self) -> Timestamp {
        use annals_core::Clock as _;
        self.clock.now()
    }

    async fn is_closed(&self, key: u8) -> bool {
        let head = self.head(key).await;
        head.policy.state == annals_core::StreamState::Tombstoned
    }

    async fn is_kept_by_count(&self, key: u8) -> bool {
        self.head(key).await.policy.max_count.is_some()
    }

    async fn head(&self, key: u8) -> annals_core::StreamHead {
        use annals_core::EventStore as _;
        self.store.stream_head(&stream(&name(key))).await.unwrap()
    }

    /// Every aggregate, now and in the past.
    async fn check(&self) {
        for key in (0..KEYS).map(name) {
            for at in [Version::MAX, Version::new(3)] {
                check_load(&self.counters, &self.bare, &key, at).await;
            }
        }
    }
}

const KEYS: u8 = 3;

fn name(key: u8) -> String {
    (key % KEYS).to_string()
}

fn step() -> impl Strategy<Value = Step> {
    let key = || 0..KEYS;
    let number = || 0..1_000_u64;
    prop_oneof![
        6 => (key(), vec(number(), 0..4)).prop_map(|(key, numbers)| Step::Execute(key, numbers)),
        2 => (key(), number()).prop_map(|(key, number)| Step::Save(key, number)),
        3 => (key(), number()).prop_map(|(key, number)| Step::Elsewhere(key, number)),
        1 => (key(), number()).prop_map(|(key, number)| Step::Both(key, number)),
        1 => (key(), number()).prop_map(|(key, number)| Step::Duplicate(key, number)),
        3 => key().prop_map(Step::Load),
        2 => (key(), 0..12_u64).prop_map(|(key, at)| Step::LoadAt(key, at)),
        2 => (key(), 0..12_u64).prop_map(|(key, before)| Step::Truncate(key, before)),
        1 => key().prop_map(Step::Delete),
        1 => (key(), proptest::option::of(0..40_u64), proptest::option::of(0..6_u64))
            .prop_map(|(key, age, count)| Step::Retain(key, age, count)),
        2 => (0..30_u32).prop_map(Step::Wait),
        1 => key().prop_map(Step::TakeNow),
        3 => Just(Step::Flush),
        1 => key().prop_map(Step::Forget),
        1 => key().prop_map(Step::OtherRelease),
        1 => Just(Step::Restart),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let end = prop_oneof![
        3 => Just(None),
        1 => (0..KEYS).prop_map(|key| Some(Step::Tombstone(key))),
    ];
    (vec(step(), 1..40), end, vec(step(), 0..6)).prop_map(|(mut steps, end, after)| {
        steps.extend(end);
        steps.extend(after);
        steps
    })
}

fn policy() -> impl Strategy<Value = SnapshotPolicy> {
    let rule = Union::new([
        (1..6_u64).prop_map(SnapshotPolicy::every_events).boxed(),
        (0..20_u64)
            .prop_map(|age| SnapshotPolicy::older_than(Duration::from_secs(age)))
            .boxed(),
        Just(SnapshotPolicy::fold_takes(Duration::ZERO)).boxed(),
        Just(SnapshotPolicy::never()).boxed(),
        (1..4_u64)
            .prop_map(|n| SnapshotPolicy::when(move |it| it.version.value().is_multiple_of(n)))
            .boxed(),
    ]);
    (rule.clone(), rule, 0..3_u8).prop_map(|(first, second, how)| match how {
        0 => first,
        1 => first.or(second),
        _ => first.and(second),
    })
}

fn plan() -> impl Strategy<Value = Plan> {
    let cache = prop_oneof![
        1 => Just(None),
        3 => (0..4_usize, 0..2_000_usize).prop_map(|(entries, bytes)| {
            let settings = CacheSettings::default().with_entries_max(entries);
            Some(settings.with_bytes_max(bytes))
        }),
    ];
    (
        policy(),
        1..3_usize,
        prop::bool::weighted(0.8),
        cache,
        1..4_usize,
    )
        .prop_map(
            |(policy, keep_newest, has_snapshots, cache, page_events_max)| Plan {
                policy,
                keep_newest,
                has_snapshots,
                cache,
                page_events_max,
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_load_is_a_fold_from_the_beginning(
        plan in plan(),
        steps in steps(),
        is_checked_each_time in prop::bool::weighted(0.3),
    ) {
        block_on(async {
            let mut world = World::new(plan);
            for step in &steps {
                world.take(step).await;
                if is_checked_each_time {
                    world.check().await;
                }
            }
            world.check().await;
        });
    }
}

/// The steps reach what they are about: states are used, dropped and evicted, snapshots taken and removed.
#[test]
fn a_history_of_many_steps_reaches_everything() {
    block_on(async {
        let mut world = World::new(Plan {
            policy: SnapshotPolicy::every_events(2),
            keep_newest: 1,
            has_snapshots: true,
            cache: Some(CacheSettings::default().with_entries_max(1)),
            page_events_max: 2,
        });
        for round in 0..20_u64 {
            for key in 0..KEYS {
                world.take(&Step::Execute(key, vec![round, 1])).await;
                world.take(&Step::Flush).await;
                world.take(&Step::Load(key)).await;
            }
        }
        world.take(&Step::Truncate(0, 5)).await;
        world.take(&Step::OtherRelease(1)).await;
        world.check().await;
        let counts = world.counters.snapshot_counts().unwrap();
        assert!(
            counts.used > 0 && counts.dropped > 0 && counts.saved > 0,
            "{counts:?}"
        );
        assert!(
            counts.removed > 0 && counts.save_failures == 0,
            "{counts:?}"
        );
        let cached = world.counters.cache_counts().unwrap();
        assert!(
            cached.hits > 0 && cached.misses > 0 && cached.evictions > 0,
            "{cached:?}"
        );
        assert_eq!(cached.entries, 1);
    });
}

#[test]
fn a_closed_stream_is_refused_as_ever() {
    block_on(async {
        let mut world = World::new(Plan {
            policy: SnapshotPolicy::every_events(1),
            keep_newest: 1,
            has_snapshots: true,
            cache: Some(CacheSettings::default()),
            page_events_max: 10,
        });
        world.take(&Step::Execute(0, vec![1, 2])).await;
        world.take(&Step::Flush).await;
        world.take(&Step::Tombstone(0)).await;
        let counted = |counter: &Counter| {
            assert_eq!(counter, &Counter::default());
            Ok::<_, ()>(CounterEvent::Counted { number: 1 })
        };
        let error = world.counters.execute("0", counted).await.unwrap_err();
        assert_eq!(error.store().unwrap().kind(), ErrorKind::Conflict);
    });
}
