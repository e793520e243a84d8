//! What the memory store costs: appends and reads, against a `Vec` of the same events.

#![expect(clippy::expect_used, reason = "a benchmark stops at the first error")]

use std::hint::black_box;

use annals_benches::{order, order_appends, recorded_line};
use annals_core::{Append, EventStore, EventStoreExt, ReadRequest, RecordedEvent};
use annals_store_memory::MemoryStore;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use futures_executor::block_on;

const EVENTS: u64 = 10_000;

fn appends(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("append");
    group
        .sample_size(20)
        .throughput(Throughput::Elements(EVENTS));
    let lines: Vec<RecordedEvent> = (0..EVENTS)
        .map(|number| recorded_line(number).expect("a valid event"))
        .collect();
    group.bench_function("limit: clone into a Vec", |bencher| {
        bencher.iter(|| {
            let mut log = Vec::new();
            for line in &lines {
                log.push(black_box(line.clone()));
            }
            log
        });
    });
    for (name, appends, events) in [
        ("1 event an append", EVENTS, 1),
        ("100 events an append", EVENTS / 100, 100),
    ] {
        let appends = order_appends(appends, events, 1000).expect("valid appends");
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || (MemoryStore::new(), appends.clone()),
                |(store, appends)| filled(store, appends),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn reads(criterion: &mut Criterion) {
    let streams = EVENTS / 10;
    let store = filled(
        MemoryStore::new(),
        order_appends(EVENTS, 1, streams).expect("valid appends"),
    );
    let log = block_on(store.collect(ReadRequest::all())).expect("the store reads");

    let mut group = criterion.benchmark_group("read");
    group.throughput(Throughput::Elements(EVENTS));
    group.bench_function("limit: clone out of a Vec", |bencher| {
        bencher.iter(|| black_box(&log).clone());
    });
    group.bench_function("all, pages of 1000", |bencher| {
        bencher.iter(|| block_on(store.collect(ReadRequest::all())).expect("the store reads"));
    });
    group.throughput(Throughput::Elements(10));
    let mut number = 0;
    group.bench_function("a stream of 10 events", |bencher| {
        bencher.iter(|| {
            number = (number + 7) % streams;
            let request = ReadRequest::stream(order(number).expect("a valid name"));
            block_on(store.read(request)).expect("the store reads")
        });
    });
    group.finish();
}

fn filled(store: MemoryStore, appends: Vec<Append>) -> MemoryStore {
    for append in appends {
        block_on(store.append(append)).expect("the store records");
    }
    store
}

criterion_group!(benches, appends, reads);
criterion_main!(benches);
