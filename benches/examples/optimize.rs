//! What compression makes of a store: how much smaller it gets, and how fast it is read.
//!
//! ```text
//! cargo run --release -p annals-benches --example optimize -- <directory of a store> <new directory>
//! cargo run --release -p annals-benches --example optimize -- orders <new directory> 2000000
//! cargo run --release -p annals-benches --example optimize -- appends <new directory> 2000000
//! ```
//!
//! The store is forked into the new directory, which shares its sealed segments; the fork is compressed. Then both
//! are replayed from the beginning, in turns, five times each, every payload looked at. `orders` makes a store of so
//! many events of orders first. The store must be closed.
//!
//! `appends` makes such a store too, and measures what a durable append of one writer takes while nothing else goes on, and
//! while the store is compressed beside it, as fast as may be and at the rate that is the default.

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
    reason = "counts and sizes stay far below 2^52"
)]

use std::env;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use annals_core::{
    Append, ContentType, EventStore, EventType, Expected, Ids, NewEvent, Optimizable, Position,
    ReadRequest, SegmentState, StreamId, UuidIds,
};
use annals_optimize::{ApplySettings, Control, JournalMode, OptimizePolicy, Optimizer};
use annals_store_log::LogStore;
use futures_executor::block_on;

const ROUNDS: usize = 5;
const EVENTS_PER_APPEND: u64 = 4;
const PAGE_EVENTS: usize = 1000;
const WARM_UP: Duration = Duration::from_secs(1);
const ALONE: Duration = Duration::from_secs(10);

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["orders", directory, events] => {
            let directory = Path::new(directory);
            let store = directory.join("plain");
            make_orders(&store, events.parse()?)?;
            measure(&store, &directory.join("compressed"))
        }
        ["appends", directory, events] => {
            let directory = Path::new(directory);
            make_orders(directory, events.parse()?)?;
            measure_appends(directory)
        }
        [store, directory] => measure(Path::new(store), Path::new(directory)),
        _ => Err("usage: optimize <directory of a store> <new directory> | orders <new directory> <events> \
             | appends <new directory> <events>"
            .into()),
    }
}

fn measure(from: &Path, to: &Path) -> Outcome<()> {
    LogStore::builder(from).fork(to, Position::new(u64::MAX), &mut |_| {})?;
    let plain = LogStore::builder(from).open()?;
    let packed = Arc::new(LogStore::builder(to).open()?);
    let optimizer = Optimizer::of(Arc::clone(&packed));
    // The fork is to have the same events.
    let settings = unlimited();
    let began = Instant::now();
    let planned = optimizer.plan(&OptimizePolicy::default())?;
    println!("planned in {:.2?}", began.elapsed());
    let began = Instant::now();
    let applied = optimizer.apply(&planned, &settings, &Control::new(), &mut |_| {})?;
    let took = began.elapsed().as_secs_f64();
    let (before, after) = (applied.bytes_before as f64, applied.bytes_after as f64);
    let rate = before / took / 1e6;
    println!(
        "{} segments compressed in {took:.2} s, {rate:.0} MB/s",
        applied.steps_done
    );
    let estimated: u64 = planned.totals().bytes_saved.unsigned_abs();
    println!(
        "segments: {:.1} MB -> {:.1} MB, {:.2} times smaller",
        before / 1e6,
        after / 1e6,
        before / after
    );
    println!(
        "estimated by the plan: {:.2} times smaller",
        before / (before - estimated as f64)
    );
    let (live, index) = (active_bytes(&packed)?, directory_bytes(&to.join("index"))?);
    println!(
        "beside them: {:.1} MB in the segment being written, {:.1} MB of index",
        live / 1e6,
        index / 1e6
    );
    compare(&plain, &packed)
}

/// Replays both in turns.
fn compare(plain: &LogStore, packed: &LogStore) -> Outcome<()> {
    let (mut plain_rates, mut packed_rates) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (rate, sum) = replay(plain)?;
        let (packed_rate, packed_sum) = replay(packed)?;
        if sum != packed_sum {
            return Err("the two stores read differently".into());
        }
        plain_rates.push(rate);
        packed_rates.push(packed_rate);
    }
    let (plain, packed) = (median(plain_rates), median(packed_rates));
    println!(
        "replay, median of {ROUNDS}: plain {plain:.0} events/s, compressed {packed:.0} events/s, {:.2} of it",
        packed / plain
    );
    Ok(())
}

/// Reads every event in order; events in a second, and a sum over what was read.
fn replay(store: &LogStore) -> Outcome<(f64, u64)> {
    let began = Instant::now();
    let (mut events, mut sum) = (0_u64, 0_u64);
    let mut next = Some(ReadRequest::all().events_max(PAGE_EVENTS));
    while let Some(request) = next {
        let page = block_on(store.read(request))?;
        for event in &page.events {
            let payload = event
                .payload()
                .iter()
                .map(|byte| u64::from(*byte))
                .sum::<u64>();
            sum = sum
                .wrapping_mul(31)
                .wrapping_add(payload ^ event.version().value());
        }
        events += page.events.len() as u64;
        next = page.next;
    }
    Ok((events as f64 / began.elapsed().as_secs_f64(), sum))
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or(0.0)
}

fn active_bytes(store: &LogStore) -> Outcome<f64> {
    let segments = store.segments()?.into_iter();
    let active = segments.filter(|it| it.state == SegmentState::Active);
    Ok(active.map(|it| it.stored_bytes).sum::<u64>() as f64)
}

fn directory_bytes(directory: &Path) -> Outcome<f64> {
    let mut bytes = 0;
    for entry in fs::read_dir(directory)? {
        bytes += entry?.metadata()?.len();
    }
    Ok(bytes as f64)
}

/// A store of orders: each is placed, gets lines, is paid.
fn make_orders(directory: &Path, events: u64) -> Outcome<()> {
    let store = LogStore::builder(directory).create()?;
    let ids = UuidIds::default();
    let mut number = 0_u64;
    while number < events {
        let mut appends = Vec::new();
        for _ in 0..256 {
            let order = number / EVENTS_PER_APPEND;
            let batch = (number..number + EVENTS_PER_APPEND).map(|at| event(order, at));
            let batch: Vec<NewEvent> = batch.collect::<Outcome<_>>()?;
            let stream = StreamId::parse(&format!("order-{order:07}"))?;
            let append = Append::builder(ids.append_id()).write(stream, Expected::NoStream, batch);
            appends.push(store.append(append.build()?));
            number += EVENTS_PER_APPEND;
        }
        block_on(futures_util::future::try_join_all(appends))?;
    }
    store.close()?;
    Ok(())
}

/// How long appends take beside nothing, and beside a compression.
fn measure_appends(directory: &Path) -> Outcome<()> {
    let store = Arc::new(LogStore::builder(directory).open()?);
    // What a store does once, when it is opened.
    append_until(&store, &|| true, Instant::now() + WARM_UP)?;
    let alone = append_until(&store, &|| true, Instant::now() + ALONE)?;
    tell("alone", alone, ALONE.as_secs_f64());
    for (name, rate) in [
        ("beside a compression at 64 MiB/s", Some(64 * 1024 * 1024)),
        ("beside a compression without a limit", None),
    ] {
        let optimizer = Optimizer::of(Arc::clone(&store));
        let undo = optimizer.plan_undo()?;
        optimizer.apply(&undo, &unlimited(), &Control::new(), &mut |_| {})?;
        let plan = optimizer.plan(&OptimizePolicy::default())?;
        let mut settings = unlimited();
        settings.bytes_per_second_max = rate;
        let began = Instant::now();
        let taken = thread::scope(|scope| {
            let applying = scope
                .spawn(move || optimizer.apply(&plan, &settings, &Control::new(), &mut |_| {}));
            let goes_on = || !applying.is_finished();
            let taken = append_until(&store, &goes_on, began + Duration::from_mins(10));
            applying.join().map_err(|_| "the compression failed")??;
            taken
        })?;
        tell(name, taken, began.elapsed().as_secs_f64());
    }
    Ok(())
}

fn unlimited() -> ApplySettings {
    let mut settings = ApplySettings::default();
    settings.bytes_per_second_max = None;
    settings.journal = JournalMode::Silent;
    settings
}

/// Appends one event after the other; what each took, in microseconds.
fn append_until(store: &LogStore, goes_on: &dyn Fn() -> bool, until: Instant) -> Outcome<Vec<f64>> {
    let ids = UuidIds::default();
    let mut taken = Vec::new();
    while goes_on() && Instant::now() < until {
        let number = taken.len() as u64;
        let stream = StreamId::parse(&format!("beside-{}", number % 1000))?;
        let append = Append::builder(ids.append_id());
        let append = append.write(stream, Expected::Any, [event(number, number)?]);
        let began = Instant::now();
        block_on(store.append(append.build()?))?;
        taken.push(began.elapsed().as_secs_f64() * 1e6);
    }
    Ok(taken)
}

fn tell(name: &str, mut taken: Vec<f64>, seconds: f64) {
    taken.sort_by(f64::total_cmp);
    // Per mille of them.
    let at = |part: usize| {
        let index = (taken.len() * part / 1000).min(taken.len().saturating_sub(1));
        taken.get(index).copied().unwrap_or(0.0)
    };
    println!(
        "{name}: {} appends in {seconds:.1} s; median {:.0} us, p99 {:.0} us, p99.9 {:.0} us, longest {:.1} ms",
        taken.len(),
        at(500),
        at(990),
        at(999),
        at(1000) / 1e3
    );
}

fn event(order: u64, number: u64) -> Outcome<NewEvent> {
    // Numbers that look drawn, the same in each run.
    let drawn = |salt: u64| (number ^ salt).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    let kinds = [
        "order-placed",
        "order-line-added",
        "order-line-added",
        "order-paid",
    ];
    let kind = kinds
        .get(usize::try_from(number % 4)?)
        .copied()
        .unwrap_or("order-placed");
    let payload = format!(
        "{{\"order\":\"{order:07}\",\"customer\":\"customer-{}\",\"article\":\"article-{:04}\",\"quantity\":{},\"cents\":{},\"currency\":\"EUR\",\"warehouse\":\"west\"}}",
        drawn(1) % 50_000,
        drawn(2) % 3000,
        1 + drawn(3) % 9,
        drawn(4) % 100_000,
    );
    Ok(NewEvent::new(
        EventType::parse(kind)?,
        ContentType::JSON,
        payload,
    )?)
}
