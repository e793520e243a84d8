//! What is acknowledged is stored, in order and once, whatever happens to the server and the way to it.

use std::sync::Arc;
use std::time::Duration;

use crate::support;
use crate::support::RUNTIME;
use crate::support::events::{append, assert_recorded, insist, load, stream};
use crate::support::proxy::{Proxy, error_message, panic_message};
use annals_core::{
    Append, ErrorKind, EventStore, EventStoreExt, Expected, Outcome, SnapshotRemoval, SnapshotStore,
};
use annals_services::DiskSync;
use annals_store_postgres::{PostgresStore, Settings};
use futures_util::future::join_all;
use tokio::runtime::Builder;

#[test]
fn the_postmaster_is_killed_under_load() {
    let Some(mut server) = support::own_server("the_postmaster_is_killed_under_load", DiskSync::On)
    else {
        return;
    };
    RUNTIME.block_on(async {
        let store = support::builder(&server.url())
            .open_or_create()
            .await
            .unwrap();
        let store = Arc::new(store);
        let (reached, kills) = std::sync::mpsc::channel();
        let killer = tokio::task::spawn_blocking(move || {
            for () in kills {
                server.kill().unwrap();
                server.restart().unwrap();
            }
            server
        });
        let kills = 2 * support::scale() as usize;
        let receipts = load(&store, 30 * kills, move |count| {
            // Each time that 200 more are acknowledged.
            if count % 200 == 100 && count / 200 < kills {
                reached.send(()).unwrap();
            }
        });
        let receipts = receipts.await;
        assert_recorded(&*store, &receipts).await;
        drop(killer.await.unwrap());
        println!(
            "postmaster: {{\"postmasters killed\": {kills}, \"appends under load\": {}}}",
            receipts.len()
        );
    });
}

#[test]
fn sessions_are_ended_under_load() {
    let Some(url) = support::server("sessions_are_ended_under_load") else {
        return;
    };
    RUNTIME.block_on(async {
        let store = Arc::new(support::builder(&url).open_or_create().await.unwrap());
        let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls)
            .await
            .unwrap();
        tokio::spawn(connection);
        let (reached, mut ends) = tokio::sync::mpsc::unbounded_channel();
        let schema = store.schema().to_owned();
        let ender = tokio::spawn(async move {
            let mut ended = 0;
            while ends.recv().await.is_some() {
                let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                           WHERE pid <> pg_backend_pid() AND query LIKE '%' || $1 || '%append(%'";
                ended += client.query(end, &[&schema]).await.unwrap().len();
            }
            ended
        });
        let receipts = load(&store, 100, move |count| {
            if count % 50 == 0 {
                reached.send(()).unwrap();
            }
        });
        let receipts = receipts.await;
        assert_recorded(&*store, &receipts).await;
        assert!(ender.await.unwrap() > 0, "no session was ended");
    });
}

#[test]
fn a_connection_is_cut_while_it_commits() {
    let Some(url) = support::server("a_connection_is_cut_while_it_commits") else {
        return;
    };
    RUNTIME.block_on(async {
        let proxy = Proxy::start(&url).await;
        let store = support::builder(&proxy.url())
            .open_or_create()
            .await
            .unwrap();
        let mut receipts = Vec::new();
        for number in 0..20 {
            let append = append("cut-1", Expected::Any, &number.to_string());
            if number % 2 == 1 {
                proxy.swallow_the_next_answer("append(");
            }
            let receipt = store.append(append).await.unwrap();
            assert_eq!(
                receipt.is_duplicate(),
                number % 2 == 1,
                "the call was sent again after a cut"
            );
            receipts.push(receipt);
        }
        assert_recorded(&store, &receipts).await;
    });
}

/// F7: a server whose sync fails says so and ends, and what it finds when it starts again may have the append.
#[test]
fn an_answer_of_a_server_that_fails_is_not_believed() {
    let Some(url) = support::server("an_answer_of_a_server_that_fails_is_not_believed") else {
        return;
    };
    RUNTIME.block_on(async {
        let proxy = Proxy::start(&url).await;
        let store = support::builder(&proxy.url())
            .open_or_create()
            .await
            .unwrap();
        let first = store.append(append("failing-1", Expected::NoStream, "first"));
        let mut receipts = vec![first.await.unwrap()];
        for (number, code) in ["58030", "53100", "XX000", "57P01", "57P02"]
            .iter()
            .enumerate()
        {
            let message = panic_message(code, "could not fsync file");
            proxy.replace_the_next_answer("append(", message);
            let append = append("failing-1", Expected::Any, &number.to_string());
            let receipt = store.append(append).await.unwrap();
            assert!(receipt.is_duplicate(), "{code}: it was recorded before");
            receipts.push(receipt);
        }
        assert_recorded(&store, &receipts).await;
    });
}

#[test]
fn an_append_of_unknown_fate_is_resolved_by_its_id() {
    let Some(url) = support::server("an_append_of_unknown_fate_is_resolved_by_its_id") else {
        return;
    };
    RUNTIME.block_on(async {
        let proxy = Proxy::start(&url).await;
        let mut settings = Settings::default();
        settings.reconnect_timeout = Duration::from_millis(300);
        let store = PostgresStore::builder(&proxy.url())
            .settings(settings)
            .schema(&support::fresh_schema())
            .open_or_create()
            .await
            .unwrap();
        let first = append("doubt-1", Expected::NoStream, "first");
        let recorded = store.append(first).await.unwrap();

        proxy.swallow_the_next_answer("append(");
        proxy.refuse(true);
        let second = append("doubt-1", Expected::Exactly(1.into()), "second");
        let error = store.append(second.clone()).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.outcome()),
            (ErrorKind::Unknown, Outcome::Unknown),
            "{error}"
        );
        let third = append("doubt-1", Expected::Any, "third");
        let error = store.append(third.clone()).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.outcome()),
            (ErrorKind::Unavailable, Outcome::Rejected),
            "{error}"
        );

        proxy.refuse(false);
        let resolved = insist(&store, second).await.unwrap();
        assert!(resolved.is_duplicate());
        let after = insist(&store, third).await.unwrap();
        assert_recorded(&store, &[recorded, resolved, after]).await;
    });
}

/// A store on this thread alone: what is appended together is sent together.
fn on_one_thread(test: impl AsyncFnOnce(&Proxy, &PostgresStore), url: &str) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let proxy = Proxy::start(url).await;
        let mut settings = Settings::default();
        settings.reconnect_timeout = Duration::from_millis(400);
        let store = PostgresStore::builder(&proxy.url())
            .settings(settings)
            .schema(&support::fresh_schema())
            .open_or_create()
            .await
            .unwrap();
        test(&proxy, &store).await;
    });
}

fn scripted(count: usize) -> Vec<Append> {
    (0..count)
        .map(|number| {
            append(
                &format!("scripted-{number}"),
                Expected::NoStream,
                &number.to_string(),
            )
        })
        .collect()
}

/// P6: an error says nothing of an earlier call that was lost after it was sent, and may be recorded.
#[test]
fn an_error_after_a_lost_call_leaves_it_unknown() {
    let Some(url) = support::server("an_error_after_a_lost_call_leaves_it_unknown") else {
        return;
    };
    let refused = || error_message("25006", "cannot execute INSERT in a read-only transaction");
    for count in [1, 3] {
        let test = async |proxy: &Proxy, store: &PostgresStore| {
            proxy.then_swallow_the_answer("scripted-");
            proxy.then_replace_the_answer("scripted-", refused());
            if count > 1 {
                // They are sent one by one, which tells nothing either.
                for _ in 0..count {
                    proxy.then_replace_the_answer("scripted-", refused());
                }
            }
            let appends = scripted(count);
            let answers = appends.iter().map(|append| store.append(append.clone()));
            for answer in join_all(answers).await {
                let error = answer.unwrap_err();
                assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
            }
            let mut receipts = Vec::new();
            for append in appends {
                let receipt = insist(store, append).await.unwrap();
                assert!(receipt.is_duplicate(), "it was recorded all along");
                receipts.push(receipt);
            }
            assert_recorded(store, &receipts).await;
        };
        on_one_thread(test, &url);
    }
}

#[test]
fn a_server_that_goes_while_commands_are_sent_one_by_one_is_waited_for_once() {
    const COUNT: usize = 20;
    let test = "a_server_that_goes_while_commands_are_sent_one_by_one_is_waited_for_once";
    let Some(url) = support::server(test) else {
        return;
    };
    let test = async |proxy: &Proxy, store: &PostgresStore| {
        let first = append("first-1", Expected::NoStream, "first");
        let mut receipts = vec![insist(store, first).await.unwrap()];
        proxy.then_replace_the_answer("scripted-", error_message("54000", "too much"));
        proxy.then_swallow_the_answer("scripted-");
        proxy.refuse(true);
        // The server does what it is told to have refused, which is found out when they are sent again.
        let appends = scripted(COUNT);
        let answers = join_all(appends.iter().map(|append| store.append(append.clone())));
        let answers = tokio::time::timeout(Duration::from_secs(4), answers).await;
        let answers = answers.expect("not each waits for the server anew");
        let mut outcomes = answers
            .iter()
            .map(|answer| answer.as_ref().unwrap_err().outcome());
        assert_eq!(outcomes.next(), Some(Outcome::Unknown));
        assert!(outcomes.all(|outcome| outcome == Outcome::Rejected));
        proxy.refuse(false);
        for append in appends {
            receipts.push(insist(store, append).await.unwrap());
        }
        assert_recorded(store, &receipts).await;
    };
    on_one_thread(test, &url);
}

/// Waits until a session waits for a lock on this log.
async fn await_waiting_for(client: &tokio_postgres::Client, schema: &str) {
    let query = "SELECT EXISTS (SELECT FROM pg_stat_activity \
                 WHERE wait_event_type = 'Lock' AND position($1 IN query) > 0)";
    while !client
        .query_one(query, &[&schema])
        .await
        .unwrap()
        .get::<_, bool>(0)
    {
        tokio::task::yield_now().await;
    }
}

/// P6, of what is not an append: a change that was on its way when the store's runtime ended may have been made.
#[test]
fn a_change_that_the_end_of_the_runtime_cuts_is_unknown() {
    let Some(url) = support::server("a_change_that_the_end_of_the_runtime_cuts_is_unknown") else {
        return;
    };
    let ends = Builder::new_multi_thread().enable_all().build().unwrap();
    RUNTIME.block_on(async {
        let store = support::builder(&url).runtime(ends.handle().clone());
        let store = store.open_or_create().await.unwrap();
        let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls)
            .await
            .unwrap();
        tokio::spawn(connection);
        let lock = format!("BEGIN; SELECT FROM {}.log FOR UPDATE", store.schema());
        client.batch_execute(&lock).await.unwrap();
        let change = store.soft_delete(stream("cut-1"), Expected::Any);
        let (watching, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls)
            .await
            .unwrap();
        tokio::spawn(connection);
        let cut = async {
            // What is not sent yet is refused, and changes nothing.
            await_waiting_for(&watching, store.schema()).await;
            ends.shutdown_background();
        };
        let (changed, ()) = tokio::join!(change, cut);
        let error = changed.unwrap_err();
        assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
    });
}

#[test]
fn a_purge_that_comes_again_writes_the_table_anew() {
    let Some(url) = support::server("a_purge_that_comes_again_writes_the_table_anew") else {
        return;
    };
    RUNTIME.block_on(async {
        let store = support::builder(&url).open_or_create().await.unwrap();
        let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls)
            .await
            .unwrap();
        tokio::spawn(connection);
        let file = format!(
            "SELECT pg_relation_filenode('{}.snapshots')",
            store.schema()
        );
        let file = async || -> u32 { client.query_one(&file, &[]).await.unwrap().get(0) };
        let before = file().await;
        // As after a purge that failed when it had deleted the rows.
        let purge = SnapshotRemoval::Purged {
            streams: vec![stream("person-1")],
        };
        assert_eq!(store.remove_snapshots(purge).await.unwrap(), 0);
        assert_ne!(file().await, before);
    });
}
