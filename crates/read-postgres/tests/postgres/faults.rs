//! Connections, servers and handlers that end between the rows of a model and its checkpoint.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use annals_core::{ErrorKind, EventStore};
use annals_projection::Processor;
use annals_store_postgres::PostgresStore;

use crate::bank::{Bank, append_all, balances, balances_and, change, changes};
use crate::support::{self, RUNTIME, client};

/// Ends the session that it runs in, as a crash does.
const END: &str = "SELECT pg_terminate_backend(pg_backend_pid())";

/// Balances whose session ends after the rows of the event of this value, so many times.
fn ending(
    at: i64,
    times: u32,
) -> annals_projection::ProjectionBuilder<annals_read_postgres::PostgresModel> {
    let left = AtomicU32::new(times);
    balances_and(1, move |model, cents| {
        let ends = |left: u32| left.checked_sub(1);
        if cents == at
            && left
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, ends)
                .is_ok()
        {
            model.query(END, &[])?;
        }
        Ok(())
    })
}

#[test]
fn a_session_that_ends_between_rows_and_checkpoint_leaves_neither() {
    let name = "a_session_that_ends_between_rows_and_checkpoint_leaves_neither";
    let Some(url) = support::server(name) else {
        return;
    };
    RUNTIME.block_on(async {
        let bank = Bank::open(&url).await;
        let inline = bank.inline(ending(2, 2).build().unwrap()).await;
        inline.append(changes(1, &[1, 3])).await.unwrap();
        let append = changes(1, &[4, 2, 5]);
        // In a transaction of the application, which runs it again, and in one of its own.
        let mut client = client(&url).await;
        let transaction = client.transaction().await.unwrap();
        let error = inline
            .append_in(&transaction, append.clone())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        drop(transaction);
        assert_eq!(bank.events().await, 2);
        bank.assert_even(1).await;
        inline.append(append).await.unwrap();
        assert_eq!(bank.events().await, 5);
        bank.assert_even(1).await;
    });
}

#[test]
fn a_processor_whose_session_ends_takes_every_event_once() {
    let Some(url) = support::server("a_processor_whose_session_ends_takes_every_event_once") else {
        return;
    };
    RUNTIME.block_on(async {
        let bank = Bank::open(&url).await;
        append_all(&*bank.store, 1, 20).await;
        let store: Arc<dyn EventStore> = Arc::<PostgresStore>::clone(&bank.store);
        let processor =
            Processor::builder(store).project(ending(7, 2).build().unwrap(), bank.sink());
        let running = processor.build().unwrap().start();
        let receipt = bank.store.append(change(2, 1)).await.unwrap();
        running.wait_for("balances", &receipt).await.unwrap();
        running.stop().await;
        bank.assert_even(1).await;
    });
}

#[test]
fn a_server_that_is_killed_leaves_events_and_models_together() {
    let Some(mut server) =
        support::own_server("a_server_that_is_killed_leaves_events_and_models_together")
    else {
        return;
    };
    RUNTIME.block_on(async {
        let bank = Arc::new(Bank::open(&server.url()).await);
        let inline = Arc::new(bank.inline(balances(1).build().unwrap()).await);
        let recorded = Arc::new(AtomicU32::new(0));
        for round in 1..=3_u32 {
            let writers = (0..4_u32).map(|account| {
                let (inline, recorded) = (Arc::clone(&inline), Arc::clone(&recorded));
                tokio::spawn(async move {
                    for cents in 1.. {
                        if inline
                            .append(changes(account, &[cents, cents]))
                            .await
                            .is_err()
                        {
                            return;
                        }
                        recorded.fetch_add(1, Ordering::SeqCst);
                    }
                })
            });
            let writers: Vec<_> = writers.collect();
            while recorded.load(Ordering::SeqCst) < round * 40 {
                tokio::task::yield_now().await;
            }
            server.kill().unwrap();
            for writer in writers {
                writer.await.unwrap();
            }
            server.restart().unwrap();
            bank.assert_even(1).await;
            assert!(bank.events().await >= 2 * recorded.load(Ordering::SeqCst) as usize);
        }
        while inline.append(change(9, 1)).await.is_err() {}
        bank.assert_even(1).await;
    });
}

/// Has the session end that saves a checkpoint, so many times, when the rows of the model are written.
async fn end_while_saving(bank: &Bank, times: u32) {
    end_session(bank, "TRIGGER ending BEFORE", "", times).await;
}

/// Has the session end in a trigger on the saving of a checkpoint, so many times.
async fn end_session(bank: &Bank, trigger: &str, when: &str, times: u32) {
    let models = &bank.models;
    // A sequence: what it has counted is not rolled back.
    let trigger = format!(
        "CREATE SEQUENCE {models}.saved; \
         CREATE FUNCTION {models}.end_session() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         IF nextval('{models}.saved') <= {times} THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF; \
         RETURN NEW; END $$; \
         CREATE {trigger} UPDATE ON {models}.annals_progress {when} \
         FOR EACH ROW WHEN (NEW.revision <> OLD.revision) EXECUTE FUNCTION {models}.end_session()"
    );
    client(&bank.url)
        .await
        .batch_execute(&trigger)
        .await
        .unwrap();
}

#[test]
fn a_session_that_ends_while_the_checkpoint_is_saved_leaves_neither() {
    let name = "a_session_that_ends_while_the_checkpoint_is_saved_leaves_neither";
    let Some(url) = support::server(name) else {
        return;
    };
    RUNTIME.block_on(async {
        let bank = Bank::open(&url).await;
        let inline = bank.inline(balances(1).build().unwrap()).await;
        inline.append(change(1, 1)).await.unwrap();
        end_while_saving(&bank, 4 + 1).await;
        // As often as an append is tried: it is told, and not tried for ever.
        let error = inline.append(change(1, 2)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        bank.assert_even(1).await;
        inline.append(change(1, 3)).await.unwrap();
        bank.assert_even(1).await;
        assert_eq!(bank.events().await, 2);
    });
}

#[test]
fn a_commit_whose_answer_is_lost_is_looked_for_and_never_told_as_not_recorded() {
    let name = "a_commit_whose_answer_is_lost_is_looked_for_and_never_told_as_not_recorded";
    let Some(url) = support::server(name) else {
        return;
    };
    RUNTIME.block_on(async {
        let bank = Bank::open(&url).await;
        let refusing = AtomicBool::new(false);
        let projection = balances_and(1, move |_, cents| {
            if cents == 5 && refusing.swap(true, Ordering::SeqCst) {
                return Err("not twice".into());
            }
            Ok(())
        });
        let inline = bank.inline(projection.build().unwrap()).await;
        inline.append(change(1, 1)).await.unwrap();
        // The session ends within the commit: once, then three times.
        let trigger = "CONSTRAINT TRIGGER ending AFTER";
        end_session(&bank, trigger, "DEFERRABLE INITIALLY DEFERRED", 1 + 3).await;
        // It is refused when it is tried again: that says nothing of the first time.
        let error = inline.append(change(1, 5)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unknown, "{error}");
        bank.assert_even(1).await;
        inline.append(change(1, 2)).await.unwrap();
        bank.assert_even(1).await;
        assert_eq!(bank.events().await, 2);
    });
}

#[test]
fn an_append_that_the_database_gives_up_for_another_is_tried_again() {
    let name = "an_append_that_the_database_gives_up_for_another_is_tried_again";
    let Some(url) = support::server(name) else {
        return;
    };
    RUNTIME.block_on(async {
        let bank = Bank::open(&url).await;
        let models = &bank.models;
        let give_up = format!("SELECT {models}.give_up()");
        let projection = balances_and(1, move |model, cents| {
            if cents == 5 {
                model.query(&give_up, &[])?;
            }
            Ok(())
        });
        let inline = bank.inline(projection.build().unwrap()).await;
        let function = format!(
            "CREATE SEQUENCE {models}.given_up; \
             CREATE FUNCTION {models}.give_up() RETURNS void LANGUAGE plpgsql AS $$ BEGIN \
             IF nextval('{models}.given_up') <= 2 THEN \
             RAISE 'deadlock' USING ERRCODE = '40P01'; END IF; END $$"
        );
        client(&url).await.batch_execute(&function).await.unwrap();
        inline.append(changes(1, &[4, 5])).await.unwrap();
        bank.assert_even(1).await;
        assert_eq!(bank.events().await, 2);
    });
}

#[test]
fn a_processor_that_is_cut_off_while_it_saves_takes_every_event_once() {
    let name = "a_processor_that_is_cut_off_while_it_saves_takes_every_event_once";
    let Some(url) = support::server(name) else {
        return;
    };
    RUNTIME.block_on(async {
        let bank = Bank::open(&url).await;
        append_all(&*bank.store, 1, 20).await;
        // The table of progress is made with the first model.
        drop(bank.inline(balances(2).build().unwrap()).await);
        end_while_saving(&bank, 2).await;
        let store: Arc<dyn EventStore> = Arc::<PostgresStore>::clone(&bank.store);
        let projection = balances(1).build().unwrap();
        let running = Processor::builder(store).project(projection, bank.sink());
        let running = running.build().unwrap().start();
        let receipt = bank.store.append(change(2, 1)).await.unwrap();
        running.wait_for("balances", &receipt).await.unwrap();
        running.stop().await;
        bank.assert_even(1).await;
    });
}
