//! What another store recorded is recorded as it was, and never over something else.

use annals_core::{
    Append, AppendId, Error, ErrorKind, EventStore, EventStoreExt, Expected, HistoryEntry,
    HistoryReader, PolicyAction, PolicyChange, ReadRequest, RecordedAppend,
};
use annals_store_postgres::{PostgresStore, migration_script};
use tokio_postgres::{Client, NoTls};

use crate::support;
use crate::support::RUNTIME;
use crate::support::events::{append, event, stream};

/// All events of a log, as they are copied.
async fn events_of(store: &PostgresStore) -> Vec<HistoryEntry> {
    let mut history: Box<dyn HistoryReader> = store.history();
    let mut all = Vec::new();
    loop {
        let entries = history.next().await.unwrap();
        if entries.is_empty() {
            return all;
        }
        let events = entries.into_iter();
        all.extend(events.filter(|entry| matches!(entry, HistoryEntry::Event { .. })));
    }
}

/// A log with appends of one event and of several streams.
async fn filled(url: &str) -> PostgresStore {
    let store = support::builder(url).open_or_create().await.unwrap();
    for number in 0..600 {
        store
            .append(append("a-1", Expected::Any, &number.to_string()))
            .await
            .unwrap();
    }
    let several = Append::builder(AppendId::parse("several").unwrap())
        .write(stream("a-1"), Expected::Any, [event("x"), event("y")])
        .write(stream("b-1"), Expected::NoStream, [event("z")]);
    store.append(several.build().unwrap()).await.unwrap();
    store
}

#[test]
fn a_log_is_filled_with_what_another_recorded() {
    let Some(url) = support::server("a_log_is_filled_with_what_another_recorded") else {
        return;
    };
    RUNTIME.block_on(async {
        let from = filled(&url).await;
        let events = events_of(&from).await;
        assert_eq!(events.len(), 603);
        let to = support::builder(&url).open_or_create().await.unwrap();
        to.import(events[..600].to_vec()).await.unwrap();
        to.import(events[600..].to_vec()).await.unwrap();
        assert_eq!(events_of(&to).await, events);
        for request in [
            ReadRequest::all().backward(),
            ReadRequest::stream(stream("b-1")),
            ReadRequest::category(stream("a-1").category()),
        ] {
            let expected = from.collect(request.clone()).await.unwrap();
            assert!(!expected.is_empty());
            assert_eq!(to.collect(request).await.unwrap(), expected);
        }
        // A retry finds its receipt, a reused id is refused, and the next append follows.
        let again = to.append(append("a-1", Expected::Any, "7")).await.unwrap();
        assert!(again.is_duplicate());
        let other = Append::builder(AppendId::parse("7").unwrap()).write(
            stream("a-1"),
            Expected::Any,
            [event("other")],
        );
        let refused = to.append(other.build().unwrap()).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::AppendIdReused);
        let next = append("a-1", Expected::Exactly(602.into()), "next");
        assert_eq!(to.append(next).await.unwrap().first_position, 604.into());
    });
}

#[test]
fn what_does_not_follow_is_refused_and_leaves_nothing() {
    let Some(url) = support::server("what_does_not_follow_is_refused_and_leaves_nothing") else {
        return;
    };
    RUNTIME.block_on(async {
        let events = events_of(&filled(&url).await).await;
        let to = support::builder(&url).open_or_create().await.unwrap();
        let refused = |entries: &[HistoryEntry]| {
            let import = to.import(entries.to_vec());
            async move { import.await.unwrap_err() }
        };
        // It does not begin at the beginning, or leaves one out.
        let error: Error = refused(&events[1..3]).await;
        assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
        let gap = [events[0].clone(), events[2].clone()];
        assert_eq!(refused(&gap).await.kind(), ErrorKind::Refused);
        // It is a part of an append, or no append.
        assert_eq!(refused(&events[..602]).await.kind(), ErrorKind::Invalid);
        assert_eq!(refused(&events[601..]).await.kind(), ErrorKind::Invalid);
        assert_eq!(events_of(&to).await, []);
        // The stream has other versions here.
        to.append(append("b-1", Expected::Any, "1")).await.unwrap();
        assert_eq!(refused(&events[..1]).await.kind(), ErrorKind::Refused);
        let HistoryEntry::Event { event, .. } = events[1].clone() else {
            panic!("an event");
        };
        let append = Some(RecordedAppend {
            id: AppendId::parse("z").unwrap(),
            events: 1,
        });
        let entry = HistoryEntry::Event {
            event,
            append,
            is_reclaimed: false,
        };
        let error = refused(&[entry]).await;
        assert!(error.to_string().contains("version"), "{error}");
        // A stream that is closed takes nothing.
        let closed = support::builder(&url).open_or_create().await.unwrap();
        let tombstone = PolicyChange {
            stream: stream("a-1"),
            expected: Expected::Any,
            action: PolicyAction::Tombstone,
        };
        closed.change_stream_policy(tombstone).await.unwrap();
        let error = closed.import(events[..1].to_vec()).await.unwrap_err();
        assert!(error.to_string().contains("closed for good"), "{error}");
    });
}

/// What the catalogue says of a schema: columns, constraints, indexes, functions, and what else it has; without its name.
async fn described(client: &Client, schema: &str) -> Vec<String> {
    let query = "SELECT replace(d.told, $1, '<schema>') FROM (\
        SELECT 'relation ' || c.relname || ' ' || c.relkind::text || ' ' || c.relpersistence::text || ' ' \
          || coalesce(c.reloptions::text, '') FROM pg_class c WHERE c.relnamespace = $1::regnamespace \
        UNION ALL SELECT 'column ' || a.attrelid::regclass::text || ' ' || a.attnum || ' ' || a.attname || ' ' \
          || format_type(a.atttypid, a.atttypmod) || ' ' || a.attnotnull || ' ' || a.attstorage::text || ' ' \
          || coalesce(pg_get_expr(f.adbin, f.adrelid), '') FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid \
          LEFT JOIN pg_attrdef f ON f.adrelid = a.attrelid AND f.adnum = a.attnum \
          WHERE c.relnamespace = $1::regnamespace AND a.attnum > 0 AND NOT a.attisdropped \
        UNION ALL SELECT 'constraint ' || conrelid::regclass::text || ' ' || conname || ' ' || pg_get_constraintdef(oid) \
          FROM pg_constraint WHERE connamespace = $1::regnamespace \
        UNION ALL SELECT 'index ' || pg_get_indexdef(i.indexrelid) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid \
          WHERE c.relnamespace = $1::regnamespace \
        UNION ALL SELECT 'function ' || pg_get_functiondef(oid) FROM pg_proc \
          WHERE pronamespace = $1::regnamespace AND prokind = 'f' \
        UNION ALL SELECT 'trigger ' || pg_get_triggerdef(t.oid) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid \
          WHERE c.relnamespace = $1::regnamespace AND NOT t.tgisinternal \
        ) d(told) ORDER BY 1"
        .replace("$1::regnamespace", &format!("'{schema}'::regnamespace"));
    let rows = client.query(&query, &[&schema]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[test]
fn the_printed_schema_is_that_which_is_made() {
    let Some(url) = support::server("the_printed_schema_is_that_which_is_made") else {
        return;
    };
    RUNTIME.block_on(async {
        let schema = support::fresh_schema();
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
        tokio::spawn(connection);
        let script = migration_script(&schema);
        client.batch_execute(&script).await.unwrap();
        let made = support::fresh_schema();
        let migrated = PostgresStore::builder(&url).schema(&made).migrate();
        migrated.await.unwrap();
        let printed = described(&client, &schema).await;
        assert!(printed.len() > 30, "{printed:#?}");
        assert_eq!(printed, described(&client, &made).await);
        let store = PostgresStore::builder(&url)
            .schema(&schema)
            .open()
            .await
            .unwrap();
        store
            .append(append("a-1", Expected::NoStream, "1"))
            .await
            .unwrap();
        let report = store.server().await.unwrap();
        assert!(
            report.log_bytes > 0 && report.log_bytes < report.database_bytes,
            "{report:?}"
        );
        assert!(
            !report.archiving_fails && report.replicas.is_empty(),
            "{report:?}"
        );
    });
}
