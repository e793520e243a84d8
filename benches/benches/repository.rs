//! What a repository adds to the bare store: a command on an aggregate, against an append of the same
//! encoded event, and a load against a read of the same stream.

#![expect(clippy::expect_used, reason = "a benchmark stops at the first error")]

use std::convert::Infallible;
use std::sync::Arc;

use annals_aggregate::Repository;
use annals_benches::account::{Account, AccountEvent, movements};
use annals_codec::{EventCodec, JsonCodec};
use annals_core::{
    Append, Event, EventStore, Expected, Ids, NewEvent, ReadRequest, StreamId, UuidIds, Version,
};
use annals_snapshot::CacheSettings;
use annals_store_memory::MemoryStore;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use futures_executor::block_on;

const COMMANDS: u64 = 1000;

fn commands(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("command");
    group
        .sample_size(20)
        .throughput(Throughput::Elements(COMMANDS));
    let ids = UuidIds::default();
    for length in [0, 10, 100] {
        group.bench_function(
            format!("limit: bare append, streams of {length}"),
            |bencher| {
                bencher.iter_batched(
                    || filled(length),
                    |(store, streams)| {
                        for stream in streams {
                            let expected = Expected::Exactly(Version::new(length));
                            let append = Append::builder(ids.append_id())
                                .write(stream, expected, [encoded(&deposit())])
                                .build()
                                .expect("a valid append");
                            block_on(store.append(append)).expect("the store records");
                        }
                        store
                    },
                    BatchSize::PerIteration,
                );
            },
        );
        group.bench_function(
            format!("Repository::execute, streams of {length}"),
            |bencher| {
                bencher.iter_batched(
                    || {
                        let (store, streams) = filled(length);
                        (Repository::<Account>::new(store, JsonCodec), streams)
                    },
                    |(accounts, streams)| {
                        for stream in &streams {
                            let decided = |_: &Account| Ok::<_, Infallible>(deposit());
                            block_on(accounts.execute(stream.key(), decided)).expect("it executes");
                        }
                        accounts
                    },
                    BatchSize::PerIteration,
                );
            },
        );
        group.bench_function(
            format!("Repository::execute with a cache, streams of {length}"),
            |bencher| {
                bencher.iter_batched(
                    || warm(length),
                    |(accounts, streams)| {
                        for stream in &streams {
                            let decided = |_: &Account| Ok::<_, Infallible>(deposit());
                            block_on(accounts.execute(stream.key(), decided)).expect("it executes");
                        }
                        accounts
                    },
                    BatchSize::PerIteration,
                );
            },
        );
    }
    group.finish();
}

fn loads(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("load");
    for length in [10, 100] {
        let (store, streams) = filled(length);
        let accounts = Repository::<Account>::new(store.clone(), JsonCodec);
        group.throughput(Throughput::Elements(length));
        let mut turn = streams.iter().cycle();
        group.bench_function(
            format!("limit: bare read, streams of {length}"),
            |bencher| {
                bencher.iter(|| {
                    let stream = turn.next().expect("a cycle").clone();
                    block_on(store.read(ReadRequest::stream(stream))).expect("the store reads")
                });
            },
        );
        let mut turn = streams.iter().cycle();
        group.bench_function(
            format!("Repository::load, streams of {length}"),
            |bencher| {
                bencher.iter(|| {
                    let key = turn.next().expect("a cycle").key();
                    block_on(accounts.load(key)).expect("it loads")
                });
            },
        );
    }
    group.finish();
}

/// A repository that has all of its accounts in the cache.
fn warm(length: u64) -> (Repository<Account>, Vec<StreamId>) {
    let (store, streams) = filled(length);
    let accounts = Repository::<Account>::new(store, JsonCodec);
    let accounts = accounts.with_cache(CacheSettings::default());
    for stream in &streams {
        block_on(accounts.load(stream.key())).expect("it loads");
    }
    (accounts, streams)
}

/// A store with as many streams as there are commands, each of this many events.
fn filled(length: u64) -> (Arc<MemoryStore>, Vec<StreamId>) {
    let store = Arc::new(MemoryStore::new());
    let ids = UuidIds::default();
    let events: Vec<NewEvent> = movements(length).iter().map(encoded).collect();
    let streams: Vec<StreamId> = (0..COMMANDS)
        .map(|key| StreamId::new(&AccountEvent::CATEGORY, &key.to_string()).expect("a valid key"))
        .collect();
    for stream in streams.iter().filter(|_| length > 0) {
        let append = Append::builder(ids.append_id())
            .write(stream.clone(), Expected::NoStream, events.clone())
            .build()
            .expect("a valid append");
        block_on(store.append(append)).expect("the store records");
    }
    (store, streams)
}

fn deposit() -> AccountEvent {
    AccountEvent::Deposited { cents: 5 }
}

fn encoded(event: &AccountEvent) -> NewEvent {
    JsonCodec.encode(event).expect("the event has a JSON form")
}

criterion_group!(benches, commands, loads);
criterion_main!(benches);
