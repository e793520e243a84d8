//! What the server looks at to answer.

use std::time::Duration;

use crate::support;
use crate::support::RUNTIME;
use crate::support::events::{event, stream};
use annals_core::{Append, EventStore, Expected, Ids, ReadRequest, Timestamp, UuidIds};
use annals_store_postgres::{PostgresStore, Settings};
use tokio_postgres::{Client, NoTls, connect};

const STREAMS: usize = 400;
const EVENTS: usize = 10;

/// A plan that looks up in the index of positions which events the log has looks at all of them.
#[test]
fn a_stream_is_read_without_a_look_at_the_rest_of_the_log() {
    let Some(url) = support::server("a_stream_is_read_without_a_look_at_the_rest_of_the_log")
    else {
        return;
    };
    RUNTIME.block_on(async {
        let mut settings = Settings::default();
        settings.schema = support::fresh_schema();
        // One, so that the read at the end makes it tell of those before.
        settings.connections_max = 1;
        let builder = PostgresStore::builder(&url).settings(settings);
        let store = builder.open_or_create().await.unwrap();
        let streams = (0..STREAMS).map(|number| stream(&format!("ten-{number}")));
        let streams: Vec<_> = streams.collect();
        for chunk in streams.chunks(100) {
            let mut append = Append::builder(UuidIds::default().append_id());
            for stream in chunk {
                let events = (0..EVENTS).map(|_| event("noted"));
                append = append.write(stream.clone(), Expected::NoStream, events);
            }
            store.append(append.build().unwrap()).await.unwrap();
        }
        let (client, connection) = connect(&url, NoTls).await.unwrap();
        tokio::spawn(connection);
        let analyze = format!("ANALYZE {}.events", store.schema());
        client.batch_execute(&analyze).await.unwrap();
        let before = looked_up(&client, store.schema()).await;
        for stream in streams.iter().take(20) {
            let whole = ReadRequest::stream(stream.clone());
            let timed = whole.clone().appended_from(Timestamp::from_micros(0));
            for request in [whole.clone(), whole.backward(), timed] {
                assert_eq!(store.read(request).await.unwrap().events.len(), EVENTS);
            }
        }
        // A connection tells what it looked at once a second at most.
        tokio::time::sleep(Duration::from_millis(1100)).await;
        store
            .read(ReadRequest::stream(streams[0].clone()))
            .await
            .unwrap();
        let looked_up = looked_up(&client, store.schema()).await - before;
        assert!(
            looked_up < 1000,
            "{looked_up} entries of the index of positions"
        );
    });
}

/// How many entries of the index of positions were looked at, as far as was told.
async fn looked_up(client: &Client, schema: &str) -> i64 {
    let query = "SELECT idx_tup_read FROM pg_stat_user_indexes \
                 WHERE schemaname = $1 AND indexrelname = 'events_pkey'";
    client.query_one(query, &[&schema]).await.unwrap().get(0)
}
