//! What watching costs: appends, and replays that decode, by a store and a codec alone and within their layers.
//!
//! The two ways take turns, round by round, on the same kind of store, and the time of the processor is compared: what
//! the layers add is its own, whatever the disk does and whoever else is at work. The share of the wall time is that of
//! an append that waits for its disk. Medians of all rounds; `cargo bench -p annals-benches --bench profile`.

#![expect(clippy::expect_used, reason = "a benchmark stops at the first error")]
#![expect(clippy::print_stdout, reason = "the figures go to whoever runs it")]

use std::env;
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use annals_aggregate::Repository;
use annals_benches::account::{Account, AccountEvent};
use annals_benches::shop::{ShopEvent, line};
use annals_benches::{order, order_line};
use annals_codec::{EventCodec, EventCodecExt, JsonCodec};
use annals_concurrency::{SystemTimer, Timer};
use annals_core::{
    Append, EventStore, EventStoreExt, Expected, Ids, NewEvent, Observer, ReadRequest, UuidIds,
};
use annals_profile::{Monitor, ProfiledCodec, ProfiledStore, Profiler, Prometheus, Spans};
use annals_store_log::{Durability, LogStore, Settings};
use annals_store_memory::MemoryStore;
use futures_executor::block_on;

/// How much is done.
#[derive(Clone, Copy)]
struct Scale {
    rounds: usize,
    appends: u64,
    replays: u32,
}

/// What something took: of the processor, and by the clock.
#[derive(Clone, Copy)]
struct Took {
    processor: Duration,
    wall: Duration,
}

fn main() {
    // `cargo bench` says so; `cargo test` has every benchmark run once, unmeasured.
    let is_measured = env::args().any(|argument| argument == "--bench");
    let scale = if is_measured {
        Scale {
            rounds: 41,
            appends: 400,
            replays: 4,
        }
    } else {
        Scale {
            rounds: 1,
            appends: 2,
            replays: 1,
        }
    };
    println!(
        "| what | alone | watched | more, processor | more, of the wall time |\n|---|---|---|---|---|"
    );
    let ways: [(&str, fn() -> Monitor); 3] = [
        ("profiler", profiler),
        ("profiler, metrics", with_metrics),
        ("profiler, metrics, spans that nobody hears", with_spans),
    ];
    for (way, monitor) in ways {
        let directory = tempfile::tempdir().expect("a temporary folder");
        for (name, plain, watched) in stores(directory.path(), monitor) {
            let (plain, watched) = compare(
                scale.rounds,
                || appends(&*plain, scale.appends),
                || appends(&*watched, scale.appends),
            );
            tell(
                &format!("append, {name}, {way}"),
                plain,
                watched,
                scale.appends,
            );
        }
        replays(way, monitor(), scale);
        loads(way, &monitor(), scale);
    }
}

/// Does both in turn, each first in every other round; the medians.
fn compare(rounds: usize, mut plain: impl FnMut(), mut watched: impl FnMut()) -> (Took, Took) {
    plain();
    watched();
    let (mut of_plain, mut of_watched) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        if round.is_multiple_of(2) {
            of_plain.push(measure(&mut plain));
            of_watched.push(measure(&mut watched));
        } else {
            of_watched.push(measure(&mut watched));
            of_plain.push(measure(&mut plain));
        }
    }
    (median(of_plain), median(of_watched))
}

fn measure(work: &mut impl FnMut()) -> Took {
    let timer = SystemTimer;
    let (wall, processor) = (timer.elapsed(), processor_time());
    work();
    Took {
        processor: processor_time().saturating_sub(processor),
        wall: timer.elapsed().saturating_sub(wall),
    }
}

/// How long this thread has used a processor, where the system tells; by the clock elsewhere.
fn processor_time() -> Duration {
    let told = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = told.split_whitespace().next();
    let nanos = nanos.and_then(|nanos| nanos.parse().ok());
    nanos.map_or_else(|| SystemTimer.elapsed(), Duration::from_nanos)
}

fn median(mut all: Vec<Took>) -> Took {
    let middle = all.len() / 2;
    let mut of = |which: fn(&Took) -> Duration| {
        all.sort_by_key(which);
        all.get(middle).map_or(Duration::ZERO, which)
    };
    Took {
        processor: of(|took| took.processor),
        wall: of(|took| took.wall),
    }
}

fn tell(what: &str, plain: Took, watched: Took, times: u64) {
    let each = |took: Took| took.processor.as_secs_f64() * 1e9 / number(times);
    let more = each(watched) - each(plain);
    let of_wall = more / (plain.wall.as_secs_f64() * 1e9 / number(times));
    println!(
        "| {what} | {:.0} ns | {:.0} ns | {more:+.0} ns, {:+.1} % | {:+.2} % |",
        each(plain),
        each(watched),
        100.0 * more / each(plain),
        100.0 * of_wall,
    );
}

#[expect(clippy::cast_precision_loss, reason = "counts are small")]
fn number(count: u64) -> f64 {
    count as f64
}

type Pair = (&'static str, Arc<dyn EventStore>, Arc<dyn EventStore>);

/// Each kind of store twice: alone, and another one within a layer.
fn stores(directory: &Path, monitor: fn() -> Monitor) -> Vec<Pair> {
    let log = |name: &str, durability| {
        let mut settings = Settings::default();
        settings.durability = durability;
        let store = LogStore::builder(directory.join(name)).settings(settings);
        store.open_or_create().expect("a new store")
    };
    let (sync, process) = (Durability::Sync, Durability::Process);
    vec![
        (
            "memory",
            shared(MemoryStore::new()),
            shared(ProfiledStore::new(MemoryStore::new(), monitor())),
        ),
        (
            "embedded",
            shared(log("plain", sync)),
            shared(ProfiledStore::new(log("watched", sync), monitor())),
        ),
        (
            "embedded without syncs",
            shared(log("plain-process", process)),
            shared(ProfiledStore::new(
                log("watched-process", process),
                monitor(),
            )),
        ),
    ]
}

fn shared(store: impl EventStore + 'static) -> Arc<dyn EventStore> {
    Arc::new(store)
}

/// Appends of one event each, to a thousand streams in turn.
fn appends(store: &dyn EventStore, count: u64) {
    let ids = UuidIds::default();
    for number in 0..count {
        let append = Append::builder(ids.append_id())
            .write(
                order(number % 1000).expect("a valid name"),
                Expected::Any,
                order_line().ok(),
            )
            .build()
            .expect("a valid append");
        block_on(store.append(append)).expect("the store records");
    }
}

const EVENTS: u32 = 10_000;

/// All events, read in pages and decoded.
fn replays(way: &str, monitor: Monitor, scale: Scale) {
    let store = Arc::new(MemoryStore::new());
    for page in 0..EVENTS / 100 {
        let lines = (0..100).map(|number| ShopEvent::LineAdded(line(page * 100 + number)));
        let lines: Vec<NewEvent> = lines
            .map(|event| JsonCodec.encode(&event).expect("a valid event"))
            .collect();
        let append = Append::builder(UuidIds::default().append_id())
            .write(
                order(page.into()).expect("a valid name"),
                Expected::Any,
                lines,
            )
            .build();
        block_on(store.append(append.expect("a valid append"))).expect("the store records");
    }
    let watched = ProfiledStore::new(Arc::clone(&store), monitor.clone());
    let codec = ProfiledCodec::new(JsonCodec, monitor);
    let (plain, watched) = compare(
        scale.rounds,
        || (0..scale.replays).for_each(|_| replay(&*store, &JsonCodec)),
        || (0..scale.replays).for_each(|_| replay(&watched, &codec)),
    );
    let times = u64::from(scale.replays) * u64::from(EVENTS);
    tell(&format!("replay of an event, {way}"), plain, watched, times);
}

fn replay(store: &impl EventStore, codec: &impl EventCodec<ShopEvent>) {
    let events = block_on(store.collect(ReadRequest::all())).expect("the store reads");
    for event in &events {
        black_box(codec.decode(event).expect("an event decodes"));
    }
}

/// An aggregate of a hundred events, loaded by a repository.
fn loads(way: &str, monitor: &Monitor, scale: Scale) {
    let store: Arc<dyn EventStore> = Arc::new(MemoryStore::new());
    let plain = Repository::<Account>::new(Arc::clone(&store), JsonCodec);
    let deposits = |_: &Account| {
        let deposit = || AccountEvent::Deposited { cents: 5 };
        Ok::<_, String>(
            std::iter::repeat_with(deposit)
                .take(100)
                .collect::<Vec<_>>(),
        )
    };
    block_on(plain.execute("ada", deposits)).expect("the store records");
    let observer: Arc<dyn Observer> = Arc::new(monitor.clone());
    let watched: Arc<dyn EventStore> = Arc::new(ProfiledStore::new(store, monitor.clone()));
    let codec = ProfiledCodec::new(JsonCodec, monitor.clone());
    let watched = Repository::<Account>::new(watched, codec).with_observer(observer);
    let load = |accounts: &Repository<Account>| {
        for _ in 0..scale.appends {
            black_box(block_on(accounts.load("ada")).expect("it loads"));
        }
    };
    let (plain, watched) = compare(scale.rounds, || load(&plain), || load(&watched));
    tell(
        &format!("load of 100 events, {way}"),
        plain,
        watched,
        scale.appends,
    );
}

fn profiler() -> Monitor {
    Monitor::new(Profiler::new(Arc::new(SystemTimer)))
}

fn with_metrics() -> Monitor {
    let prometheus = Prometheus::new().expect("buckets that are right");
    profiler().with_metrics(prometheus.metrics())
}

fn with_spans() -> Monitor {
    with_metrics().with_spans(Spans::new())
}
