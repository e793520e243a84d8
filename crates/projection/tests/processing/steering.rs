//! Orders: pause, resume, reset, stop, add, remove.

use std::sync::Arc;

use annals_core::{ErrorKind, EventStore};
use annals_projection::{
    ConsumerState, MemorySink, Processor, ProcessorHandle, ProjectionConsumer,
};
use annals_store_memory::MemoryStore;
use futures_executor::block_on;
use futures_util::FutureExt as _;

use crate::rig::faulty::Faulty;
use crate::rig::log::Log;
use crate::rig::shop::{Book, append, book, placed};

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
