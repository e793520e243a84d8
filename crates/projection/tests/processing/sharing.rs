//! One pass for all: what is read and decoded once, who waits for whom, and for how long.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use annals_codec::{Decoded, EventCodec, JsonCodec};
use annals_core::{ContentRef, ContentType, EventStore, NewEvent};
use annals_projection::{MemorySink, Processor, ProcessorSettings, Projection};
use annals_store_memory::MemoryStore;

use crate::rig::faulty::Faulty;
use crate::rig::log::Log;
use crate::rig::shop::{OrderEvent, append, placed, visited};
use crate::rig::tasks::Tasks;
use crate::rig::turn_timer::TurnTimer;

/// Counts what it decodes.
#[derive(Debug, Default)]
struct Counting(AtomicUsize);

impl EventCodec<OrderEvent> for Counting {
    fn content_type(&self) -> ContentType {
        ContentType::JSON
    }

    fn encode(&self, event: &OrderEvent) -> Result<NewEvent, annals_codec::Error> {
        JsonCodec.encode(event)
    }

    fn decode_content(
        &self,
        content: ContentRef<'_>,
    ) -> Result<Decoded<OrderEvent>, annals_codec::Error> {
        self.0.fetch_add(1, Ordering::SeqCst);
        JsonCodec.decode_content(content)
    }
}

fn settings() -> ProcessorSettings {
    let mut settings = ProcessorSettings::DEFAULT;
    settings.page_events_max = 10;
    settings.window_pages = 3;
    settings
}

/// A sum of orders by this codec.
fn sum(name: &str, codec: impl EventCodec<OrderEvent> + 'static) -> Projection<u64> {
    let builder = Projection::<u64>::builder(name, 1).unwrap();
    let builder = builder.on(codec, |sum, event: &OrderEvent, _| {
        if let OrderEvent::Placed { cents } = event {
            *sum += cents;
        }
        Ok(())
    });
    builder.build().unwrap()
}

#[test]
fn projections_that_begin_together_read_and_decode_once() {
    for seed in 0..200 {
        let tasks = Tasks::new(seed);
        let store = Faulty::new(Arc::new(MemoryStore::new()));
        let counting = Arc::new(Counting::default());
        let shared: Arc<dyn EventCodec<OrderEvent>> = counting.clone();
        let mut views = Vec::new();
        let mut builder = Processor::builder(store.clone())
            .settings(settings())
            .spawn(tasks.clone())
            .timer(TurnTimer::new(100_000));
        for number in 0..4 {
            let sink = MemorySink::new(0);
            views.push(sink.view());
            let name = format!("sum-{number}");
            builder = builder.project(sum(&name, Arc::clone(&shared)), sink);
        }
        let processor = builder.build().unwrap();
        let faulty = Arc::clone(&store);
        tasks.run(async move {
            append(&*store, "order-1", (0..100).map(placed)).await;
            append(&*store, "visit-1", [visited("home")]).await;
            let running = processor.start();
            for number in 0..4 {
                let name = format!("sum-{number}");
                running.wait_until_live(&name).await.unwrap();
            }
            running.stop().await;
        });
        assert!(views.iter().all(|view| *view.read() == 4950), "seed {seed}");
        assert_eq!(counting.0.load(Ordering::SeqCst), 100, "seed {seed}");
        // Eleven pages, and perhaps one that was found empty.
        let reads = faulty.reads.load(Ordering::SeqCst);
        assert!((10..=12).contains(&reads), "{reads} reads, seed {seed}");
        assert_eq!(faulty.events.load(Ordering::SeqCst), 100, "seed {seed}");
    }
}

#[test]
fn nothing_is_read_beyond_the_window() {
    let tasks = Tasks::new(3);
    let store = Faulty::new(Arc::new(MemoryStore::new()));
    let mut slow = Log::new("slow");
    slow.slowness = 10_000;
    let processor = Processor::builder(store.clone())
        .settings(settings())
        .spawn(tasks.clone())
        .timer(TurnTimer::new(100_000))
        .consume(slow.boxed())
        .build()
        .unwrap();
    let appended = Arc::clone(&store);
    tasks.run(async move { append(&*appended, "order-1", (0..1000).map(placed)).await });
    let running = processor.start();
    for _ in 0..5000 {
        tasks.turn();
    }
    // One page is being taken, and three wait.
    assert_eq!(store.reads.load(Ordering::SeqCst), 4);
    tasks.crash();
    drop(running);
}

#[test]
fn a_slow_consumer_is_let_go_and_comes_back() {
    let tasks = Tasks::new(11);
    let store = Faulty::new(Arc::new(MemoryStore::new()));
    let (fast, mut slow) = (Log::new("fast"), Log::new("slow"));
    slow.slowness = 500;
    let mut settings = settings();
    // The pauses of this timer take fifty turns: far fewer than a batch of the slow one.
    settings.patience = std::time::Duration::from_secs(2);
    let processor = Processor::builder(store.clone())
        .settings(settings)
        .spawn(tasks.clone())
        .timer(TurnTimer::new(50))
        .consume(fast.boxed())
        .consume(slow.boxed())
        .build()
        .unwrap();
    let (fast_log, slow_log, faulty) = (fast.clone(), slow.clone(), Arc::clone(&store));
    tasks.run(async move {
        append(&*store, "order-1", (0..300).map(placed)).await;
        let running = processor.start();
        running.wait_until_live("fast").await.unwrap();
        let behind = slow_log.positions().len();
        assert!(behind < 200, "the slow one took {behind}");
        running.wait_until_live("slow").await.unwrap();
        // By now they share again: one read for both.
        let last = append(&*store, "order-1", [placed(1)]).await;
        running.wait_for("fast", &last).await.unwrap();
        running.wait_for("slow", &last).await.unwrap();
        let before = faulty.reads.load(Ordering::SeqCst);
        let last = append(&*store, "order-1", [placed(1)]).await;
        running.wait_for("fast", &last).await.unwrap();
        running.wait_for("slow", &last).await.unwrap();
        assert_eq!(faulty.reads.load(Ordering::SeqCst), before + 1);
        running.stop().await;
        assert_eq!(fast_log.positions(), slow_log.positions());
    });
    let expected: Vec<u64> = (1..=302).collect();
    assert_eq!(slow.positions(), expected);
}

#[test]
fn a_consumer_that_hangs_stops_nobody() {
    let tasks = Tasks::new(5);
    let store: Arc<dyn EventStore> = Arc::new(MemoryStore::new());
    let (fast, mut hanging) = (Log::new("fast"), Log::new("hanging"));
    hanging.slowness = usize::MAX;
    let processor = Processor::builder(Arc::clone(&store))
        .settings(settings())
        .spawn(tasks.clone())
        .timer(TurnTimer::new(20))
        .consume(fast.boxed())
        .consume(hanging.boxed())
        .build()
        .unwrap();
    tasks.run(async move {
        let receipt = append(&*store, "order-1", (0..500).map(placed)).await;
        let running = processor.start();
        running.wait_for("fast", &receipt).await.unwrap();
    });
    assert_eq!(fast.positions().len(), 500);
    assert_eq!(hanging.positions().len(), 0);
    tasks.crash();
}
