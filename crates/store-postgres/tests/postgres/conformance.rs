//! The store on PostgreSQL keeps the contract: with the defaults, and with settings that make it busy.

use std::sync::Arc;
use std::time::Duration;

use crate::support;
use annals_conformance::{
    Backend, HistorySettings, ManualClock, Spread, Stores, check, check_histories, check_model,
    check_only,
};
use annals_core::Error;
use annals_partitioned::Partitioned;
use annals_store_postgres::{Settings, WakeUp};
use async_trait::async_trait;
use futures_util::future::BoxFuture;

/// Logs in schemas of their own.
#[derive(Clone)]
struct Postgres {
    url: String,
    settings: Settings,
    /// On how many stores the calls are spread.
    stores: usize,
}

impl Postgres {
    fn with(test: &str, change: impl FnOnce(&mut Settings)) -> Option<Self> {
        let url = support::server(test)?;
        let mut settings = Settings::default();
        change(&mut settings);
        Some(Self {
            url,
            settings,
            stores: 1,
        })
    }

    /// The same on several stores, as when several processes share the log.
    fn spread(self, stores: usize) -> Self {
        Self { stores, ..self }
    }
}

#[async_trait]
impl Backend for Postgres {
    async fn open(&self, clock: ManualClock) -> Result<Stores, Error> {
        let builder = support::builder(&self.url)
            .settings(self.settings.clone())
            .schema(&support::fresh_schema())
            .clock(Arc::new(clock));
        let first = builder.clone().open_or_create().await?;
        if self.stores == 1 {
            return Ok(Stores::complete(first).on_the_clock());
        }
        let mut others = Vec::new();
        for _ in 1..self.stores {
            others.push(builder.clone().open_or_create().await?);
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

/// A partitioned store over so many logs in schemas of their own.
struct Partitions(Postgres, usize);

#[async_trait]
impl Backend for Partitions {
    async fn open(&self, clock: ManualClock) -> Result<Stores, Error> {
        let mut stores = Vec::new();
        for _ in 0..self.1 {
            let builder = support::builder(&self.0.url)
                .settings(self.0.settings.clone())
                .schema(&support::fresh_schema())
                .clock(Arc::new(clock.clone()));
            stores.push(builder.open_or_create().await?);
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

/// Batches of two commands, one connection, and nobody who listens.
fn narrow(settings: &mut Settings) {
    settings.batch_appends_max = 2;
    settings.connections_max = 1;
    settings.wake_up = WakeUp::Poll;
    settings.poll_interval_max = Duration::from_millis(100);
}

#[test]
fn the_store_conforms() {
    let Some(backend) = Postgres::with("the_store_conforms", |_| ()) else {
        return;
    };
    let report = check(backend);
    report.assert_passed();
    assert_eq!(report.skipped().count(), 0, "{report}");
}

#[test]
fn a_narrow_store_conforms() {
    let Some(backend) = Postgres::with("a_narrow_store_conforms", narrow) else {
        return;
    };
    for subject in [
        "append",
        "boundaries",
        "checkpoints",
        "concurrency",
        "idempotency",
        "snapshots",
        "subscribe",
    ] {
        check_only(backend.clone(), subject).assert_passed();
    }
}

#[test]
fn the_store_agrees_with_the_model() {
    let Some(backend) = Postgres::with("the_store_agrees_with_the_model", |_| ()) else {
        return;
    };
    check_model(backend, 40 * support::scale()).assert_passed();
}

#[test]
fn the_store_has_consistent_histories() {
    let Some(backend) = Postgres::with("the_store_has_consistent_histories", |_| ()) else {
        return;
    };
    check_histories(backend, histories(2)).assert_passed();
}

#[test]
fn stores_that_share_a_log_have_consistent_histories() {
    let test = "stores_that_share_a_log_have_consistent_histories";
    let Some(backend) = Postgres::with(test, |_| ()) else {
        return;
    };
    let backend = backend.spread(3);
    check_only(backend.clone(), "concurrency").assert_passed();
    check_histories(backend, histories(2)).assert_passed();
}

#[test]
fn partitions_conform() {
    let Some(backend) = Postgres::with("partitions_conform", |_| ()) else {
        return;
    };
    // What a partitioned store has of its own, and what it makes of pages and places; the rest is each partition's.
    for subject in ["partitions", "cursors", "paging", "subscribe"] {
        check_only(Partitions(backend.clone(), 2), subject).assert_passed();
    }
    check_model(Partitions(backend.clone(), 2), 8 * support::scale()).assert_passed();
    check_histories(Partitions(backend, 1), histories(1)).assert_passed();
}
