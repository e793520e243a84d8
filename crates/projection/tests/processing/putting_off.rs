//! Steps that are put off while a consumer catches up: seen whole or not at all, and gone over again where one fails.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use annals_codec::JsonCodec;
use annals_concurrency::ManualTimer;
use annals_core::{Cursor, Error, ErrorKind, EventStore, Position};
use annals_projection::{
    ConsumerState, FailurePolicy, MemorySink, MemoryView, ModelId, Processor, ProcessorHandle,
    ProcessorSettings, Progress, Projection, Sink, Step,
};
use annals_store_memory::MemoryStore;
use futures_executor::block_on;

use crate::rig::faulty::Faulty;
use crate::rig::shop::{OrderEvent, append, placed};

const EVENTS: u64 = 60;
const EVENTS_A_PAGE: usize = 5;
const POISON: u64 = 33;

/// What a handler saw of the model that readers have, when it was called.
type Seen = Arc<Mutex<Vec<usize>>>;

/// A store of events, and a projection that catches up with it.
struct World {
    view: MemoryView<Vec<u64>>,
    running: ProcessorHandle,
    seen: Seen,
}

impl World {
    /// With a handler that lets so much time pass for each event, and fails at the poison as often as told.
    fn begin(put_off_max: Duration, passes: Duration, failures: usize) -> Self {
        let timer = ManualTimer::default();
        let sink = MemorySink::new(Vec::new());
        let (view, seen) = (sink.view(), Seen::default());
        let left = AtomicUsize::new(failures);
        let (watched, noted, clock) = (view.clone(), Arc::clone(&seen), timer.clone());
        let take = move |amounts: &mut Vec<u64>, event: &OrderEvent, _: &_| {
            clock.advance(passes);
            let mut noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
            noted.push(watched.read().len());
            let OrderEvent::Placed { cents } = event else {
                return Ok(());
            };
            // Changed before it fails: it has to be undone.
            amounts.push(*cents);
            let fails = |left: usize| left.checked_sub(1);
            if *cents == POISON
                && left
                    .fetch_update(Ordering::SeqCst, Ordering::SeqCst, fails)
                    .is_ok()
            {
                return Err("poison".into());
            }
            Ok(())
        };
        let projection = Projection::builder("amounts", 1).unwrap();
        let projection = projection.on(JsonCodec, take);
        let mut settings = ProcessorSettings::DEFAULT;
        settings.page_events_max = EVENTS_A_PAGE;
        settings.put_off_max = put_off_max;
        // Who waits on this timer lets the time pass: nobody is to wait for others here.
        settings.patience = Duration::from_nanos(1);
        let processor = Processor::builder(filled())
            .settings(settings)
            .timer(timer)
            .project(
                projection
                    .on_failure(FailurePolicy::park())
                    .build()
                    .unwrap(),
                sink,
            )
            .build()
            .unwrap();
        Self {
            view,
            running: processor.start(),
            seen,
        }
    }

    fn catch_up(&self) {
        block_on(async {
            self.running.wait_until_live("amounts").await.unwrap();
        });
    }

    /// The sizes of the model that readers saw while it was built.
    fn sizes(&self) -> Vec<usize> {
        let mut sizes = self.seen.lock().unwrap().clone();
        sizes.dedup();
        sizes
    }
}

fn filled() -> Arc<dyn EventStore> {
    let store: Arc<dyn EventStore> = Arc::new(MemoryStore::new());
    block_on(async {
        for cents in 1..=EVENTS {
            append(&*store, &format!("order-{cents}"), [placed(cents)]).await;
        }
    });
    store
}

fn all() -> Vec<u64> {
    (1..=EVENTS).collect()
}

#[test]
fn without_time_passing_catching_up_is_one_step() {
    let world = World::begin(Duration::from_millis(100), Duration::ZERO, 0);
    world.catch_up();
    assert_eq!(world.sizes(), [0]);
    assert_eq!(*world.view.read(), all());
    block_on(async {
        let status = world.running.status().await.remove(0);
        assert_eq!(
            (status.handled, status.state),
            (EVENTS, ConsumerState::Live)
        );
        world.running.stop().await;
    });
}

#[test]
fn a_step_ends_when_its_time_is_over() {
    let world = World::begin(Duration::from_millis(100), Duration::from_millis(4), 0);
    world.catch_up();
    // A page takes 20 ms; eight times as long as the first of a step took are 160 ms, and nine pages.
    assert_eq!(world.sizes(), [0, 45]);
    assert_eq!(*world.view.read(), all());
}

#[test]
fn nothing_is_put_off_where_that_is_set() {
    let world = World::begin(Duration::ZERO, Duration::ZERO, 0);
    world.catch_up();
    let mut pages: Vec<usize> = (0..=60).step_by(EVENTS_A_PAGE).collect();
    let sizes = world.sizes();
    // What is seen last is the fold into the other copy.
    pages.truncate(sizes.len());
    assert_eq!(sizes, pages);
    assert!(sizes.len() >= 12, "{sizes:?}");
    assert_eq!(*world.view.read(), all());
}

#[test]
fn a_failure_goes_over_what_was_put_off_again_and_parks_the_event_alone() {
    let world = World::begin(Duration::from_millis(100), Duration::ZERO, usize::MAX);
    world.catch_up();
    let mut expected = all();
    expected.retain(|cents| *cents != POISON);
    assert_eq!(*world.view.read(), expected);
    let parked = world.running.parked("amounts").unwrap().remove(0);
    assert_eq!(parked.events().len(), 1);
    assert_eq!(parked.events()[0].position.value(), POISON);
    block_on(async {
        let status = world.running.status().await.remove(0);
        assert_eq!(status.handled, EVENTS - 1);
        assert_eq!(status.cursor, Cursor::at(Position::new(EVENTS)));
        world.running.stop().await;
    });
    // Six pages were put off, folded anew, and shown one by one.
    assert!(world.sizes().contains(&30), "{:?}", world.sizes());
}

#[test]
fn a_failure_that_passes_leaves_no_trace() {
    let world = World::begin(Duration::from_millis(100), Duration::ZERO, 1);
    world.catch_up();
    assert_eq!(*world.view.read(), all());
    assert!(
        world
            .running
            .parked("amounts")
            .unwrap()
            .remove(0)
            .events()
            .is_empty()
    );
}

#[test]
fn who_pauses_or_stops_finds_everything_noted() {
    let world = World::begin(Duration::from_mins(1), Duration::ZERO, 0);
    block_on(async {
        while world.seen.lock().unwrap().len() < 12 {
            std::thread::yield_now();
        }
        world.running.pause("amounts").await.unwrap();
        let status = world.running.status().await.remove(0);
        assert_eq!(status.cursor.position().unwrap().value(), status.handled);
        assert_eq!(world.view.read().len() as u64, status.handled);
        assert!(status.handled >= 10, "{status:?}");
        world.running.resume("amounts").unwrap();
        world.running.stop().await;
        let status = world.running.status().await.remove(0);
        assert_eq!(world.view.read().len() as u64, status.handled);
    });
}

/// A sink that insists on the order of its calls, and fails to commit as often as told.
#[derive(Debug, Default)]
struct Strict {
    kept: Arc<Mutex<(Vec<u64>, Cursor)>>,
    draft: Option<Vec<u64>>,
    failures: usize,
}

impl Sink for Strict {
    type Model = Vec<u64>;

    fn open(&mut self, _: &ModelId) -> Result<Progress, Error> {
        self.draft = None;
        Ok(Progress {
            cursor: self.kept.lock().unwrap().1.clone(),
            ..Progress::default()
        })
    }

    fn begin(&mut self) -> Result<(), Error> {
        let kept = self.kept.lock().unwrap().0.clone();
        let before = self.draft.replace(kept);
        assert!(before.is_none(), "a step is begun already");
        Ok(())
    }

    fn model(&mut self) -> &mut Vec<u64> {
        self.draft.as_mut().unwrap()
    }

    fn commit(&mut self, step: &Step<'_>) -> Result<(), Error> {
        if self.failures > 0 {
            self.failures -= 1;
            return Err(Error::new(ErrorKind::Corrupt, "the disk is on fire"));
        }
        let draft = self.draft.take().unwrap();
        *self.kept.lock().unwrap() = (draft, step.cursor.clone());
        Ok(())
    }

    fn second_copy(&mut self) -> Option<&mut Vec<u64>> {
        None
    }

    fn roll_back(&mut self) -> Result<(), Error> {
        self.draft = None;
        Ok(())
    }

    fn reset(&mut self) -> Result<(), Error> {
        self.draft = None;
        *self.kept.lock().unwrap() = Default::default();
        Ok(())
    }

    fn puts_off(&self) -> bool {
        true
    }

    fn blocks(&self) -> bool {
        false
    }
}

/// Notes all amounts; at some amount a store fails once.
fn noting(failing: Option<(u64, Arc<Faulty>)>) -> Projection<Vec<u64>> {
    let failing = Mutex::new(failing);
    let projection = Projection::builder("amounts", 1).unwrap();
    let projection = projection.on(JsonCodec, move |amounts: &mut Vec<u64>, event, _| {
        if let OrderEvent::Placed { cents } = event {
            amounts.push(*cents);
            let mut failing = failing.lock().unwrap();
            if let Some((_, faulty)) = failing.take_if(|(at, _)| at == cents) {
                faulty.fail(ErrorKind::Corrupt, 1);
            }
        }
        Ok(())
    });
    projection.build().unwrap()
}

fn one_page_at_a_time() -> ProcessorSettings {
    let mut settings = ProcessorSettings::DEFAULT;
    settings.page_events_max = EVENTS_A_PAGE;
    settings.put_off_max = Duration::from_mins(1);
    settings.window_pages = 1;
    settings
}

async fn rescue(running: &ProcessorHandle) {
    running.wait_until_live("amounts").await.unwrap_err();
    assert_eq!(running.retry_parked("amounts", None).await.unwrap(), 0);
    running.resume("amounts").unwrap();
    while running.wait_until_live("amounts").await.is_err() {
        std::thread::yield_now();
    }
    running.stop().await;
}

#[test]
fn a_commit_that_fails_loses_nothing_whatever_is_ordered_then() {
    let sink = Strict {
        failures: 1,
        ..Strict::default()
    };
    let kept = Arc::clone(&sink.kept);
    let running = Processor::builder(filled())
        .settings(one_page_at_a_time())
        .timer(ManualTimer::default())
        .project(noting(None), sink)
        .build()
        .unwrap()
        .start();
    block_on(rescue(&running));
    assert_eq!(kept.lock().unwrap().0, all());
}

#[test]
fn a_store_that_fails_amid_a_step_has_it_begun_anew() {
    let faulty = Faulty::new(filled());
    let sink = Strict::default();
    let kept = Arc::clone(&sink.kept);
    let running = Processor::builder(faulty.clone())
        .settings(one_page_at_a_time())
        .timer(ManualTimer::default())
        .project(noting(Some((23, Arc::clone(&faulty)))), sink)
        .build()
        .unwrap()
        .start();
    block_on(rescue(&running));
    assert_eq!(kept.lock().unwrap().0, all());
}
