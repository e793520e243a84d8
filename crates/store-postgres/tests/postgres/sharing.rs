//! Callers that share a store, or an append id, and do not get into each other's way.

use std::time::Duration;

use crate::support;
use crate::support::RUNTIME;
use crate::support::events::{append, event, stream};
use annals_core::{
    Append, AppendId, ErrorKind, EventStore, EventStoreExt, Expected, FailedCheck, ReadRequest,
    Version,
};
use annals_store_postgres::Settings;
use futures_util::FutureExt;

#[test]
fn a_reader_that_is_not_polled_keeps_nobody_waiting() {
    let Some(url) = support::server("a_reader_that_is_not_polled_keeps_nobody_waiting") else {
        return;
    };
    RUNTIME.block_on(async {
        let mut settings = Settings::default();
        settings.connections_max = 1;
        let schema = support::fresh_schema();
        let builder = support::builder(&url).settings(settings).schema(&schema);
        let store = builder.open_or_create().await.unwrap();
        let mut left = std::pin::pin!(store.read(ReadRequest::all()));
        assert!(left.as_mut().now_or_never().is_none(), "it has begun");
        let other = store.collect(ReadRequest::all());
        let other = tokio::time::timeout(Duration::from_secs(20), other).await;
        assert!(
            other
                .expect("the connection comes free")
                .unwrap()
                .is_empty()
        );
        assert!(left.await.unwrap().events.is_empty());
    });
}

/// One append is refused while another with its id and other content is recorded: what the first is told has to have
/// been so before the second was.
#[test]
fn a_refusal_is_of_a_moment_before_the_id_was_recorded() {
    const ROUNDS: u64 = 100;
    let Some(url) = support::server("a_refusal_is_of_a_moment_before_the_id_was_recorded") else {
        return;
    };
    RUNTIME.block_on(async {
        let store = support::builder(&url).open_or_create().await.unwrap();
        store
            .append(append("a-1", Expected::NoStream, "first"))
            .await
            .unwrap();
        for round in 1..=ROUNDS {
            let id = AppendId::parse(&round.to_string()).unwrap();
            let build = |expected, payload| {
                let append = Append::builder(id).write(stream("a-1"), expected, [event(payload)]);
                append.build().unwrap()
            };
            let refused = store.append(build(Expected::NoStream, "refused"));
            let recorded = async {
                tokio::task::yield_now().await;
                store.append(build(Expected::Any, "recorded")).await
            };
            let (refused, recorded) = tokio::join!(refused, recorded);
            let before = Version::new(round);
            assert_eq!(recorded.unwrap().streams[0].first_version, before.next());
            let error = refused.unwrap_err();
            match error.conflict().map(annals_core::Conflict::failures) {
                Some([FailedCheck::Stream { actual, .. }]) => assert_eq!(actual, &before),
                _ => assert_eq!(error.kind(), ErrorKind::AppendIdReused, "{error}"),
            }
        }
    });
}
