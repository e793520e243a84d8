//! What is refused when a log is opened, and what its capabilities tell.

use std::sync::Arc;
use std::time::Duration;

use annals_core::{ConsistencyLevel, Durability, Error, ErrorKind, EventStore, Expected};
use annals_services::DiskSync;
use annals_store_nats::{NatsStore, NatsStoreBuilder, Settings};

use crate::support::events::append;
use crate::support::{self, RUNTIME};

fn refused(builder: NatsStoreBuilder) -> Error {
    RUNTIME.block_on(builder.open_or_create()).unwrap_err()
}

#[test]
fn a_log_that_is_not_there_is_not_made_in_silence() {
    let Some(url) = support::server("a_log_that_is_not_there_is_not_made_in_silence") else {
        return;
    };
    let log = support::fresh_log();
    let builder = || support::builder(&url).log(&log);
    let error = RUNTIME.block_on(builder().open()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("not there"), "{error}");
    RUNTIME.block_on(builder().open_or_create()).unwrap();
    RUNTIME.block_on(builder().open()).unwrap();
}

#[test]
fn a_log_that_is_being_written_can_be_opened() {
    let Some(url) = support::server("a_log_that_is_being_written_can_be_opened") else {
        return;
    };
    let log = support::fresh_log();
    let mut settings = Settings::default();
    // So often that it is noted how far the log goes.
    settings.poll_interval_max = Duration::from_millis(10);
    let builder = || {
        let builder = support::builder(&url).settings(settings.clone());
        builder.log(&log).allow_lazy_sync()
    };
    RUNTIME.block_on(async {
        let writer = Arc::new(builder().open_or_create().await.unwrap());
        let appending = tokio::spawn(async move {
            for number in 0_u64.. {
                let append = append("busy-1", Expected::Any, &format!("append-{number}"));
                writer.append(append).await.unwrap();
                // An opening reads the whole log, which is to stay short.
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        for _ in 0..20 {
            let opened = builder().open().await.unwrap();
            // Nor is a strong read refused while others append.
            opened.head(ConsistencyLevel::Strong).await.unwrap();
        }
        appending.abort();
    });
}

#[test]
fn a_stream_of_somebody_else_is_refused() {
    let Some(url) = support::server("a_stream_of_somebody_else_is_refused") else {
        return;
    };
    let log = support::fresh_log();
    RUNTIME.block_on(async {
        let client = async_nats::connect(&url).await.unwrap();
        let config = format!(r#"{{"name":"{log}","subjects":["{log}.>"]}}"#);
        let subject = format!("$JS.API.STREAM.CREATE.{log}");
        client.request(subject, config.into()).await.unwrap();
    });
    let error = refused(support::builder(&url).log(&log));
    assert!(error.to_string().contains("not made by annals"), "{error}");
}

#[test]
fn a_server_that_syncs_later_is_refused_unless_that_is_accepted() {
    let test = "a_server_that_syncs_later_is_refused_unless_that_is_accepted";
    let Some(server) = support::own_server(test, DiskSync::OffLosesCommitsOnPowerLoss) else {
        return;
    };
    let builder = || NatsStore::builder(&server.url());
    let error = refused(builder());
    assert!(error.to_string().contains("monitoring port"), "{error}");
    let error = refused(builder().monitoring([server.monitoring_url()]));
    assert!(
        error.to_string().contains("sync_interval: always"),
        "{error}"
    );
    let error = refused(builder().monitoring([server.url()]));
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let lazy = builder().allow_lazy_sync().open_or_create();
    let lazy = RUNTIME.block_on(lazy).unwrap();
    assert_eq!(lazy.capabilities().durability, Durability::Process);
}

#[test]
fn a_server_that_syncs_always_is_told_from_others() {
    let test = "a_server_that_syncs_always_is_told_from_others";
    let Some(server) = support::own_server(test, DiskSync::On) else {
        return;
    };
    let builder = || NatsStore::builder(&server.url()).monitoring([server.monitoring_url()]);
    let store = RUNTIME.block_on(builder().open_or_create()).unwrap();
    assert_eq!(store.capabilities().durability, Durability::Synced);
    // More than this one would have to keep it.
    let error = refused(builder().log("wide").replicas(3));
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
}

#[test]
fn a_server_out_of_reach_is_told() {
    let Some(url) = support::server("a_server_out_of_reach_is_told") else {
        return;
    };
    let nowhere = support::builder("nats://127.0.0.1:1");
    assert_eq!(refused(nowhere).kind(), ErrorKind::Unavailable);
    let mut settings = Settings::default();
    settings.batch_events_max = 0;
    let nothing = support::builder(&url).settings(settings);
    assert_eq!(refused(nothing).kind(), ErrorKind::Invalid);
}
