//! The workloads of stores, W1 to W10, each once for all subjects.

use std::collections::BTreeMap;
use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;

use crate::event::{Line, OrderLine, Seen, Tagged};
use crate::measure::{self, Window, as_f64};
use crate::subject::{Answer, Concurrency, Guard, Known, NewAppend, Subject};

/// Concurrent writers of W2, W2L and W10.
const WRITERS: usize = 64;
/// Events of a stream in the large store.
const STREAM_EVENTS: u64 = 10;
/// Events of the one stream of W6.
const LONG_STREAM_EVENTS: u64 = 10_000;
/// Streams of the store of W8.
const HOT_STREAMS: u64 = 1_000;

/// One of the workloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
#[value(rename_all = "UPPER")]
pub enum Workload {
    /// One writer, one event an append
    W1,
    /// 64 writers, one event an append each
    W2,
    /// One writer, 100 events an append
    W3,
    /// Import of a large store, durable at the end
    W4,
    /// Open a large store
    W9,
    /// Read a random stream of 10 events of a large store
    W5,
    /// Read a stream of 10,000 events
    W6,
    /// Replay a large store in order
    W7,
    /// Refuse a stale expectation
    W8,
    /// W2 on a large store
    W2L,
    /// 64 writers, each append under a condition on a tag of a large store
    W10,
    /// Commands by one writer, through a framework
    C1,
    /// Commands by 64 writers, each on aggregates of its own
    C64,
    /// Load an aggregate of 10 events
    L10,
    /// Make the tagged store of W10
    #[value(skip)]
    FillTagged,
}

/// Where a run happens, and how much of it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The subject's own folder.
    pub dir: PathBuf,
    /// Events of the large stores, a multiple of 10.
    pub events: u64,
    /// How long what repeats is repeated.
    pub time: Duration,
}

impl Workload {
    /// Whether it is one of frameworks, and not of stores.
    pub fn is_of_frameworks(self) -> bool {
        matches!(self, Self::C1 | Self::C64 | Self::L10)
    }
}

/// What a run gives: figures by the keys of [`MEASURES`](crate::report::MEASURES).
pub type Figures = BTreeMap<String, f64>;

impl Plan {
    /// The store that W4 makes and others read.
    pub fn large(&self) -> PathBuf {
        self.dir.join("large")
    }

    /// The store of W10.
    pub fn tagged(&self) -> PathBuf {
        self.dir.join("tagged")
    }

    /// The streams of the large stores.
    fn orders(&self) -> u64 {
        self.events / STREAM_EVENTS
    }

    /// An empty folder for a store of this run alone.
    fn scratch(&self) -> Result<PathBuf> {
        let dir = self.dir.join("scratch");
        renew(&dir)?;
        Ok(dir)
    }
}

/// Runs a workload on a subject, in this process.
pub fn run<S: Subject>(workload: Workload, plan: &Plan) -> Result<Figures> {
    match workload {
        Workload::W1 => w1::<S>(plan),
        Workload::W2 => {
            let store = open::<S>(&plan.scratch()?)?;
            contend(store, plan, Tagged::No)
        }
        Workload::W2L => {
            let store = large::<S>(plan)?;
            contend(store, plan, Tagged::No)
        }
        Workload::W3 => w3::<S>(plan),
        Workload::W4 => w4::<S>(plan),
        Workload::W5 => w5::<S>(plan),
        Workload::W6 => w6::<S>(plan),
        Workload::W7 => w7::<S>(plan),
        Workload::W8 => w8::<S>(plan),
        Workload::W9 => w9::<S>(plan),
        Workload::W10 => w10::<S>(plan),
        Workload::C1 | Workload::C64 | Workload::L10 => {
            bail!("{workload:?} is a workload of frameworks")
        }
        Workload::FillTagged => {
            renew(&plan.tagged())?;
            close(filled::<S>(&plan.tagged(), plan, Tagged::Yes)?)?;
            Ok(Figures::new())
        }
    }
}

fn w1<S: Subject>(plan: &Plan) -> Result<Figures> {
    let store = open::<S>(&plan.scratch()?)?;
    let window = measure::repeat(plan.time, |number| {
        let line = Line::scattered(number, plan.orders(), Tagged::No);
        recorded(store.append_blocking(NewAppend::one(line))?)
    })?;
    close(store)?;
    Ok(rate("rate", &window, 1))
}

fn w3<S: Subject>(plan: &Plan) -> Result<Figures> {
    const EVENTS: u64 = 100;
    let store = open::<S>(&plan.scratch()?)?;
    let window = measure::repeat(plan.time, |number| {
        recorded(store.append_blocking(NewAppend {
            lines: lines_of(number, EVENTS),
            guard: Guard::None,
        })?)
    })?;
    close(store)?;
    Ok(rate("rate", &window, EVENTS))
}

fn w4<S: Subject>(plan: &Plan) -> Result<Figures> {
    renew(&plan.large())?;
    let store = open::<S>(&plan.large())?;
    let cpu_before = measure::cpu();
    let begin = measure::now();
    import(&store, plan, Tagged::No)?;
    let elapsed = begin.elapsed();
    let cpu = measure::cpu().saturating_sub(cpu_before);
    let peak = measure::memory()?.peak;
    close(store)?;
    Ok(Figures::from([
        (
            "rate".to_owned(),
            as_f64(plan.events) / elapsed.as_secs_f64(),
        ),
        (
            "rate.cpu".to_owned(),
            cpu.as_secs_f64() * 1e6 / as_f64(plan.events),
        ),
        ("peak".to_owned(), peak),
    ]))
}

fn w5<S: Subject>(plan: &Plan) -> Result<Figures> {
    let store = large::<S>(plan)?;
    measure::warm(&plan.dir)?;
    let mut figures = Figures::new();
    for (key, threads) in [("one", 1), ("two", 2)] {
        let (store, orders) = (Arc::clone(&store), plan.orders());
        let act = move |actor: u64, number: u64| {
            let store = Arc::clone(&store);
            async move {
                let order = scrambled(actor << 32 | number) % orders;
                read_stream(&*store, order, STREAM_EVENTS)
            }
        };
        let window = measure::repeat_concurrently(Concurrency::Threads, threads, plan.time, act)?;
        figures.extend(rate(key, &window, 1));
    }
    close(store)?;
    Ok(figures)
}

fn w6<S: Subject>(plan: &Plan) -> Result<Figures> {
    const EVENTS: u64 = 100;
    let dir = plan.scratch()?;
    let store = open::<S>(&dir)?;
    let appends = (0..LONG_STREAM_EVENTS / EVENTS).map(|_| NewAppend {
        lines: lines_of(0, EVENTS),
        guard: Guard::None,
    });
    store.import(appends)?;
    let store = reopened(store, &dir)?;
    let window = measure::repeat(plan.time, |_| read_stream(&*store, 0, LONG_STREAM_EVENTS))?;
    close(store)?;
    Ok(rate("rate", &window, LONG_STREAM_EVENTS))
}

fn w7<S: Subject>(plan: &Plan) -> Result<Figures> {
    let store = large::<S>(plan)?;
    measure::warm(&plan.dir)?;
    let replay = |see: &mut dyn FnMut(Seen<'_>)| {
        let mut events = 0;
        store.read_all(|seen| {
            events += 1;
            see(seen);
        })?;
        ensure!(events >= plan.events, "a replay saw {events} events");
        Ok(())
    };
    let raw = measure::repeat(plan.time, |_| {
        let mut sum = 0;
        replay(&mut |seen| sum += touched(seen))?;
        black_box(sum);
        Ok(())
    })?;
    let decoded = measure::repeat(plan.time, |_| {
        let mut broken = 0;
        replay(&mut |seen| {
            let line: Result<OrderLine, _> = serde_json::from_slice(seen.payload);
            broken += u64::from(line.is_err());
            let _ = black_box(line);
        })?;
        ensure!(broken == 0, "{broken} events did not decode");
        Ok(())
    })?;
    let events = plan.events;
    close(store)?;
    Ok(Figures::from([
        ("raw".to_owned(), raw.rate(events)),
        ("raw.cpu".to_owned(), raw.cpu_us(events)),
        ("decoded".to_owned(), decoded.rate(events)),
        ("decoded.cpu".to_owned(), decoded.cpu_us(events)),
    ]))
}

fn w8<S: Subject>(plan: &Plan) -> Result<Figures> {
    let dir = plan.scratch()?;
    let store = open::<S>(&dir)?;
    let before = STREAM_EVENTS - 1;
    store.import((0..HOT_STREAMS).map(move |order| NewAppend {
        lines: lines_of(order, before),
        guard: Guard::None,
    }))?;
    // All that the caller knows was recorded up to here; the newest event of each stream came later.
    let position = store.head()?;
    store.import((0..HOT_STREAMS).map(|order| NewAppend {
        lines: lines_of(order, 1),
        guard: Guard::None,
    }))?;
    let store = reopened(store, &dir)?;
    let window = measure::repeat(plan.time, |number| {
        let order = scrambled(number) % HOT_STREAMS;
        let answer = store.append_blocking(NewAppend {
            lines: lines_of(order, 1),
            guard: Guard::Stream(Known {
                version: before,
                position,
            }),
        })?;
        ensure!(answer == Answer::Refused, "a stale append was recorded");
        Ok(())
    })?;
    close(store)?;
    Ok(rate("rate", &window, 1))
}

fn w9<S: Subject>(plan: &Plan) -> Result<Figures> {
    let dir = plan.large();
    let bytes = measure::bytes_on_disk(&dir)?;
    let mut figures = Figures::new();
    measure::warm(&dir)?;
    let before = measure::memory()?;
    for key in ["warm", "cold"] {
        if key == "cold" {
            measure::cool(&dir)?;
        }
        let begin = measure::now();
        let store = open::<S>(&dir)?;
        let opened = begin.elapsed();
        read_stream(&*store, plan.orders() / 2, STREAM_EVENTS)?;
        let read = begin.elapsed();
        figures.insert(format!("{key}.open"), opened.as_secs_f64() * 1e3);
        figures.insert(format!("{key}.read"), read.as_secs_f64() * 1e3);
        if key == "warm" {
            let memory = measure::memory()?;
            figures.insert("resident".to_owned(), memory.resident - before.resident);
            figures.insert("anonymous".to_owned(), memory.anonymous - before.anonymous);
        }
        close(store)?;
    }
    figures.insert("bytes".to_owned(), as_f64(bytes) / as_f64(plan.events));
    Ok(figures)
}

fn w10<S: Subject>(plan: &Plan) -> Result<Figures> {
    let store = if S::DURABLE {
        open::<S>(&plan.tagged())?
    } else {
        filled::<S>(&plan.tagged(), plan, Tagged::Yes)?
    };
    contend(store, plan, Tagged::Yes)
}

/// 64 writers append one event each; tagged ones under the condition that no event of the type came up
/// for the customer since the writer last had an answer, which always holds.
fn contend<S: Subject>(store: Arc<S>, plan: &Plan, tagged: Tagged) -> Result<Figures> {
    let head = store.head()?;
    let known: Arc<[AtomicU64]> = (0..WRITERS).map(|_| AtomicU64::new(head)).collect();
    let orders = plan.orders();
    let act = {
        let store = Arc::clone(&store);
        move |actor: u64, count: u64| {
            let (store, known) = (Arc::clone(&store), Arc::clone(&known));
            let line = Line::scattered(head + count * WRITERS as u64 + actor, orders, tagged);
            async move {
                let known = &known[usize::try_from(actor)?];
                let guard = match tagged {
                    Tagged::No => Guard::None,
                    Tagged::Yes => Guard::Customer {
                        customer: line.customer(),
                        after: known.load(Ordering::Relaxed),
                    },
                };
                let lines = vec![line];
                match store.append_as_it_likes(NewAppend { lines, guard }).await? {
                    Answer::Recorded(position) => known.store(position, Ordering::Relaxed),
                    Answer::Refused => bail!("an append that nothing speaks against was refused"),
                }
                Ok(())
            }
        }
    };
    let window = measure::repeat_concurrently(S::CONCURRENCY, WRITERS, plan.time, act)?;
    close(store)?;
    Ok(rate("rate", &window, 1))
}

fn open<S: Subject>(dir: &Path) -> Result<Arc<S>> {
    fs::create_dir_all(dir)?;
    let store = S::open(dir).with_context(|| format!("cannot open {}", dir.display()))?;
    Ok(Arc::new(store))
}

fn close<S: Subject>(store: Arc<S>) -> Result<()> {
    let store = Arc::into_inner(store).context("the store is in use at its end")?;
    store.close()
}

fn reopened<S: Subject>(store: Arc<S>, dir: &Path) -> Result<Arc<S>> {
    if !S::DURABLE {
        return Ok(store);
    }
    close(store)?;
    open(dir)
}

/// The store that W4 made.
fn large<S: Subject>(plan: &Plan) -> Result<Arc<S>> {
    if S::DURABLE {
        open(&plan.large())
    } else {
        filled(&plan.large(), plan, Tagged::No)
    }
}

fn filled<S: Subject>(dir: &Path, plan: &Plan, tagged: Tagged) -> Result<Arc<S>> {
    let store = open::<S>(dir)?;
    import(&store, plan, tagged)?;
    Ok(store)
}

fn import<S: Subject>(store: &Arc<S>, plan: &Plan, tagged: Tagged) -> Result<()> {
    let (events, orders) = (plan.events, plan.orders());
    // A stream stands once in an append, so an append holds no more events than there are streams.
    let step = orders.min(S::IMPORT.events as u64);
    store.import((0..events.div_ceil(step)).map(move |number| {
        let numbers = number * step..events.min((number + 1) * step);
        NewAppend {
            lines: numbers
                .map(|number| Line::scattered(number, orders, tagged))
                .collect(),
            guard: Guard::None,
        }
    }))
}

/// Events of one order.
fn lines_of(order: u64, events: u64) -> Vec<Line> {
    let line = |number| Line {
        order,
        number,
        tagged: Tagged::No,
    };
    (0..events).map(line).collect()
}

fn read_stream<S: Subject>(store: &S, order: u64, events: u64) -> Result<()> {
    let (mut count, mut sum) = (0, 0);
    store.read_stream(order, |seen| {
        count += 1;
        sum += touched(seen);
    })?;
    black_box(sum);
    ensure!(
        count >= events,
        "order-{order} has {count} events, not {events}"
    );
    Ok(())
}

/// Looks at an event as far as a reader does who hands it on.
fn touched(seen: Seen<'_>) -> usize {
    let first = seen.payload.first().copied().unwrap_or_default();
    seen.event_type.len() + seen.payload.len() + usize::from(first)
}

fn recorded(answer: Answer) -> Result<()> {
    ensure!(
        answer != Answer::Refused,
        "an append without a guard was refused"
    );
    Ok(())
}

pub fn rate(key: &str, window: &Window, weight: u64) -> Figures {
    Figures::from([
        (key.to_owned(), window.rate(weight)),
        (format!("{key}.cpu"), window.cpu_us(weight)),
        (format!("{key}.p50"), window.percentile_us(50.0)),
        (format!("{key}.p99"), window.percentile_us(99.0)),
    ])
}

pub fn renew(dir: &Path) -> Result<()> {
    if dir.exists() {
        fs::remove_dir_all(dir)?;
    }
    Ok(fs::create_dir_all(dir)?)
}

/// Spreads numbers, always in the same way.
pub fn scrambled(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
