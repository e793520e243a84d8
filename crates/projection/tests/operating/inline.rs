//! Appends that wait for their projections.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use annals_codec::JsonCodec;
use annals_concurrency::RetryPolicy;
use annals_conformance::{
    HistorySettings, ManualClock, Stores, check, check_histories, check_model,
};
use annals_core::{ErrorKind, EventStore};
use annals_projection::{
    ConsumerState, FailurePolicy, Inline, MemorySink, MemoryView, Projection, ProjectionConsumer,
};
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
