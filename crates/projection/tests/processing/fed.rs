//! What a consumer is fed with: its own events, all of them, once, in their order.

use std::sync::Arc;

use annals_codec::JsonCodec;
use annals_core::{Category, Criteria, Cursor, ErrorKind, EventStore, Position, Tag};
use annals_projection::{
    ConsumerState, EventChoice, MemorySink, Processor, ProcessorSettings, Projection,
};
use annals_store_memory::MemoryStore;
use futures_executor::block_on;

use crate::rig::faulty::Faulty;
use crate::rig::log::Log;
use crate::rig::shop::{Visited, append, placed, visited};
use crate::rig::tasks::Tasks;
use crate::rig::turn_timer::TurnTimer;

#[test]
fn a_consumer_gets_its_own_events() {
    let store: Arc<dyn EventStore> = Arc::new(MemoryStore::new());
    let category = |name: &'static str| EventChoice::category(Category::from_static(name));
    let home = Criteria::of_tags([Tag::from_static("page:home")]).unwrap();
    let home = EventChoice::matching(&home);
    let cases = [
        ("all", EventChoice::ALL, vec![1, 2, 3, 4, 5, 6]),
        ("orders", category("order"), vec![1, 3]),
        ("home", home.clone(), vec![2, 5]),
        ("both", category("order").or(&home), vec![1, 2, 3, 5]),
        ("none", category("payment"), vec![]),
    ];
    let logs: Vec<Log> = cases
        .iter()
        .map(|(name, choice, _)| {
            let mut log = Log::new(name);
            log.choice = choice.clone();
            log
        })
        .collect();
    let mut processor = Processor::builder(Arc::clone(&store));
    for log in &logs {
        processor = processor.consume(log.boxed());
    }
    let receipt = block_on(async {
        append(&*store, "order-1", [placed(1)]).await;
        append(&*store, "visit-1", [visited("home")]).await;
        let running = processor.build().unwrap().start();
        append(&*store, "order-2", [placed(2)]).await;
        append(&*store, "visit-1", [visited("cart"), visited("home")]).await;
        let receipt = append(&*store, "visit-2", [visited("bye")]).await;
        for (name, _, _) in &cases {
            running.wait_for(name, &receipt).await.unwrap();
        }
        running.stop().await;
        receipt
    });
    for ((name, _, expected), log) in cases.iter().zip(&logs) {
        assert_eq!(log.positions(), *expected, "{name}");
    }
    // What it stopped at is noted, whether there was an event or not.
    assert!(
        logs.iter()
            .all(|log| log.look(|kept| kept.cursor.covers(&receipt.cursor)))
    );
}

#[test]
fn a_batch_is_within_its_size() {
    let store = Faulty::new(Arc::new(MemoryStore::new()));
    let mut settings = ProcessorSettings::DEFAULT;
    settings.page_events_max = 4;
    settings.window_pages = 2;
    let log = Log::new("log");
    let tasks = Tasks::new(7);
    let processor = Processor::builder(store.clone())
        .settings(settings)
        .spawn(tasks.clone())
        .timer(TurnTimer::new(1000))
        .consume(log.boxed())
        .build()
        .unwrap();
    tasks.run(async move {
        append(&*store, "order-1", (0..10).map(placed)).await;
        let running = processor.start();
        running.wait_until_live("log").await.unwrap();
        running.stop().await;
    });
    assert_eq!(log.look(|kept| kept.batches.clone()), [4, 4, 2]);
}

#[test]
fn a_checkpoint_ahead_of_the_store_is_an_error() {
    let store: Arc<dyn EventStore> = Arc::new(MemoryStore::new());
    let log = Log::new("log");
    log.look(|kept| kept.cursor = Cursor::at(Position::new(7)));
    let other = Log::new("other");
    let processor = Processor::builder(Arc::clone(&store))
        .consume(log.boxed())
        .consume(other.boxed());
    let running = processor.build().unwrap().start();
    block_on(async {
        let receipt = append(&*store, "order-1", [placed(1)]).await;
        let error = running.wait_until_live("log").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        running.wait_for("other", &receipt).await.unwrap();
        let status = running.status().await;
        let state = &status[0].state;
        let is_told = matches!(state, ConsumerState::Failed(text) if text.contains("ahead"));
        assert!(is_told, "{state:?}");
        running.stop().await;
    });
    assert_eq!(log.positions(), [0; 0]);
    assert_eq!(other.positions(), [1]);
}

#[test]
fn handlers_of_several_types_see_one_order() {
    let store: Arc<dyn EventStore> = Arc::new(MemoryStore::new());
    let home = Criteria::of_tags([Tag::from_static("page:home")]).unwrap();
    let heard = Projection::<Vec<String>>::builder("heard", 1)
        .unwrap()
        .on(
            JsonCodec,
            |heard, event: &crate::rig::shop::OrderEvent, _| {
                heard.push(format!("{event:?}"));
                Ok(())
            },
        )
        .on(JsonCodec, |heard, visited: &Visited, recorded| {
            heard.push(format!("{} at {}", visited.page, recorded.position()));
            Ok(())
        })
        .on_matching(JsonCodec, &home, |heard, _: &Visited, _| {
            heard.push("home again".to_owned());
            Ok(())
        })
        .build()
        .unwrap();
    let sink = MemorySink::new(Vec::new());
    let view = sink.view();
    block_on(async {
        append(&*store, "visit-1", [visited("cart")]).await;
        append(&*store, "order-1", [placed(5)]).await;
        let receipt = append(&*store, "visit-1", [visited("home")]).await;
        let processor = Processor::builder(Arc::clone(&store)).project(heard, sink);
        let running = processor.build().unwrap().start();
        running.wait_for("heard", &receipt).await.unwrap();
        running.stop().await;
    });
    let expected = [
        "cart at 1",
        "Placed { cents: 5 }",
        "home at 3",
        "home again",
    ];
    assert_eq!(*view.read(), expected);
    assert_eq!(*view.read().cursor(), Cursor::at(Position::new(3)));
}
