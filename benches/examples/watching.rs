//! What watching costs: single appends, and a replay that decodes, bare, under a profiler, and under a monitor with
//! metrics.
//!
//! ```text
//! cargo run --release -p annals-benches --example watching -- /var/tmp/watching 200000
//! ```
//!
//! It fills an embedded store with so many lines of orders in JSON. Then the ways take turns, in slices of some
//! milliseconds, so that what else the machine does meets all of them; of each the median counts, and of what it takes
//! more than the bare one of the same turn.

#![expect(
    clippy::print_stdout,
    reason = "a program that prints what it measured"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "a program that measures asks the machine for the time"
)]
#![expect(
    clippy::cast_precision_loss,
    reason = "counts and times stay far below 2^52"
)]

use std::env;
use std::error::Error;
use std::fs;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use annals_benches::shop::{self, ShopEvent};
use annals_benches::{order, order_line};
use annals_codec::{EventCodec, EventCodecExt, JsonCodec};
use annals_concurrency::SystemTimer;
use annals_core::{Append, EventStore, EventStoreExt, Expected, Ids, ReadRequest, UuidIds};
use annals_profile::{Monitor, ProfiledCodec, ProfiledStore, Profiler, Prometheus};
use annals_store_log::LogStore;
use annals_store_memory::MemoryStore;
use futures_executor::block_on;
use futures_util::TryStreamExt as _;

const STREAMS: u64 = 1000;
const EVENTS_PER_APPEND: u64 = 1000;
const SLICES: usize = 201;

/// A sync takes now less, now more time, by far more than what is looked for: it needs many.
const SYNCED_SLICES: usize = 1501;

/// As many as a profiler adds up at once, so that no slice goes without its part of it.
const SYNCED_APPENDS: u64 = 64;
const WAYS: [&str; 3] = ["bare", "profiler", "monitor with metrics"];

type Outcome<T> = Result<T, Box<dyn Error>>;
type Store = Arc<dyn EventStore>;
type Codec = Box<dyn EventCodec<ShopEvent>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [directory, events] = arguments.as_slice() else {
        return Err("usage: watching <new directory> <events>".into());
    };
    let events = events.parse()?;
    let log: Store = Arc::new(LogStore::builder(directory).open_or_create()?);
    fill(&*log, events)?;
    let memory: Store = Arc::new(MemoryStore::new());
    replays(&log, events)?;
    appends("append to memory", &memory, 2000, SLICES)?;
    appends("durable append", &log, SYNCED_APPENDS, SYNCED_SLICES)?;
    drop(log);
    fs::remove_dir_all(directory)?;
    Ok(())
}

fn fill(store: &dyn EventStore, events: u64) -> Outcome<()> {
    for first in (0..events).step_by(usize::try_from(EVENTS_PER_APPEND)?) {
        let lines = (first..events.min(first + EVENTS_PER_APPEND)).map(|number| {
            let line = shop::line(u32::try_from(number).unwrap_or_default());
            JsonCodec.encode(&ShopEvent::LineAdded(line))
        });
        let lines = lines.collect::<Result<Vec<_>, _>>()?;
        let append = Append::builder(UuidIds::default().append_id());
        let stream = order(first / EVENTS_PER_APPEND % STREAMS)?;
        block_on(store.append(append.write(stream, Expected::Any, lines).build()?))?;
    }
    Ok(())
}

/// The store and the codec of each way.
fn ways(store: &Store) -> Outcome<[(Store, Codec); 3]> {
    let profiler = Profiler::new(Arc::new(SystemTimer));
    let watched = ProfiledStore::new(Arc::clone(store), profiler.clone());
    let monitor = Monitor::new(Profiler::new(Arc::new(SystemTimer)));
    let monitor = monitor.with_metrics(Prometheus::new()?.metrics());
    let monitored = ProfiledStore::new(Arc::clone(store), monitor.clone());
    Ok([
        (Arc::clone(store), Box::new(JsonCodec)),
        (
            Arc::new(watched),
            Box::new(ProfiledCodec::new(JsonCodec, profiler)),
        ),
        (
            Arc::new(monitored),
            Box::new(ProfiledCodec::new(JsonCodec, monitor)),
        ),
    ])
}

/// One event each time, to one of a thousand streams.
fn appends(name: &str, store: &Store, appends_per_slice: u64, slices: usize) -> Outcome<()> {
    let ids = UuidIds::default();
    let mut number = 0;
    in_turns(
        name,
        "append",
        (slices, appends_per_slice),
        &ways(store)?,
        |store, _| {
            let appends = (0..appends_per_slice).map(|_| {
                number = (number + 1) % STREAMS;
                let append = Append::builder(ids.append_id());
                append
                    .write(order(number)?, Expected::Any, order_line().ok())
                    .build()
            });
            let appends = appends.collect::<Result<Vec<_>, _>>()?;
            let began = Instant::now();
            for append in appends {
                block_on(store.append(append))?;
            }
            Ok(began.elapsed().as_secs_f64())
        },
    )
}

/// Events of the embedded store, read by the page and decoded.
fn replays(store: &Store, events: u64) -> Outcome<()> {
    let slices = (SLICES, events);
    in_turns("replay", "event", slices, &ways(store)?, |store, codec| {
        let began = Instant::now();
        block_on(async {
            let mut pages = store.pages(ReadRequest::all());
            while let Some(page) = pages.try_next().await? {
                for event in &page.events {
                    black_box(codec.decode(event)?);
                }
            }
            Ok::<_, Box<dyn Error>>(())
        })?;
        Ok(began.elapsed().as_secs_f64())
    })
}

/// Runs a slice of each way in turn, so many times; prints what one of what is counted takes.
fn in_turns(
    name: &str,
    counted: &str,
    (slices, per_slice): (usize, u64),
    ways: &[(Store, Codec); 3],
    mut run: impl FnMut(&dyn EventStore, &dyn EventCodec<ShopEvent>) -> Outcome<f64>,
) -> Outcome<()> {
    let mut taken = [const { Vec::new() }; 3];
    for slice in 0..slices {
        // None is always the one that comes first.
        let mut turns: Vec<_> = ways.iter().zip(&mut taken).collect();
        turns.rotate_left(slice % WAYS.len());
        for ((store, codec), taken) in turns {
            taken.push(run(&**store, &**codec)? / per_slice as f64 * 1e9);
        }
    }
    let [bare, ..] = &taken;
    for (way, taken) in WAYS.iter().zip(&taken) {
        let more = taken.iter().zip(bare).map(|(taken, bare)| taken - bare);
        let more = median(&more.collect::<Vec<_>>());
        println!(
            "{name}, {way}: {:.0} ns an {counted}, {more:.0} ns more than bare ({:.1} %)",
            median(taken),
            more / median(bare) * 100.0
        );
    }
    Ok(())
}

fn median(taken: &[f64]) -> f64 {
    let mut sorted = taken.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}
