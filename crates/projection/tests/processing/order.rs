//! The law: the order of each key is kept, at any parallelism.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use annals_codec::JsonCodec;
use annals_core::EventStore;
use annals_projection::{
    Delivery, MemorySink, Processor, ProcessorSettings, Projection, Reaction, Start,
};
use annals_store_memory::MemoryStore;
use proptest::prelude::*;

use crate::rig::faulty::Faulty;
use crate::rig::shop::{OrderEvent, append, placed};
use crate::rig::tasks::{Tasks, pass};
use crate::rig::turn_timer::TurnTimer;

/// The versions of each stream, in the order in which they were heard of.
type Heard = HashMap<String, Vec<u64>>;

fn hear(heard: &mut Heard, stream: &str, version: u64) {
    heard.entry(stream.to_owned()).or_default().push(version);
}

fn heard() -> Projection<Heard> {
    let builder = Projection::<Heard>::builder("heard", 1).unwrap();
    let builder = builder.on(JsonCodec, |heard, _: &OrderEvent, recorded| {
        hear(
            heard,
            recorded.stream().as_str(),
            recorded.version().value(),
        );
        Ok(())
    });
    builder.build().unwrap()
}

/// What a reaction heard, how many deliveries are under way, and how many were at most.
#[derive(Default)]
struct Ears {
    heard: Heard,
    now: usize,
    at_most: usize,
}

fn listening(ears: &Arc<Mutex<Ears>>, tasks: &Tasks, keys: usize) -> Reaction {
    let (ears, tasks) = (Arc::clone(ears), tasks.clone());
    let builder = Reaction::builder("listening", Start::Beginning).unwrap();
    let builder = builder.on(JsonCodec, move |event: Delivery<OrderEvent>| {
        let (ears, turns) = (Arc::clone(&ears), tasks.below(4));
        async move {
            {
                let mut ears = ears.lock().unwrap();
                ears.now += 1;
                ears.at_most = ears.at_most.max(ears.now);
            }
            for _ in 0..turns {
                pass().await;
            }
            let mut ears = ears.lock().unwrap();
            ears.now -= 1;
            let recorded = event.recorded();
            hear(
                &mut ears.heard,
                recorded.stream().as_str(),
                recorded.version().value(),
            );
            Ok(())
        }
    });
    builder.concurrent_keys(keys).build().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn the_order_of_each_key_is_kept(
        seed in any::<u64>(),
        parts in 1..6_usize,
        keys in 1..6_usize,
        page in 1..20_usize,
        appends in proptest::collection::vec((0..7_usize, 1..5_u64), 1..40),
    ) {
        let tasks = Tasks::new(seed);
        let memory = Arc::new(MemoryStore::new());
        let store: Arc<dyn EventStore> = Faulty::new(memory.clone());
        let mut settings = ProcessorSettings::DEFAULT;
        settings.page_events_max = page;
        let ears = Arc::new(Mutex::new(Ears::default()));
        let (sinks, views) = MemorySink::split(parts, &Heard::new());
        let processor = Processor::builder(Arc::clone(&store))
            .settings(settings)
            .spawn(tasks.clone())
            .timer(TurnTimer::new(100))
            .project_split(&heard(), sinks)
            .react(listening(&ears, &tasks, keys), memory)
            .build()
            .unwrap();
        let running = processor.start();
        let mut expected = Heard::new();
        for (stream, events) in &appends {
            let stream = format!("order-{stream}");
            let before = expected.get(&stream).map_or(0, Vec::len) as u64;
            for version in before + 1..=before + events {
                hear(&mut expected, &stream, version);
            }
        }
        tasks.run(async move {
            let mut last = None;
            for (stream, events) in appends {
                let stream = format!("order-{stream}");
                last = Some(append(&*store, &stream, (0..events).map(placed)).await);
            }
            let last = last.unwrap();
            running.wait_for("heard", &last).await.unwrap();
            running.wait_for("listening", &last).await.unwrap();
            running.stop().await;
        });
        // Each key is in one part, and where it is looked for.
        let all = views.read_all();
        prop_assert_eq!(all.iter().map(|part| part.len()).sum::<usize>(), expected.len());
        for (stream, versions) in &expected {
            let part = views.read(stream).unwrap();
            prop_assert_eq!(part.get(stream), Some(versions));
        }
        let ears = ears.lock().unwrap();
        prop_assert_eq!(&ears.heard, &expected);
        prop_assert!(ears.at_most <= keys);
    }
}

#[test]
fn several_keys_are_worked_on_at_once() {
    let tasks = Tasks::new(1);
    let memory = Arc::new(MemoryStore::new());
    let ears = Arc::new(Mutex::new(Ears::default()));
    let store: Arc<dyn EventStore> = memory.clone();
    tasks.run(async move {
        for stream in 0..20 {
            append(&*store, &format!("order-{stream}"), (0..5).map(placed)).await;
        }
    });
    let processor = Processor::builder(memory.clone())
        .spawn(tasks.clone())
        .react(listening(&ears, &tasks, 8), memory)
        .build()
        .unwrap();
    let running = processor.start();
    tasks.run(async move {
        running.wait_until_live("listening").await.unwrap();
        running.stop().await;
    });
    assert_eq!(ears.lock().unwrap().at_most, 8);
}
