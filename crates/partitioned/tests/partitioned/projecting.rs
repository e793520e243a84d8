//! Read models and reactions of a partitioned store.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use annals_codec::{EventCodec, JsonCodec};
use annals_core::{
    Append, CheckpointName, CheckpointStore, Cursor, EventStore, Expected, Ids, Receipt, UuidIds,
};
use annals_macros::Event;
use annals_partitioned::Partitioned;
use annals_projection::{
    AfterRetries, FailurePolicy, MemorySink, Processor, ProcessorHandle, ProcessorSettings,
    Projection, Reaction, Start,
};
use annals_store_log::LogStore;
use annals_store_memory::MemoryStore;
use futures_executor::block_on;
use serde::{Deserialize, Serialize};

use crate::support::{Store, memories, open, stream};

#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "order")]
struct Placed {
    number: u64,
}

/// The numbers that each stream was given, in the order in which they came.
type Book = BTreeMap<String, Vec<u64>>;

fn book() -> Projection<Book> {
    let builder = Projection::<Book>::builder("book", 1).unwrap();
    let builder = builder.on(JsonCodec, |book, event: &Placed, recorded| {
        let numbers = book.entry(recorded.stream().to_string()).or_default();
        numbers.push(event.number);
        Ok(())
    });
    builder.build().unwrap()
}

fn small_pages() -> ProcessorSettings {
    let mut settings = ProcessorSettings::DEFAULT;
    settings.page_events_max = 7;
    settings
}

/// Places these orders; gives the receipt of the last one.
fn place_all(store: &dyn EventStore, numbers: std::ops::Range<u64>) -> Receipt {
    let receipts: Vec<Receipt> = numbers.map(|number| place(store, number)).collect();
    receipts.into_iter().next_back().unwrap()
}

fn place(store: &dyn EventStore, number: u64) -> Receipt {
    let name = stream(&format!("order-{}", number % 12));
    let append = Append::builder(UuidIds::default().append_id())
        .write(
            name,
            Expected::Any,
            [JsonCodec.encode(&Placed { number }).unwrap()],
        )
        .build();
    block_on(store.append(append.unwrap())).unwrap()
}

/// What the book holds once so many orders are placed.
fn expected(orders: u64) -> Book {
    let mut book = Book::new();
    for number in 0..orders {
        book.entry(format!("order-{}", number % 12))
            .or_default()
            .push(number);
    }
    book
}

/// Runs a projection until it has the receipt, as one process does; gives its book.
fn run<S>(store: &Arc<Partitioned<S>>, until: &Receipt) -> (Book, Cursor)
where
    S: EventStore + annals_core::SnapshotStore + CheckpointStore + 'static,
{
    let sink = MemorySink::new(Book::new()).saved_in(store.clone(), JsonCodec, 5);
    let view = sink.view();
    let processor = Processor::builder(store.clone()).settings(small_pages());
    let running = processor.project(book(), sink).build().unwrap().start();
    block_on(async {
        running.wait_for("book", until).await.unwrap();
        running.wait_until_live("book").await.unwrap();
        running.stop().await;
    });
    let model = view.read();
    ((*model).clone(), model.cursor().clone())
}

/// Whatever was saved when a process ended, the next one goes on from there: no event is lost, none comes twice.
#[test]
fn a_projection_goes_on_where_it_was() {
    let stores = memories(3);
    let mut orders = 0;
    for _ in 0..12 {
        let store: Arc<Store> = Arc::new(open(&stores));
        let last = place_all(&*store, orders..orders + 30);
        orders += 30;
        let (book, cursor) = run(&store, &last);
        assert_eq!(book, expected(orders));
        assert_eq!(cursor.partitions(), 3);
    }
}

#[test]
fn a_projection_goes_on_where_it_was_over_logs() {
    let directory = tempfile::tempdir().unwrap();
    let mut orders = 0;
    for _ in 0..4 {
        let logs = ["0", "1", "2"].map(|name| {
            let log = LogStore::builder(directory.path().join(name));
            log.open_or_create().unwrap()
        });
        let store = Arc::new(block_on(Partitioned::over(logs).open()).unwrap());
        let last = place_all(&*store, orders..orders + 30);
        orders += 30;
        let (book, _) = run(&store, &last);
        assert_eq!(book, expected(orders));
        close(store);
    }
}

/// Closes the logs, once the saving of a model beside them is done.
fn close(mut store: Arc<Partitioned<LogStore>>) {
    let store = loop {
        match Arc::try_unwrap(store) {
            Ok(store) => break store,
            Err(still) => store = still,
        }
        std::thread::yield_now();
    };
    for log in store.partitions() {
        log.close().unwrap();
    }
}

/// A reaction, with its checkpoint in the partitioned store.
fn react(store: &Arc<Store>, seen: &Arc<Mutex<Book>>) -> ProcessorHandle {
    let noted = Arc::clone(seen);
    let reaction = Reaction::builder("mail", Start::Beginning).unwrap();
    let reaction = reaction.on(
        JsonCodec,
        move |delivery: annals_projection::Delivery<Placed>| {
            let name = delivery.recorded().stream().to_string();
            let number = delivery.event().number;
            noted.lock().unwrap().entry(name).or_default().push(number);
            async { Ok(()) }
        },
    );
    let processor = Processor::builder(store.clone()).settings(small_pages());
    let processor = processor.react(reaction.build().unwrap(), store.clone());
    processor.build().unwrap().start()
}

#[test]
fn a_reaction_keeps_its_place_in_every_partition() {
    let stores = memories(3);
    let seen = Arc::new(Mutex::new(Book::new()));
    for round in 0..6 {
        let store: Arc<Store> = Arc::new(open(&stores));
        let last = place_all(&*store, 20 * round..20 * (round + 1));
        let running = react(&store, &seen);
        block_on(async {
            running.wait_for("mail", &last).await.unwrap();
            running.wait_until_live("mail").await.unwrap();
            running.stop().await;
        });
        let saved = block_on(store.load_checkpoint(&CheckpointName::from_static("mail")));
        let head = block_on(store.head(annals_core::ConsistencyLevel::Strong)).unwrap();
        assert_eq!(saved.unwrap().unwrap().cursor, head);
        assert_eq!(*seen.lock().unwrap(), expected(20 * (round + 1)));
    }
}

/// What was done before an event that stops a reaction, on the same page, is not done again when it goes on.
#[test]
fn a_reaction_that_stops_inside_a_page_repeats_nothing() {
    let store: Arc<Store> = Arc::new(open(&memories(3)));
    let last = place_all(&*store, 0..60);
    let seen = Arc::new(Mutex::new(Book::new()));
    for fails_at in [Some(17), Some(41), None] {
        let noted = Arc::clone(&seen);
        let reaction = Reaction::builder("mail", Start::Beginning).unwrap();
        let reaction = reaction.on(
            JsonCodec,
            move |delivery: annals_projection::Delivery<Placed>| {
                let number = delivery.event().number;
                let fails = fails_at == Some(number);
                if !fails {
                    let name = delivery.recorded().stream().to_string();
                    noted.lock().unwrap().entry(name).or_default().push(number);
                }
                async move {
                    if fails {
                        Err("no mail today".into())
                    } else {
                        Ok(())
                    }
                }
            },
        );
        let mut policy = FailurePolicy::default();
        policy.retry.attempts_max = 1;
        policy.then = AfterRetries::Stop;
        let reaction = reaction.on_failure(policy).build().unwrap();
        let processor = Processor::builder(store.clone()).react(reaction, store.clone());
        let running = processor.build().unwrap().start();
        let reached = block_on(running.wait_for("mail", &last));
        assert_eq!(reached.is_err(), fails_at.is_some(), "{reached:?}");
        block_on(running.stop());
    }
    assert_eq!(*seen.lock().unwrap(), expected(60));
}

/// An event that fails stops its own stream; those of every partition go on.
#[test]
fn a_failing_event_stops_its_key_alone() {
    let store: Arc<Store> = Arc::new(open(&memories(3)));
    let last = place_all(&*store, 0..60);
    let failures = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&failures);
    let builder = Projection::<Book>::builder("book", 1).unwrap();
    let builder = builder.on(JsonCodec, move |book, event: &Placed, recorded| {
        if event.number == 17 {
            counted.fetch_add(1, Ordering::SeqCst);
            return Err("out of stock".into());
        }
        let numbers = book.entry(recorded.stream().to_string()).or_default();
        numbers.push(event.number);
        Ok(())
    });
    let mut policy = FailurePolicy::default();
    policy.retry.attempts_max = 2;
    policy.then = AfterRetries::Park;
    let sink = MemorySink::new(Book::new());
    let view = sink.view();
    let processor = Processor::builder(store.clone()).settings(small_pages());
    let processor = processor.project(builder.on_failure(policy).build().unwrap(), sink);
    let running = processor.build().unwrap().start();
    block_on(async {
        running.wait_for("book", &last).await.unwrap();
        running.stop().await;
    });
    let mut book = expected(60);
    // 17 and what came after it in its stream wait.
    book.get_mut("order-5").unwrap().truncate(1);
    assert_eq!(*view.read(), book);
    assert!(failures.load(Ordering::SeqCst) >= 2);
}

#[test]
fn a_projection_of_a_store_of_one_is_as_ever() {
    let store = block_on(Partitioned::over([MemoryStore::new()]).open()).unwrap();
    let store = Arc::new(store);
    let last = place_all(&*store, 0..40);
    let (book, cursor) = run(&store, &last);
    assert_eq!((book, cursor.position()), (expected(40), Some(40.into())));
}
