//! The store on NATS keeps the contract: on one server and on a cluster, with the defaults, and with settings that make
//! it busy.

use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};
use std::time::Duration;

use crate::support;
use annals_conformance::{
    Backend, HistorySettings, ManualClock, Report, Spread, Stores, check, check_histories,
    check_model, check_only,
};
use annals_core::Error;
use annals_partitioned::Partitioned;
use annals_services::{DiskSync, NatsCluster};
use annals_store_nats::{NatsStore, Settings};
use async_trait::async_trait;
use futures_util::future::BoxFuture;

/// Logs of their own.
#[derive(Clone)]
struct Nats {
    url: String,
    replicas: usize,
    change: fn(&mut Settings),
    /// On how many stores the calls are spread.
    stores: usize,
    opened: Opened,
}

/// The logs that were opened. Those that nobody uses any more are removed: a server is slower with each that it keeps.
#[derive(Clone, Default)]
struct Opened(Arc<Mutex<Vec<OpenedLog>>>);

type OpenedLog = (Weak<NatsStore>, String);

impl Opened {
    fn note(&self, store: &Arc<NatsStore>) {
        let mut opened = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        opened.push((Arc::downgrade(store), store.log().to_owned()));
    }

    async fn remove_unused(&self, url: &str) {
        let unused: Vec<String> = {
            let mut opened = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let unused = opened.extract_if(.., |(store, _)| store.strong_count() == 0);
            unused.map(|(_, log)| log).collect()
        };
        if !unused.is_empty() {
            support::remove(url, &unused).await;
        }
    }
}

impl Nats {
    fn alone(test: &str) -> Option<Self> {
        let url = support::server(test)?;
        Some(Self {
            url,
            replicas: 1,
            change: |_| (),
            stores: 1,
            opened: Opened::default(),
        })
    }

    /// On a cluster of three, which the tests share.
    fn replicated(test: &str) -> Option<Self> {
        static CLUSTER: LazyLock<Option<NatsCluster>> = LazyLock::new(|| {
            support::cluster("on a cluster", DiskSync::OffLosesCommitsOnPowerLoss)
        });
        let Some(cluster) = &*CLUSTER else {
            eprintln!("SKIPPED {test}: no cluster");
            return None;
        };
        Some(Self {
            url: cluster.url(),
            replicas: 3,
            ..Self::alone(test)?
        })
    }

    /// The same on several stores, as when several processes share the log.
    fn spread(self, stores: usize) -> Self {
        Self { stores, ..self }
    }
}

#[async_trait]
impl Backend for Nats {
    async fn open(&self, clock: ManualClock) -> Result<Stores, Error> {
        let log = support::fresh_log();
        let clock = Arc::new(clock);
        let open = async || {
            let mut settings = Settings::default();
            (self.change)(&mut settings);
            let builder = support::builder(&self.url)
                .settings(settings)
                .allow_lazy_sync()
                .log(&log)
                .replicas(self.replicas)
                .clock(Arc::clone(&clock) as _);
            builder.open_or_create().await
        };
        self.opened.remove_unused(&self.url).await;
        let first = Arc::new(open().await?);
        self.opened.note(&first);
        if self.stores == 1 {
            return Ok(Stores::complete(first).on_the_clock());
        }
        let mut others = Vec::new();
        for _ in 1..self.stores {
            others.push(Arc::new(open().await?));
        }
        Ok(Stores::new(Spread::over(first, others)).on_the_clock())
    }

    fn block_on(&self, future: BoxFuture<'_, ()>) {
        support::RUNTIME.block_on(future);
    }

    fn case_timeout(&self) -> Duration {
        Duration::from_mins(5)
    }

    fn cases_at_once(&self) -> usize {
        4
    }
}

/// A partitioned store over so many logs.
struct Partitions(Nats, usize);

#[async_trait]
impl Backend for Partitions {
    async fn open(&self, clock: ManualClock) -> Result<Stores, Error> {
        self.0.opened.remove_unused(&self.0.url).await;
        let mut stores = Vec::new();
        for _ in 0..self.1 {
            let builder = support::builder(&self.0.url)
                .replicas(self.0.replicas)
                .clock(Arc::new(clock.clone()));
            let store = Arc::new(builder.open_or_create().await?);
            self.0.opened.note(&store);
            stores.push(store);
        }
        let store = Partitioned::over(stores).open().await?;
        Ok(Stores::complete(store).on_the_clock())
    }

    fn block_on(&self, future: BoxFuture<'_, ()>) {
        self.0.block_on(future);
    }

    fn case_timeout(&self) -> Duration {
        self.0.case_timeout()
    }

    fn cases_at_once(&self) -> usize {
        self.0.cases_at_once()
    }
}

/// Histories of clients that meet, so many of them.
fn histories(count: u32) -> HistorySettings {
    let histories = u64::from(count * support::scale());
    let settings = HistorySettings::default().histories(histories);
    settings.clients(8).operations(100)
}

fn all_passed(report: &Report) {
    report.assert_passed();
    assert_eq!(report.skipped().count(), 0, "{report}");
}

/// Batches of two events.
fn narrow(settings: &mut Settings) {
    settings.batch_events_max = 2;
    settings.poll_interval_max = Duration::from_millis(100);
}

#[test]
fn the_store_conforms() {
    let Some(backend) = Nats::alone("the_store_conforms") else {
        return;
    };
    all_passed(&check(backend));
}

#[test]
fn a_narrow_store_conforms() {
    let Some(mut backend) = Nats::alone("a_narrow_store_conforms") else {
        return;
    };
    backend.change = narrow;
    for subject in [
        "append",
        "boundaries",
        "concurrency",
        "idempotency",
        "subscribe",
    ] {
        check_only(backend.clone(), subject).assert_passed();
    }
}

#[test]
fn the_store_agrees_with_the_model() {
    let Some(backend) = Nats::alone("the_store_agrees_with_the_model") else {
        return;
    };
    check_model(backend, 40 * support::scale()).assert_passed();
}

#[test]
fn the_store_has_consistent_histories() {
    let Some(backend) = Nats::alone("the_store_has_consistent_histories") else {
        return;
    };
    check_histories(backend, histories(2)).assert_passed();
}

#[test]
fn stores_that_share_a_log_have_consistent_histories() {
    let test = "stores_that_share_a_log_have_consistent_histories";
    let Some(backend) = Nats::alone(test) else {
        return;
    };
    let backend = backend.spread(3);
    check_only(backend.clone(), "concurrency").assert_passed();
    check_histories(backend, histories(2)).assert_passed();
}

#[test]
fn the_store_conforms_on_a_cluster() {
    let Some(backend) = Nats::replicated("the_store_conforms_on_a_cluster") else {
        return;
    };
    all_passed(&check(backend));
}

#[test]
fn the_store_on_a_cluster_agrees_with_the_model() {
    let Some(backend) = Nats::replicated("the_store_on_a_cluster_agrees_with_the_model") else {
        return;
    };
    check_model(backend, 12 * support::scale()).assert_passed();
}

#[test]
fn stores_that_share_a_cluster_have_consistent_histories() {
    let test = "stores_that_share_a_cluster_have_consistent_histories";
    let Some(backend) = Nats::replicated(test) else {
        return;
    };
    check_histories(backend.spread(3), histories(2)).assert_passed();
}

#[test]
fn partitions_conform() {
    let Some(backend) = Nats::alone("partitions_conform") else {
        return;
    };
    // What a partitioned store has of its own, and what it makes of pages and places; the rest is each partition's.
    for subject in ["partitions", "cursors", "paging", "subscribe"] {
        check_only(Partitions(backend.clone(), 2), subject).assert_passed();
    }
    check_model(Partitions(backend.clone(), 2), 8 * support::scale()).assert_passed();
    check_histories(Partitions(backend, 1), histories(1)).assert_passed();
}
