//! A processor that feeds sinks in SQLite.

#![expect(clippy::unwrap_used, reason = "a panic is a failed test")]

use std::path::Path;
use std::sync::Arc;

use annals_codec::{EventCodec, JsonCodec};
use annals_concurrency::RetryPolicy;
use annals_core::{Append, Error, EventStore, Expected, Ids, Receipt, StreamId, UuidIds};
use annals_macros::Event;
use annals_projection::{FailurePolicy, ParkedCause, Processor, ProcessorHandle, Projection};
use annals_read_sqlite::{SqliteModel, SqliteSink, SqliteView, models};
use annals_store_memory::MemoryStore;
use futures_executor::block_on;
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
#[event(category = "order")]
struct Placed {
    cents: i64,
}

/// A projection that writes before it refuses.
fn projection(version: u32) -> Projection<SqliteModel> {
    let take = |model: &mut SqliteModel, event: &Placed, recorded: &annals_core::RecordedEvent| {
        let values = (recorded.stream().as_str(), event.cents);
        model.execute("INSERT INTO {lines} VALUES (?1, ?2)", values)?;
        if event.cents < 0 {
            return Err("an order costs something".into());
        }
        Ok(())
    };
    Projection::builder("lines", version)
        .unwrap()
        .on(JsonCodec, take)
        .on_failure(FailurePolicy::park().retrying(RetryPolicy::NEVER))
        .build()
        .unwrap()
}

fn sink(path: &Path) -> SqliteSink {
    let sink = SqliteSink::builder(path);
    sink.schema("CREATE TABLE {lines} (stream TEXT NOT NULL, cents INTEGER NOT NULL) STRICT")
        .build()
        .unwrap()
}

fn start(store: &Arc<dyn EventStore>, path: &Path) -> ProcessorHandle {
    let processor = Processor::builder(Arc::clone(store));
    let processor = processor.project(projection(1), sink(path));
    processor.build().unwrap().start()
}

fn append(store: &Arc<dyn EventStore>, order: &str, cents: &[i64]) -> Receipt {
    let events = cents
        .iter()
        .map(|cents| JsonCodec.encode(&Placed { cents: *cents }).unwrap());
    let append = Append::builder(UuidIds::default().append_id())
        .write(StreamId::parse(order).unwrap(), Expected::Any, events)
        .build();
    block_on(store.append(append.unwrap())).unwrap()
}

fn lines(path: &Path) -> Vec<(String, i64)> {
    let view = SqliteView::open(path, &projection(1).model_id()).unwrap();
    let query = "SELECT stream, cents FROM {lines} ORDER BY rowid";
    view.query(query, (), |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
}

fn line(order: &str, cents: i64) -> (String, i64) {
    (order.to_owned(), cents)
}

#[test]
fn a_failing_event_is_parked_in_the_file_and_leaves_no_row() -> Result<(), Error> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("models.sqlite");
    let store: Arc<dyn EventStore> = Arc::new(MemoryStore::new());
    append(&store, "order-1", &[1, -2, 3]);
    let receipt = append(&store, "order-2", &[4]);
    let running = start(&store, &path);
    block_on(running.wait_for("lines", &receipt))?;
    assert_eq!(lines(&path), [line("order-1", 1), line("order-2", 4)]);
    block_on(running.stop());

    let view = SqliteView::open(&path, &projection(1).model_id())?;
    let parked = view.progress()?.parked;
    let causes: Vec<bool> = parked
        .events()
        .iter()
        .map(|event| event.cause == ParkedCause::Waits)
        .collect();
    assert_eq!(causes, [false, true], "{parked:?}");
    assert!(format!("{parked:?}").contains("an order costs something"));

    // Another process goes on there.
    let running = start(&store, &path);
    append(&store, "order-1", &[5]);
    let receipt = append(&store, "order-3", &[6]);
    block_on(running.wait_for("lines", &receipt))?;
    assert_eq!(lines(&path).last(), Some(&line("order-3", 6)));
    assert_eq!(lines(&path).len(), 3);
    assert_eq!(view.progress()?.parked.events().len(), 3);
    block_on(running.stop());
    Ok(())
}

#[test]
fn caught_up_is_live_is_reset_is_another_version() -> Result<(), Error> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("models.sqlite");
    let store: Arc<dyn EventStore> = Arc::new(MemoryStore::new());
    let running = start(&store, &path);
    let mut receipt = append(&store, "order-0", &[0]);
    for number in 1..50 {
        receipt = append(&store, &format!("order-{}", number % 7), &[number, number]);
    }
    block_on(running.wait_for("lines", &receipt))?;
    let live = lines(&path);
    assert_eq!(live.len(), 99);
    block_on(running.reset("lines"))?;
    block_on(running.wait_for("lines", &receipt))?;
    assert_eq!(lines(&path), live);
    block_on(running.stop());

    let caught_up = directory.path().join("caught-up.sqlite");
    let running = start(&store, &caught_up);
    block_on(running.wait_for("lines", &receipt))?;
    assert_eq!(lines(&caught_up), live);
    block_on(running.stop());

    let second = Processor::builder(Arc::clone(&store)).project(projection(2), sink(&path));
    let running = second.build()?.start();
    block_on(running.wait_for("lines", &receipt))?;
    block_on(running.stop());
    let (first, second) = (projection(1).model_id(), projection(2).model_id());
    let views = (
        SqliteView::open(&path, &first)?,
        SqliteView::open(&path, &second)?,
    );
    assert_eq!(views.0.row_counts()?, views.1.row_counts()?);
    assert_eq!(views.0.sample("lines", 50)?, views.1.sample("lines", 50)?);
    assert_eq!(models(&path)?.len(), 2);
    Ok(())
}
