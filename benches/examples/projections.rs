//! What projections cost: replay beside a plain loop, four in one pass beside four passes, the lag of a live one,
//! and what an idle one takes.
//!
//! ```text
//! cargo run --release -p annals-benches --example projections -- /var/tmp/projections 1000000
//! ```
//!
//! It fills an embedded store with so many lines of orders in JSON, then measures over it, each thing several times
//! in turn. Linux only: it reads `/proc`.

#![expect(
    clippy::print_stdout,
    reason = "a program that prints what it measured"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "a program that measures asks the machine for the time, and lets it pass"
)]
#![expect(
    clippy::cast_precision_loss,
    reason = "counts and times stay far below 2^52"
)]

use std::env;
use std::error::Error;
use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use annals_benches::shop::{self, Line, ShopEvent};
use annals_codec::{EventCodec, EventCodecExt, JsonCodec};
use annals_core::{
    Append, BoxError, Event, EventStore, EventStoreExt, Expected, Ids, ReadRequest, RecordedEvent,
    StreamId, UuidIds,
};
use annals_projection::{MemorySink, Processor, ProcessorHandle, Projection};
use annals_store_log::LogStore;
use futures_executor::block_on;
use futures_util::TryStreamExt as _;

const EVENTS_PER_APPEND: u64 = 1000;
const STREAMS: u64 = 10_000;
const ROUNDS: usize = 5;
const APPENDS: usize = 2000;
const SUBSCRIBERS: usize = 50;
const IDLE: Duration = Duration::from_secs(10);

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [directory, events] = arguments.as_slice() else {
        return Err("usage: projections <new directory> <events>".into());
    };
    let store = LogStore::builder(directory).open_or_create()?;
    let store: Arc<dyn EventStore> = Arc::new(store);
    let events = events.parse()?;
    block_on(import(&*store, events))?;
    replay(&store, events)?;
    lag(&store)?;
    idle(&store)?;
    drop(store);
    fs::remove_dir_all(directory)?;
    Ok(())
}

async fn import(store: &dyn EventStore, events: u64) -> Outcome<()> {
    let ids = UuidIds::default();
    for first in (0..events).step_by(usize::try_from(EVENTS_PER_APPEND)?) {
        let mut append = Append::builder(ids.append_id());
        let stream = StreamId::parse(&format!("shop-{}", first / EVENTS_PER_APPEND % STREAMS))?;
        let lines = (first..events.min(first + EVENTS_PER_APPEND)).map(line);
        append = append.write(stream, Expected::Any, lines.collect::<Result<Vec<_>, _>>()?);
        store.append(append.build()?).await?;
    }
    Ok(())
}

fn line(number: u64) -> Result<annals_core::NewEvent, annals_codec::Error> {
    let number = u32::try_from(number).unwrap_or_default();
    JsonCodec.encode(&ShopEvent::LineAdded(shop::line(number)))
}

/// What is folded: cheap, so that what is measured is all the rest.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Totals {
    lines: u64,
    cents: u64,
}

impl Totals {
    fn add(&mut self, line: &Line) {
        self.lines += 1;
        self.cents += line.cents();
    }
}

fn totals(name: &str) -> Result<Projection<Totals>, annals_core::Error> {
    let builder = Projection::builder(name, 1)?;
    builder.on(JsonCodec, take).build()
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "a handler is a function that may fail"
)]
fn take(totals: &mut Totals, event: &ShopEvent, _: &RecordedEvent) -> Result<(), BoxError> {
    if let ShopEvent::LineAdded(line) = event {
        totals.add(line);
    }
    Ok(())
}

fn replay(store: &Arc<dyn EventStore>, events: u64) -> Outcome<()> {
    let mut measured: [Vec<Measured>; 6] = Default::default();
    for _ in 0..ROUNDS {
        measured[0].push(measure(|| plain(&**store, ReadRequest::all()))?);
        measured[1].push(measure(|| {
            plain(&**store, ReadRequest::category(ShopEvent::CATEGORY))
        })?);
        measured[2].push(measure(|| through_codec(&**store))?);
        measured[3].push(measure(|| project(store, 1))?);
        measured[4].push(measure(|| project(store, 4))?);
        measured[5].push(measure(|| {
            for _ in 0..4 {
                project(store, 1)?;
            }
            Ok(())
        })?);
    }
    let names = [
        "plain loop: read all, serde_json",
        "plain loop: read the category, serde_json",
        "plain loop: read all, JsonCodec",
        "one projection",
        "four projections, one pass",
        "four projections, four passes",
    ];
    let plain = median(&measured[0]);
    for (name, measured) in names.iter().zip(&measured) {
        let median = median(measured);
        println!(
            "{name}: {:.3} s, {:.0} events/s, {:.3} s of processor time; throughput {:.2} of the plain loop",
            median.wall,
            events as f64 / median.wall,
            median.processor,
            plain.wall / median.wall,
        );
    }
    Ok(())
}

/// The plain loop with the codec that projections decode by.
fn through_codec(store: &dyn EventStore) -> Outcome<()> {
    let mut totals = Totals::default();
    block_on(async {
        let mut pages = store.pages(ReadRequest::all());
        while let Some(page) = pages.try_next().await? {
            for event in &page.events {
                take(&mut totals, &JsonCodec.decode(event)?.one()?, event)
                    .map_err(|error| error.to_string())?;
            }
        }
        Ok::<(), Box<dyn Error>>(())
    })?;
    assert!(totals.lines > 0, "there is something to read");
    Ok(())
}

fn plain(store: &dyn EventStore, request: ReadRequest) -> Outcome<()> {
    let mut totals = Totals::default();
    block_on(async {
        let mut pages = store.pages(request);
        while let Some(page) = pages.try_next().await? {
            for event in &page.events {
                totals.add(&serde_json::from_slice(event.payload())?);
            }
        }
        Ok::<(), Box<dyn Error>>(())
    })?;
    assert!(totals.lines > 0, "there is something to read");
    Ok(())
}

fn project(store: &Arc<dyn EventStore>, count: usize) -> Outcome<()> {
    let mut builder = Processor::builder(Arc::clone(store));
    let mut views = Vec::new();
    for number in 0..count {
        let sink = MemorySink::new(Totals::default());
        views.push(sink.view());
        builder = builder.project(totals(&format!("totals-{number}"))?, sink);
    }
    let running = builder.build()?.start();
    block_on(async {
        for number in 0..count {
            running.wait_until_live(&format!("totals-{number}")).await?;
        }
        running.stop().await;
        Ok::<(), annals_core::Error>(())
    })?;
    assert!(
        views.iter().all(|view| view.read().lines > 0),
        "all is folded"
    );
    Ok(())
}

/// How long a live projection is behind the answer to an append.
fn lag(store: &Arc<dyn EventStore>) -> Outcome<()> {
    let sink = MemorySink::new(Totals::default());
    let running = Processor::builder(Arc::clone(store))
        .project(totals("live")?, sink)
        .build()?
        .start();
    let mut lags = Vec::new();
    block_on(async {
        running.wait_until_live("live").await?;
        for number in 0..APPENDS {
            let receipt = append_one(&**store, number as u64).await?;
            let answered = Instant::now();
            running.wait_for("live", &receipt).await?;
            lags.push(answered.elapsed());
            std::thread::sleep(Duration::from_micros(500));
        }
        running.stop().await;
        Ok::<(), Box<dyn Error>>(())
    })?;
    lags.sort_unstable();
    let at = |percent: usize| lags.get(lags.len() * percent / 100).copied();
    println!(
        "lag behind the answer to an append: p50 {:?}, p99 {:?}, most {:?}",
        at(50).unwrap_or_default(),
        at(99).unwrap_or_default(),
        lags.last().copied().unwrap_or_default(),
    );
    Ok(())
}

async fn append_one(store: &dyn EventStore, number: u64) -> Outcome<annals_core::Receipt> {
    let append = Append::builder(UuidIds::default().append_id())
        .write(
            StreamId::parse("shop-live")?,
            Expected::Any,
            [line(number)?],
        )
        .build()?;
    Ok(store.append(append).await?)
}

/// What so many subscribers take who have nothing to do.
fn idle(store: &Arc<dyn EventStore>) -> Outcome<()> {
    let mut builder = Processor::builder(Arc::clone(store));
    for number in 0..SUBSCRIBERS {
        let sink = MemorySink::new(Totals::default());
        builder = builder.project(totals(&format!("idle-{number}"))?, sink);
    }
    let running = builder.build()?.start();
    block_on(async {
        for number in 0..SUBSCRIBERS {
            running.wait_until_live(&format!("idle-{number}")).await?;
        }
        Ok::<(), annals_core::Error>(())
    })?;
    std::thread::sleep(Duration::from_secs(1));
    let (processor, switches) = (processor_time()?, switches()?);
    std::thread::sleep(IDLE);
    println!(
        "{SUBSCRIBERS} idle projections took {:?} of processor time and {} wake-ups in {IDLE:?}",
        processor_time()?.saturating_sub(processor),
        self::switches()? - switches,
    );
    stop(&running);
    Ok(())
}

fn stop(running: &ProcessorHandle) {
    block_on(running.stop());
}

#[derive(Clone, Copy, Debug, Default)]
struct Measured {
    wall: f64,
    processor: f64,
}

fn measure(run: impl FnOnce() -> Outcome<()>) -> Outcome<Measured> {
    let (began, processor) = (Instant::now(), processor_time()?);
    run()?;
    Ok(Measured {
        wall: began.elapsed().as_secs_f64(),
        processor: processor_time()?.saturating_sub(processor).as_secs_f64(),
    })
}

fn median(measured: &[Measured]) -> Measured {
    let of = |part: fn(&Measured) -> f64| {
        let mut parts: Vec<f64> = measured.iter().map(part).collect();
        parts.sort_by(f64::total_cmp);
        parts.get(parts.len() / 2).copied().unwrap_or_default()
    };
    Measured {
        wall: of(|measured| measured.wall),
        processor: of(|measured| measured.processor),
    }
}

/// The processor time of this process so far, in ticks of 10 ms.
fn processor_time() -> Outcome<Duration> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let after_name = stat.rsplit_once(')').ok_or("no name in /proc/self/stat")?.1;
    let mut fields = after_name.split_whitespace().skip(11);
    let mut ticks = || -> Outcome<u64> { Ok(fields.next().ok_or("too few fields")?.parse()?) };
    Ok(Duration::from_millis((ticks()? + ticks()?) * 10))
}

/// How often the threads of this process came to run after they had waited.
fn switches() -> Outcome<u64> {
    let mut switches = 0;
    for task in fs::read_dir("/proc/self/task")? {
        let status = fs::read_to_string(task?.path().join("status"))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        switches += line.ok_or("no switches in status")?.trim().parse::<u64>()?;
    }
    Ok(switches)
}
