//! Models in transactions of sqlx are what they are in those of the store's own client.

use std::sync::Arc;

use annals_core::{Error, ErrorKind, EventStore, Receipt};
use annals_read_postgres::{PostgresInline, PostgresModel};
use sqlx::{Connection, PgConnection, Postgres, Transaction};

use crate::bank::{Bank, balances, balances_and, balances_that_halt, change, changes};
use crate::support::{self, RUNTIME};

async fn begun(connection: &mut PgConnection) -> Transaction<'_, Postgres> {
    connection.begin().await.unwrap()
}

/// Of an append that was refused: its kind, and its facts.
fn said(answer: Result<Receipt, Error>) -> String {
    let error = answer.unwrap_err();
    let facts: Vec<String> = error
        .context()
        .map(|(name, fact)| format!("{name}={fact}"))
        .collect();
    format!("{:?} {error} {facts:?}", error.kind())
}

/// Its commit is refused, as a model is in hand.
async fn assert_not_committed(bank: &Bank, transaction: Transaction<'_, Postgres>, events: usize) {
    let refused = transaction.commit().await.unwrap_err();
    let code = refused
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code);
    assert_eq!(code.as_deref(), Some("23503"), "{refused}");
    assert_eq!(bank.events().await, events);
    bank.assert_even(1).await;
}

#[test]
fn rows_events_models_and_places_are_one_transaction_of_sqlx() {
    let Some(url) = support::server("rows_events_models_and_places_are_one_transaction_of_sqlx")
    else {
        return;
    };
    RUNTIME.block_on(async {
        let bank = Bank::open(&url).await;
        let inline = bank.inline(balances(1).build().unwrap()).await;
        let mut connection = PgConnection::connect(&url).await.unwrap();
        let till = "CREATE TEMPORARY TABLE till (cents bigint); INSERT INTO till VALUES (0)";
        sqlx::raw_sql(till).execute(&mut connection).await.unwrap();
        let mut expected = (0, 0);
        for cents in 1..=6_i64 {
            // Others, whose events come before.
            bank.store.append(change(2, cents)).await.unwrap();
            let mut transaction = begun(&mut connection).await;
            sqlx::query("UPDATE till SET cents = cents + $1")
                .bind(cents)
                .execute(&mut *transaction)
                .await
                .unwrap();
            let append = changes(1, &[cents, -1]);
            inline
                .append_in_sqlx(&mut transaction, append.clone())
                .await
                .unwrap();
            let again = inline.append_in_sqlx(&mut transaction, append).await;
            assert!(again.unwrap().is_duplicate());
            if cents % 3 == 0 {
                transaction.rollback().await.unwrap();
                // One that the store's own client appends takes what that has left.
                inline.append(change(3, cents)).await.unwrap();
            } else {
                transaction.commit().await.unwrap();
                expected = (expected.0 + 2, expected.1 + cents);
            }
            bank.assert_even(1).await;
        }
        assert_eq!(bank.events().await, 6 + 2 + expected.0);
        let till: i64 = sqlx::query_scalar("SELECT cents FROM till")
            .fetch_one(&mut connection)
            .await
            .unwrap();
        assert_eq!(till, expected.1);
    });
}

#[test]
fn a_transaction_of_sqlx_is_not_committed_halfway() {
    let Some(url) = support::server("a_transaction_of_sqlx_is_not_committed_halfway") else {
        return;
    };
    RUNTIME.block_on(async {
        let bank = Bank::open(&url).await;
        let (projection, mut hears, go_on) = balances_that_halt();
        let inline = bank.inline(projection.build().unwrap()).await;
        inline.append(change(1, 1)).await.unwrap();
        let mut connection = PgConnection::connect(&url).await.unwrap();

        let mut transaction = begun(&mut connection).await;
        {
            let dropped = inline.append_in_sqlx(&mut transaction, changes(1, &[5, 700]));
            tokio::select! {
                done = dropped => panic!("it waits for the handler: {done:?}"),
                _ = hears.recv() => {}
            }
        }
        go_on.send(()).unwrap();
        assert_not_committed(&bank, transaction, 1).await;

        let mut transaction = begun(&mut connection).await;
        let refused = inline
            .append_in_sqlx(&mut transaction, changes(1, &[5, 666]))
            .await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Refused);
        assert_not_committed(&bank, transaction, 1).await;

        // Back to before it, all is as it was.
        let mut transaction = begun(&mut connection).await;
        let mut savepoint = transaction.begin().await.unwrap();
        let refused = inline
            .append_in_sqlx(&mut savepoint, changes(1, &[5, 666]))
            .await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Refused);
        savepoint.rollback().await.unwrap();
        let kept = inline.append_in_sqlx(&mut transaction, change(1, 7)).await;
        kept.unwrap();
        transaction.commit().await.unwrap();
        assert_eq!(bank.events().await, 2);
        bank.assert_even(1).await;
    });
}

/// What a handler reads, of each kind of type: built in, of the application, an array, and nothing.
fn reads(model: &mut PostgresModel, cents: i64) -> Result<(), annals_core::BoxError> {
    let query = "SELECT $1::bigint + 1 AS n, 'a''b'::text AS t, NULL::bool, ARRAY[1, 2]::int[], 'dull'::{mood}, \
                 ARRAY['dull']::{mood}[], '0a0b'::bytea, 1.5::float8, ARRAY[['x']]::text[]";
    let row = model.query_opt(query, &[&cents])?.ok_or("no row")?;
    let (number, text): (i64, &str) = (row.get("n")?, row.get("t")?);
    let (none, numbers): (Option<bool>, Vec<i32>) = (row.get(2)?, row.get(3)?);
    let (bytes, real): (&[u8], f64) = (row.get(6)?, row.get(7)?);
    for missing in [
        row.get::<i64>(9),
        row.get(1),
        row.get(4),
        row.get("x"),
        row.get(2),
    ] {
        assert_eq!(missing.unwrap_err().kind(), ErrorKind::Invalid);
    }
    let Mood = row.get(4)?;
    let told = format!("{number} {text} {none:?} {numbers:?} {bytes:?} {real}");
    // A parameter of the application's own type.
    let keep = "INSERT INTO {notes} SELECT $1, $2 WHERE NOT $3::{mood} = 'bright'";
    assert_eq!(model.execute(keep, &[&cents, &told, &Mood])?, 1);
    Ok(())
}

/// A value of the application's own type.
#[derive(Debug)]
struct Mood;

impl annals_read_postgres::ToSql for Mood {
    fn to_sql(
        &self,
        _: &tokio_postgres::types::Type,
        out: &mut bytes::BytesMut,
    ) -> Result<tokio_postgres::types::IsNull, annals_core::BoxError> {
        out.extend_from_slice(b"dull");
        Ok(tokio_postgres::types::IsNull::No)
    }

    fn accepts(of: &tokio_postgres::types::Type) -> bool {
        // As derived code does.
        let values = ["dull".to_owned(), "bright".to_owned()];
        of.name() == "mood_v1"
            && matches!(of.kind(), tokio_postgres::types::Kind::Enum(known) if *known == values)
    }

    tokio_postgres::types::to_sql_checked!();
}

impl<'a> tokio_postgres::types::FromSql<'a> for Mood {
    fn from_sql(
        _: &tokio_postgres::types::Type,
        raw: &'a [u8],
    ) -> Result<Self, annals_core::BoxError> {
        assert_eq!(raw, b"dull");
        Ok(Self)
    }

    fn accepts(of: &tokio_postgres::types::Type) -> bool {
        <Self as annals_read_postgres::ToSql>::accepts(of)
    }
}

#[test]
fn handlers_read_and_are_refused_alike_in_both_clients() {
    let Some(url) = support::server("handlers_read_and_are_refused_alike_in_both_clients") else {
        return;
    };
    RUNTIME.block_on(async {
        let bank = Bank::open(&url).await;
        let open = || async {
            let projection = balances_and(1, |model, cents| {
                reads(model, cents)?;
                let wrong = match cents {
                    666 => "INSERT INTO {balances} VALUES (NULL, 1)",
                    667 => "SELECT nothing FROM {balances}",
                    668 => "INSERT INTO {kids} VALUES (1)",
                    669 => "COMMIT",
                    _ => return Ok(()),
                };
                model.execute(wrong, &[])?;
                Ok(())
            });
            let sink = bank.sink_builder(&url).schema(
                "CREATE TYPE {mood} AS ENUM ('dull', 'bright'); CREATE TABLE {notes} (cents bigint, told text); \
                 CREATE TABLE {parents} (id bigint PRIMARY KEY); CREATE TABLE {kids} \
                 (parent bigint REFERENCES {parents} DEFERRABLE INITIALLY DEFERRED)",
            );
            let inline = PostgresInline::builder(Arc::clone(&bank.store));
            let inline = inline.project(projection.build().unwrap(), sink.build().unwrap());
            inline.open().await.unwrap()
        };
        // Each knows the statements by its own client.
        let (inline, inline_of_sqlx) = (open().await, open().await);
        let mut client = support::client(&url).await;
        let mut connection = PgConnection::connect(&url).await.unwrap();
        for cents in [666, 667, 668, 669] {
            let transaction = client.transaction().await.unwrap();
            let expected = said(inline.append_in(&transaction, changes(1, &[1, cents])).await);
            transaction.rollback().await.unwrap();
            assert!(expected.starts_with("Refused "), "{expected}");
            let mut transaction = begun(&mut connection).await;
            let append = changes(1, &[1, cents]);
            let found = said(inline_of_sqlx.append_in_sqlx(&mut transaction, append).await);
            transaction.rollback().await.unwrap();
            assert_eq!(found, expected, "{cents}");
        }
        let transaction = client.transaction().await.unwrap();
        inline.append_in(&transaction, change(1, 5)).await.unwrap();
        transaction.commit().await.unwrap();
        let mut transaction = begun(&mut connection).await;
        for _ in 0..2 {
            let again = inline_of_sqlx.append_in_sqlx(&mut transaction, change(1, 5)).await;
            again.unwrap();
        }
        transaction.commit().await.unwrap();
        bank.assert_even(1).await;
        let query = format!("SELECT told FROM {}.notes_v1", bank.models);
        let notes = client.query(&query, &[]).await.unwrap();
        let notes: Vec<String> = notes.iter().map(|row| row.get(0)).collect();
        let expected = "6 a'b None [1, 2] [48, 97, 48, 98] 1.5";
        assert_eq!(notes, [expected; 3]);
    });
}
