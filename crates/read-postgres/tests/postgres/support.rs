//! A server, a runtime, and fresh schemas for whoever asks.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use annals_core::{Ids, UuidIds};
use annals_services::{DiskSync, PostgresServer};
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

/// A server for one test, to be killed as it likes; `None` when the test is to be skipped, which it says.
pub(crate) fn own_server(test: &str) -> Option<PostgresServer> {
    let server = PostgresServer::own(DiskSync::On).unwrap();
    if server.is_none() {
        eprintln!("SKIPPED {test}: told to do without services, or to use one that is not ours");
    }
    server
}

/// A name that no other schema of this server has.
pub(crate) fn fresh_schema() -> String {
    static RUN: LazyLock<u128> =
        LazyLock::new(|| UuidIds::default().event_id().as_uuid().as_u128());
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("read_{:012x}_{number}", *RUN & 0xffff_ffff_ffff)
}

pub(crate) async fn client(url: &str) -> Client {
    let (client, connection) = connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}
