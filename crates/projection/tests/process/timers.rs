//! What timers do.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use annals_codec::EventCodecExt;
use annals_concurrency::{BlockingThreads, ManualTimer, Timer};
use annals_core::{
    Append, ContentType, Error, ErrorKind, EventStore, EventType, Expected, ManualClock, Metadata,
    NewEvent, StreamId, Timestamp,
};
use annals_projection::{TimerChange, TimerCodec, TimerEvent, TimerId, TimerSettings, Timers};
use annals_testkit::{Fault, FaultyStore};
use futures_executor::block_on;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use proptest::prelude::*;

use crate::stepping::{SteppingTimer, run_for, until_idle};
use crate::world::{BEGINNING, World, fresh};

const STEPS_MAX: usize = 100_000;

fn at(seconds: u64) -> Timestamp {
    BEGINNING.after(Duration::from_secs(seconds))
}

impl World {
    fn change(&self, key: &str, change: TimerChange) {
        let timers = self.timers(&self.store());
        let changed = timers.change(fresh(), ("owner", key), change, Metadata::EMPTY);
        block_on(changed).unwrap();
    }

    fn store(&self) -> Arc<dyn EventStore> {
        self.memory.clone()
    }

    /// Runs new timers over a store until there is nothing to do.
    fn run_over(&self, store: &Arc<dyn EventStore>) -> Option<Result<(), Error>> {
        run_for(until_idle(self.timers(store).run()), STEPS_MAX).unwrap()
    }

    fn run(&self) {
        assert!(self.run_over(&self.store()).is_none(), "the timers ended");
    }

    /// The keys and due times of the timers that fired, in order.
    fn fired(&self) -> Vec<String> {
        let events = self.recorded("timer");
        let events = events
            .iter()
            .map(|event| TimerCodec.decode(event).unwrap().one().unwrap());
        let fired = events.filter_map(|event| match event {
            TimerEvent::Fired { timer, due } => Some(format!(
                "{} at {}",
                timer.key,
                due.since(BEGINNING).as_secs()
            )),
            _ => None,
        });
        fired.collect()
    }
}

#[test]
fn a_timer_fires_when_it_is_due_and_not_before() {
    let world = World::new(&[]);
    world.change("a", TimerChange::set("t", at(10)));
    world.run();
    world.clock.set(at(9));
    world.run();
    assert!(world.fired().is_empty());
    world.clock.set(at(10));
    for _ in 0..3 {
        world.run();
    }
    assert_eq!(world.fired(), ["a at 10"]);
}

#[test]
fn a_timer_is_moved_cancelled_and_set_again() {
    let world = World::new(&[]);
    world.change("moved", TimerChange::set("t", at(10)));
    world.change("moved", TimerChange::set("t", at(30)));
    world.change("cancelled", TimerChange::set("t", at(10)));
    world.change("cancelled", TimerChange::cancel("t"));
    world.change("never", TimerChange::cancel("t"));
    world.change("again", TimerChange::set("t", at(10)));
    world.clock.set(at(20));
    world.run();
    assert_eq!(world.fired(), ["again at 10"]);
    world.change("again", TimerChange::set("t", at(15)));
    world.clock.set(at(40));
    world.run();
    assert_eq!(world.fired(), ["again at 10", "again at 15", "moved at 30"]);
}

#[test]
fn what_is_overdue_after_a_restart_fires_in_the_order_of_its_times() {
    let world = World::new(&[]);
    for (key, due) in [("c", 30), ("a", 10), ("b", 20), ("d", 99)] {
        world.change(key, TimerChange::set("t", at(due)));
    }
    world.clock.set(at(50));
    world.run();
    assert_eq!(world.fired(), ["a at 10", "b at 20", "c at 30"]);
}

#[test]
fn several_who_run_the_timers_fire_each_once() {
    for _ in 0..20 {
        let world = World::new(&[]);
        for key in 0..20 {
            world.change(&key.to_string(), TimerChange::set("t", at(key)));
        }
        world.clock.set(at(100));
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| world.run());
            }
        });
        let mut fired = world.fired();
        fired.dedup();
        assert_eq!(fired.len(), 20);
        assert_eq!(world.fired().len(), 20);
    }
}

#[test]
fn more_timers_than_there_is_room_for_all_fire_in_their_order() {
    let mut world = World::new(&[]);
    world.pending_max = 2;
    for number in 0..40_u64 {
        let due = 1 + (number * 17) % 40;
        world.change(&number.to_string(), TimerChange::set("t", at(due)));
    }
    world.clock.set(at(100));
    world.run();
    let due: Vec<u64> = world
        .fired()
        .iter()
        .map(|fired| fired.rsplit_once(' ').unwrap().1.parse().unwrap())
        .collect();
    assert_eq!(due, (1..=40).collect::<Vec<_>>());
}

#[test]
fn a_restart_reads_from_the_oldest_timer_that_waits() {
    let world = World::new(&[]);
    for key in 0..60 {
        world.change(&key.to_string(), TimerChange::set("t", at(1)));
    }
    world.clock.set(at(2));
    world.run();
    world.change("waits", TimerChange::set("t", at(99)));
    world.run();
    let counting = Arc::new(FaultyStore::new(world.memory.clone()));
    let store: Arc<dyn EventStore> = counting.clone();
    assert!(world.run_over(&store).is_none());
    // Pages of three events: from the beginning there were 41.
    assert!(counting.reads() < 5, "{} pages", counting.reads());
    world.clock.set(at(100));
    world.run();
    assert_eq!(world.fired().len(), 61);
}

#[test]
fn while_no_timer_waits_nothing_is_done() {
    let world = World::new(&[]);
    let counting = Arc::new(FaultyStore::new(world.memory.clone()));
    let store: Arc<dyn EventStore> = counting.clone();
    let timers = world.timers(&store);
    let mut running = Box::pin(until_idle(timers.run()));
    assert!(run_for(&mut running, STEPS_MAX).unwrap().is_none());
    assert_eq!(counting.reads(), 1);
}

#[test]
fn a_timer_that_is_set_while_they_wait_wakes_them() {
    let world = World::new(&[]);
    world.change("late", TimerChange::set("t", at(1_000)));
    let timers = world.timers(&world.store());
    let mut running = Box::pin(timers.run());
    for _ in 0..100 {
        assert!((&mut running).now_or_never().is_none());
    }
    world.clock.set(at(10));
    world.change("soon", TimerChange::set("t", at(5)));
    for _ in 0..100 {
        assert!((&mut running).now_or_never().is_none());
    }
    assert_eq!(world.fired(), ["soon at 5"]);
}

#[test]
fn an_error_that_passes_is_tried_again_and_another_ends_them() {
    for kind in [ErrorKind::Unavailable, ErrorKind::Overloaded] {
        let world = World::new(&[]);
        world.change("a", TimerChange::set("t", at(1)));
        world.clock.set(at(2));
        let faulty = FaultyStore::new(world.memory.clone())
            .on_read(1, kind)
            .on_append(1, Fault::Rejected(kind))
            .on_append(2, Fault::LostAfterWrite);
        let store: Arc<dyn EventStore> = Arc::new(faulty);
        assert!(world.run_over(&store).is_none());
        assert_eq!(world.fired(), ["a at 1"]);
    }
    let world = World::new(&[]);
    let faulty = FaultyStore::new(world.memory.clone()).on_read(1, ErrorKind::Corrupt);
    let store: Arc<dyn EventStore> = Arc::new(faulty);
    let ended = world.run_over(&store).unwrap().unwrap_err();
    assert_eq!(ended.kind(), ErrorKind::Corrupt);
}

fn raw(world: &World, stream: &str, event_type: &'static str, payload: &'static str) {
    let event = EventType::from_static(event_type);
    let event = NewEvent::new(event, ContentType::JSON, payload).unwrap();
    let stream = StreamId::parse(stream).unwrap();
    let append = Append::builder(fresh()).write(stream, Expected::Any, [event]);
    block_on(world.memory.append(append.build().unwrap())).unwrap();
}

#[test]
fn events_of_others_are_passed_over_and_damaged_ones_are_not() {
    let world = World::new(&[]);
    raw(&world, "timer-egg", "egg-boiled", "7");
    world.change("a", TimerChange::set("t", at(1)));
    world.clock.set(at(2));
    world.run();
    assert_eq!(world.names("timer").len(), 3);
    raw(&world, "timer-owner/a/t", "timer-set", "{}");
    let ended = world.run_over(&world.store()).unwrap().unwrap_err();
    assert_eq!(ended.kind(), ErrorKind::Undecodable);
}

#[test]
fn timers_run_until_they_are_stopped() {
    let world = World::new(&[]);
    world.change("a", TimerChange::set("t", at(1)));
    world.clock.set(at(2));
    let running = world.timers(&world.store()).start(&BlockingThreads);
    let head = block_on(
        world
            .memory
            .changed_since(&annals_core::Position::new(1).into()),
    );
    head.unwrap();
    block_on(running.stop()).unwrap();
    assert_eq!(world.fired(), ["a at 1"]);
}

#[test]
fn an_owner_finds_the_timers_that_fired_for_it() {
    let criteria = TimerEvent::fired_for("owner").unwrap();
    let world = World::new(&[]);
    world.change("a", TimerChange::set("t", at(1)));
    world.clock.set(at(2));
    world.run();
    let all = world.recorded("timer");
    let matches: Vec<bool> = all.iter().map(|event| criteria.matches(event)).collect();
    assert_eq!(matches, [false, true]);
    assert_eq!(
        TimerId::of(all[0].stream()),
        Some(TimerId::new("owner", "a", "t"))
    );
    let others = TimerEvent::fired_for("other").unwrap();
    assert!(!all.iter().any(|event| others.matches(event)));
}

/// What is done to a timer.
#[derive(Clone, Debug)]
enum Act {
    Set(u8, u64),
    Cancel(u8),
    Wait(u64),
    Run,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0..6_u8, 0..40_u64).prop_map(|(key, due)| Act::Set(key, due)),
        1 => (0..6_u8).prop_map(Act::Cancel),
        1 => (1..15_u64).prop_map(Act::Wait),
        2 => Just(Act::Run),
    ]
}

/// The timers as a map.
#[derive(Default)]
struct Model {
    now: u64,
    waiting: BTreeMap<u8, u64>,
    fired: Vec<String>,
}

impl Model {
    fn run(&mut self) {
        let mut due: Vec<(u64, u8)> = self
            .waiting
            .iter()
            .filter(|(_, due)| **due <= self.now)
            .map(|(key, due)| (*due, *key))
            .collect();
        due.sort_unstable();
        for (due, key) in due {
            self.waiting.remove(&key);
            self.fired.push(format!("{key} at {due}"));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn timers_are_a_map_of_due_times(
        acts in prop::collection::vec(act(), 1..60),
        pending_max in 1..4_usize,
        restarts in any::<bool>(),
    ) {
        let mut world = World::new(&[]);
        world.pending_max = pending_max;
        let mut model = Model::default();
        let timers = world.timers(&world.store());
        let mut running = Box::pin(timers.run());
        for act in acts.into_iter().chain([Act::Wait(100), Act::Run]) {
            match act {
                Act::Set(key, due) => {
                    world.change(&key.to_string(), TimerChange::set("t", at(due)));
                    model.waiting.insert(key, due);
                }
                Act::Cancel(key) => {
                    world.change(&key.to_string(), TimerChange::cancel("t"));
                    model.waiting.remove(&key);
                }
                Act::Wait(seconds) => {
                    model.now += seconds;
                    world.clock.set(at(model.now));
                }
                Act::Run => {
                    model.run();
                    if restarts {
                        world.run();
                    } else {
                        let _ = run_for(until_idle(&mut running), STEPS_MAX);
                    }
                }
            }
        }
        prop_assert_eq!(world.fired(), model.fired);
    }
}

/// A timer whose pauses move the clock, as time does.
#[derive(Debug)]
struct Passing(ManualTimer, ManualClock);

impl Timer for Passing {
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    fn sleep(&self, pause: Duration) -> BoxFuture<'static, ()> {
        let (timer, clock) = (self.0.clone(), self.1.clone());
        Box::pin(async move {
            timer.sleep(pause).await;
            clock.advance(pause);
        })
    }
}

#[test]
fn they_sleep_until_the_first_is_due_and_look_at_the_clock_in_between() {
    let world = World::new(&[]);
    world.change("a", TimerChange::set("t", at(150)));
    let timer = ManualTimer::default();
    let passing = Passing(timer.clone(), world.clock.clone());
    let timers = Timers::new(
        world.store(),
        Arc::new(world.clock.clone()),
        Arc::new(passing),
    );
    let _ = run_for(until_idle(timers.run()), STEPS_MAX);
    assert_eq!(world.fired(), ["a at 150"]);
    let pauses: Vec<u64> = timer.pauses().iter().map(Duration::as_secs).collect();
    assert_eq!(pauses, [60, 60, 30]);
    let mut settings = TimerSettings::DEFAULT;
    settings.pending_max = 0;
    let refused = Timers::new(
        world.store(),
        Arc::new(world.clock.clone()),
        Arc::new(SteppingTimer(world.clock.clone())),
    );
    assert!(refused.with_settings(settings).is_err());
}
