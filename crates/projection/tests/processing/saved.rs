//! Models in memory that are saved with their cursors.

use std::sync::Arc;

use annals_codec::JsonCodec;
use annals_core::{EventStore, FoldId, SnapshotKey, SnapshotStore, StreamId, Version};
use annals_projection::{MemorySink, Processor, ProcessorSettings, Projection};
use annals_store_memory::MemoryStore;
use futures_executor::block_on;

use crate::rig::faulty::Faulty;
use crate::rig::shop::{OrderEvent, append, placed};

fn sum(version: u32) -> Projection<u64> {
    let builder = Projection::<u64>::builder("sum", version).unwrap();
    let builder = builder.on(JsonCodec, |sum, event: &OrderEvent, _| {
        if let OrderEvent::Placed { cents } = event {
            *sum += cents;
        }
        Ok(())
    });
    builder.build().unwrap()
}

/// Runs until all is handled; gives the sum, and how many events were read for it.
fn run(memory: &Arc<MemoryStore>, version: u32, reset: bool) -> (u64, usize) {
    let store = Faulty::new(memory.clone());
    let sink = MemorySink::new(0).saved_in(memory.clone(), JsonCodec, 50);
    let view = sink.view();
    let mut settings = ProcessorSettings::DEFAULT;
    settings.page_events_max = 10;
    let processor = Processor::builder(store.clone())
        .settings(settings)
        .project(sum(version), sink);
    let running = processor.build().unwrap().start();
    block_on(async {
        running.wait_until_live("sum").await.unwrap();
        if reset {
            running.reset("sum").await.unwrap();
            running.wait_until_live("sum").await.unwrap();
        }
        running.stop().await;
    });
    let events = store.events.load(std::sync::atomic::Ordering::SeqCst);
    (*view.read(), events)
}

/// Waits until a model is saved that holds all up to this version, or more.
fn await_saved(memory: &Arc<MemoryStore>, version: u32, at_least: u64) {
    let key = SnapshotKey {
        stream: StreamId::parse("projection-sum").unwrap(),
        fold: FoldId::parse(&format!("read-model.v{version}")).unwrap(),
    };
    loop {
        let newest = block_on(memory.load_snapshot(&key, Version::MAX)).unwrap();
        if newest.is_some_and(|newest| newest.version().value() >= at_least) {
            return;
        }
        std::thread::yield_now();
    }
}

#[test]
fn a_saved_model_goes_on_where_it_was() {
    let memory = Arc::new(MemoryStore::new());
    let store: &dyn EventStore = &*memory;
    block_on(append(store, "order-1", (1..=200).map(placed)));
    assert_eq!(run(&memory, 1, false), (20_100, 200));
    await_saved(&memory, 1, 50);
    let (total, events) = run(&memory, 1, false);
    assert_eq!(total, 20_100);
    assert!(events <= 150, "{events} events were read again");
    // Another version is another model, and a reset is no fresh start from what was saved.
    assert_eq!(run(&memory, 2, false), (20_100, 200));
    let (total, events) = run(&memory, 1, true);
    assert_eq!(total, 20_100);
    assert!(events >= 200, "{events} events were read");
}
