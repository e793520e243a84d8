//! How a log is made, found, refused and shared.

use std::future::poll_fn;
use std::time::Duration;

use crate::support;
use crate::support::events::append;
use crate::support::{RUNTIME, client};
use annals_core::{
    Category, ConsistencyLevel, Durability, Error, ErrorKind, EventStore, EventStoreExt, Expected,
    ReadRequest,
};
use annals_services::DiskSync;
use annals_store_postgres::{MIGRATIONS, PostgresStore, ROLES, Settings};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_postgres::config::Host;
use tokio_postgres::{AsyncMessage, Client, Config, NoTls};

/// The same address for another role.
fn as_role(url: &str, role: &str, password: &str) -> String {
    let config: Config = url.parse().unwrap();
    let Host::Tcp(host) = &config.get_hosts()[0] else {
        panic!("the server of the tests is reached by TCP");
    };
    let port = config.get_ports().first().unwrap_or(&5432);
    let database = config.get_dbname().unwrap_or("postgres");
    format!("postgres://{role}:{password}@{host}:{port}/{database}")
}

#[test]
fn a_log_is_made_once_whoever_comes() {
    let Some(url) = support::server("a_log_is_made_once_whoever_comes") else {
        return;
    };
    RUNTIME.block_on(async {
        let schema = support::fresh_schema();
        let open = || PostgresStore::builder(&url).schema(&schema);
        let missing = open().open().await.unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::Invalid);
        assert!(
            missing.to_string().contains("no log is in this schema"),
            "{missing}"
        );

        let all = (0..6).map(|_| tokio::spawn(open().open_or_create()));
        let mut stores: Vec<PostgresStore> = Vec::new();
        for one in all.collect::<Vec<_>>() {
            stores.push(one.await.unwrap().unwrap());
        }
        stores.push(open().open().await.unwrap());
        for (place, store) in (0..).zip(&stores) {
            let receipt = store
                .append(append(
                    "a-1",
                    Expected::Exactly(place.into()),
                    &place.to_string(),
                ))
                .await;
            assert_eq!(receipt.unwrap().first_position.value(), place + 1);
        }
        let log = stores[0].collect(ReadRequest::all()).await.unwrap();
        assert_eq!(log.len(), stores.len());
    });
}

#[test]
fn a_newer_log_is_refused() {
    let Some(url) = support::server("a_newer_log_is_refused") else {
        return;
    };
    RUNTIME.block_on(async {
        let schema = support::fresh_schema();
        let open = || PostgresStore::builder(&url).schema(&schema);
        drop(open().open_or_create().await.unwrap());
        let newer = MIGRATIONS.len() + 1;
        let note = format!(
            "INSERT INTO {schema}.schema_migrations (version, name) VALUES ({newer}, 'later')"
        );
        client(&url).await.batch_execute(&note).await.unwrap();
        for refused in [
            open().open().await.map(drop),
            open().open_or_create().await.map(drop),
            open().migrate().await,
        ] {
            let error = refused.unwrap_err().to_string();
            assert!(
                error.contains("newer version than this build knows"),
                "{error}"
            );
        }
    });
}

/// What makes a log in a schema as builds of this version made it.
fn older(schema: &str, version: usize) -> String {
    let mut made = format!(
        "CREATE SCHEMA {schema}; SET search_path TO {schema}, pg_temp; CREATE TABLE schema_migrations \
         (version int PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now());"
    );
    for step in &MIGRATIONS[..version] {
        made.push_str(step.sql);
        let note = format!(
            "INSERT INTO schema_migrations (version, name) VALUES ({}, '{}');",
            step.version, step.name
        );
        made.push_str(&note);
    }
    made
}

#[test]
fn an_older_log_is_migrated_only_when_asked() {
    let Some(url) = support::server("an_older_log_is_migrated_only_when_asked") else {
        return;
    };
    RUNTIME.block_on(async {
        let schema = support::fresh_schema();
        client(&url)
            .await
            .batch_execute(&older(&schema, 1))
            .await
            .unwrap();
        let open = || PostgresStore::builder(&url).schema(&schema);
        let error = open().open().await.unwrap_err().to_string();
        assert!(error.contains("older version"), "{error}");
        open().migrate().await.unwrap();
        open().migrate().await.unwrap();
        let store = open().open().await.unwrap();
        store
            .append(append("a-1", Expected::NoStream, "x"))
            .await
            .unwrap();
    });
}

/// A process of before may run on while the log is of this version.
#[test]
fn what_appended_before_a_migration_may_go_on() {
    let Some(url) = support::server("what_appended_before_a_migration_may_go_on") else {
        return;
    };
    RUNTIME.block_on(async {
        let schema = support::fresh_schema();
        let client = client(&url).await;
        client.batch_execute(&older(&schema, 3)).await.unwrap();
        let before = async |id: u128, expected: i64| {
            let call = format!(
                "SELECT answers FROM {schema}.append('{{{id}}}', '{{x}}', '{{1}}', '{{1}}', '{{a-1}}', '{{{expected}}}', \
                 '{{}}', '{{}}', '{{}}', '{{}}', '{{}}', '{{}}', '{{1}}', '{{1}}', '{{1}}', '{{a-1}}', '{{{}}}', '{{e}}', '{{1}}', \
                 '{{application/json}}', '{{NULL}}', '{{NULL}}', '{{NULL}}', '{{NULL}}', '{{NULL}}', '{{2}}', '{{y}}', \
                 '{{{id}}}', NULL, NULL)",
                uuid::Uuid::from_u128(id)
            );
            let answers: Vec<i32> = client.query_one(&call, &[]).await.unwrap().get(0);
            assert_eq!(answers, [0]);
        };
        before(1, -2).await;
        let store = PostgresStore::builder(&url)
            .schema(&schema)
            .open_or_create()
            .await
            .unwrap();
        let two = Expected::Exactly(1.into());
        store.append(append("a-1", two, "new")).await.unwrap();
        before(3, 2).await;
        let four = Expected::Exactly(3.into());
        store.append(append("a-1", four, "newer")).await.unwrap();
        let category = Category::parse("a").unwrap();
        for request in [ReadRequest::all(), ReadRequest::category(category)] {
            let log = store.collect(request).await.unwrap();
            let places = log
                .iter()
                .map(|event| (event.position().value(), event.version().value()));
            let expected: Vec<(u64, u64)> = (1..=4).map(|place| (place, place)).collect();
            assert_eq!(places.collect::<Vec<_>>(), expected);
        }
    });
}

#[test]
fn logs_of_one_database_know_nothing_of_each_other() {
    let Some(url) = support::server("logs_of_one_database_know_nothing_of_each_other") else {
        return;
    };
    RUNTIME.block_on(async {
        let one = support::builder(&url).open_or_create().await.unwrap();
        let odd = format!("odd \"name\" {}", support::fresh_schema());
        let other = PostgresStore::builder(&url)
            .schema(&odd)
            .open_or_create()
            .await
            .unwrap();
        for store in [&one, &other] {
            let receipt = store
                .append(append("a-1", Expected::NoStream, "x"))
                .await
                .unwrap();
            assert_eq!(receipt.first_position.value(), 1);
        }
    });
}

#[test]
fn a_role_that_may_less_appends_and_reads() {
    let Some(url) = support::server("a_role_that_may_less_appends_and_reads") else {
        return;
    };
    RUNTIME.block_on(async {
        let schema = support::fresh_schema();
        PostgresStore::builder(&url)
            .schema(&schema)
            .migrate()
            .await
            .unwrap();
        let role = format!("app_{schema}");
        let grants = ROLES
            .replace("annals_app", "{role}")
            .replace("annals", &schema)
            .replace("{role}", &role);
        let owner = client(&url).await;
        // As after every migration.
        for _ in 0..2 {
            owner.batch_execute(&grants).await.unwrap();
        }
        let password = format!("ALTER ROLE {role} PASSWORD 'less'");
        owner.batch_execute(&password).await.unwrap();
        let less = as_role(&url, &role, "less");
        let store = PostgresStore::builder(&less)
            .schema(&schema)
            .open()
            .await
            .unwrap();
        store
            .append(append("a-1", Expected::NoStream, "x"))
            .await
            .unwrap();
        store
            .soft_delete(support::events::stream("a-1"), Expected::Any)
            .await
            .unwrap();
        assert!(store.collect(ReadRequest::all()).await.unwrap().is_empty());
        let less = client(&less).await;
        for forbidden in ["DELETE FROM", "TRUNCATE", "DROP TABLE"] {
            let refused = less
                .batch_execute(&format!("{forbidden} {schema}.events"))
                .await;
            assert!(refused.is_err(), "{forbidden} is refused");
        }
        let refused = less
            .batch_execute(&format!("UPDATE {schema}.events SET payload = ''"))
            .await;
        assert!(refused.is_err(), "history can't be changed");
        drop(store);
        let gone = format!("DROP OWNED BY {role}; DROP ROLE {role}");
        owner.batch_execute(&gone).await.unwrap();
    });
}

#[test]
fn the_isolation_that_a_role_has_by_default_does_not_matter() {
    let test = "the_isolation_that_a_role_has_by_default_does_not_matter";
    let Some(url) = support::server(test) else {
        return;
    };
    RUNTIME.block_on(async {
        let begins = if url.contains('?') { '&' } else { '?' };
        let option = "options=-c%20default_transaction_isolation%3Dserializable";
        let url = format!("{url}{begins}{option}");
        let shown = client(&url).await;
        let shown = shown.query_one("SHOW default_transaction_isolation", &[]);
        let shown: String = shown.await.unwrap().get(0);
        assert_eq!(shown, "serializable");
        let store = support::builder(&url).open_or_create().await.unwrap();
        let appended = store.append(append("a-1", Expected::NoStream, "x")).await;
        assert_eq!(appended.unwrap().first_position.value(), 1);
    });
}

#[test]
fn who_waits_is_woken_by_another_process() {
    let Some(url) = support::server("who_waits_is_woken_by_another_process") else {
        return;
    };
    RUNTIME.block_on(async {
        let schema = support::fresh_schema();
        let mut settings = Settings::default();
        // So that nobody finds out by looking.
        settings.poll_interval_max = Duration::from_hours(1);
        settings.schema = schema;
        let open = || {
            PostgresStore::builder(&url)
                .settings(settings.clone())
                .open_or_create()
        };
        let (here, there) = (open().await.unwrap(), open().await.unwrap());
        let stranger = client(&url).await;
        let channel = format!("annals_{}", settings.schema);
        for round in 0..3_u64 {
            // Anyone may ring: whatever is said, it silences nobody who rings later.
            let ring = "SELECT pg_notify($1, '18446744073709551615')";
            stranger.execute(ring, &[&channel]).await.unwrap();
            let cursor = here.head(ConsistencyLevel::Strong).await.unwrap();
            let waiting = here.changed_since(&cursor);
            let appending = async {
                // Whoever listens has to have begun to; the first round waits for that by ringing again.
                let mut number = 0;
                loop {
                    let id = format!("{round}/{number}");
                    there.append(append("a-1", Expected::Any, &id)).await?;
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    number += 1;
                }
                #[expect(unreachable_code, reason = "names the type of the error")]
                Ok::<(), Error>(())
            };
            let woken = tokio::time::timeout(Duration::from_secs(20), async {
                tokio::select! {
                    woken = waiting => woken.unwrap(),
                    failed = appending => panic!("{failed:?}"),
                }
            });
            assert!(woken.await.expect("somebody rings") > cursor);
        }
    });
}

/// What is told on a channel, as it comes, while the client is there.
async fn listen(url: &str, channel: &str) -> (Client, UnboundedReceiver<String>) {
    let (client, mut connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    let (sender, heard) = unbounded_channel();
    tokio::spawn(async move {
        while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notification(notification) = message {
                drop(sender.send(notification.payload().to_owned()));
            }
        }
    });
    let listen = format!("LISTEN \"{channel}\"");
    client.batch_execute(&listen).await.unwrap();
    (client, heard)
}

#[test]
fn appends_in_a_row_share_a_notification_and_the_last_is_told() {
    let name = "appends_in_a_row_share_a_notification_and_the_last_is_told";
    let Some(url) = support::server(name) else {
        return;
    };
    RUNTIME.block_on(async {
        let mut settings = Settings::default();
        settings.schema = support::fresh_schema();
        let channel = format!("annals_{}", settings.schema);
        let (_listening, mut heard) = listen(&url, &channel).await;
        let store = PostgresStore::builder(&url).settings(settings);
        let store = store.open_or_create().await.unwrap();
        let mut next = async || {
            let told = tokio::time::timeout(Duration::from_secs(20), heard.recv());
            told.await.expect("somebody rings").unwrap()
        };
        // The connection that tells is there from here on.
        store
            .append(append("a-1", Expected::Any, "0"))
            .await
            .unwrap();
        assert_eq!(next().await, "1");
        let begun = tokio::time::Instant::now();
        for number in 1..200 {
            let append = append("a-1", Expected::Any, &number.to_string());
            store.append(append).await.unwrap();
        }
        let took = begun.elapsed();
        drop(store);
        let mut told = 1;
        while next().await != "200" {
            told += 1;
        }
        // One for every five milliseconds, the first of all, and the last, which does not wait.
        assert!(told <= took.as_millis() / 5 + 2, "{told} in {took:?}");
    });
}

#[test]
fn capabilities_tell_what_the_server_promises() {
    for (sync, durability) in [
        (DiskSync::On, Durability::Synced),
        (DiskSync::OffLosesCommitsOnPowerLoss, Durability::Process),
    ] {
        let test = "capabilities_tell_what_the_server_promises";
        let Some(server) = support::own_server(test, sync) else {
            return;
        };
        RUNTIME.block_on(async {
            let store = support::builder(&server.url())
                .open_or_create()
                .await
                .unwrap();
            assert_eq!(store.capabilities().durability, durability);
        });
    }
}

#[test]
fn what_cannot_be_reached_says_so() {
    RUNTIME.block_on(async {
        let error = PostgresStore::builder("nonsense").open().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let error = PostgresStore::builder("postgres://nobody@127.0.0.1:1/x")
            .open()
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
    });
}
