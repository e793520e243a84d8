//! The code of the chapter "PostgreSQL" about models in the transaction of the append.

use std::sync::Arc;

use annals_codec::{EventCodec, JsonCodec};
use annals_core::{Append, AppendId, BoxError, Error, Expected, StreamId};
use annals_macros::Event;
use annals_projection::Projection;
use annals_read_postgres::{PostgresInline, PostgresModel, PostgresSink};
use annals_store_postgres::PostgresStore;
use serde::{Deserialize, Serialize};
use tokio_postgres::Client;

use crate::support::{self, RUNTIME, client, fresh_schema};

// ANCHOR: projection
#[derive(Event, Serialize, Deserialize)]
#[event(category = "account")]
struct Deposited {
    cents: i64,
}

fn balances() -> Result<Projection<PostgresModel>, Error> {
    Projection::builder("balances", 1)?
        .on(
            JsonCodec,
            |model: &mut PostgresModel, event: &Deposited, recorded| {
                let add = "INSERT INTO {balances} AS b VALUES ($1, $2) \
                       ON CONFLICT (account) DO UPDATE SET cents = b.cents + $2";
                model.execute(add, &[&recorded.stream().as_str(), &event.cents])?;
                Ok(())
            },
        )
        .build()
}

fn tables(url: &str, schema: &str) -> Result<PostgresSink, Error> {
    PostgresSink::builder(url)
        .in_schema(schema)
        .schema("CREATE TABLE {balances} (account text PRIMARY KEY, cents bigint NOT NULL)")
        .build()
}
// ANCHOR_END: projection

// ANCHOR: inline
async fn open(store: Arc<PostgresStore>, url: &str, schema: &str) -> Result<PostgresInline, Error> {
    PostgresInline::builder(store)
        .project(balances()?, tables(url, schema)?)
        .open()
        .await
}

async fn deposit(bank: &PostgresInline, client: &mut Client, cents: i64) -> Result<(), BoxError> {
    let account = StreamId::parse("account-42")?;
    let deposited = JsonCodec.encode(&Deposited { cents })?;
    let append = Append::builder(AppendId::parse("deposit-7")?)
        .write(account, Expected::Any, [deposited])
        .build()?;
    let transaction = client.transaction().await?;
    // Rows of your own first, then the append: the event, the balance and the checkpoint.
    let till = "UPDATE till SET cents = cents + $1";
    transaction.execute(till, &[&cents]).await?;
    bank.append_in(&transaction, append).await?;
    transaction.commit().await?;
    Ok(())
}
// ANCHOR_END: inline

#[test]
fn the_code_of_the_chapter_does_what_it_says() {
    let Some(url) = support::server("the_code_of_the_chapter_does_what_it_says") else {
        return;
    };
    RUNTIME.block_on(async {
        let mut client = client(&url).await;
        let till = "CREATE TEMPORARY TABLE till (cents bigint); INSERT INTO till VALUES (100)";
        client.batch_execute(till).await.unwrap();
        let store = PostgresStore::builder(&url).schema(&fresh_schema());
        let store = Arc::new(store.open_or_create().await.unwrap());
        let models = fresh_schema();
        let bank = open(store, &url, &models).await.unwrap();
        deposit(&bank, &mut client, 500).await.unwrap();
        let balances = tables(&url, &models).unwrap();
        let id = self::balances().unwrap().model_id();
        for (query, expected) in [
            ("SELECT cents FROM till".to_owned(), 600_i64),
            (
                balances
                    .expand(&id, "SELECT cents FROM {balances}")
                    .unwrap(),
                500,
            ),
        ] {
            let found: i64 = client.query_one(&query, &[]).await.unwrap().get(0);
            assert_eq!(found, expected, "{query}");
        }
    });
}
