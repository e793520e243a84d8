//! A store whose answers wait for its projections.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use annals_codec::JsonCodec;
use annals_concurrency::RetryPolicy;
use annals_conformance::{
    HistorySettings, ManualClock, Stores, check, check_histories, check_model,
};
use annals_core::{ConsistencyLevel, Cursor, ErrorKind, EventStore, ReadRequest, StreamId};
use annals_projection::{
    ConsumerState, FailurePolicy, Inline, MemorySink, MemoryView, Projection, ProjectionConsumer,
};
use annals_store_log::LogStore;
use annals_store_memory::MemoryStore;
use futures_executor::block_on;

use crate::shop::{Placed, Stock, place, sold};

fn inline(store: MemoryStore) -> (Inline<MemoryStore>, MemoryView<Stock>) {
    let sink = MemorySink::new(Stock::new());
    let view = sink.view();
    let consumer = ProjectionConsumer::new(sold(1), sink);
    (Inline::new(store, vec![Box::new(consumer)]).unwrap(), view)
}

fn on_the_clock(clock: ManualClock) -> Stores {
    let store = MemoryStore::builder().clock(Arc::new(clock)).build();
    Stores::new(inline(store).0).on_the_clock()
}

#[test]
fn the_wrapper_conforms() {
    check(on_the_clock).assert_passed();
}

#[test]
fn the_wrapper_agrees_with_the_model() {
    check_model(on_the_clock, 100).assert_passed();
}

#[test]
fn the_wrapper_has_consistent_histories() {
    check_histories(on_the_clock, HistorySettings::default()).assert_passed();
}

#[test]
fn every_caller_reads_its_own_writes() {
    let (store, view) = inline(MemoryStore::new());
    let store = Arc::new(store);
    let writers: Vec<_> = (0..8_u64)
        .map(|writer| {
            let (store, view) = (Arc::clone(&store), view.clone());
            std::thread::spawn(move || {
                for order in 1..=50 {
                    block_on(place(&*store, order, writer));
                    let own = view.read().get(&format!("item-{writer}")).copied();
                    assert_eq!(own, Some(order), "writer {writer}");
                }
            })
        })
        .collect();
    for writer in writers {
        writer.join().unwrap();
    }
    assert_eq!(view.read().values().sum::<u64>(), 400);
}

#[test]
fn what_others_append_is_projected_too() {
    let (store, view) = inline(MemoryStore::new());
    block_on(async {
        let other = Arc::clone(store.inner());
        place(&*other, 1, 1).await;
        place(&store, 1, 2).await;
    });
    assert_eq!(view.read().len(), 2);
}

#[test]
fn a_receipt_is_given_whatever_becomes_of_a_projection() {
    let broken = Arc::new(AtomicBool::new(true));
    let is_broken = Arc::clone(&broken);
    let projection = Projection::<u64>::builder("fragile", 1)
        .unwrap()
        .on(JsonCodec, move |count, _: &Placed, _| {
            if is_broken.load(Ordering::SeqCst) {
                return Err("broken today".into());
            }
            *count += 1;
            Ok(())
        })
        .on_failure(FailurePolicy::stop().retrying(RetryPolicy::NEVER))
        .build()
        .unwrap();
    let sink = MemorySink::new(0);
    let view = sink.view();
    let consumer = ProjectionConsumer::new(projection, sink);
    let store = Inline::new(MemoryStore::new(), vec![Box::new(consumer)]).unwrap();
    block_on(async {
        // It is recorded, and nobody is told otherwise.
        let receipt = place(&store, 1, 1).await;
        assert!(!receipt.is_duplicate());
        let status = store.processor().status().await;
        let state = &status[0].state;
        assert!(matches!(state, ConsumerState::Failed(_)), "{state:?}");
        broken.store(false, Ordering::SeqCst);
        store.processor().resume("fragile").unwrap();
        store
            .processor()
            .wait_for("fragile", &receipt)
            .await
            .unwrap();
        place(&store, 1, 1).await;
        assert_eq!(*view.read(), 2);
        store.processor().stop().await;
        place(&store, 1, 1).await;
        let stopped = store.processor().wait_until_live("fragile").await;
        assert_eq!(stopped.unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!(*view.read(), 2);
    });
}

#[test]
fn a_retry_waits_as_the_append_did() {
    let (store, view) = inline(MemoryStore::new());
    block_on(async {
        let inner = Arc::clone(store.inner());
        store.processor().pause("sold").await.unwrap();
        let receipt = place(&*inner, 1, 1).await;
        let running = store.processor().clone();
        let resuming = std::thread::spawn(move || {
            std::thread::yield_now();
            running.resume("sold").unwrap();
        });
        let again = store.receipt(&receipt.append_id).await.unwrap().unwrap();
        assert!(again.is_duplicate());
        assert_eq!(view.read().len(), 1);
        resuming.join().unwrap();
    });
}

/// Lets others go on at each event, and fails at those of one item.
fn slow(policy: FailurePolicy) -> Projection<Stock> {
    Projection::<Stock>::builder("sold", 1)
        .unwrap()
        .on(JsonCodec, move |stock, placed: &Placed, _| {
            for _ in 0..50 {
                std::thread::yield_now();
            }
            if placed.item == BROKEN {
                return Err("nobody counts these".into());
            }
            *stock.entry(format!("item-{}", placed.item)).or_default() += placed.pieces;
            Ok(())
        })
        .on_failure(policy)
        .build()
        .unwrap()
}

/// The item that a slow projection can't handle.
const BROKEN: u64 = 99;

fn slow_inline<S: EventStore + 'static>(store: S) -> (Inline<S>, MemoryView<Stock>) {
    let policy = FailurePolicy::park().retrying(RetryPolicy::NEVER);
    let sink = MemorySink::new(Stock::new());
    let view = sink.view();
    let consumer = ProjectionConsumer::new(slow(policy), sink);
    let opened = Inline::open(store, vec![Box::new(consumer)]);
    (block_on(opened).unwrap(), view)
}

/// How many pieces a model has, with what is parked of them.
fn handled(view: &MemoryView<Stock>) -> u64 {
    let model = view.read();
    let parked = u64::try_from(model.parked().events().len()).unwrap();
    model.values().sum::<u64>() + parked
}

/// Writers and readers at once: whatever a reader is told, in any of the ways in which a store tells, is in the model
/// that it reads next; and the model never has more than is recorded.
fn nobody_hears_of_an_event_before_the_model_has_it<S: EventStore + 'static>(store: S) {
    const ORDERS: u64 = 60;
    let (store, view) = slow_inline(store);
    let store = &store;
    let (view, is_over) = (&view, &AtomicBool::new(false));
    std::thread::scope(|scope| {
        for ask in [
            told_by_a_page,
            told_by_the_newest,
            told_by_a_stream,
            told_by_a_change,
        ] {
            scope.spawn(move || {
                let mut told = Cursor::START;
                while !is_over.load(Ordering::SeqCst) {
                    let known = block_on(ask(store, &mut told));
                    let model = handled(view);
                    assert!(model >= known, "told of {known}, and the model has {model}");
                    let head = block_on(store.inner().head(ConsistencyLevel::Strong)).unwrap();
                    let recorded = head.position().unwrap().value();
                    assert!(model <= recorded, "{model} of {recorded} events");
                }
            });
        }
        let writers = [0, 1].map(|writer| {
            scope.spawn(move || {
                for order in 0..ORDERS {
                    let (stream, item) = if order % 10 == 9 {
                        (2, BROKEN)
                    } else {
                        (1, writer)
                    };
                    block_on(place(store, stream, item));
                }
            })
        });
        for writer in writers {
            writer.join().unwrap();
        }
        is_over.store(true, Ordering::SeqCst);
        // Who waits for a change hears that it is over.
        block_on(place(store, 1, 0));
    });
    assert_eq!(handled(view), 2 * ORDERS + 1);
    assert_eq!(view.read().parked().events().len(), 12);
}

/// How many events a reader is told of.
type Asked<'a> = futures_util::future::BoxFuture<'a, u64>;

fn told_by_a_page<'a>(store: &'a dyn EventStore, told: &'a mut Cursor) -> Asked<'a> {
    Box::pin(async move {
        let request = ReadRequest::all().after(told.clone()).events_max(3);
        let page = store.read(request).await.unwrap();
        *told = page.cursor;
        told.position().unwrap().value()
    })
}

fn told_by_the_newest<'a>(store: &'a dyn EventStore, _: &'a mut Cursor) -> Asked<'a> {
    Box::pin(async move {
        let request = ReadRequest::all().backward().events_max(1);
        let page = store.read(request).await.unwrap();
        page.events
            .first()
            .map_or(0, |event| event.position().value())
    })
}

fn told_by_a_stream<'a>(store: &'a dyn EventStore, _: &'a mut Cursor) -> Asked<'a> {
    Box::pin(async move {
        let stream = StreamId::parse("order-1").unwrap();
        store.stream_head(&stream).await.unwrap().version.value()
    })
}

fn told_by_a_change<'a>(store: &'a dyn EventStore, told: &'a mut Cursor) -> Asked<'a> {
    Box::pin(async move {
        *told = store.changed_since(told).await.unwrap();
        told.position().unwrap().value()
    })
}

#[test]
fn nobody_hears_of_an_event_before_the_model_has_it_in_memory() {
    nobody_hears_of_an_event_before_the_model_has_it(MemoryStore::new());
}

#[test]
fn nobody_hears_of_an_event_before_the_model_has_it_in_the_embedded_store() {
    let scratch = tempfile::tempdir().unwrap();
    let store = LogStore::builder(scratch.path()).open_or_create().unwrap();
    nobody_hears_of_an_event_before_the_model_has_it(store);
}

#[test]
fn what_was_recorded_before_is_in_the_model_before_it_is_served() {
    let scratch = tempfile::tempdir().unwrap();
    let open = || LogStore::builder(scratch.path()).open_or_create().unwrap();
    let store = open();
    for order in 0..100 {
        // Nobody projects them: as in a process that dies between its appends and the projection.
        block_on(place(&store, order, 1));
    }
    drop(store);
    let (store, view) = slow_inline(open());
    assert_eq!(handled(&view), 100);
    block_on(store.processor().stop());
}

#[test]
fn a_model_that_can_not_be_brought_up_is_not_served() {
    let memory = MemoryStore::new();
    block_on(place(&memory, 1, BROKEN));
    let policy = FailurePolicy::stop().retrying(RetryPolicy::NEVER);
    let sink = MemorySink::new(Stock::new());
    let consumer = ProjectionConsumer::new(slow(policy), sink);
    let opened = block_on(Inline::open(memory, vec![Box::new(consumer)]));
    let refused = opened.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    assert!(refused.to_string().contains("sold"), "{refused}");
}
