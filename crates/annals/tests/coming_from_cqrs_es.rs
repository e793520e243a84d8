//! The code of the book's chapter "Coming from cqrs-es".

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;

use annals::prelude::*;
use annals_testkit::Scenario;
use futures_executor::block_on;
use serde::{Deserialize, Serialize};

// ANCHOR: events
#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "order", rename_all = "PascalCase")]
enum OrderEvent {
    LineAdded { article: String, cents: u64 },
}
// ANCHOR_END: events

// ANCHOR: aggregate
#[derive(Clone, Debug, Default, PartialEq)]
struct Order {
    lines: u64,
    cents: u64,
}

#[derive(Debug, PartialEq)]
enum Rejected {
    Full,
    SoldOut,
}

impl Aggregate for Order {
    type Event = OrderEvent;

    fn apply(&mut self, event: &OrderEvent) -> Result<(), Refusal> {
        let OrderEvent::LineAdded { cents, .. } = event;
        self.lines += 1;
        self.cents = self
            .cents
            .checked_add(*cents)
            .ok_or(Refusal::new("the order costs too much"))?;
        Ok(())
    }
}

impl Order {
    fn add_line(&self, article: &str, cents: u64) -> Result<OrderEvent, Rejected> {
        require(self.lines < 1_000, Rejected::Full)?;
        let article = article.to_owned();
        Ok(OrderEvent::LineAdded { article, cents })
    }
}
// ANCHOR_END: aggregate

// ANCHOR: service
struct Stock;

impl Stock {
    #[expect(
        clippy::unused_async,
        reason = "it stands for a service elsewhere, which is asked over a network"
    )]
    async fn has(&self, article: &str) -> bool {
        article == "M8-HEX-BOLT-ZN"
    }
}

async fn add_line(
    orders: &Repository<Order>,
    stock: &Stock,
    (key, article, cents): (&str, &str, u64),
) -> Result<u64, CommandError<Rejected>> {
    let in_stock = stock.has(article).await;
    let decide = |order: &Order| {
        require(in_stock, Rejected::SoldOut)?;
        order.add_line(article, cents)
    };
    Ok(orders.execute(key, decide).await?.state.lines)
}
// ANCHOR_END: service

// ANCHOR: import
/// A row of the table `events`.
struct Row {
    payload: String,
    metadata: HashMap<String, String>,
}

/// Moves the rows of one aggregate, in the order of their sequence; a second time it changes nothing.
async fn import(store: &dyn EventStore, key: &str, rows: &[Row]) -> Result<(), Box<dyn Error>> {
    let stream = StreamId::new(&OrderEvent::CATEGORY, key)?;
    let id = AppendId::parse(&format!("cqrs-es/{stream}"))?;
    let events: Result<Vec<NewEvent>, _> = rows.iter().map(moved).collect();
    let append = Append::builder(id).write(stream, Expected::NoStream, events?);
    store.append(append.build()?).await?;
    Ok(())
}

fn moved(row: &Row) -> Result<NewEvent, Box<dyn Error>> {
    let event: OrderEvent = serde_json::from_str(&row.payload)?;
    let mut metadata = Metadata::EMPTY;
    for (name, value) in &row.metadata {
        metadata = metadata.with_header(name, value)?;
    }
    Ok(JsonCodec.encode(&event)?.with_metadata(metadata))
}
// ANCHOR_END: import

// ANCHOR: view
async fn revenue(orders: &Repository<Order>) -> Result<u64, annals::Error> {
    let revenue = orders.fold_all(0, |sum, entry| {
        let OrderEvent::LineAdded { cents, .. } = entry.event;
        sum + cents
    });
    revenue.await
}
// ANCHOR_END: view

fn orders() -> (Arc<MemoryStore>, Repository<Order>) {
    let store = Arc::new(MemoryStore::new());
    (store.clone(), Repository::new(store, JsonCodec))
}

// ANCHOR: test
#[test]
fn an_order_takes_a_thousand_lines() {
    let line = |article: &str| OrderEvent::LineAdded {
        article: article.to_owned(),
        cents: 5,
    };
    Scenario::<Order>::given([line("nut")])
        .when(|order| order.add_line("bolt", 5))
        .then([line("bolt")]);
    Scenario::<Order>::given(vec![line("nut"); 1_000])
        .when(|order| order.add_line("bolt", 5))
        .then_error(Rejected::Full);
}
// ANCHOR_END: test

#[test]
fn a_service_is_asked_before_the_decision() {
    let (_, orders) = orders();
    let added = |article| block_on(add_line(&orders, &Stock, ("1", article, 5)));
    assert_eq!(added("M8-HEX-BOLT-ZN").unwrap(), 1);
    assert_eq!(
        added("nut").unwrap_err().refused(),
        Some(&Rejected::SoldOut)
    );
}

#[test]
fn a_table_is_moved_once() {
    let (store, orders) = orders();
    let row = |cents: u64| Row {
        payload: format!(r#"{{"LineAdded":{{"article":"nut","cents":{cents}}}}}"#),
        metadata: HashMap::from([("user".to_owned(), "ada".to_owned())]),
    };
    for _ in 0..2 {
        block_on(import(&*store, "1", &[row(3), row(4)])).unwrap();
        block_on(import(&*store, "2", &[row(5)])).unwrap();
    }
    assert_eq!(block_on(revenue(&orders)).unwrap(), 12);
    let loaded = block_on(orders.load("1")).unwrap();
    assert_eq!(*loaded.state(), Order { lines: 2, cents: 7 });
    let first = block_on(store.collect(ReadRequest::all()))
        .unwrap()
        .remove(0);
    assert_eq!(first.event_type().as_str(), "LineAdded");
    assert_eq!(first.metadata().header("user"), Some("ada"));
}
