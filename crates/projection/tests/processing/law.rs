//! The law: catching up, rebuilding and following live give the same model, however tasks take turns, whatever is
//! paused, reset or crashed in between.

use std::sync::Arc;

use annals_core::EventStore;
use annals_projection::{MemorySink, Processor, ProcessorHandle, ProcessorSettings};
use annals_store_memory::MemoryStore;
use proptest::prelude::*;

use crate::rig::faulty::Faulty;
use crate::rig::log::Log;
use crate::rig::shop::{Book, append, book, placed, plain_book, visited};
use crate::rig::tasks::{Tasks, pass};
use crate::rig::turn_timer::TurnTimer;

/// What happens between appends.
#[derive(Clone, Copy, Debug)]
enum Happening {
    Append(usize),
    Visit,
    Turns(usize),
    Pause,
    Resume,
    Reset,
    Crash,
    Fail(usize),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        6 => (1..6_usize).prop_map(Happening::Append),
        2 => Just(Happening::Visit),
        4 => (1..60_usize).prop_map(Happening::Turns),
        1 => Just(Happening::Pause),
        2 => Just(Happening::Resume),
        1 => Just(Happening::Reset),
        1 => Just(Happening::Crash),
        1 => (1..4_usize).prop_map(Happening::Fail),
    ]
}

fn settings() -> impl Strategy<Value = ProcessorSettings> {
    (1..8_usize, 1..4_usize, 1..4_u32, 0..20_u64).prop_map(|(events, pages, empty, put_off)| {
        let mut settings = ProcessorSettings::DEFAULT;
        settings.page_events_max = events;
        settings.window_pages = pages;
        settings.empty_pages_max = empty;
        settings.put_off_max = std::time::Duration::from_millis(put_off);
        settings
    })
}

struct World {
    tasks: Tasks,
    faulty: Arc<Faulty>,
    store: Arc<dyn EventStore>,
    settings: ProcessorSettings,
    patience: usize,
    sink: Option<MemorySink<Book>>,
    view: annals_projection::MemoryView<Book>,
    log: Log,
    slow: Log,
    running: Option<ProcessorHandle>,
}

impl World {
    fn new(seed: u64, settings: ProcessorSettings, patience: usize) -> Self {
        let faulty = Faulty::new(Arc::new(MemoryStore::new()));
        let sink = MemorySink::new(Book::default());
        let mut slow = Log::new("slow");
        slow.slowness = 7;
        Self {
            tasks: Tasks::new(seed),
            store: faulty.clone(),
            faulty,
            settings,
            patience,
            view: sink.view(),
            sink: Some(sink),
            log: Log::new("log"),
            slow,
            running: None,
        }
    }

    fn start(&mut self) {
        // A model in memory does not outlive a crash.
        let sink = self
            .sink
            .take()
            .unwrap_or_else(|| MemorySink::new(Book::default()));
        self.view = sink.view();
        let processor = Processor::builder(Arc::clone(&self.store))
            .settings(self.settings.clone())
            .spawn(self.tasks.clone())
            .timer(TurnTimer::new(self.patience))
            .project(book("book"), sink)
            .consume(self.log.boxed())
            .consume(self.slow.boxed())
            .build()
            .unwrap();
        self.running = Some(processor.start());
    }

    fn happens(&mut self, happening: Happening) {
        let running = self.running.clone().unwrap();
        let store = Arc::clone(&self.store);
        match happening {
            Happening::Append(events) => {
                let stream = format!("order-{}", self.tasks.below(3));
                let events: Vec<_> = (0..events).map(|cents| placed(cents as u64 + 1)).collect();
                self.tasks
                    .run(async move { append(&*store, &stream, events).await });
            }
            Happening::Visit => {
                self.tasks
                    .run(async move { append(&*store, "visit-1", [visited("home")]).await });
            }
            Happening::Turns(turns) => {
                for _ in 0..turns {
                    self.tasks.turn();
                }
            }
            Happening::Pause => self.tasks.run(async move {
                running.pause("book").await.unwrap();
            }),
            Happening::Resume => running.resume("book").unwrap(),
            Happening::Reset => {
                // A reset of one that is paused is obeyed too.
                self.tasks
                    .run(async move { running.reset("book").await.unwrap() });
            }
            Happening::Crash => {
                self.tasks.crash();
                self.start();
            }
            Happening::Fail(times) => {
                self.faulty.fail(annals_core::ErrorKind::Unavailable, times);
            }
        }
    }

    fn finish(&mut self) {
        self.faulty.fail(annals_core::ErrorKind::Unavailable, 0);
        let running = self.running.clone().unwrap();
        running.resume("book").unwrap();
        let store = Arc::clone(&self.store);
        self.tasks.run(async move {
            let receipt = append(&*store, "order-0", [placed(1)]).await;
            for name in ["book", "log", "slow"] {
                running.wait_for(name, &receipt).await.unwrap();
            }
            pass().await;
            running.stop().await;
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn catching_up_rebuilding_and_following_give_the_same(
        seed in any::<u64>(),
        settings in settings(),
        patience in prop_oneof![Just(0_usize), 1..200_usize],
        before in 0..30_usize,
        happenings in proptest::collection::vec(happening(), 0..40),
    ) {
        let mut world = World::new(seed, settings, patience);
        let store = Arc::clone(&world.store);
        world.tasks.run(async move {
            for number in 0..before {
                append(&*store, &format!("order-{}", number % 3), [placed(7)]).await;
            }
        });
        world.start();
        for happening in happenings {
            world.happens(happening);
        }
        world.finish();
        let store = Arc::clone(&world.store);
        let (expected, all) = world.tasks.run(async move {
            use annals_core::{EventStoreExt, ReadRequest};
            let all = store.collect(ReadRequest::all()).await.unwrap();
            let all: Vec<u64> = all.iter().map(|event| event.position().value()).collect();
            (plain_book(&store).await, all)
        });
        prop_assert_eq!(&*world.view.read(), &expected);
        prop_assert_eq!(&world.log.positions(), &all);
        prop_assert_eq!(&world.slow.positions(), &all);
    }
}
