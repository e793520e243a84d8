//! The code of the chapter "Rebuilding without downtime", of a model in PostgreSQL.

use std::sync::Arc;

use annals_codec::{EventCodec, JsonCodec};
use annals_core::{
    Append, BoxError, Error, EventStore, Expected, Ids, RecordedEvent, StreamId, UuidIds,
};
use annals_macros::Event;
use annals_projection::{
    Checks, Live, ModelVersion, Processor, Projection, ProjectionVersions, Rebuild,
};
use annals_read_postgres::{PostgresModel, PostgresRows, PostgresSink, drop_model};
use annals_store_memory::MemoryStore;
use serde::{Deserialize, Serialize};

use crate::support::{self, RUNTIME, client, fresh_schema};

#[derive(Event, Serialize, Deserialize)]
#[event(category = "order")]
struct Placed {
    item: String,
    pieces: i64,
}

// ANCHOR: versions
/// What was sold. Version 2 knows that names of items differ in case only by mistake.
fn sold(version: u32) -> Result<Projection<PostgresModel>, Error> {
    let take = move |model: &mut PostgresModel, placed: &Placed, _: &RecordedEvent| {
        let item = match version {
            1 => placed.item.clone(),
            _ => placed.item.to_lowercase(),
        };
        let add = "INSERT INTO {sold} AS s VALUES ($1, $2) \
                   ON CONFLICT (item) DO UPDATE SET pieces = s.pieces + $2";
        model.execute(add, &[&item, &placed.pieces])?;
        Ok(())
    };
    Projection::builder("sold", version)?
        .on(JsonCodec, take)
        .build()
}

/// Where every version has its tables: `sold_v1`, `sold_v2`.
fn sink(url: &str, schema: &str) -> Result<PostgresSink, Error> {
    PostgresSink::builder(url)
        .in_schema(schema)
        .schema("CREATE TABLE {sold} (item text PRIMARY KEY, pieces bigint NOT NULL)")
        .build()
}
// ANCHOR_END: versions

// ANCHOR: condition
/// How many pieces were sold in all.
fn pieces(model: &PostgresRows) -> Result<Option<i64>, BoxError> {
    let rows = model.query("SELECT sum(pieces)::bigint FROM {sold}", &[])?;
    Ok(rows.first().ok_or("no row")?.get(0)?)
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
fn a_version_beside_the_live_one_takes_over() {
    let Some(url) = support::server("a_version_beside_the_live_one_takes_over") else {
        return;
    };
    RUNTIME.block_on(async {
        let store: Arc<dyn EventStore> = Arc::new(MemoryStore::new());
        place(&*store, "order-1", "tea").await;
        place(&*store, "order-2", "Tea").await;
        rebuild(store, &url, &fresh_schema()).await.unwrap();
    });
}

async fn rebuild(store: Arc<dyn EventStore>, url: &str, schema: &str) -> Result<(), BoxError> {
    let versions = ProjectionVersions::new(Arc::clone(&store), "sold", 1)?;
    let processor = Processor::builder(store).project(sold(1)?, sink(url, schema)?);
    let running = processor.build()?.start();

    // ANCHOR: rebuild
    let new = sink(url, schema)?;
    let inspect_old = new.inspect(&sold(1)?.model_id());
    let inspect_new = new.inspect(&sold(2)?.model_id());
    let current = ModelVersion::new(&sold(1)?, inspect_old);
    let rebuild = Rebuild::new(versions.clone(), current, sold(2)?, new, inspect_new)?
        .on_condition(|old, new| match (pieces(old)?, pieces(new)?) {
            (old, new) if old == new => Ok(()),
            _ => Err("pieces are lost".into()),
        });
    let plan = rebuild.plan().await?;
    let comparison = rebuild.apply(&plan).await?;
    // ANCHOR_END: rebuild
    let comparison = comparison.ok_or("the plan compares")?;
    let differences = comparison.differences.iter();
    let differences: Vec<String> = differences.map(ToString::to_string).collect();
    let expected = [
        r#"sold ["Tea"]: is gone, was {"item":"Tea","pieces":1}"#,
        r#"sold ["tea"]: pieces is 2, was 1"#,
        r#"sold ["tea"]: pieces is 2, was 1"#,
    ];
    assert_eq!(differences, expected);
    let fewer = "sold: 1 rows against 2 of the live version";
    let objections = [fewer, "3 of 3 compared rows differ"];
    assert_eq!(comparison.objections, objections, "the condition holds");
    let meant = Checks::Despite("Tea and tea are one item".to_owned());
    rebuild.cut_over(&meant).await?;

    let client = client(url).await;
    // ANCHOR: read
    let tables = sink(url, schema)?;
    let ids = [(1, sold(1)?.model_id()), (2, sold(2)?.model_id())];
    let live = Live::open(versions.clone(), ids).await?;
    let query = tables.expand(&*live.read()?, "SELECT pieces FROM {sold} WHERE item = $1")?;
    let row = client.query_one(&query, &[&"tea"]).await?;
    // ANCHOR_END: read
    assert_eq!(row.get::<_, i64>(0), 2);
    // ANCHOR: drop
    running.stop().await;
    versions.drop_version(&sold(1)?, sink(url, schema)?).await?;
    drop_model(url, schema, &sold(1)?.model_id()).await?;
    // ANCHOR_END: drop
    assert_eq!(versions.read().await?.to_string(), "v1 dropped, v2 live");
    let row = client.query_one(&query, &[&"tea"]).await?;
    assert_eq!(row.get::<_, i64>(0), 2, "the live version is still there");
    rebuild.processor().ok_or("version 2 is fed")?.stop().await;
    Ok(())
}
