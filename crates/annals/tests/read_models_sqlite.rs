//! The code of the chapter "Read models in SQLite".

#![cfg(feature = "sqlite")]

use std::path::Path;
use std::sync::Arc;

use annals::prelude::*;
use annals::projection::{FailurePolicy, Processor, Projection};
use annals::sqlite::{
    Change, ColumnType, SqliteDurability, SqliteModel, SqliteSettings, SqliteSink, SqliteView,
    Table,
};
use futures_executor::block_on;
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
#[event(category = "order")]
enum OrderEvent {
    Placed { customer: String, cents: i64 },
    Paid,
    Cancelled,
}

// ANCHOR: table
fn orders() -> Result<Table, annals::Error> {
    Table::new("orders")
        .key("id", ColumnType::Text)
        .column("customer", ColumnType::Text)
        .number("cents")
        .number("paid")
        .indexed("customer")
        .build()
}
// ANCHOR_END: table

// ANCHOR: projection
fn projection(orders: &Table) -> Result<Projection<SqliteModel>, annals::Error> {
    let rows = orders.rows(|event: &OrderEvent, recorded| {
        let id = recorded.stream().as_str();
        match event {
            OrderEvent::Placed { customer, cents } => {
                let row = Change::upsert().key("id", id);
                row.set("customer", customer).set("cents", *cents)
            }
            OrderEvent::Paid => Change::update().key("id", id).set("paid", true),
            OrderEvent::Cancelled => Change::delete().key("id", id),
        }
    });
    Projection::builder("orders", 1)?
        .on(JsonCodec, rows)
        .on_failure(FailurePolicy::park())
        .build()
}
// ANCHOR_END: projection

// ANCHOR: sql
fn by_customer(path: &Path) -> Result<(Projection<SqliteModel>, SqliteSink), annals::Error> {
    let sink = SqliteSink::builder(path)
        .schema(
            "CREATE TABLE {spending} (customer TEXT PRIMARY KEY, cents INTEGER NOT NULL) STRICT",
        )
        .build()?;
    let projection = Projection::builder("spending", 1)?
        .on(
            JsonCodec,
            |model: &mut SqliteModel, event: &OrderEvent, _| {
                if let OrderEvent::Placed { customer, cents } = event {
                    model.execute(
                        "INSERT INTO {spending} VALUES (?1, ?2)
                     ON CONFLICT DO UPDATE SET cents = cents + ?2",
                        (customer, cents),
                    )?;
                }
                Ok(())
            },
        )
        .build()?;
    Ok((projection, sink))
}
// ANCHOR_END: sql

#[test]
fn rows_follow_the_events() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("models.sqlite");
    block_on(async {
        let store: Arc<dyn EventStore> = Arc::new(MemoryStore::new());
        // ANCHOR: run
        let orders = orders()?;
        let settings = SqliteSettings::default().with_durability(SqliteDurability::Power);
        let sink = SqliteSink::builder(&path)
            .table(&orders)
            .settings(settings)
            .build()?;
        let projection = projection(&orders)?;
        let id = projection.model_id();
        let (spending, spending_sink) = by_customer(&path)?;
        let processor = Processor::builder(Arc::clone(&store))
            .project(projection, sink)
            .project(spending, spending_sink)
            .build()?
            .start();
        // ANCHOR_END: run
        let placed = OrderEvent::Placed {
            customer: "ada".to_owned(),
            cents: 250,
        };
        let mut receipts = Vec::new();
        for (order, event) in [("order-1", placed), ("order-1", OrderEvent::Paid)] {
            let append = Append::builder(UuidIds::default().append_id())
                .write(
                    StreamId::parse(order)?,
                    Expected::Any,
                    [JsonCodec.encode(&event)?],
                )
                .build()?;
            receipts.push(store.append(append).await?);
        }
        let receipt = receipts.pop().unwrap();
        // ANCHOR: read
        processor.wait_for("orders", &receipt).await?;
        let view = SqliteView::open(&path, &id)?;
        let paid: Vec<String> = view.query(
            "SELECT id FROM {orders} WHERE customer = ?1 AND paid",
            ["ada"],
            |row| row.get(0),
        )?;
        assert_eq!(paid, ["order-1"]);
        // ANCHOR_END: read
        processor.wait_for("spending", &receipt).await?;
        let models = annals::sqlite::models(&path)?;
        let ids: Vec<String> = models.iter().map(|(id, _)| id.to_string()).collect();
        assert_eq!(ids, ["orders.v1", "spending.v1"]);
        processor.stop().await;
        Ok::<(), annals::Error>(())
    })
    .unwrap();
}
