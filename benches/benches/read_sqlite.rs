//! What a read model in SQLite costs: order events of the embedded store into rows, by batches of several sizes, with a
//! declared table and with SQL; beside a plain loop over the same store that decodes with `serde_json` and writes with
//! rusqlite, 1000 events a transaction.

#![expect(clippy::expect_used, reason = "a benchmark stops at the first error")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use annals_codec::{EventCodec, JsonCodec};
use annals_core::{Append, AppendId, EventStore, Expected, NewEvent, ReadRequest, StreamId};
use annals_macros::Event;
use annals_projection::{Processor, ProcessorSettings, Projection};
use annals_read_sqlite::{
    Change, ColumnType, SqliteModel, SqliteSink, Table, rusqlite::Connection,
};
use annals_store_log::LogStore;
use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use futures_executor::block_on;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

const EVENTS: u64 = 200_000;
/// How many orders there are: each has so many events.
const ORDERS: u64 = 20_000;
const EVENTS_AN_APPEND: u64 = 1000;
const SCHEMA: &str =
    "(id TEXT PRIMARY KEY, lines INTEGER NOT NULL, cents INTEGER NOT NULL) STRICT, WITHOUT ROWID";

#[derive(Event, Serialize, Deserialize)]
#[event(category = "order")]
struct LineAdded {
    article: String,
    quantity: u32,
    cents: i64,
}

fn projections(criterion: &mut Criterion) {
    let (_directory, store) = filled();
    let mut group = criterion.benchmark_group("read_sqlite");
    group
        .sample_size(10)
        .sampling_mode(SamplingMode::Flat)
        .warm_up_time(Duration::from_millis(1))
        .throughput(Throughput::Elements(EVENTS));
    group.bench_function("plain loop", |bencher| {
        bencher.iter(|| plain_loop(&store));
    });
    for batch in [1000, 100, 10] {
        group.bench_function(format!("declared table, batches of {batch}"), |bencher| {
            bencher.iter(|| project(&store, batch, declared));
        });
    }
    group.bench_function("SQL, batches of 1000", |bencher| {
        bencher.iter(|| project(&store, 1000, in_sql));
    });
    group.finish();
}

type Made = (Projection<SqliteModel>, SqliteSink);

fn project(
    store: &Arc<LogStore>,
    batch: usize,
    make: fn(&Path) -> Result<Made, annals_core::Error>,
) {
    let directory = tempfile::tempdir().expect("a directory");
    let (projection, sink) = make(&directory.path().join("models.sqlite")).expect("a projection");
    let mut settings = ProcessorSettings::default();
    settings.page_events_max = batch;
    let store: Arc<dyn EventStore> = store.clone();
    let processor = Processor::builder(store)
        .project(projection, sink)
        .settings(settings);
    let running = processor.build().expect("a processor").start();
    block_on(running.wait_until_live("orders")).expect("it catches up");
    block_on(running.stop());
}

fn declared(path: &Path) -> Result<Made, annals_core::Error> {
    let orders = Table::new("orders")
        .key("id", ColumnType::Text)
        .number("lines")
        .number("cents")
        .build()?;
    let sink = SqliteSink::builder(path).table(&orders).build()?;
    let rows = orders.rows(|event: &LineAdded, recorded| {
        let row = Change::upsert().key("id", recorded.stream().as_str());
        row.add("lines", 1).add("cents", event.cents)
    });
    Ok((
        Projection::builder("orders", 1)?
            .on(JsonCodec, rows)
            .build()?,
        sink,
    ))
}

fn in_sql(path: &Path) -> Result<Made, annals_core::Error> {
    let sink = SqliteSink::builder(path).schema(&format!("CREATE TABLE {{orders}} {SCHEMA}"));
    let add =
        |model: &mut SqliteModel, event: &LineAdded, recorded: &annals_core::RecordedEvent| {
            model.execute(
                "INSERT INTO {orders} VALUES (?1, 1, ?2)
             ON CONFLICT DO UPDATE SET lines = lines + 1, cents = cents + ?2",
                (recorded.stream().as_str(), event.cents),
            )?;
            Ok(())
        };
    let projection = Projection::builder("orders", 1)?
        .on(JsonCodec, add)
        .build()?;
    Ok((projection, sink.build()?))
}

fn plain_loop(store: &LogStore) {
    let directory = tempfile::tempdir().expect("a directory");
    let connection = Connection::open(directory.path().join("plain.sqlite")).expect("a file");
    let settings = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;";
    let schema = format!("{settings} CREATE TABLE orders {SCHEMA}");
    connection.execute_batch(&schema).expect("a table");
    let mut next = Some(ReadRequest::all().events_max(1000));
    while let Some(request) = next {
        let page = block_on(store.read(request)).expect("it reads");
        connection
            .execute_batch("BEGIN IMMEDIATE")
            .expect("it begins");
        let mut insert = connection
            .prepare_cached(
                "INSERT INTO orders VALUES (?1, 1, ?2)
                 ON CONFLICT DO UPDATE SET lines = lines + 1, cents = cents + ?2",
            )
            .expect("a statement");
        for recorded in &page.events {
            let event: LineAdded = serde_json::from_slice(recorded.payload()).expect("it decodes");
            let values = (recorded.stream().as_str(), event.cents);
            insert.execute(values).expect("it inserts");
        }
        drop(insert);
        connection.execute_batch("COMMIT").expect("it commits");
        next = page.next;
    }
}

fn filled() -> (TempDir, Arc<LogStore>) {
    let directory = tempfile::tempdir().expect("a directory");
    let store = LogStore::builder(directory.path().join("store"))
        .create()
        .expect("a store");
    for first in (0..EVENTS).step_by(usize::try_from(EVENTS_AN_APPEND).unwrap_or(1)) {
        let id = AppendId::parse(&format!("fill-{first}")).expect("an id");
        let mut append = Append::builder(id);
        for number in first..first + EVENTS_AN_APPEND {
            // Orders are worked on in no order.
            let order = number.wrapping_mul(7919) % ORDERS;
            let stream = StreamId::parse(&format!("order-{order:06}")).expect("a stream");
            append = append.write(stream, Expected::Any, [line(number)]);
        }
        block_on(store.append(append.build().expect("an append"))).expect("it appends");
    }
    (directory, Arc::new(store))
}

fn line(number: u64) -> NewEvent {
    let line = LineAdded {
        article: format!("article-{}", number % 1000),
        quantity: u32::try_from(number % 9).unwrap_or_default() + 1,
        cents: i64::try_from(number % 10_000).unwrap_or_default(),
    };
    JsonCodec.encode(&line).expect("it encodes")
}

criterion_group!(benches, projections);
criterion_main!(benches);
