//! A model is rebuilt from history, and inline from there, without a gap or a double.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use annals_core::{ErrorKind, EventStore};
use annals_projection::{FailurePolicy, Processor};
use annals_read_postgres::PostgresInline;

use crate::bank::{Bank, append_all, balances, balances_and, change};
use crate::support::{self, RUNTIME, client};

#[test]
fn a_new_version_is_built_beside_appends() {
    let Some(url) = support::server("a_new_version_is_built_beside_appends") else {
        return;
    };
    RUNTIME.block_on(async {
        let bank = Arc::new(Bank::open(&url).await);
        append_all(&*bank.store, 0, 40).await;
        let first = Arc::new(bank.inline(balances(1).build().unwrap()).await);
        let over = Arc::new(AtomicBool::new(false));
        let writers = (1..=4_u32).map(|account| {
            let (first, store, over) = (
                Arc::clone(&first),
                Arc::clone(&bank.store),
                Arc::clone(&over),
            );
            tokio::spawn(async move {
                while !over.load(Ordering::SeqCst) {
                    if account % 2 == 0 {
                        first.append(change(account, 1)).await.unwrap();
                    } else {
                        store.append(change(account, 1)).await.unwrap();
                    }
                }
            })
        });
        let writers: Vec<_> = writers.collect();
        // While others append, through the other version and past both.
        let second = bank.inline(balances(2).build().unwrap()).await;
        append_all(&second, 5, 10).await;
        over.store(true, Ordering::SeqCst);
        for writer in writers {
            writer.await.unwrap();
        }
        first.append(change(6, 1)).await.unwrap();
        bank.assert_even(1).await;
        second.catch_up().await.unwrap();
        bank.assert_even(2).await;
    });
}

#[test]
fn a_model_that_a_processor_built_is_taken_over() {
    let Some(url) = support::server("a_model_that_a_processor_built_is_taken_over") else {
        return;
    };
    RUNTIME.block_on(async {
        let bank = Bank::open(&url).await;
        append_all(&*bank.store, 1, 30).await;
        let store: Arc<dyn EventStore> =
            Arc::<annals_store_postgres::PostgresStore>::clone(&bank.store);
        let projection = balances(1).build().unwrap();
        let processor = Processor::builder(store).project(projection.clone(), bank.sink());
        let running = processor.build().unwrap().start();
        running.wait_until_live("balances").await.unwrap();
        bank.assert_even(1).await;
        running.stop().await;
        append_all(&*bank.store, 2, 5).await;
        let inline = bank.inline(projection).await;
        append_all(&inline, 3, 5).await;
        bank.assert_even(1).await;
    });
}

#[test]
fn a_model_with_parked_events_is_not_made_inline() {
    let Some(url) = support::server("a_model_with_parked_events_is_not_made_inline") else {
        return;
    };
    RUNTIME.block_on(async {
        let bank = Bank::open(&url).await;
        append_all(&*bank.store, 1, 3).await;
        let projection = balances_and(1, |_, cents| match cents {
            2 => Err("not this one".into()),
            _ => Ok(()),
        });
        let projection = projection
            .on_failure(FailurePolicy::park())
            .build()
            .unwrap();
        let store: Arc<dyn EventStore> =
            Arc::<annals_store_postgres::PostgresStore>::clone(&bank.store);
        let processor = Processor::builder(store).project(projection.clone(), bank.sink());
        let running = processor.build().unwrap().start();
        running.wait_until_live("balances").await.unwrap();
        running.stop().await;
        let inline = PostgresInline::builder(Arc::clone(&bank.store));
        let refused = inline
            .project(projection, bank.sink())
            .open()
            .await
            .unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid);
        assert!(refused.to_string().contains("parked"), "{refused}");
    });
}

#[test]
fn what_makes_no_sense_inline_is_refused() {
    let Some(url) = support::server("what_makes_no_sense_inline_is_refused") else {
        return;
    };
    RUNTIME.block_on(async {
        let bank = Bank::open(&url).await;
        let builder = || PostgresInline::builder(Arc::clone(&bank.store));
        let projection = || balances(1).build().unwrap();
        let part = projection().for_partition(annals_projection::Partition::new(0, 2).unwrap());
        for (what, refused) in [
            ("no projection", builder()),
            (
                "two of one name",
                builder()
                    .project(projection(), bank.sink())
                    .project(projection(), bank.sink()),
            ),
            ("a part", builder().project(part, bank.sink())),
        ] {
            assert_eq!(
                refused.open().await.unwrap_err().kind(),
                ErrorKind::Invalid,
                "{what}"
            );
        }
    });
}

#[test]
fn tables_of_another_database_are_refused_and_the_store_has_its_own_role() {
    let name = "tables_of_another_database_are_refused_and_the_store_has_its_own_role";
    let Some(url) = support::server(name) else {
        return;
    };
    RUNTIME.block_on(async {
        let bank = Bank::open(&url).await;
        let other = format!("other_{}", bank.schema);
        let made = format!("CREATE DATABASE {other}");
        client(&url).await.batch_execute(&made).await.unwrap();
        // The path of the address is the database.
        let (server, database) = url.rsplit_once('/').unwrap();
        let apart = if database.contains('?') { "&" } else { "?" };
        let elsewhere = format!("{server}/{other}");
        let names = Arc::new(std::sync::Mutex::new(Vec::new()));
        let noted = Arc::clone(&names);
        let projection = balances_and(1, move |model, _| {
            let name = model.query("SELECT current_setting('application_name')", &[])?;
            let name: String = name.first().ok_or("no row")?.get(0)?;
            noted.lock().unwrap().push(name);
            Ok(())
        });
        let projection = projection.build().unwrap();
        let refused = PostgresInline::builder(Arc::clone(&bank.store))
            .project(projection.clone(), bank.sink_at(&elsewhere))
            .open()
            .await
            .unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid, "{refused}");
        assert!(refused.to_string().contains("database"), "{refused}");

        let by_another_name = format!("{url}{apart}application_name=models");
        let inline = PostgresInline::builder(Arc::clone(&bank.store))
            .project(projection, bank.sink_at(&by_another_name))
            .open()
            .await
            .unwrap();
        inline.append(change(1, 1)).await.unwrap();
        assert_eq!(*names.lock().unwrap(), ["annals"]);
    });
}
