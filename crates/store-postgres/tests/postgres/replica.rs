//! Reads that may lag go to a replica; nothing else does.

use std::time::Duration;

use annals_core::{
    ConsistencyLevel, Cursor, ErrorKind, EventStore, EventStoreExt, Expected, ReadRequest, Receipt,
};
use annals_services::{DiskSync, PostgresServer};
use annals_store_postgres::{PostgresStore, ReplicaUse, Settings};
use tokio::time::{sleep, timeout};
use tokio_postgres::{Client, NoTls, connect};

use crate::support;
use crate::support::RUNTIME;
use crate::support::events::{append, stream};

/// Longer than any test takes.
const FOR_EVER: Duration = Duration::from_hours(24);

/// How long what must come is waited for before the test fails.
const PATIENCE: Duration = Duration::from_mins(2);

/// A server, its replica, and a store on both.
struct Pair {
    primary: PostgresServer,
    replica: PostgresServer,
    store: PostgresStore,
}

impl Pair {
    /// `None` when the test is to be skipped, which it says.
    fn start(test: &str, lag_max: Duration) -> Option<Self> {
        let mut settings = Settings::default();
        settings.replica_lag_max = lag_max;
        Self::start_with(test, settings)
    }

    fn start_with(test: &str, settings: Settings) -> Option<Self> {
        let primary = support::own_server(test, DiskSync::OffLosesCommitsOnPowerLoss)?;
        let replica = match primary.replica() {
            Err(error) if error.kind() == std::io::ErrorKind::Unsupported => {
                eprintln!("SKIPPED {test}: {error}");
                return None;
            }
            started => started.unwrap(),
        };
        let store = PostgresStore::builder(&primary.url()).settings(settings);
        let store = store.replica(&replica.url()).open_or_create();
        let store = RUNTIME.block_on(store).unwrap();
        Some(Self {
            primary,
            replica,
            store,
        })
    }

    fn used(&self) -> ReplicaUse {
        self.store.replica().unwrap()
    }

    /// Waits until reads go to the replica, or do not.
    async fn wait_until(&self, is_current: bool) {
        let waiting = async {
            while self.used().is_current != is_current {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, waiting).await.unwrap();
    }

    /// Has the replica go on or stand still.
    async fn replay(&self, goes_on: bool) {
        let client = client(&self.replica).await;
        let verb = if goes_on { "resume" } else { "pause" };
        let said = client
            .batch_execute(&format!("SELECT pg_wal_replay_{verb}()"))
            .await;
        said.unwrap();
        // A pause is asked for, and comes.
        let paused = "SELECT pg_get_wal_replay_pause_state() = 'paused'";
        while client
            .query_one(paused, &[])
            .await
            .unwrap()
            .get::<_, bool>(0)
            == goes_on
        {
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// How many events a read of this kind finds.
    async fn count(&self, consistency: ConsistencyLevel) -> usize {
        let request = ReadRequest::all().consistency(consistency);
        self.store.read(request).await.unwrap().events.len()
    }

    /// Waits until reads that may lag see so many events.
    async fn wait_for(&self, events: usize) {
        let waiting = async {
            while self.count(ConsistencyLevel::Eventual).await != events {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, waiting).await.unwrap();
    }
}

async fn client(server: &PostgresServer) -> Client {
    let (client, connection) = connect(&server.url(), NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// Waits until a server says yes.
async fn wait_for_yes(server: &PostgresServer, question: &str) {
    let client = client(server).await;
    let waiting = async {
        let says = async || client.query_one(question, &[]).await.unwrap().get(0);
        while !says().await {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, waiting).await.unwrap();
}

/// Whatever shows the newest event, which the replica does not have, or depends on it.
async fn asks_the_primary(pair: &Pair, receipt: &Receipt) {
    let store = &pair.store;
    let session = || ConsistencyLevel::Session(receipt.cursor.clone());
    // Whoever appended reads it, strongly or by the receipt; so does whoever asks the primary for anything else.
    assert_eq!(pair.count(ConsistencyLevel::Strong).await, 2);
    assert_eq!(pair.count(session()).await, 2);
    assert_eq!(store.head(session()).await.unwrap(), receipt.cursor);
    assert_eq!(
        store.head(ConsistencyLevel::Strong).await.unwrap(),
        receipt.cursor
    );
    assert_eq!(
        store
            .stream_head(&stream("s-1"))
            .await
            .unwrap()
            .version
            .value(),
        2
    );
    assert!(store.receipt(&receipt.append_id).await.unwrap().is_some());
    let seen = Cursor::at(1.into());
    assert_eq!(store.changed_since(&seen).await.unwrap(), receipt.cursor);
    // A check is judged by what is there, whatever the replica has.
    let late = append("s-1", Expected::Exactly(1.into()), "late");
    let refused = store.append(late).await.unwrap_err();
    assert_eq!(refused.conflict().unwrap().failures().len(), 1);
}

#[test]
fn only_reads_that_may_lag_go_to_the_replica() {
    let Some(pair) = Pair::start("only_reads_that_may_lag_go_to_the_replica", FOR_EVER) else {
        return;
    };
    RUNTIME.block_on(async {
        let store = &pair.store;
        store
            .append(append("s-1", Expected::NoStream, "first"))
            .await
            .unwrap();
        pair.wait_until(true).await;
        pair.wait_for(1).await;
        pair.replay(false).await;
        let newest = append("s-1", Expected::Exactly(1.into()), "second");
        let receipt = store.append(newest).await.unwrap();
        let before = pair.used();

        assert_eq!(pair.count(ConsistencyLevel::Eventual).await, 1);
        let lagging = store.head(ConsistencyLevel::Eventual).await.unwrap();
        assert_eq!(lagging, Cursor::at(1.into()));
        let used = pair.used();
        assert_eq!(
            (used.reads, used.fallbacks),
            (before.reads + 2, before.fallbacks)
        );

        asks_the_primary(&pair, &receipt).await;
        assert_eq!(pair.used(), used, "the replica was asked nothing of this");

        // A reader that the primary has answered goes on there.
        let after = ReadRequest::all().after(receipt.cursor.clone());
        let page = store
            .read(after.consistency(ConsistencyLevel::Eventual))
            .await
            .unwrap();
        assert!(page.events.is_empty());
        assert_eq!(pair.used().fallbacks, used.fallbacks + 1);
        // One that nobody can have answered is told so.
        let beyond = ReadRequest::all().after(Cursor::at(99.into()));
        let beyond = store
            .read(beyond.consistency(ConsistencyLevel::Eventual))
            .await;
        assert_eq!(beyond.unwrap_err().kind(), ErrorKind::CursorAhead);

        pair.replay(true).await;
        pair.wait_for(2).await;
    });
}

#[test]
fn a_replica_that_lags_too_much_is_not_asked() {
    let lag_max = Duration::from_millis(300);
    let Some(pair) = Pair::start("a_replica_that_lags_too_much_is_not_asked", lag_max) else {
        return;
    };
    RUNTIME.block_on(async {
        pair.wait_until(true).await;
        pair.replay(false).await;
        pair.store
            .append(append("s-1", Expected::NoStream, "x"))
            .await
            .unwrap();
        pair.wait_until(false).await;
        let before = pair.used();
        assert_eq!(
            pair.count(ConsistencyLevel::Eventual).await,
            1,
            "the primary has it"
        );
        let used = pair.used();
        assert_eq!(
            (used.reads, used.fallbacks),
            (before.reads, before.fallbacks + 1)
        );
        pair.replay(true).await;
        pair.wait_until(true).await;
        while pair.used().reads == before.reads {
            assert_eq!(pair.count(ConsistencyLevel::Eventual).await, 1);
        }
    });
}

#[test]
fn a_replica_that_is_killed_is_done_without_until_it_is_back() {
    let test = "a_replica_that_is_killed_is_done_without_until_it_is_back";
    let Some(mut pair) = Pair::start(test, FOR_EVER) else {
        return;
    };
    RUNTIME.block_on(async {
        pair.store
            .append(append("s-1", Expected::NoStream, "x"))
            .await
            .unwrap();
        pair.wait_until(true).await;
        pair.wait_for(1).await;
        pair.replica.kill().unwrap();
        for count in 2..=20 {
            let next = append("s-1", Expected::Any, &format!("x-{count}"));
            pair.store.append(next).await.unwrap();
            assert!((1..=count).contains(&pair.count(ConsistencyLevel::Eventual).await));
        }
        pair.wait_until(false).await;
        assert_eq!(pair.count(ConsistencyLevel::Eventual).await, 20);
        pair.replica.restart().unwrap();
        pair.wait_until(true).await;
        let before = pair.used();
        pair.wait_for(20).await;
        assert!(pair.used().reads > before.reads);
        assert_eq!(
            pair.store.collect(ReadRequest::all()).await.unwrap().len(),
            20
        );
    });
}

#[test]
fn a_server_that_is_no_replica_is_not_asked() {
    let Some(url) = support::server("a_server_that_is_no_replica_is_not_asked") else {
        return;
    };
    RUNTIME.block_on(async {
        let store = support::builder(&url)
            .replica(&url)
            .open_or_create()
            .await
            .unwrap();
        store
            .append(append("s-1", Expected::NoStream, "x"))
            .await
            .unwrap();
        for _ in 0..20 {
            let request = ReadRequest::all().consistency(ConsistencyLevel::Eventual);
            assert_eq!(store.read(request).await.unwrap().events.len(), 1);
            sleep(Duration::from_millis(2)).await;
        }
        let used = store.replica().unwrap();
        assert_eq!(
            (used.is_current, used.reads, used.fallbacks),
            (false, 0, 20)
        );
        assert!(
            support::builder(&url)
                .replica("nonsense:/")
                .open_or_create()
                .await
                .is_err()
        );
    });
}

/// A walk whose first page is the primary's, and the others are from wherever reads that may lag go; the positions.
async fn walk(store: &PostgresStore, request: ReadRequest) -> Vec<u64> {
    let mut next = Some(request.events_max(2));
    let mut found = Vec::new();
    while let Some(request) = next {
        let page = store.read(request).await.unwrap();
        found.extend(page.events.iter().map(|event| event.position().value()));
        let rest = page.next;
        next = rest.map(|rest| rest.consistency(ConsistencyLevel::Eventual));
    }
    found
}

#[test]
fn a_walk_that_the_primary_began_has_no_gap() {
    let Some(pair) = Pair::start("a_walk_that_the_primary_began_has_no_gap", FOR_EVER) else {
        return;
    };
    RUNTIME.block_on(async {
        let store = &pair.store;
        let add = async |id: &str| {
            let append = append("s-1", Expected::Any, id);
            store.append(append).await.unwrap();
        };
        add("x-1").await;
        pair.wait_until(true).await;
        pair.wait_for(1).await;
        pair.replay(false).await;
        for number in 2..=7 {
            add(&format!("x-{number}")).await;
        }
        let of_stream = || ReadRequest::stream(stream("s-1"));
        let forward: Vec<u64> = (1..=7).collect();
        let backward: Vec<u64> = (1..=7).rev().collect();
        // The last page of a backward one is what the replica has.
        for (what, request, expected, by_the_primary) in [
            ("all", ReadRequest::all().backward(), &backward, 2),
            ("the stream, backward", of_stream().backward(), &backward, 2),
            ("the stream", of_stream(), &forward, 3),
        ] {
            let before = pair.used();
            assert_eq!(walk(store, request).await, *expected, "{what}");
            let used = pair.used();
            assert_eq!(used.fallbacks, before.fallbacks + by_the_primary, "{what}");
            assert!(used.is_current, "{what}: it has done nothing wrong");
        }
        // What it has to the end it does answer.
        let first = of_stream().until_version(1.into());
        let first = first.consistency(ConsistencyLevel::Eventual);
        let before = pair.used();
        assert_eq!(store.read(first).await.unwrap().events.len(), 1);
        assert_eq!(pair.used().reads, before.reads + 1);
        pair.replay(true).await;
    });
}

#[test]
fn what_the_primary_does_not_show_yet_is_not_told() {
    let Some(pair) = Pair::start("what_the_primary_does_not_show_yet_is_not_told", FOR_EVER) else {
        return;
    };
    RUNTIME.block_on(async {
        let store = &pair.store;
        let first = append("s-1", Expected::Any, "first");
        store.append(first).await.unwrap();
        pair.wait_until(true).await;
        pair.wait_for(1).await;
        // A commit waits for a server that never answers; the replica replays it all the same.
        let primary = client(&pair.primary).await;
        let wait_for = async |name: &str| {
            let set = format!("ALTER SYSTEM SET synchronous_standby_names = '{name}'");
            primary.batch_execute(&set).await.unwrap();
            primary
                .batch_execute("SELECT pg_reload_conf()")
                .await
                .unwrap();
            let said = format!("SELECT current_setting('synchronous_standby_names') = '{name}'");
            wait_for_yes(&pair.primary, &said).await;
        };
        wait_for("nobody").await;
        let second = append("s-1", Expected::Any, "second");
        let looking = async {
            let has = format!("SELECT position = 2 FROM {}.log", store.schema());
            wait_for_yes(&pair.replica, &has).await;
            assert_eq!(pair.count(ConsistencyLevel::Eventual).await, 1);
            let head = store.head(ConsistencyLevel::Eventual).await.unwrap();
            assert_eq!(head, Cursor::at(1.into()));
            assert!(pair.used().is_current);
            wait_for("").await;
        };
        let (appended, ()) = tokio::join!(store.append(second), looking);
        appended.unwrap();
        pair.wait_for(2).await;
        assert_eq!(pair.count(ConsistencyLevel::Eventual).await, 2);
    });
}

#[test]
fn an_answer_is_not_waited_for_longer_than_a_replica_may_lag() {
    let mut settings = Settings::default();
    settings.replica_lag_max = Duration::from_secs(1);
    settings.replica_timeout = FOR_EVER;
    let test = "an_answer_is_not_waited_for_longer_than_a_replica_may_lag";
    let Some(pair) = Pair::start_with(test, settings) else {
        return;
    };
    RUNTIME.block_on(async {
        let store = &pair.store;
        let first = append("s-1", Expected::Any, "first");
        store.append(first).await.unwrap();
        pair.wait_until(true).await;
        pair.wait_for(1).await;
        // A lock that the replica keeps, as it does not hear that it is over.
        let mut primary = client(&pair.primary).await;
        let transaction = primary.transaction().await.unwrap();
        let lock = format!("LOCK TABLE {}.events", store.schema());
        transaction.batch_execute(&lock).await.unwrap();
        let is_locked = "SELECT EXISTS (SELECT FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND locktype = 'relation')";
        wait_for_yes(&pair.replica, is_locked).await;
        pair.replay(false).await;
        transaction.rollback().await.unwrap();
        pair.wait_until(true).await;
        let before = pair.used();
        let read = timeout(PATIENCE, pair.count(ConsistencyLevel::Eventual)).await;
        assert_eq!(read.unwrap(), 1);
        assert_eq!(pair.used().fallbacks, before.fallbacks + 1);
        pair.replay(true).await;
    });
}
