//! A server, a runtime, and a fresh log for whoever asks.

pub(crate) mod events;
pub(crate) mod proxy;

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use annals_core::{Ids, UuidIds};
use annals_services::{DiskSync, PostgresServer};
use annals_store_postgres::{PostgresStore, PostgresStoreBuilder};
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{Client, NoTls, connect};

pub(crate) static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().unwrap()
});

/// The address of the server of this test binary; `None` when the test is to be skipped, which it says.
pub(crate) fn server(test: &str) -> Option<String> {
    let url = PostgresServer::shared().unwrap();
    if url.is_none() {
        eprintln!("SKIPPED {test}: told to do without services");
    }
    url
}

/// A server for one test, to be killed or set as it likes; `None` when the test is to be skipped, which it says.
pub(crate) fn own_server(test: &str, disk_sync: DiskSync) -> Option<PostgresServer> {
    let server = PostgresServer::own(disk_sync).unwrap();
    if server.is_none() {
        eprintln!("SKIPPED {test}: told to do without services, or to use one that is not ours");
    }
    server
}

/// A connection of a test's own.
pub(crate) async fn client(url: &str) -> Client {
    let (client, connection) = connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// A name that no other log of this server has, nor anything else of somebody who shares it.
pub(crate) fn fresh_schema() -> String {
    static RUN: LazyLock<u128> =
        LazyLock::new(|| UuidIds::default().event_id().as_uuid().as_u128());
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("test_{:012x}_{number}", *RUN & 0xffff_ffff_ffff)
}

/// A fresh log.
pub(crate) fn builder(url: &str) -> PostgresStoreBuilder {
    PostgresStore::builder(url).schema(&fresh_schema())
}

/// How many times the size of a run of CI: `cargo xtask campaign` says.
pub(crate) fn scale() -> u32 {
    let said = std::env::var("ANNALS_CAMPAIGN_SCALE").ok();
    said.map_or(1, |scale| scale.parse().unwrap())
}
