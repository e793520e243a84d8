//! Appends within transactions of sqlx answer as those within transactions of the store's own client do.

use std::fmt::Debug;
use std::time::Duration;

use annals_core::{
    Append, AppendBuilder, AppendId, CorrelationId, Criteria, Cursor, Error, EventId, EventStore,
    EventStoreExt, EventType, Expected, Metadata, NewEvent, PolicyAction, PolicyChange,
    ReadRequest, Receipt, Tag, Tags, Timestamp,
};
use annals_store_postgres::PostgresStore;
use sqlx::{Connection, PgConnection};
use tokio_postgres::{NoTls, connect};

use crate::support;
use crate::support::RUNTIME;
use crate::support::events::{event, stream};

/// Whose transaction it is.
#[derive(Clone, Copy, Debug)]
enum Of {
    TokioPostgres,
    Sqlx,
}

fn id(number: u128) -> EventId {
    EventId::new(uuid::Uuid::from_u128(number)).unwrap()
}

/// An event that has everything that an event may have.
fn full(number: u128) -> NewEvent {
    let tags = ["x:1", "quoted:\"\\{}"].map(|tag| Tag::parse(tag).unwrap());
    let metadata = Metadata::EMPTY
        .with_header("name", "a 'value' \u{1f980}")
        .and_then(|metadata| metadata.with_correlation_id(CorrelationId::parse("c").unwrap()));
    event("{\"full\":true}")
        .with_id(id(number))
        .with_tags(Tags::new(tags).unwrap())
        .with_metadata(metadata.unwrap())
        .with_recorded_at(Timestamp::from_micros(-5))
}

fn named(name: &str) -> AppendBuilder {
    Append::builder(AppendId::parse(name).unwrap())
}

fn everything() -> Criteria {
    Criteria::of_types([EventType::from_static("noted")]).unwrap()
}

/// What is appended in one transaction, one after the other: each way in which an append can be answered.
fn appends() -> Vec<Append> {
    let first = || {
        named("first")
            .write(stream("a-1"), Expected::NoStream, [full(1), event("two")])
            .write(stream("a-2"), Expected::Any, [event("three")])
    };
    let both = everything().or(&Criteria::of_tags([Tag::parse("x:1").unwrap()]).unwrap());
    let builders = [
        first(),
        first(),
        named("first").write(stream("a-1"), Expected::Any, [event("other")]),
        named("a").write(stream("a-1"), Expected::NoStream, [event("x")]),
        named("b").write(stream("a-1"), Expected::Exactly(7.into()), [event("x")]),
        named("c").write(stream("new-1"), Expected::StreamExists, [event("x")]),
        named("d")
            .write(stream("new-1"), Expected::Any, [event("x")])
            .check(stream("a-2"), Expected::Exactly(0.into()))
            .unless(everything(), Cursor::START)
            .unless(both.unwrap(), Cursor::at(1.into())),
        named("e").write(stream("new-1"), Expected::Any, [full(1)]),
        named("f")
            .write(stream("new-1"), Expected::Any, [event("x")])
            .unless(everything(), Cursor::at(99.into())),
        named("g").write(stream("closed-1"), Expected::Any, [event("x")]),
        named("h").write(stream("gone-1"), Expected::Exactly(1.into()), [event("x")]),
        named("i").write(stream("few-1"), Expected::Exactly(1.into()), [event("x")]),
        named("j").write(stream("gone-1"), Expected::NoStream, [event("again")]),
        named("k")
            .write(stream("a-1"), Expected::Exactly(2.into()), [full(2)])
            .check(stream("a-2"), Expected::StreamExists)
            .unless(everything(), Cursor::at(99_999.into())),
        named("l")
            .write(stream("a-1"), Expected::Exactly(2.into()), [full(2)])
            .check(stream("a-2"), Expected::StreamExists),
    ];
    builders
        .into_iter()
        .map(|builder| builder.build().unwrap())
        .collect()
}

/// A log with streams under policies.
async fn log(url: &str) -> PostgresStore {
    let store = support::builder(url).open_or_create().await.unwrap();
    for (name, action) in [
        ("closed-1", PolicyAction::Tombstone),
        ("gone-1", PolicyAction::SoftDelete),
        (
            "few-1",
            PolicyAction::Retain {
                max_age: Some(Duration::from_millis(86_400_001)),
                max_count: Some(1),
            },
        ),
    ] {
        let begin = named(name).write(stream(name), Expected::Any, [event("1"), event("2")]);
        store.append(begin.build().unwrap()).await.unwrap();
        let change = PolicyChange {
            stream: stream(name),
            expected: Expected::Any,
            action,
        };
        store.change_stream_policy(change).await.unwrap();
    }
    store
}

/// An answer in words, without what differs from one log to the next.
fn said(answer: Result<Receipt, Error>) -> String {
    match answer {
        Ok(receipt) => format!(
            "{:?} {}..={} {:?}",
            receipt.answer, receipt.first_position, receipt.last_position, receipt.streams
        ),
        Err(error) => {
            let facts: Vec<(String, String)> = error
                .context()
                .map(|(name, fact)| (name.to_owned(), fact.to_owned()))
                .collect();
            format!(
                "{:?} {error} {:?} {facts:?}",
                error.kind(),
                error.conflict()
            )
        }
    }
}

/// Appends all in one transaction, which commits or does not, and gives the answers, and what is recorded then.
async fn answers(of: Of, url: &str, commits: bool) -> (Vec<String>, Vec<String>) {
    let store = log(url).await;
    let mut said_of = Vec::new();
    match of {
        Of::TokioPostgres => {
            let (mut client, connection) = connect(url, NoTls).await.unwrap();
            tokio::spawn(connection);
            let transaction = client.transaction().await.unwrap();
            for append in appends() {
                said_of.push(said(store.append_in(&transaction, append).await));
            }
            if commits {
                transaction.commit().await.unwrap();
            } else {
                transaction.rollback().await.unwrap();
            }
        }
        Of::Sqlx => {
            let mut connection = PgConnection::connect(url).await.unwrap();
            let mut transaction = connection.begin().await.unwrap();
            for append in appends() {
                said_of.push(said(store.append_in_sqlx(&mut transaction, append).await));
            }
            if commits {
                transaction.commit().await.unwrap();
            } else {
                transaction.rollback().await.unwrap();
            }
        }
    }
    let recorded = store.collect(ReadRequest::all()).await.unwrap();
    let recorded = recorded.iter().map(|event| {
        let parts: [&dyn Debug; 6] = [
            event.stream(),
            &event.version(),
            &event.position(),
            &event.payload(),
            event.tags(),
            &event.metadata(),
        ];
        format!("{parts:?}")
    });
    (said_of, recorded.collect())
}

#[test]
fn both_clients_have_the_same_answers() {
    let Some(url) = support::server("both_clients_have_the_same_answers") else {
        return;
    };
    RUNTIME.block_on(async {
        for commits in [true, false] {
            let (expected, recorded) = answers(Of::TokioPostgres, &url, commits).await;
            let (found, found_recorded) = answers(Of::Sqlx, &url, commits).await;
            for (place, (found, expected)) in found.iter().zip(&expected).enumerate() {
                assert_eq!(found, expected, "append {place}");
            }
            assert_eq!(found.len(), expected.len());
            assert_eq!(found_recorded, recorded);
            for (place, beginning) in [
                (0, "First 7..=9 "),
                (1, "Duplicate 7..=9 "),
                (2, "AppendIdReused "),
                (3, "Conflict "),
                (6, "Conflict "),
                (7, "Conflict "),
                (8, "CursorAhead "),
                (9, "Conflict "),
                (12, "First 10..=10 "),
                (14, "First 11..=11 "),
            ] {
                let said = expected.get(place).unwrap();
                assert!(said.starts_with(beginning), "append {place}: {said}");
            }
        }
    });
}

#[test]
fn an_append_and_rows_of_sqlx_are_one_transaction() {
    let Some(url) = support::server("an_append_and_rows_of_sqlx_are_one_transaction") else {
        return;
    };
    RUNTIME.block_on(async {
        let store = support::builder(&url).open_or_create().await.unwrap();
        let mut connection = PgConnection::connect(&url).await.unwrap();
        sqlx::query("CREATE TEMPORARY TABLE till (cents bigint)")
            .execute(&mut connection)
            .await
            .unwrap();
        for (commits, events) in [(false, 0), (true, 1)] {
            let mut transaction = connection.begin().await.unwrap();
            sqlx::query("INSERT INTO till VALUES ($1)")
                .bind(7_i64)
                .execute(&mut *transaction)
                .await
                .unwrap();
            let append = named("till").write(stream("till-1"), Expected::NoStream, [event("7")]);
            store
                .append_in_sqlx(&mut transaction, append.build().unwrap())
                .await
                .unwrap();
            if commits {
                transaction.commit().await.unwrap();
            } else {
                transaction.rollback().await.unwrap();
            }
            let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM till")
                .fetch_one(&mut connection)
                .await
                .unwrap();
            assert_eq!(rows, i64::from(commits));
            assert_eq!(
                store.collect(ReadRequest::all()).await.unwrap().len(),
                events
            );
        }
    });
}

#[test]
fn other_isolation_of_sqlx_is_refused() {
    let Some(url) = support::server("other_isolation_of_sqlx_is_refused") else {
        return;
    };
    RUNTIME.block_on(async {
        let store = support::builder(&url).open_or_create().await.unwrap();
        let mut connection = PgConnection::connect(&url).await.unwrap();
        let mut transaction = connection.begin().await.unwrap();
        sqlx::query("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
            .execute(&mut *transaction)
            .await
            .unwrap();
        let append = named("x").write(stream("a-1"), Expected::Any, [event("x")]);
        let refused = store
            .append_in_sqlx(&mut transaction, append.build().unwrap())
            .await;
        let error = refused.unwrap_err().to_string();
        assert!(error.contains("READ COMMITTED"), "{error}");
    });
}
