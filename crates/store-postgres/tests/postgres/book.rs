//! The code of the chapter "PostgreSQL".

use std::time::Duration;

use crate::support;
use crate::support::RUNTIME;
use annals_core::{
    Append, AppendId, BoxError, Category, ConsistencyLevel, ContentType, Criteria, EventStore,
    EventStoreExt, EventType, Expected, Ids, NewEvent, Page, ReadRequest, StreamId, Tag, Tags,
    UuidIds,
};
use annals_store_postgres::{PostgresStore, Settings, WakeUp};
use tokio_postgres::{Client, NoTls, connect};

const PLACED: EventType = EventType::from_static("placed");

fn placed() -> Result<NewEvent, annals_core::Error> {
    let tags = Tags::new([Tag::from_parts("customer", 7)?])?;
    Ok(NewEvent::new(PLACED, ContentType::JSON, r#"{"cents":1990}"#)?.with_tags(tags))
}

// ANCHOR: open
async fn open(url: &str, tenant: &str) -> Result<PostgresStore, annals_core::Error> {
    PostgresStore::builder(url)
        .schema(tenant)
        .open_or_create()
        .await
}
// ANCHOR_END: open

// ANCHOR: settings
fn without_a_listener(url: &str) -> annals_store_postgres::PostgresStoreBuilder {
    let mut settings = Settings::default();
    settings.wake_up = WakeUp::Poll;
    settings.poll_interval_max = Duration::from_millis(200);
    settings.connections_max = 4;
    PostgresStore::builder(url).settings(settings)
}
// ANCHOR_END: settings

// ANCHOR: replica
async fn with_a_replica(primary: &str, replica: &str) -> Result<PostgresStore, annals_core::Error> {
    let mut settings = Settings::default();
    settings.replica_lag_max = Duration::from_secs(5);
    PostgresStore::builder(primary)
        .settings(settings)
        .replica(replica)
        .open_or_create()
        .await
}

async fn orders_of_late(store: &PostgresStore) -> Result<Page, annals_core::Error> {
    let orders = ReadRequest::category(Category::from_static("order"));
    store
        .read(orders.backward().consistency(ConsistencyLevel::Eventual))
        .await
}
// ANCHOR_END: replica

// ANCHOR: transaction
async fn place(store: &PostgresStore, client: &mut Client) -> Result<(), BoxError> {
    let order = StreamId::parse("order-42")?;
    let append = Append::builder(AppendId::parse("place-order-42")?)
        .write(order, Expected::NoStream, [placed()?])
        .build()?;
    let transaction = client.transaction().await?;
    transaction
        .execute(
            "UPDATE stock SET pieces = pieces - 1 WHERE item = 'book'",
            &[],
        )
        .await?;
    store.append_in(&transaction, append).await?;
    transaction.commit().await?;
    Ok(())
}
// ANCHOR_END: transaction

#[test]
fn the_code_of_the_chapter_does_what_it_says() {
    let Some(url) = support::server("the_code_of_the_chapter_does_what_it_says") else {
        return;
    };
    RUNTIME.block_on(async {
        let (mut client, connection) = connect(&url, NoTls).await.unwrap();
        tokio::spawn(connection);
        client
            .batch_execute(
                "CREATE TEMPORARY TABLE stock (item text, pieces int); \
                 INSERT INTO stock VALUES ('book', 3)",
            )
            .await
            .unwrap();
        let shop = support::fresh_schema();
        let store = open(&url, &shop).await.unwrap();
        place(&store, &mut client).await.unwrap();
        let left: i32 = client
            .query_one("SELECT pieces FROM stock", &[])
            .await
            .unwrap()
            .get(0);
        assert_eq!(left, 2);
        let polling = without_a_listener(&url).schema(&shop).open().await.unwrap();
        let of_customer = Criteria::of_tags([Tag::from_parts("customer", 7).unwrap()]).unwrap();
        let found = polling
            .collect(ReadRequest::matching(of_customer.clone()))
            .await
            .unwrap();
        assert_eq!(found.len(), 1);
        let late = Append::builder(UuidIds::default().append_id())
            .write(
                StreamId::parse("order-43").unwrap(),
                Expected::NoStream,
                [placed().unwrap()],
            )
            .unless(of_customer, annals_core::Cursor::START);
        let refused = polling.append(late.build().unwrap()).await.unwrap_err();
        assert!(refused.conflict().is_some());
        // Of a server that is no replica nothing is asked.
        let reading = with_a_replica(&url, &url).await.unwrap();
        assert!(orders_of_late(&reading).await.unwrap().events.is_empty());
    });
}
