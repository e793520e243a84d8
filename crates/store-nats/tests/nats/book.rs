//! The code of the chapter "NATS JetStream".

use crate::support;
use crate::support::RUNTIME;
use annals_core::{Durability, EventStore};
use annals_services::DiskSync;
use annals_store_nats::NatsStore;

// ANCHOR: open
async fn open(urls: &str, monitoring: &[String]) -> Result<NatsStore, annals_core::Error> {
    NatsStore::builder(urls)
        .log("shop")
        .replicas(monitoring.len())
        .monitoring(monitoring)
        .open_or_create()
        .await
}
// ANCHOR_END: open

#[test]
fn the_chapter_opens_a_log_on_a_cluster() {
    let test = "the_chapter_opens_a_log_on_a_cluster";
    let Some(cluster) = support::cluster(test, DiskSync::On) else {
        return;
    };
    let nodes = cluster.nodes().iter();
    let monitoring: Vec<String> = nodes
        .map(annals_services::NatsServer::monitoring_url)
        .collect();
    let store = RUNTIME.block_on(open(&cluster.url(), &monitoring)).unwrap();
    assert_eq!(store.capabilities().durability, Durability::Replicated);
}
