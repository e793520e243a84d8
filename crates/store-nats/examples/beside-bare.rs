//! What the store costs beside bare atomic batches on the same servers, in one run, each thing several times in turn.
//!
//! ```text
//! cargo run --release -p annals-store-nats --example beside-bare -- 5 R3
//! ```
//!
//! It starts a server and a cluster of three, none of which syncs what it acknowledges at once (every two minutes, as
//! NATS does by default), or all of which do with `ANNALS_BENCH_SYNC=1`. It prints medians of so many rounds, of what has
//! the second word in its name; of everything without one. After a median stand the slowest and the fastest round. What
//! is bare sends batches of as many messages with the same payloads, one batch after the other, as the store does.

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
use annals_services::{DiskSync, NatsCluster, NatsServer};
use annals_store_nats::NatsStore;
use async_nats::{Client, HeaderMap};
use futures_util::StreamExt;
use tokio::runtime::Builder;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// How long each thing is done in a round.
const SPAN: Duration = Duration::from_millis(1500);
const PAYLOAD: [u8; 200] = [b'x'; 200];
/// As many as the store reads at once, where nothing else is said.
const PAGE: usize = 1000;

/// What is measured, in this order.
const NAMES: [&str; 6] = [
    "64 writers, bare batches of 64",
    "64 writers, annals",
    "100 events an append, bare",
    "100 events an append, annals",
    "catch-up, bare",
    "catch-up, annals",
];

/// Events in some time.
type Measured = (usize, Duration);

/// One kind of servers, with a stream and a log on them.
struct Bench {
    name: &'static str,
    bare: Bare,
    store: Arc<NatsStore>,
}

fn main() -> Outcome<()> {
    let rounds: usize = env::args().nth(1).map_or(Ok(5), |text| text.parse())?;
    let word = env::args().nth(2).unwrap_or_default();
    let sync = if env::var_os("ANNALS_BENCH_SYNC").is_some() {
        DiskSync::On
    } else {
        DiskSync::OffLosesCommitsOnPowerLoss
    };
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let server = NatsServer::start(sync)?;
    let cluster = NatsCluster::start(3, sync)?;
    runtime.block_on(async {
        let benches = [
            Bench::open("R1", &server.url(), 1).await?,
            Bench::open("R3", &cluster.url(), 3).await?,
        ];
        run(&benches, rounds, &word).await
    })
}

async fn run(benches: &[Bench], rounds: usize, word: &str) -> Outcome<()> {
    let mut rates: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for round in 0..rounds {
        println!("round {round}");
        for name in NAMES {
            for bench in benches {
                let full = format!("{} {name}", bench.name);
                if full.contains(word) {
                    let (done, elapsed) = bench.measure(name).await?;
                    let rate = done as f64 / elapsed.as_secs_f64();
                    rates.entry(full).or_default().push(rate);
                }
            }
        }
    }
    for (name, mut rates) in rates {
        rates.sort_by(f64::total_cmp);
        let rate = |place: usize| rates.get(place).copied().unwrap_or_default();
        let (median, last) = (rate(rates.len() / 2), rate(rates.len() - 1));
        println!("{name:<36} {median:>9.0}/s ({:.0} to {last:.0})", rate(0));
    }
    Ok(())
}

impl Bench {
    async fn open(name: &'static str, url: &str, replicas: usize) -> Outcome<Self> {
        let builder = NatsStore::builder(url).replicas(replicas);
        let store = builder.allow_lazy_sync().open_or_create().await?;
        Ok(Self {
            name,
            bare: Bare::new(url, replicas).await?,
            store: Arc::new(store),
        })
    }

    async fn measure(&self, name: &str) -> Outcome<Measured> {
        match name {
            "64 writers, bare batches of 64" => self.bare.write(64).await,
            "64 writers, annals" => write(&self.store, 64, 1).await,
            "100 events an append, bare" => self.bare.write(100).await,
            "100 events an append, annals" => write(&self.store, 1, 100).await,
            "catch-up, bare" => self.bare.catch_up().await,
            "catch-up, annals" => catch_up(&self.store).await,
            _ => Err("no such thing to measure".into()),
        }
    }
}

/// A stream with the settings of a log, and nothing else.
struct Bare {
    client: Client,
}

impl Bare {
    async fn new(url: &str, replicas: usize) -> Outcome<Self> {
        let addresses: Vec<&str> = url.split(',').collect();
        let client = async_nats::connect(addresses).await?;
        let config = format!(
            r#"{{"name":"bare","subjects":["bare.>"],"storage":"file","discard":"new","num_replicas":{replicas},
                "deny_delete":true,"deny_purge":true,"allow_direct":true,"allow_atomic":true}}"#
        );
        let made = client
            .request("$JS.API.STREAM.CREATE.bare", config.into())
            .await?;
        refuse_errors(&made.payload)?;
        Ok(Self { client })
    }

    async fn write(&self, batch: usize) -> Outcome<Measured> {
        let ids = UuidIds::default();
        let (start, mut done) = (Instant::now(), 0);
        while start.elapsed() < SPAN {
            let id = ids.event_id().as_uuid().simple().to_string();
            for number in 1..=batch {
                let mut headers = HeaderMap::new();
                headers.insert("Nats-Batch-Id", &*id);
                headers.insert("Nats-Batch-Sequence", number.to_string());
                let subject = format!("bare.thing.{number}");
                let payload = PAYLOAD.as_slice().into();
                if number < batch {
                    let sent = self.client.publish_with_headers(subject, headers, payload);
                    sent.await?;
                } else {
                    headers.insert("Nats-Batch-Commit", "1");
                    let request = self.client.request_with_headers(subject, headers, payload);
                    refuse_errors(&request.await?.payload)?;
                }
            }
            done += batch;
        }
        Ok((done, start.elapsed()))
    }

    /// Page after page by direct get, from the beginning again at the end.
    async fn catch_up(&self) -> Outcome<Measured> {
        let (start, mut done, mut next) = (Instant::now(), 0, 1_u64);
        while start.elapsed() < SPAN {
            let inbox = self.client.new_inbox();
            let mut answers = self.client.subscribe(inbox.clone()).await?;
            let question = format!(r#"{{"seq":{next},"next_by_subj":"bare.>","batch":{PAGE}}}"#);
            let subject = "$JS.API.DIRECT.GET.bare";
            let asked = self
                .client
                .publish_with_reply(subject, inbox, question.into());
            asked.await?;
            let mut count = 0;
            while let Some(answer) = answers.next().await {
                if answer.status.is_some() {
                    break;
                }
                count += 1;
            }
            done += count;
            next = if count == PAGE { next + 1000 } else { 1 };
        }
        Ok((done, start.elapsed()))
    }
}

fn refuse_errors(answer: &[u8]) -> Outcome<()> {
    let text = String::from_utf8_lossy(answer);
    if text.contains("\"error\"") {
        return Err(text.into());
    }
    Ok(())
}

fn event() -> Outcome<NewEvent> {
    let kind = EventType::from_static("noted");
    let event = NewEvent::new(kind, ContentType::OCTETS, PAYLOAD.as_slice());
    Ok(event?)
}

async fn write(store: &Arc<NatsStore>, writers: usize, events: usize) -> Outcome<Measured> {
    let start = Instant::now();
    let tasks = (0..writers).map(|writer| {
        let store = Arc::clone(store);
        tokio::spawn(async move {
            let ids = UuidIds::default();
            let stream = StreamId::parse(&format!("a-{writer}x{}", ids.append_id()))?;
            let (mut done, mut version) = (0, Version::ABSENT);
            while start.elapsed() < SPAN {
                let batch = (0..events).map(|_| event()).collect::<Outcome<Vec<_>>>()?;
                let append = Append::builder(ids.append_id())
                    .write(stream.clone(), Expected::Exactly(version), batch)
                    .build()?;
                let receipt = store.append(append).await?;
                version = receipt.version_of(&stream).unwrap_or_default();
                done += events;
            }
            Outcome::Ok(done)
        })
    });
    let mut done = 0;
    for task in tasks.collect::<Vec<_>>() {
        done += task.await??;
    }
    Ok((done, start.elapsed()))
}

async fn catch_up(store: &NatsStore) -> Outcome<Measured> {
    let (start, mut done) = (Instant::now(), 0);
    let mut request = ReadRequest::all();
    while start.elapsed() < SPAN {
        let page = store.read(request.events_max(PAGE)).await?;
        done += page.events.len();
        request = page.next.unwrap_or_else(ReadRequest::all);
    }
    Ok((done, start.elapsed()))
}
