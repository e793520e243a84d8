//! Models in the transaction of the append.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use annals_conformance::{Backend, ManualClock, Stores, check_only};
use annals_core::{Error, ErrorKind, EventStore};
use annals_read_postgres::PostgresInline;
use annals_store_postgres::PostgresStore;
use async_trait::async_trait;
use futures_util::future::BoxFuture;
use tokio_postgres::Client;

use crate::bank::{Bank, append_all, balances, balances_and, balances_that_halt, change, changes};
use crate::support::{self, RUNTIME, client, fresh_schema};

/// Appends in a transaction of the application, which commits or does not.
async fn append_in(inline: &PostgresInline, client: &mut Client, account: u32, cents: i64) {
    let transaction = client.transaction().await.unwrap();
    inline
        .append_in(&transaction, change(account, cents))
        .await
        .unwrap();
    if cents % 5 == 0 {
        transaction.rollback().await.unwrap();
    } else {
        transaction.commit().await.unwrap();
    }
}

#[test]
fn a_model_is_never_behind_and_never_ahead() {
    let Some(url) = support::server("a_model_is_never_behind_and_never_ahead") else {
        return;
    };
    RUNTIME.block_on(async {
        let bank = Arc::new(Bank::open(&url).await);
        let inline = Arc::new(bank.inline(balances(1).build().unwrap()).await);
        let over = Arc::new(AtomicBool::new(false));
        let looking = {
            let (bank, over) = (Arc::clone(&bank), Arc::clone(&over));
            tokio::spawn(async move {
                let mut client = client(&bank.url).await;
                let mut looks = 0;
                while !over.load(Ordering::SeqCst) || looks == 0 {
                    let (found, expected) = bank.told(&mut client, 1).await;
                    assert_eq!(found, expected);
                    looks += 1;
                }
            })
        };
        let writers = (0..6_u32).map(|account| {
            let (inline, url) = (Arc::clone(&inline), url.clone());
            tokio::spawn(async move {
                let mut client = client(&url).await;
                for cents in 1..=15 {
                    if account < 3 {
                        append_in(&inline, &mut client, account, cents).await;
                    } else {
                        inline.append(changes(account, &[cents, -1])).await.unwrap();
                    }
                }
            })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.unwrap();
        }
        over.store(true, Ordering::SeqCst);
        looking.await.unwrap();
        bank.assert_even(1).await;
        assert_eq!(
            bank.events().await,
            3 * 12 + 3 * 30,
            "what was rolled back is gone"
        );
    });
}

#[test]
fn what_others_append_is_taken_on_the_way() {
    let Some(url) = support::server("what_others_append_is_taken_on_the_way") else {
        return;
    };
    RUNTIME.block_on(async {
        let bank = Arc::new(Bank::open(&url).await);
        let inline = bank.inline(balances(1).build().unwrap()).await;
        // By the group commit of the store, many at once.
        let others = (0..8_u32).map(|account| {
            let store = Arc::clone(&bank.store);
            tokio::spawn(async move { append_all(&*store, account, 25).await })
        });
        let others: Vec<_> = others.collect();
        append_all(&inline, 8, 25).await;
        for other in others {
            other.await.unwrap();
        }
        inline.append(change(9, 1)).await.unwrap();
        bank.assert_even(1).await;
        assert_eq!(bank.events().await, 8 * 25 + 25 + 1);
    });
}

#[test]
fn a_retry_changes_nothing_and_a_conflict_leaves_the_transaction_as_it_was() {
    let name = "a_retry_changes_nothing_and_a_conflict_leaves_the_transaction_as_it_was";
    let Some(url) = support::server(name) else {
        return;
    };
    RUNTIME.block_on(async {
        let bank = Bank::open(&url).await;
        let inline = bank.inline(balances(1).build().unwrap()).await;
        let append = change(1, 10);
        inline.append(append.clone()).await.unwrap();
        let mut client = client(&url).await;
        let transaction = client.transaction().await.unwrap();
        let again = inline
            .append_in(&transaction, append.clone())
            .await
            .unwrap();
        assert!(again.is_duplicate());
        let late = annals_core::Append::builder(annals_core::AppendId::parse("late").unwrap())
            .write(
                annals_core::StreamId::parse("account-1").unwrap(),
                annals_core::Expected::NoStream,
                append.events().map(|(_, event)| event.clone()),
            )
            .build()
            .unwrap();
        let refused = inline.append_in(&transaction, late).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Conflict);
        inline.append_in(&transaction, change(2, 20)).await.unwrap();
        inline.append_in(&transaction, change(2, 30)).await.unwrap();
        transaction.commit().await.unwrap();
        bank.assert_even(1).await;
        assert_eq!(bank.events().await, 3);
    });
}

#[test]
fn a_projection_that_can_not_take_an_event_refuses_the_append() {
    let Some(url) = support::server("a_projection_that_can_not_take_an_event_refuses_the_append")
    else {
        return;
    };
    RUNTIME.block_on(async {
        let bank = Bank::open(&url).await;
        let projection = balances_and(1, |model, cents| match cents {
            666 => Err("not this one".into()),
            // Fails in the database, and the handler keeps it to itself.
            667 => {
                let _ = model.execute("INSERT INTO {taken} VALUES (1)", &[]);
                Ok(())
            }
            668 => panic!("a handler that panics"),
            _ => Ok(()),
        });
        let inline = bank.inline(projection.build().unwrap()).await;
        inline.append(change(1, 1)).await.unwrap();
        for (cents, kind) in [
            (666, ErrorKind::Refused),
            (667, ErrorKind::Refused),
            (668, ErrorKind::Refused),
        ] {
            let error = inline.append(changes(1, &[5, cents, 6])).await.unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            let facts: Vec<String> = error
                .context()
                .map(|(name, fact)| format!("{name}={fact}"))
                .collect();
            assert!(facts.contains(&"position=3".to_owned()), "{facts:?}");
            bank.assert_even(1).await;
            assert_eq!(bank.events().await, 1);
        }
        inline.append(change(1, 2)).await.unwrap();
        bank.assert_even(1).await;
    });
}

#[test]
fn a_model_that_is_too_far_behind_catches_up_first() {
    let Some(url) = support::server("a_model_that_is_too_far_behind_catches_up_first") else {
        return;
    };
    RUNTIME.block_on(async {
        let bank = Bank::open(&url).await;
        let inline = bank.inline(balances(1).build().unwrap()).await;
        let many: Vec<i64> = (0..800).collect();
        bank.store.append(changes(1, &many)).await.unwrap();
        bank.store.append(changes(2, &many)).await.unwrap();
        let mut client = client(&url).await;
        let transaction = client.transaction().await.unwrap();
        let refused = inline
            .append_in(&transaction, change(1, 1))
            .await
            .unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Unavailable, "{refused}");
        assert!(refused.to_string().contains("catch up"), "{refused}");
        transaction.rollback().await.unwrap();
        assert_eq!(bank.events().await, 1600);
        inline.append(change(1, 1)).await.unwrap();
        bank.assert_even(1).await;
    });
}

#[test]
fn an_append_of_many_events_does_not_count_as_behind() {
    let Some(url) = support::server("an_append_of_many_events_does_not_count_as_behind") else {
        return;
    };
    RUNTIME.block_on(async {
        let bank = Bank::open(&url).await;
        let inline = bank.inline(balances(1).build().unwrap()).await;
        let many: Vec<i64> = (0..1500).collect();
        inline.append(changes(1, &many)).await.unwrap();
        bank.assert_even(1).await;
        // Those of others before them count by themselves.
        let many: Vec<i64> = (0..1020).collect();
        let others: Vec<i64> = (0..100).collect();
        bank.store.append(changes(2, &others)).await.unwrap();
        let mut client = client(&url).await;
        let transaction = client.transaction().await.unwrap();
        let own = inline.append_in(&transaction, changes(1, &many)).await;
        own.unwrap();
        transaction.commit().await.unwrap();
        bank.assert_even(1).await;
        assert_eq!(bank.events().await, 1500 + 100 + 1020);
    });
}

/// The connection of an application, for which each of the cases below does something halfway.
async fn assert_not_committed(bank: &Bank, transaction: tokio_postgres::Transaction<'_>) {
    let refused = transaction.commit().await.unwrap_err();
    assert_eq!(refused.code().unwrap().code(), "23503", "{refused}");
    assert_eq!(bank.events().await, 1);
    bank.assert_even(1).await;
}

#[test]
fn a_transaction_is_not_committed_halfway() {
    let Some(url) = support::server("a_transaction_is_not_committed_halfway") else {
        return;
    };
    RUNTIME.block_on(async {
        let bank = Bank::open(&url).await;
        let (projection, mut hears, go_on) = balances_that_halt();
        let inline = bank.inline(projection.build().unwrap()).await;
        inline.append(change(1, 1)).await.unwrap();
        let mut client = client(&url).await;

        // An append that is dropped on its way, when rows of the model are written.
        let transaction = client.transaction().await.unwrap();
        {
            let dropped = inline.append_in(&transaction, changes(1, &[5, 700]));
            tokio::select! {
                done = dropped => panic!("it waits for the handler: {done:?}"),
                _ = hears.recv() => {}
            }
        }
        go_on.send(()).unwrap();
        assert_not_committed(&bank, transaction).await;

        // A refusal that is ignored, in a transaction that looks at constraints at once, too.
        for setting in ["", "SET CONSTRAINTS ALL IMMEDIATE"] {
            let transaction = client.transaction().await.unwrap();
            transaction.batch_execute(setting).await.unwrap();
            let refused = inline.append_in(&transaction, changes(1, &[5, 666])).await;
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::Refused);
            assert_not_committed(&bank, transaction).await;
        }

        // Back to before it, all is as it was.
        let mut transaction = client.transaction().await.unwrap();
        let savepoint = transaction.transaction().await.unwrap();
        let refused = inline.append_in(&savepoint, changes(1, &[5, 666])).await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Refused);
        savepoint.rollback().await.unwrap();
        inline.append_in(&transaction, change(1, 7)).await.unwrap();
        let again = change(1, 8);
        for _ in 0..2 {
            inline.append_in(&transaction, again.clone()).await.unwrap();
        }
        transaction.commit().await.unwrap();
        assert_eq!(bank.events().await, 3);
        bank.assert_even(1).await;
    });
}

#[test]
fn what_a_deferred_constraint_refuses_is_the_projection_s() {
    let Some(url) = support::server("what_a_deferred_constraint_refuses_is_the_projection_s")
    else {
        return;
    };
    RUNTIME.block_on(async {
        let bank = Bank::open(&url).await;
        let projection = balances_and(1, |model, cents| {
            model.execute("INSERT INTO {kids} VALUES ($1)", &[&cents])?;
            if cents < 100 {
                model.execute("INSERT INTO {parents} VALUES ($1)", &[&cents])?;
            }
            Ok(())
        });
        let sink = bank.sink_builder(&url).schema(
            "CREATE TABLE {parents} (id bigint PRIMARY KEY); CREATE TABLE {kids} \
             (parent bigint REFERENCES {parents} DEFERRABLE INITIALLY DEFERRED)",
        );
        let inline = PostgresInline::builder(Arc::clone(&bank.store))
            .project(projection.build().unwrap(), sink.build().unwrap())
            .open()
            .await
            .unwrap();
        inline.append(changes(1, &[1, 2])).await.unwrap();
        let refused = inline.append(changes(1, &[3, 100])).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Refused, "{refused}");
        let mut client = client(&url).await;
        let transaction = client.transaction().await.unwrap();
        for cents in [4, 5] {
            let own = inline.append_in(&transaction, change(1, cents)).await;
            own.unwrap();
        }
        let refused = inline.append_in(&transaction, change(1, 101)).await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Refused);
        transaction.rollback().await.unwrap();
        assert_eq!(bank.events().await, 2);
        bank.assert_even(1).await;
    });
}

#[test]
fn a_model_that_was_dropped_refuses_and_is_made_anew() {
    let Some(url) = support::server("a_model_that_was_dropped_refuses_and_is_made_anew") else {
        return;
    };
    RUNTIME.block_on(async {
        let bank = Bank::open(&url).await;
        let inline = bank.inline(balances(1).build().unwrap()).await;
        inline.append(change(1, 1)).await.unwrap();
        let dropped = format!("DROP SCHEMA {0} CASCADE; CREATE SCHEMA {0}", bank.models);
        client(&url).await.batch_execute(&dropped).await.unwrap();
        // The table of progress is there, and of this model nothing.
        let other = bank.inline(balances(2).build().unwrap()).await;
        let refused = inline.append(change(1, 2)).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Refused, "{refused}");
        assert!(refused.to_string().contains("open"), "{refused}");
        let again = bank.inline(balances(1).build().unwrap()).await;
        again.append(change(1, 3)).await.unwrap();
        bank.assert_even(1).await;
        other.append(change(1, 4)).await.unwrap();
        bank.assert_even(2).await;
        assert_eq!(bank.events().await, 3);
    });
}

#[test]
fn catching_up_goes_on_where_nobody_waits_for_it() {
    let Some(url) = support::server("catching_up_goes_on_where_nobody_waits_for_it") else {
        return;
    };
    RUNTIME.block_on(async {
        let bank = Bank::open(&url).await;
        let (told, mut hears) = tokio::sync::mpsc::unbounded_channel();
        let (go_on, waits) = std::sync::mpsc::channel::<()>();
        let waits = std::sync::Mutex::new(waits);
        let projection = balances_and(1, move |_, cents| {
            if cents == 700 {
                told.send(()).unwrap();
                waits.lock().unwrap().recv()?;
            }
            Ok(())
        });
        let inline = bank.inline(projection.build().unwrap()).await;
        bank.store.append(changes(1, &[5, 700, 6])).await.unwrap();
        tokio::select! {
            done = inline.catch_up() => panic!("it waits for the handler: {done:?}"),
            _ = hears.recv() => {}
        }
        go_on.send(()).unwrap();
        inline.catch_up().await.unwrap();
        bank.assert_even(1).await;
        inline.append(change(1, 1)).await.unwrap();
        bank.assert_even(1).await;
    });
}

/// One changes its own row and appends, the other appends and changes the row: each may wait for the other.
#[test]
fn transactions_in_opposite_orders_end_without_loss() {
    let Some(url) = support::server("transactions_in_opposite_orders_end_without_loss") else {
        return;
    };
    RUNTIME.block_on(async {
        let bank = Arc::new(Bank::open(&url).await);
        let inline = Arc::new(bank.inline(balances(1).build().unwrap()).await);
        let till = format!("public.till_{}", bank.schema);
        let made = format!("CREATE TABLE {till} (cents bigint); INSERT INTO {till} VALUES (0)");
        client(&url).await.batch_execute(&made).await.unwrap();
        let begun = Arc::new(tokio::sync::Barrier::new(2));
        let writers = [true, false].map(|appends_first| {
            let (inline, begun) = (Arc::clone(&inline), Arc::clone(&begun));
            let (url, update) = (url.clone(), format!("UPDATE {till} SET cents = cents + 7"));
            tokio::spawn(async move {
                let mut client = client(&url).await;
                let mut meets = true;
                let mut ended = 0;
                let append = change(u32::from(appends_first), 7);
                loop {
                    let transaction = client.transaction().await.unwrap();
                    let done = async {
                        for step in [appends_first, !appends_first] {
                            if step {
                                inline
                                    .append_in(&transaction, append.clone())
                                    .await
                                    .map_err(|error| {
                                        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
                                    })?;
                            } else {
                                transaction.execute(&update, &[]).await.map_err(|error| {
                                    assert_eq!(error.code().unwrap().code(), "40P01");
                                })?;
                            }
                            if std::mem::take(&mut meets) {
                                begun.wait().await;
                            }
                        }
                        Ok::<(), ()>(())
                    };
                    if done.await.is_ok() {
                        transaction.commit().await.unwrap();
                        return ended;
                    }
                    transaction.rollback().await.unwrap();
                    ended += 1;
                }
            })
        });
        let mut ended = 0;
        for writer in writers {
            ended += writer.await.unwrap();
        }
        // One that runs again may be faster than the one that waits for it, and they meet once more.
        assert!(ended >= 1, "the database ends one of the two");
        let query = format!("SELECT cents FROM {till}");
        let cents: i64 = client(&url)
            .await
            .query_one(&query, &[])
            .await
            .unwrap()
            .get(0);
        assert_eq!(cents, 14);
        assert_eq!(bank.events().await, 2);
        bank.assert_even(1).await;
        // Whoever waits in the group commit is no part of it.
        bank.store.append(change(1, 1)).await.unwrap();
    });
}

/// A store with inline projections is a store like any other.
struct Inline(String);

#[async_trait]
impl Backend for Inline {
    async fn open(&self, clock: ManualClock) -> Result<Stores, Error> {
        let store = PostgresStore::builder(&self.0).schema(&fresh_schema());
        let store = store.clock(Arc::new(clock)).open_or_create().await?;
        let sink = annals_read_postgres::PostgresSink::builder(&self.0).in_schema(&fresh_schema());
        let sink = sink
            .schema("CREATE TABLE {balances} (account text PRIMARY KEY, cents bigint)")
            .build()?;
        let inline = PostgresInline::builder(Arc::new(store));
        // None of the suite's events is of a bank: the model's place moves, and its tables stay empty.
        let inline = inline.project(bankless().build()?, sink).open().await?;
        Ok(Stores::new(inline).on_the_clock())
    }

    fn block_on(&self, future: BoxFuture<'_, ()>) {
        RUNTIME.block_on(future);
    }

    fn case_timeout(&self) -> std::time::Duration {
        std::time::Duration::from_mins(5)
    }

    fn cases_at_once(&self) -> usize {
        4
    }
}

fn bankless() -> annals_projection::ProjectionBuilder<annals_read_postgres::PostgresModel> {
    use annals_core::{Criteria, EventType};
    let none = Criteria::of_types([EventType::from_static("bank.opened")]).unwrap();
    annals_projection::Projection::builder("bankless", 1)
        .unwrap()
        .on_matching(
            annals_codec::JsonCodec,
            &none,
            |_, _: &crate::bank::AccountEvent, _| Ok(()),
        )
}

#[test]
fn the_store_conforms() {
    let Some(url) = support::server("the_store_conforms") else {
        return;
    };
    // What is not about appending is the store's own.
    for subject in [
        "append",
        "expectations",
        "conflict",
        "idempotency",
        "boundaries",
        "concurrency",
    ] {
        check_only(Inline(url.clone()), subject).assert_passed();
    }
}
