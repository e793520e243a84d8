//! Appending within transactions of the application.

use std::sync::Arc;
use std::time::Duration;

use crate::support;
use crate::support::events::{append, event, insist, stream};
use crate::support::{RUNTIME, client};
use annals_core::{
    Append, AppendId, Cursor, ErrorKind, EventStore, EventStoreExt, Expected, ReadRequest,
};
use annals_store_postgres::PostgresStore;
use futures_util::StreamExt;
use tokio_postgres::{Client, IsolationLevel};

#[test]
fn an_append_and_rows_are_one_transaction() {
    let Some(url) = support::server("an_append_and_rows_are_one_transaction") else {
        return;
    };
    RUNTIME.block_on(async {
        let store = support::builder(&url).open_or_create().await.unwrap();
        let mut client = client(&url).await;
        let table = format!("rows_{}", store.schema());
        client
            .batch_execute(&format!("CREATE TABLE {table} (n int)"))
            .await
            .unwrap();
        let insert = format!("INSERT INTO {table} VALUES (1)");
        let count = format!("SELECT count(*) FROM {table}");
        for (commits, events, rows) in [(false, 0, 0_i64), (true, 1, 1)] {
            let transaction = client.transaction().await.unwrap();
            transaction.execute(&insert, &[]).await.unwrap();
            let receipt = store
                .append_in(
                    &transaction,
                    append("order-1", Expected::NoStream, "placed"),
                )
                .await;
            assert_eq!(receipt.unwrap().first_position.value(), 1);
            if commits {
                transaction.commit().await.unwrap();
            } else {
                transaction.rollback().await.unwrap();
            }
            assert_eq!(
                store.collect(ReadRequest::all()).await.unwrap().len(),
                events
            );
            let found: i64 = client.query_one(&count, &[]).await.unwrap().get(0);
            assert_eq!(found, rows);
        }
    });
}

#[test]
fn a_refused_append_leaves_the_transaction_as_it_was() {
    let Some(url) = support::server("a_refused_append_leaves_the_transaction_as_it_was") else {
        return;
    };
    RUNTIME.block_on(async {
        let store = support::builder(&url).open_or_create().await.unwrap();
        let first = store
            .append(append("order-1", Expected::NoStream, "first"))
            .await
            .unwrap();
        let mut client = client(&url).await;
        let transaction = client.transaction().await.unwrap();
        let refused = store
            .append_in(
                &transaction,
                append("order-1", Expected::NoStream, "second"),
            )
            .await;
        let error = refused.unwrap_err();
        assert_eq!(error.conflict().unwrap().failures().len(), 1, "{error}");
        let again = store
            .append_in(&transaction, append("order-1", Expected::NoStream, "first"))
            .await
            .unwrap();
        assert!(again.is_duplicate());
        assert_eq!(again.first_position, first.first_position);
        let other_content = Append::builder(AppendId::parse("first").unwrap())
            .write(stream("order-2"), Expected::Any, [event("other")])
            .build()
            .unwrap();
        let error = store
            .append_in(&transaction, other_content)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AppendIdReused);
        store
            .append_in(
                &transaction,
                append("order-1", Expected::Exactly(1.into()), "third"),
            )
            .await
            .unwrap();
        transaction.commit().await.unwrap();
        assert_eq!(store.collect(ReadRequest::all()).await.unwrap().len(), 2);
    });
}

#[test]
fn other_isolation_is_refused() {
    let Some(url) = support::server("other_isolation_is_refused") else {
        return;
    };
    RUNTIME.block_on(async {
        let store = support::builder(&url).open_or_create().await.unwrap();
        let mut client = client(&url).await;
        for isolation in [IsolationLevel::RepeatableRead, IsolationLevel::Serializable] {
            let transaction = client
                .build_transaction()
                .isolation_level(isolation)
                .start()
                .await
                .unwrap();
            let refused = store
                .append_in(&transaction, append("order-1", Expected::Any, "x"))
                .await;
            let error = refused.unwrap_err().to_string();
            assert!(error.contains("READ COMMITTED"), "{error}");
        }
    });
}

#[test]
fn tables_of_the_session_are_not_taken_for_those_of_the_log() {
    let Some(url) = support::server("tables_of_the_session_are_not_taken_for_those_of_the_log")
    else {
        return;
    };
    RUNTIME.block_on(async {
        let store = support::builder(&url).open_or_create().await.unwrap();
        let mut client = client(&url).await;
        let schema = store.schema();
        for table in ["events", "log", "stream_policies"] {
            let shadow = format!("CREATE TEMPORARY TABLE {table} (LIKE {schema}.{table})");
            client.batch_execute(&shadow).await.unwrap();
        }
        let transaction = client.transaction().await.unwrap();
        store
            .append_in(&transaction, append("order-1", Expected::NoStream, "x"))
            .await
            .unwrap();
        transaction.commit().await.unwrap();
        assert_eq!(store.collect(ReadRequest::all()).await.unwrap().len(), 1);
    });
}

/// Appends, waits a while, and commits, or does not in two of ten cases; gives what was committed.
async fn commit_or_not(
    store: &PostgresStore,
    client: &mut Client,
    (writer, number): (u32, u32),
) -> Option<String> {
    // Any spread will do, as long as writers differ.
    let chance = (writer * 31 + number * 17 + writer * number * 7) % 10;
    let transaction = client.transaction().await.unwrap();
    let id = format!("{writer}/{number}");
    let append = append(&format!("s-{writer}"), Expected::Any, &id);
    store.append_in(&transaction, append).await.unwrap();
    tokio::time::sleep(Duration::from_micros(u64::from(chance) * 400)).await;
    if chance < 2 {
        transaction.rollback().await.unwrap();
        return None;
    }
    transaction.commit().await.unwrap();
    Some(id)
}

/// F30: commits come in another order than they begin, and some never come.
#[test]
fn a_subscriber_misses_nothing_that_commits_late() {
    const WRITERS: u32 = 8;
    const APPENDS_EACH: u32 = 25;
    let Some(url) = support::server("a_subscriber_misses_nothing_that_commits_late") else {
        return;
    };
    RUNTIME.block_on(async {
        let store = Arc::new(support::builder(&url).open_or_create().await.unwrap());
        let subscriber = Arc::clone(&store);
        let seen = tokio::spawn(async move {
            let mut pages = subscriber.into_subscription(ReadRequest::all());
            let mut seen = Vec::new();
            while seen.last() != Some(&"the end".to_owned()) {
                let page = pages.next().await.unwrap().unwrap();
                for event in &page.events {
                    let place = u64::try_from(seen.len()).unwrap() + 1;
                    assert_eq!(
                        event.position().value(),
                        place,
                        "nothing is left out, nothing comes late"
                    );
                    seen.push(String::from_utf8(event.payload().to_vec()).unwrap());
                }
                assert!(
                    page.cursor
                        .covers(&Cursor::at(u64::try_from(seen.len()).unwrap().into()))
                );
            }
            seen
        });
        let writers = (0..WRITERS).map(|writer| {
            let (store, url) = (Arc::clone(&store), url.clone());
            tokio::spawn(async move {
                let mut client = client(&url).await;
                let mut committed = Vec::new();
                for number in 0..APPENDS_EACH {
                    committed.extend(commit_or_not(&store, &mut client, (writer, number)).await);
                }
                committed
            })
        });
        let mut committed = Vec::new();
        for writer in writers.collect::<Vec<_>>() {
            committed.extend(writer.await.unwrap());
        }
        assert!(
            u32::try_from(committed.len()).unwrap() < WRITERS * APPENDS_EACH,
            "some are rolled back"
        );
        insist(&*store, append("s-end", Expected::Any, "the end"))
            .await
            .unwrap();
        committed.push("the end".to_owned());
        let mut seen = seen.await.unwrap();
        seen.sort_unstable();
        committed.sort_unstable();
        assert_eq!(seen, committed, "all that was committed is seen, once");
    });
}
