//! Where catching up turns into following, under load: no gap and no duplicate.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use annals_concurrency::{Chance, SeededChance};
use annals_core::{Cursor, EventStore, Position};
use annals_projection::{Processor, ProcessorSettings};
use annals_store_log::LogStore;
use annals_store_memory::MemoryStore;
use futures_executor::block_on;

use crate::rig::log::Log;
use crate::rig::shop::{append, placed};

const WRITERS: usize = 8;
const APPENDS: usize = 250;
const SUBSCRIBERS: usize = 50;

/// Eight threads append while fifty subscribers join at random moments, at the beginning or where the store ends.
fn everyone_sees_each_position_once(store: &Arc<dyn EventStore>, seed: u64) {
    println!("seed {seed}");
    let mut settings = ProcessorSettings::DEFAULT;
    settings.page_events_max = 64;
    let processor = Processor::builder(Arc::clone(store)).settings(settings);
    let running = processor.build().unwrap().start();
    let chance = SeededChance::new(seed);
    let appended = AtomicUsize::new(0);
    let mut subscribers: Vec<(Log, u64)> = Vec::new();
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let appended = &appended;
            scope.spawn(move || {
                for number in 0..APPENDS {
                    let events = (0..=number % 3).map(|cents| placed(cents as u64));
                    block_on(append(&**store, &format!("order-{writer}"), events));
                    appended.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        let mut moments: Vec<usize> = (0..SUBSCRIBERS)
            .map(|_| usize::try_from(chance.draw() % (WRITERS * APPENDS) as u64).unwrap())
            .collect();
        moments.sort_unstable();
        for (number, moment) in moments.into_iter().enumerate() {
            while appended.load(Ordering::SeqCst) < moment {
                std::thread::yield_now();
            }
            let log = Log::new(&format!("subscriber-{number}"));
            let begin = if number % 2 == 0 {
                Cursor::START
            } else {
                block_on(store.head(annals_core::ConsistencyLevel::Strong)).unwrap()
            };
            let after = begin.position().unwrap().value();
            log.look(|kept| kept.cursor = begin);
            running.add(log.boxed()).unwrap();
            subscribers.push((log, after));
        }
    });
    let head = block_on(async {
        let last = append(&**store, "order-last", [placed(1)]).await;
        for number in 0..SUBSCRIBERS {
            let name = format!("subscriber-{number}");
            running.wait_for(&name, &last).await.unwrap();
        }
        running.stop().await;
        last.last_position
    });
    for (log, after) in subscribers {
        let expected: Vec<u64> = (after + 1..=head.value()).collect();
        assert_eq!(log.positions(), expected);
    }
    assert!(head > Position::new((WRITERS * APPENDS) as u64));
}

#[test]
fn everyone_sees_each_position_once_in_memory() {
    for seed in 1..=3 {
        let store: Arc<dyn EventStore> = Arc::new(MemoryStore::new());
        everyone_sees_each_position_once(&store, seed);
    }
}

#[test]
fn everyone_sees_each_position_once_in_the_embedded_store() {
    let directory = tempfile::tempdir().unwrap();
    let store = LogStore::builder(directory.path())
        .open_or_create()
        .unwrap();
    let store: Arc<dyn EventStore> = Arc::new(store);
    everyone_sees_each_position_once(&store, 4);
}
