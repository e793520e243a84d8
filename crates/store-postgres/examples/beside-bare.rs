//! What the store costs beside a plain table on the same server, in one run, each thing several times in turn.
//!
//! ```text
//! cargo run --release -p annals-store-postgres --example beside-bare -- 5 writers
//! ```
//!
//! It starts a server of its own that syncs to the disk, or takes that of `ANNALS_TEST_POSTGRES_URL`, with nothing in
//! it, and prints medians of so many rounds, of what has the second word in its name; of everything without one. After
//! a median stand the slowest and the fastest round.

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

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use annals_core::{
    Append, ContentType, EventStore, EventType, Expected, Ids, NewEvent, ReadRequest, StreamId,
    UuidIds, Version,
};
use annals_services::{DiskSync, PostgresServer};
use annals_store_postgres::PostgresStore;
use tokio::runtime::Builder;
use tokio_postgres::{Client, NoTls, Statement, connect};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// How long each thing is done in a round.
const SPAN: Duration = Duration::from_millis(1500);
const PAYLOAD: [u8; 200] = [b'x'; 200];
const PAGE: i64 = 1000;
const INSERT: &str =
    "INSERT INTO plain (stream, version, type, payload) VALUES ($1, $2, 'noted', $3)";
const INSERT_MANY: &str = "INSERT INTO plain (stream, version, type, payload) \
                           SELECT $1, v, 'noted', $3 FROM generate_series($2::bigint + 1, $2::bigint + 100) v";

/// What is measured, in this order.
const NAMES: [&str; 10] = [
    "1 writer, bare",
    "1 writer, annals",
    "64 writers, bare on 16 connections",
    "64 writers, annals",
    "100 events an append, bare",
    "100 events an append, annals",
    "catch-up, bare",
    "catch-up, annals",
    "10-event stream, bare",
    "10-event stream, annals",
];

/// Rates by what was measured, and the latencies of all rounds.
#[derive(Default)]
struct Report {
    rates: BTreeMap<&'static str, Vec<f64>>,
    latencies: BTreeMap<&'static str, Vec<Duration>>,
}

fn main() -> Outcome<()> {
    let rounds: usize = env::args().nth(1).map_or(Ok(5), |text| text.parse())?;
    let word = env::args().nth(2).unwrap_or_default();
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    if let Ok(url) = env::var("ANNALS_TEST_POSTGRES_URL") {
        return runtime.block_on(run(&url, rounds, &word));
    }
    let server = PostgresServer::start(DiskSync::On)?;
    runtime.block_on(run(&server.url(), rounds, &word))
}

async fn run(url: &str, rounds: usize, word: &str) -> Outcome<()> {
    let plain = Plain::new(url).await?;
    let store = Arc::new(PostgresStore::builder(url).open_or_create().await?);
    let mut report = Report::default();
    for round in 0..rounds {
        println!("round {round}");
        for name in NAMES.into_iter().filter(|name| name.contains(word)) {
            report.add(name, measure(name, &plain, &store).await?);
        }
    }
    report.print();
    Ok(())
}

async fn measure(name: &str, plain: &Plain, store: &Arc<PostgresStore>) -> Outcome<Measured> {
    match name {
        "1 writer, bare" => plain.write(1, 1, INSERT, 1).await,
        "1 writer, annals" => annals(store, 1, 1).await,
        "64 writers, bare on 16 connections" => plain.write(64, 16, INSERT, 1).await,
        "64 writers, annals" => annals(store, 64, 1).await,
        "100 events an append, bare" => plain.write(1, 1, INSERT_MANY, 100).await,
        "100 events an append, annals" => annals(store, 1, 100).await,
        "catch-up, bare" => plain.catch_up().await,
        "catch-up, annals" => catch_up(store).await,
        "10-event stream, bare" => plain.streams().await,
        "10-event stream, annals" => streams(store).await,
        _ => Err("no such thing to measure".into()),
    }
}

/// How much was done in how long, and how long each took.
struct Measured {
    done: usize,
    elapsed: Duration,
    latencies: Vec<Duration>,
}

impl Report {
    fn add(&mut self, name: &'static str, measured: Measured) {
        let rate = measured.done as f64 / measured.elapsed.as_secs_f64();
        self.rates.entry(name).or_default().push(rate);
        self.latencies
            .entry(name)
            .or_default()
            .extend(measured.latencies);
    }

    fn print(mut self) {
        for (name, rates) in &mut self.rates {
            rates.sort_by(f64::total_cmp);
            let rate = |place: usize| rates.get(place).copied().unwrap_or_default();
            let (median, last) = (rate(rates.len() / 2), rate(rates.len() - 1));
            let latencies = self.latencies.entry(name).or_default();
            latencies.sort_unstable();
            let at = |part: usize| {
                latencies
                    .get(latencies.len() * part / 100)
                    .copied()
                    .unwrap_or_default()
            };
            println!(
                "{name:<36} {median:>9.0}/s ({:.0} to {last:.0})   p50 {:>9.1?}   p99 {:>9.1?}",
                rate(0),
                at(50),
                at(99)
            );
        }
    }
}

/// A table with a sequence and a version check, and nothing else.
struct Plain {
    clients: Vec<Arc<(Client, Statement, Statement)>>,
}

impl Plain {
    async fn new(url: &str) -> Outcome<Self> {
        let mut clients = Vec::new();
        for number in 0..16 {
            let (client, connection) = connect(url, NoTls).await?;
            tokio::spawn(connection);
            if number == 0 {
                client
                    .batch_execute(
                        "CREATE TABLE IF NOT EXISTS plain (id bigserial PRIMARY KEY, stream text NOT NULL, version bigint NOT NULL, \
                         type text NOT NULL, payload bytea NOT NULL, at timestamptz NOT NULL DEFAULT now(), \
                         UNIQUE (stream, version))",
                    )
                    .await?;
            }
            let one = client.prepare(INSERT).await?;
            let many = client.prepare(INSERT_MANY).await?;
            clients.push(Arc::new((client, one, many)));
        }
        Ok(Self { clients })
    }

    async fn write(
        &self,
        writers: usize,
        connections: usize,
        sql: &str,
        events: usize,
    ) -> Outcome<Measured> {
        let is_one = sql == INSERT;
        let start = Instant::now();
        let tasks = (0..writers).filter_map(|writer| {
            let client = Arc::clone(self.clients.get(writer % connections)?);
            Some(tokio::spawn(async move {
                let stream = format!("p-{writer}-{}", UuidIds::default().append_id());
                let mut latencies = Vec::new();
                let mut version = 0_i64;
                while start.elapsed() < SPAN {
                    let begin = Instant::now();
                    let (client, one, many) = &*client;
                    let statement = if is_one { one } else { many };
                    if is_one {
                        version += 1;
                    }
                    client
                        .execute(statement, &[&stream, &version, &PAYLOAD.as_slice()])
                        .await?;
                    if !is_one {
                        version += 100;
                    }
                    latencies.push(begin.elapsed());
                }
                Ok::<_, tokio_postgres::Error>(latencies)
            }))
        });
        let mut latencies = Vec::new();
        for task in tasks.collect::<Vec<_>>() {
            latencies.extend(task.await??);
        }
        let elapsed = start.elapsed();
        let done = latencies.len() * events;
        Ok(Measured {
            done,
            elapsed,
            latencies,
        })
    }

    async fn catch_up(&self) -> Outcome<Measured> {
        let Some(client) = self.clients.first() else {
            return Err("no client".into());
        };
        let statement = client
            .0
            .prepare("SELECT id, stream, version, type, payload, at::text FROM plain WHERE id > $1 ORDER BY id LIMIT $2")
            .await?;
        let (start, mut done, mut after) = (Instant::now(), 0, 0_i64);
        let mut latencies = Vec::new();
        while start.elapsed() < SPAN {
            let begin = Instant::now();
            let rows = client.0.query(&statement, &[&after, &PAGE]).await?;
            done += rows.len();
            after = match rows.last() {
                Some(last) if rows.len() == 1000 => last.try_get(0)?,
                _ => 0,
            };
            latencies.push(begin.elapsed());
        }
        Ok(Measured {
            done,
            elapsed: start.elapsed(),
            latencies,
        })
    }

    async fn streams(&self) -> Outcome<Measured> {
        let Some(client) = self.clients.first() else {
            return Err("no client".into());
        };
        for number in 0..100 {
            for version in 1..=10_i64 {
                let stream = format!("ten-{number}");
                let insert = "INSERT INTO plain (stream, version, type, payload) VALUES ($1, $2, 'noted', $3) \
                              ON CONFLICT DO NOTHING";
                client
                    .0
                    .execute(insert, &[&stream, &version, &PAYLOAD.as_slice()])
                    .await?;
            }
        }
        let statement = client
            .0
            .prepare("SELECT id, stream, version, type, payload, at::text FROM plain WHERE stream = $1 ORDER BY version")
            .await?;
        let (start, mut done) = (Instant::now(), 0);
        let mut latencies = Vec::new();
        while start.elapsed() < SPAN {
            let begin = Instant::now();
            let stream = format!("ten-{}", done % 100);
            let rows = client.0.query(&statement, &[&stream]).await?;
            if rows.len() != 10 {
                return Err("a stream of ten has ten events".into());
            }
            done += 1;
            latencies.push(begin.elapsed());
        }
        Ok(Measured {
            done,
            elapsed: start.elapsed(),
            latencies,
        })
    }
}

fn event() -> Outcome<NewEvent> {
    Ok(NewEvent::new(
        EventType::from_static("noted"),
        ContentType::OCTETS,
        PAYLOAD.as_slice(),
    )?)
}

async fn annals(store: &Arc<PostgresStore>, writers: usize, events: usize) -> Outcome<Measured> {
    let start = Instant::now();
    let tasks = (0..writers).map(|writer| {
        let store = Arc::clone(store);
        tokio::spawn(async move {
            let ids = UuidIds::default();
            let stream = StreamId::parse(&format!("a-{writer}-{}", ids.append_id()))?;
            let mut latencies = Vec::new();
            let mut version = Version::ABSENT;
            while start.elapsed() < SPAN {
                let begin = Instant::now();
                let events = (0..events).map(|_| event()).collect::<Outcome<Vec<_>>>()?;
                let append = Append::builder(ids.append_id())
                    .write(stream.clone(), Expected::Exactly(version), events)
                    .build()?;
                let receipt = store.append(append).await?;
                version = receipt.version_of(&stream).unwrap_or_default();
                latencies.push(begin.elapsed());
            }
            Outcome::Ok(latencies)
        })
    });
    let mut latencies = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        latencies.extend(task.await??);
    }
    let elapsed = start.elapsed();
    let done = latencies.len() * events;
    Ok(Measured {
        done,
        elapsed,
        latencies,
    })
}

async fn catch_up(store: &PostgresStore) -> Outcome<Measured> {
    let (start, mut done) = (Instant::now(), 0);
    let mut latencies = Vec::new();
    let mut request = ReadRequest::all();
    while start.elapsed() < SPAN {
        let begin = Instant::now();
        let page = store.read(request).await?;
        done += page.events.len();
        request = page.next.unwrap_or_else(ReadRequest::all);
        latencies.push(begin.elapsed());
    }
    Ok(Measured {
        done,
        elapsed: start.elapsed(),
        latencies,
    })
}

async fn streams(store: &PostgresStore) -> Outcome<Measured> {
    let ids = UuidIds::default();
    for number in 0..100 {
        let stream = StreamId::parse(&format!("ten-{number}"))?;
        if store.stream_head(&stream).await?.version == Version::ABSENT {
            let events = (0..10).map(|_| event()).collect::<Outcome<Vec<_>>>()?;
            let append = Append::builder(ids.append_id()).write(stream, Expected::NoStream, events);
            store.append(append.build()?).await?;
        }
    }
    let (start, mut done) = (Instant::now(), 0);
    let mut latencies = Vec::new();
    while start.elapsed() < SPAN {
        let begin = Instant::now();
        let stream = StreamId::parse(&format!("ten-{}", done % 100))?;
        let page = store.read(ReadRequest::stream(stream)).await?;
        if page.events.len() != 10 {
            return Err("a stream of ten has ten events".into());
        }
        done += 1;
        latencies.push(begin.elapsed());
    }
    Ok(Measured {
        done,
        elapsed: start.elapsed(),
        latencies,
    })
}
