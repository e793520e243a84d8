//! The code of the chapter "Rebuilding without downtime", of a model in SQLite.

#![cfg(feature = "sqlite")]
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "what a chapter shows"
)]

use std::path::Path;
use std::sync::Arc;

use annals::prelude::*;
use annals::projection::{
    Checks, Live, ModelVersion, Processor, Projection, ProjectionVersions, Rebuild,
};
use annals::sqlite::{Change, ColumnType, SqliteModel, SqliteRows, SqliteSink, SqliteView, Table};
use futures_executor::block_on;
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
#[event(category = "order")]
struct Placed {
    item: String,
    pieces: i64,
}

fn table() -> Result<Table, annals::Error> {
    let table = Table::new("sold").key("item", ColumnType::Text);
    table.number("pieces").build()
}

/// What was sold. Version 2 knows that names of items differ in case only by mistake.
fn sold(version: u32) -> Result<Projection<SqliteModel>, annals::Error> {
    let rows = table()?.rows(move |placed: &Placed, _| {
        let item = match version {
            1 => placed.item.clone(),
            _ => placed.item.to_lowercase(),
        };
        let row = Change::upsert().key("item", item);
        row.add("pieces", placed.pieces)
    });
    Projection::builder("sold", version)?
        .on(JsonCodec, rows)
        .build()
}

fn sink(path: &Path) -> Result<SqliteSink, annals::Error> {
    SqliteSink::builder(path).table(&table()?).build()
}

// ANCHOR: condition
/// How many pieces were sold in all.
fn pieces(model: &SqliteRows) -> Result<Option<i64>, annals::Error> {
    model.read(|view| view.query_row("SELECT sum(pieces) FROM {sold}", (), |row| row.get(0)))
}
// ANCHOR_END: condition

async fn place(store: &dyn EventStore, order: &str, item: &str) {
    let item = item.to_owned();
    let placed = JsonCodec.encode(&Placed { item, pieces: 1 }).unwrap();
    let append = Append::builder(UuidIds::default().append_id())
        .write(StreamId::parse(order).unwrap(), Expected::Any, [placed])
        .build()
        .unwrap();
    store.append(append).await.unwrap();
}

#[test]
fn a_version_in_a_file_takes_over() {
    let directory = tempfile::tempdir().unwrap();
    let store: Arc<dyn EventStore> = Arc::new(MemoryStore::new());
    block_on(async {
        place(&*store, "order-1", "tea").await;
        place(&*store, "order-2", "Tea").await;
        rebuild(store, directory.path()).await.unwrap();
    });
}

async fn rebuild(store: Arc<dyn EventStore>, directory: &Path) -> Result<(), annals::Error> {
    let versions = ProjectionVersions::new(Arc::clone(&store), "sold", 1)?;
    let paths = [
        directory.join("sold-1.sqlite"),
        directory.join("sold-2.sqlite"),
    ];
    let [old_path, new_path] = &paths;
    let processor = Processor::builder(store).project(sold(1)?, sink(old_path)?);
    let running = processor.build()?.start();

    // ANCHOR: rebuild
    let (old, new) = (sink(old_path)?, sink(new_path)?);
    let inspect_old = old.inspect(&sold(1)?.model_id());
    let inspect_new = new.inspect(&sold(2)?.model_id());
    let current = ModelVersion::new(&sold(1)?, inspect_old);
    let rebuild = Rebuild::new(versions.clone(), current, sold(2)?, new, inspect_new)?
        .on_condition(|old, new| match (pieces(old)?, pieces(new)?) {
            (old, new) if old == new => Ok(()),
            _ => Err("pieces are lost".into()),
        });
    let plan = rebuild.plan().await?;
    let comparison = rebuild.apply(&plan).await?.unwrap();
    for difference in &comparison.differences {
        println!("{difference}");
    }
    // ANCHOR_END: rebuild
    let shown: Vec<String> = comparison
        .differences
        .iter()
        .map(ToString::to_string)
        .collect();
    let expected = [
        r#"sold ["Tea"]: is gone, was {"item":"Tea","pieces":1}"#,
        r#"sold ["tea"]: pieces is 2, was 1"#,
        r#"sold ["tea"]: pieces is 2, was 1"#,
    ];
    assert_eq!(shown, expected);
    // ANCHOR: despite
    println!("{comparison}");
    let meant = Checks::Despite("Tea and tea are one item".to_owned());
    rebuild.cut_over(&meant).await?;
    // ANCHOR_END: despite
    let fewer = "sold: 1 rows against 2 of the live version";
    assert_eq!(
        comparison.objections,
        [fewer, "3 of 3 compared rows differ"]
    );

    // ANCHOR: read
    let files = [1, 2].into_iter().zip(paths.clone());
    let live = Live::open(versions, files).await?;
    let path = live.read()?;
    let view = SqliteView::open(&*path, &sold(path.version())?.model_id())?;
    // ANCHOR_END: read
    let sold: Option<i64> = view.query_row("SELECT pieces FROM {sold}", (), |row| row.get(0))?;
    assert_eq!(sold, Some(2));
    running.stop().await;
    Ok(())
}
