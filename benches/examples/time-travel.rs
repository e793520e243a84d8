//! What time travel costs: the state as of a version, with snapshots and without, and the search for the event at which
//! something turned true.
//!
//! ```text
//! cargo run --release -p annals-benches --example time-travel -- /var/tmp/time-travel 100000 1000
//! ```
//!
//! It fills the stream of one account in an embedded store with so many movements in JSON, and keeps a snapshot every so
//! many of them. Then it asks for the state as of versions all over the stream, and searches for turns, each with and
//! without snapshots in turn. Folds and predicates asked are counted; they are the same on every machine.

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
use std::sync::Arc;
use std::time::{Duration, Instant};

use annals_benches::account::{AccountEvent, movements};
use annals_codec::{EventCodec, JsonCodec};
use annals_core::{
    Aggregate, Append, EventStore, Expected, Ids, Refusal, StreamId, Timestamp, UuidIds, Version,
};
use annals_replay::{Bisection, Replay};
use annals_snapshot::{Fold, Folded, Snapshots};
use annals_store_log::LogStore;
use futures_executor::block_on;
use serde::{Deserialize, Serialize};

/// How many events go into one append.
const EVENTS_PER_APPEND: usize = 1000;

/// How many versions and turns are asked for in each round.
const QUESTIONS: u64 = 20;

/// How often each is asked; the median counts.
const ROUNDS: usize = 5;

type Outcome<T> = Result<T, Box<dyn Error>>;
type History = Replay<Turnover, AccountEvent>;

/// What went over an account in all, which only grows: so something can be searched for in it by halving.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Turnover {
    cents: u64,
}

impl Aggregate for Turnover {
    type Event = AccountEvent;

    fn apply(&mut self, event: &AccountEvent) -> Result<(), Refusal> {
        let (AccountEvent::Deposited { cents } | AccountEvent::Withdrawn { cents }) = event;
        self.cents = self.cents.saturating_add(*cents);
        Ok(())
    }
}

/// What one round of questions took.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    time: Duration,
    folded: u64,
    asked: u64,
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [directory, events, every] = arguments.as_slice() else {
        return Err(
            "usage: time-travel <new directory> <events> <events between snapshots>".into(),
        );
    };
    let (events, every): (u64, usize) = (events.parse()?, every.parse()?);
    if events < QUESTIONS || every == 0 {
        return Err(format!("at least {QUESTIONS} events, and 1 between snapshots").into());
    }
    let store = Arc::new(LogStore::builder(directory).open_or_create()?);
    let snapshots = Snapshots::new(store.clone(), JsonCodec, Fold::version(1));
    let snapshots = snapshots.with_keep_newest(usize::MAX);
    block_on(fill(&*store, &snapshots, events, every))?;
    let plain = History::of_aggregate(store.clone(), JsonCodec, "one")?;
    let kept = History::of_aggregate(store.clone(), JsonCodec, "one")?.with_snapshots(snapshots);

    println!(
        "{events} events, a snapshot every {every}; for each question, medians of {ROUNDS} rounds"
    );
    println!("                                  time      folded      asked");
    for (name, history) in [("without snapshots", &plain), ("with snapshots", &kept)] {
        show(&format!("state as of, {name}"), || as_of(history, events))?;
    }
    for (name, history) in [("without snapshots", &plain), ("with snapshots", &kept)] {
        show(&format!("bisect, {name}"), || bisect(history, events))?;
    }
    show("scan, for comparison", || scan(&plain, events))?;
    drop((plain, kept, store));
    fs::remove_dir_all(directory)?;
    Ok(())
}

/// Records the movements, with a snapshot of the turnover every so many.
async fn fill(
    store: &dyn EventStore,
    snapshots: &Snapshots<Turnover>,
    events: u64,
    every: usize,
) -> Outcome<()> {
    let stream = StreamId::parse("account-one")?;
    let (ids, mut turnover, mut version) =
        (UuidIds::default(), Turnover::default(), Version::ABSENT);
    let movements = movements(events);
    for chunk in movements.chunks(EVENTS_PER_APPEND) {
        let encoded: Result<Vec<_>, _> = chunk.iter().map(|it| JsonCodec.encode(it)).collect();
        let append = Append::builder(ids.append_id());
        let append = append.write(stream.clone(), Expected::Any, encoded?);
        store.append(append.build()?).await?;
    }
    for chunk in movements.chunks(every) {
        for movement in chunk {
            turnover.apply(movement)?;
            version = version.next();
        }
        let folded = Folded {
            state: turnover.clone(),
            begins_at: Version::FIRST,
            version,
        };
        snapshots
            .save(stream.clone(), folded, Timestamp::EPOCH)
            .await?;
    }
    Ok(())
}

/// The versions that are asked for: all over the stream, none at a snapshot but by chance.
fn versions(events: u64) -> impl Iterator<Item = u64> {
    (1..=QUESTIONS).map(move |place| (events * place / QUESTIONS).saturating_sub(7).max(1))
}

fn as_of(history: &History, events: u64) -> Outcome<Cost> {
    let mut cost = Cost::default();
    let began = Instant::now();
    for version in versions(events) {
        cost.folded += block_on(history.as_of(Version::new(version)))?.folded;
    }
    cost.time = began.elapsed();
    Ok(cost)
}

fn bisect(history: &History, events: u64) -> Outcome<Cost> {
    search(events, |cents| {
        block_on(history.bisect(move |turnover| turnover.cents >= cents))
    })
}

fn scan(history: &History, events: u64) -> Outcome<Cost> {
    search(events, |cents| {
        block_on(history.scan(move |turnover| turnover.cents >= cents))
    })
}

fn search(
    events: u64,
    find: impl Fn(u64) -> Result<Bisection<Turnover>, annals_core::Error>,
) -> Outcome<Cost> {
    let turnovers = turnovers(events)?;
    let mut cost = Cost::default();
    let began = Instant::now();
    for cents in turnovers {
        let found = find(cents)?;
        cost.folded += found.folded;
        cost.asked += found.asked;
    }
    cost.time = began.elapsed();
    Ok(cost)
}

/// The turnovers at the versions that are asked for.
fn turnovers(events: u64) -> Outcome<Vec<u64>> {
    let (mut turnover, mut turnovers, mut version) = (Turnover::default(), Vec::new(), 0);
    let mut wanted = versions(events).peekable();
    for movement in movements(events) {
        turnover.apply(&movement)?;
        version += 1;
        while wanted.next_if_eq(&version).is_some() {
            turnovers.push(turnover.cents);
        }
    }
    Ok(turnovers)
}

/// Asks several times, and prints the median for one question.
fn show(name: &str, ask: impl Fn() -> Outcome<Cost>) -> Outcome<()> {
    let costs: Result<Vec<Cost>, _> = (0..ROUNDS).map(|_| ask()).collect();
    let mut costs = costs?;
    costs.sort_by_key(|cost| cost.time);
    let median = costs.get(ROUNDS / 2).copied().unwrap_or_default();
    let each = |count: u64| count as f64 / QUESTIONS as f64;
    println!(
        "{name:28} {:>9.3} ms  {:>9.0}  {:>9.1}",
        median.time.as_secs_f64() * 1e3 / QUESTIONS as f64,
        each(median.folded),
        each(median.asked)
    );
    Ok(())
}
