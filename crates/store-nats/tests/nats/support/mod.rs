//! Servers, a runtime, and a fresh log for whoever asks.

pub(crate) mod blocks;
pub(crate) mod events;
pub(crate) mod proxy;

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use annals_core::{Ids, UuidIds};
use annals_services::{DiskSync, NatsCluster, NatsServer};
use annals_store_nats::{NatsStore, NatsStoreBuilder};
use tokio::runtime::{Builder, Runtime};

pub(crate) static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().unwrap()
});

/// The address of the server of this test binary; `None` when the test is to be skipped, which it says.
pub(crate) fn server(test: &str) -> Option<String> {
    let url = NatsServer::shared().unwrap();
    if url.is_none() {
        skipped(test);
    }
    url
}

/// A server for one test, to be killed or set as it likes; `None` when the test is to be skipped, which it says.
pub(crate) fn own_server(test: &str, disk_sync: DiskSync) -> Option<NatsServer> {
    let server = NatsServer::own(disk_sync).unwrap();
    if server.is_none() {
        skipped(test);
    }
    server
}

/// The same with more in its configuration.
pub(crate) fn own_server_with(test: &str, more: &str) -> Option<NatsServer> {
    let server = NatsServer::own_with(DiskSync::OffLosesCommitsOnPowerLoss, more).unwrap();
    if server.is_none() {
        skipped(test);
    }
    server
}

/// How many times the size of a run of CI: `cargo xtask campaign` says.
pub(crate) fn scale() -> u32 {
    let said = std::env::var("ANNALS_CAMPAIGN_SCALE").ok();
    said.map_or(1, |scale| scale.parse().unwrap())
}

/// A cluster of three for one test.
pub(crate) fn cluster(test: &str, disk_sync: DiskSync) -> Option<NatsCluster> {
    let cluster = NatsCluster::own(3, disk_sync).unwrap();
    if cluster.is_none() {
        skipped(test);
    }
    cluster
}

fn skipped(test: &str) {
    eprintln!("SKIPPED {test}: told to do without services, or to use one that is not ours");
}

/// A name that no other log of this server has, nor anything else of somebody who shares it.
pub(crate) fn fresh_log() -> String {
    static RUN: LazyLock<u128> = LazyLock::new(|| UuidIds::default().event_id().number());
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("test_{:012x}_{number}", *RUN & 0xffff_ffff_ffff)
}

/// A fresh log.
pub(crate) fn builder(url: &str) -> NatsStoreBuilder {
    NatsStore::builder(url).log(&fresh_log()).allow_lazy_sync()
}

/// Removes logs that nobody uses, as far as that can be done now.
pub(crate) async fn remove(url: &str, logs: &[String]) {
    let addresses: Vec<&str> = url.split(',').collect();
    let Ok(client) = async_nats::connect(addresses).await else {
        return;
    };
    for log in logs {
        for stream in [log.clone(), format!("{log}-aux")] {
            let subject = format!("$JS.API.STREAM.DELETE.{stream}");
            drop(client.request(subject, "".into()).await);
        }
    }
}
