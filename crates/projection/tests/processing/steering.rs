//! Orders: pause, resume, reset, stop, add, remove.

use std::sync::Arc;

use annals_core::{ErrorKind, EventStore};
use annals_projection::{
    ConsumerState, MemorySink, Processor, ProcessorHandle, ProcessorSettings, ProjectionConsumer,
};
use annals_store_log::LogStore;
use annals_store_memory::MemoryStore;
use futures_executor::block_on;
use futures_util::FutureExt as _;

use crate::rig::faulty::Faulty;
use crate::rig::log::Log;
use crate::rig::shop::{Book, append, book, placed};
use crate::rig::tasks::Tasks;
use crate::rig::turn_timer::TurnTimer;

async fn state(running: &ProcessorHandle, name: &str) -> ConsumerState {
    let mut status = running.status().await.into_iter();
    status
        .find(|status| status.name.as_str() == name)
        .unwrap()
        .state
}

#[test]
fn a_paused_consumer_takes_nothing_until_it_is_resumed() {
    let store: Arc<dyn EventStore> = Arc::new(MemoryStore::new());
    let (paused, other) = (Log::new("paused"), Log::new("other"));
    let processor = Processor::builder(Arc::clone(&store))
        .consume(paused.boxed())
        .consume(other.boxed());
    let running = processor.build().unwrap().start();
    block_on(async {
        running.pause("paused").await.unwrap();
        let receipt = append(&*store, "order-1", [placed(1)]).await;
        running.wait_for("other", &receipt).await.unwrap();
        assert_eq!(state(&running, "paused").await, ConsumerState::Paused);
        assert_eq!(paused.positions(), [0; 0]);
        running.resume("paused").unwrap();
        running.wait_for("paused", &receipt).await.unwrap();
        assert_eq!(paused.positions(), [1]);
        running.stop().await;
        assert_eq!(state(&running, "paused").await, ConsumerState::Stopped);
    });
}

#[test]
fn a_reset_begins_anew_and_nobody_else_does() {
    let store: Arc<dyn EventStore> = Arc::new(MemoryStore::new());
    let (reset, other) = (Log::new("reset"), Log::new("other"));
    let processor = Processor::builder(Arc::clone(&store))
        .consume(reset.boxed())
        .consume(other.boxed());
    let running = processor.build().unwrap().start();
    block_on(async {
        let receipt = append(&*store, "order-1", (0..5).map(placed)).await;
        running.wait_for("reset", &receipt).await.unwrap();
        running.wait_for("other", &receipt).await.unwrap();
        running.reset("reset").await.unwrap();
        running.wait_for("reset", &receipt).await.unwrap();
        running.stop().await;
    });
    assert_eq!(reset.positions(), [1, 2, 3, 4, 5]);
    assert_eq!(reset.look(|kept| kept.batches.iter().sum::<usize>()), 5);
    assert_eq!(other.look(|kept| kept.opened), 1);
}

#[test]
fn consumers_come_and_go() {
    let store: Arc<dyn EventStore> = Arc::new(MemoryStore::new());
    let running = Processor::builder(Arc::clone(&store))
        .build()
        .unwrap()
        .start();
    block_on(async {
        let receipt = append(&*store, "order-1", (0..5).map(placed)).await;
        let sink = MemorySink::new(Book::default());
        let view = sink.view();
        let late = ProjectionConsumer::new(book("late"), sink);
        running.add(Box::new(late)).unwrap();
        running.wait_for("late", &receipt).await.unwrap();
        assert_eq!(view.read().cents, 10);
        let again = ProjectionConsumer::new(book("late"), MemorySink::new(Book::default()));
        let refused = running.add(Box::new(again)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid);
        running.remove("late").await.unwrap();
        let again = ProjectionConsumer::new(book("late"), MemorySink::new(Book::default()));
        running.add(Box::new(again)).unwrap();
        running.wait_for("late", &receipt).await.unwrap();
        running.stop().await;
        let gone = running
            .wait_for("late", &append(&*store, "order-1", [placed(1)]).await)
            .await;
        assert_eq!(gone.unwrap_err().kind(), ErrorKind::Unavailable);
        let unknown = running.wait_until_live("nobody").await.unwrap_err();
        assert_eq!(unknown.kind(), ErrorKind::Invalid);
        assert!(running.reset("late").await.is_err());
    });
}

#[test]
fn a_processor_that_is_dropped_stops() {
    let store: Arc<dyn EventStore> = Arc::new(MemoryStore::new());
    let log = Log::new("log");
    let processor = Processor::builder(Arc::clone(&store)).consume(log.boxed());
    let mut run = Box::pin(processor.build().unwrap().run());
    block_on(async {
        let receipt = append(&*store, "order-1", [placed(1)]).await;
        // Polled once, it runs.
        assert!(run.as_mut().now_or_never().is_none());
        while log.positions().is_empty() {
            std::thread::yield_now();
        }
        drop(run);
        drop(receipt);
    });
}

#[test]
fn a_store_that_fails_for_now_is_tried_again_and_told() {
    let store = Faulty::new(Arc::new(MemoryStore::new()));
    let log = Log::new("log");
    let processor = Processor::builder(store.clone())
        .timer(annals_concurrency::ManualTimer::default())
        .consume(log.boxed());
    let running = processor.build().unwrap().start();
    block_on(async {
        store.fail(ErrorKind::Unavailable, 5);
        let receipt = append(&*store, "order-1", [placed(1)]).await;
        running.wait_for("log", &receipt).await.unwrap();
        // More often than it is tried: the consumer fails, until somebody resumes it.
        store.fail(ErrorKind::Overloaded, 10_000);
        let receipt = append(&*store, "order-1", [placed(1)]).await;
        assert!(running.wait_for("log", &receipt).await.is_err());
        assert!(matches!(
            state(&running, "log").await,
            ConsumerState::Failed(_)
        ));
        store.fail(ErrorKind::Overloaded, 0);
        running.resume("log").unwrap();
        while running.wait_for("log", &receipt).await.is_err() {
            std::thread::yield_now();
        }
        assert_eq!(log.positions(), [1, 2]);
        running.stop().await;
    });
}

/// Whether a store is held by nobody else after a processor was stopped, at a moment that the seed chooses.
fn lets_go(seed: u64, failures: usize) -> bool {
    let store = Arc::new(MemoryStore::new());
    let faulty = Faulty::new(store.clone());
    let tasks = Tasks::new(seed);
    let mut settings = ProcessorSettings::DEFAULT;
    settings.page_events_max = 2;
    let processor = Processor::builder(faulty.clone())
        .settings(settings)
        .spawn(tasks.clone())
        .timer(TurnTimer::new(1_000_000_000))
        .project(book("first"), MemorySink::new(Book::default()))
        .project(book("second"), MemorySink::new(Book::default()));
    let running = processor.build().unwrap().start();
    let memory: Arc<dyn EventStore> = store.clone();
    tasks.run(async move { append(&*memory, "order-1", (1..=7).map(placed)).await });
    faulty.fail(ErrorKind::Unavailable, failures);
    drop(faulty);
    for _ in 0..tasks.below(60) {
        tasks.turn();
    }
    tasks.run(async move { running.stop().await });
    Arc::strong_count(&store) == 1
}

#[test]
fn a_processor_that_is_stopped_has_let_go_of_its_store() {
    for seed in 0..300 {
        assert!(lets_go(seed, 0), "seed {seed}");
        assert!(lets_go(seed, 3), "seed {seed}, while the store fails");
    }
}

#[test]
fn a_task_that_is_dropped_before_its_first_turn_is_over() {
    let store: Arc<dyn EventStore> = Arc::new(MemoryStore::new());
    let processor = Processor::builder(store)
        .spawn(drop)
        .project(book("book"), MemorySink::new(Book::default()));
    let running = processor.build().unwrap().start();
    block_on(running.stop());
}

#[test]
fn a_store_on_disk_is_opened_anew_at_once() {
    let scratch = tempfile::tempdir().unwrap();
    for round in 1..=50 {
        let store = LogStore::builder(scratch.path()).open_or_create().unwrap();
        let store: Arc<dyn EventStore> = Arc::new(store);
        let running = Processor::builder(Arc::clone(&store))
            .project(book("book"), MemorySink::new(Book::default()))
            .consume(Log::new("log").boxed());
        let running = running.build().unwrap().start();
        block_on(async {
            append(&*store, "order-1", [placed(round)]).await;
            running.stop().await;
        });
    }
}
