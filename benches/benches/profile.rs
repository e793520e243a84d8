//! What measuring costs: single appends, and a replay that decodes, with and without a profiler.

#![expect(clippy::expect_used, reason = "a benchmark stops at the first error")]

use std::hint::black_box;
use std::sync::Arc;

use annals_benches::shop::{ShopEvent, line};
use annals_benches::{order, order_line};
use annals_codec::{EventCodec, EventCodecExt, JsonCodec};
use annals_concurrency::SystemTimer;
use annals_core::{Append, EventStore, EventStoreExt, Expected, Ids, ReadRequest, UuidIds};
use annals_profile::{ProfiledCodec, ProfiledStore, Profiler};
use annals_store_log::LogStore;
use annals_store_memory::MemoryStore;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use futures_executor::block_on;

const EVENTS: u32 = 10_000;

/// One append of one event each time, to one of a thousand streams.
fn appends(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a temporary folder");
    let log = LogStore::builder(directory.path()).open_or_create();
    let log: Arc<dyn EventStore> = Arc::new(log.expect("a new store"));
    let memory: Arc<dyn EventStore> = Arc::new(MemoryStore::new());
    let mut group = criterion.benchmark_group("profiled append");
    group.throughput(Throughput::Elements(1));
    for (name, store) in [("memory", memory), ("embedded", log)] {
        let profiled = ProfiledStore::new(Arc::clone(&store), profiler());
        let profiled: Arc<dyn EventStore> = Arc::new(profiled);
        for (way, store) in [("plain", &store), ("profiled", &profiled)] {
            let (ids, mut number) = (UuidIds::default(), 0);
            let mut next = || {
                number = (number + 1) % 1000;
                Append::builder(ids.append_id())
                    .write(
                        order(number).expect("a valid name"),
                        Expected::Any,
                        order_line().ok(),
                    )
                    .build()
                    .expect("a valid append")
            };
            group.bench_function(format!("{name}, {way}"), |bencher| {
                let append = |append| block_on(store.append(append)).expect("the store records");
                bencher.iter_batched(&mut next, append, BatchSize::SmallInput);
            });
        }
    }
    group.finish();
}

/// Ten thousand events, read in pages and decoded.
fn replays(criterion: &mut Criterion) {
    let store = MemoryStore::new();
    for page in 0..EVENTS / 100 {
        let lines = (0..100).map(|number| ShopEvent::LineAdded(line(page * 100 + number)));
        let lines = lines.map(|event| JsonCodec.encode(&event).expect("a valid event"));
        let append = Append::builder(UuidIds::default().append_id())
            .write(
                order(u64::from(page)).expect("a valid name"),
                Expected::Any,
                lines,
            )
            .build();
        block_on(store.append(append.expect("a valid append"))).expect("the store records");
    }
    let profiled = ProfiledStore::new(&store, profiler());
    let codec = ProfiledCodec::new(JsonCodec, profiled.profiler().clone());
    let mut group = criterion.benchmark_group("profiled replay");
    group
        .sample_size(30)
        .throughput(Throughput::Elements(u64::from(EVENTS)));
    group.bench_function("plain", |bencher| {
        bencher.iter(|| replay(&store, &JsonCodec));
    });
    group.bench_function("profiled", |bencher| {
        bencher.iter(|| replay(&profiled, &codec));
    });
    group.finish();
}

fn replay(store: &impl EventStore, codec: &impl EventCodec<ShopEvent>) {
    let events = block_on(store.collect(ReadRequest::all())).expect("the store reads");
    for event in &events {
        black_box(codec.decode(event).expect("an event decodes"));
    }
}

fn profiler() -> Profiler {
    Profiler::new(Arc::new(SystemTimer))
}

criterion_group!(benches, appends, replays);
criterion_main!(benches);
