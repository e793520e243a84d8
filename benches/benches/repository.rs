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
use annals_store_log::{Durability, LogStore, Settings};
use annals_store_memory::MemoryStore;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use futures_executor::block_on;
use tempfile::TempDir;

const COMMANDS: u64 = 1000;

fn commands(criterion: &mut Criterion) {
    for kind in [Kind::Memory, Kind::Embedded] {
        for length in [0, 10, 100] {
            commands_on(criterion, kind, length);
        }
    }
}

/// A thousand commands on as many aggregates, each of this length.
fn commands_on(criterion: &mut Criterion, kind: Kind, length: u64) {
    let mut group = criterion.benchmark_group(format!("command, {kind:?}, streams of {length}"));
    group
        .sample_size(20)
        .throughput(Throughput::Elements(COMMANDS));
    let ids = UuidIds::default();
    group.bench_function("limit: bare append", |bencher| {
        bencher.iter_batched(
            || kind.filled(length),
            |filled| {
                for stream in &filled.streams {
                    let expected = Expected::Exactly(Version::new(length));
                    let append = Append::builder(ids.append_id())
                        .write(stream.clone(), expected, [encoded(&deposit())])
                        .build()
                        .expect("a valid append");
                    block_on(filled.store.append(append)).expect("the store records");
                }
                filled
            },
            BatchSize::PerIteration,
        );
    });
    for (name, keeping) in [
        ("Repository::execute", Keeping::Nothing),
        ("Repository::execute with a cache", Keeping::States),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || {
                    let filled = kind.filled(length);
                    (keeping.repository(&filled), filled)
                },
                |(accounts, filled)| {
                    for stream in &filled.streams {
                        let decided = |_: &Account| Ok::<_, Infallible>(deposit());
                        block_on(accounts.execute(stream.key(), decided)).expect("it executes");
                    }
                    (accounts, filled)
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn loads(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("load");
    for length in [10, 100] {
        let filled = Kind::Memory.filled(length);
        let (store, streams) = (&filled.store, &filled.streams);
        let accounts = Keeping::Nothing.repository(&filled);
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

/// Which store.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Memory,
    /// The embedded store without a sync for each append, which would hide what is measured.
    Embedded,
}

/// What a repository keeps between commands.
#[derive(Clone, Copy, Debug)]
enum Keeping {
    Nothing,
    /// All of its accounts in the cache.
    States,
}

/// A store with as many streams as there are commands.
struct Filled {
    store: Arc<dyn EventStore>,
    streams: Vec<StreamId>,
    _directory: Option<TempDir>,
}

impl Kind {
    /// A store whose streams have this many events each.
    fn filled(self, length: u64) -> Filled {
        let (store, directory): (Arc<dyn EventStore>, _) = match self {
            Self::Memory => (Arc::new(MemoryStore::new()), None),
            Self::Embedded => {
                let directory = tempfile::tempdir().expect("a directory");
                let mut settings = Settings::default();
                settings.durability = Durability::Process;
                let store = LogStore::builder(directory.path()).settings(settings);
                let store = store.open_or_create().expect("a store");
                (Arc::new(store), Some(directory))
            }
        };
        let ids = UuidIds::default();
        let events: Vec<NewEvent> = movements(length).iter().map(encoded).collect();
        let streams: Vec<StreamId> = (0..COMMANDS)
            .map(|key| {
                StreamId::new(&AccountEvent::CATEGORY, &key.to_string()).expect("a valid key")
            })
            .collect();
        for stream in streams.iter().filter(|_| length > 0) {
            let append = Append::builder(ids.append_id())
                .write(stream.clone(), Expected::NoStream, events.clone())
                .build()
                .expect("a valid append");
            block_on(store.append(append)).expect("the store records");
        }
        Filled {
            store,
            streams,
            _directory: directory,
        }
    }
}

impl Keeping {
    fn repository(self, filled: &Filled) -> Repository<Account> {
        let accounts = Repository::<Account>::new(filled.store.clone(), JsonCodec);
        match self {
            Self::Nothing => accounts,
            Self::States => {
                let accounts = accounts.with_cache(CacheSettings::default());
                for stream in &filled.streams {
                    block_on(accounts.load(stream.key())).expect("it loads");
                }
                accounts
            }
        }
    }
}

fn deposit() -> AccountEvent {
    AccountEvent::Deposited { cents: 5 }
}

fn encoded(event: &AccountEvent) -> NewEvent {
    JsonCodec.encode(event).expect("the event has a JSON form")
}

criterion_group!(benches, commands, loads);
criterion_main!(benches);
