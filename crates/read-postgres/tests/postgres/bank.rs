//! A bank: what the tests project, and what they hold the models against.

use std::collections::BTreeMap;
use std::sync::Arc;

use annals_codec::{EventCodec, JsonCodec};
use annals_core::{
    Append, EventStore, EventStoreExt, Expected, Ids, ReadRequest, StreamId, UuidIds,
};
use annals_macros::Event;
use annals_projection::{ModelId, Projection, ProjectionBuilder};
use annals_read_postgres::{PostgresInline, PostgresModel, PostgresSink, PostgresSinkBuilder};
use annals_store_postgres::PostgresStore;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_postgres::{Client, IsolationLevel};

use crate::support::{RUNTIME, client, fresh_schema};

#[derive(Event, Serialize, Deserialize, Clone, Debug)]
#[event(category = "account")]
pub(crate) enum AccountEvent {
    Changed { cents: i64 },
}

/// The tables: a balance for each account, and each event that was taken, in the order of taking. An event that is
/// taken twice breaks the key.
const BALANCES: &str = "CREATE TABLE {balances} (account text PRIMARY KEY, cents bigint NOT NULL)";
const TAKEN: &str = "CREATE TABLE {taken} (position bigint PRIMARY KEY, place bigserial NOT NULL)";

pub(crate) const ADD: &str = "INSERT INTO {balances} AS b VALUES ($1, $2) \
     ON CONFLICT (account) DO UPDATE SET cents = b.cents + $2";

/// A log and models of its own.
pub(crate) struct Bank {
    pub(crate) url: String,
    pub(crate) schema: String,
    pub(crate) models: String,
    pub(crate) store: Arc<PostgresStore>,
}

/// What a model says, as of one moment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) balances: BTreeMap<String, i64>,
    /// The positions of the events that were taken, in the order of taking.
    pub(crate) taken: Vec<i64>,
    pub(crate) cursor: String,
}

impl Bank {
    pub(crate) async fn open(url: &str) -> Self {
        let (schema, models) = (fresh_schema(), fresh_schema());
        let store = PostgresStore::builder(url).schema(&schema);
        Self {
            url: url.to_owned(),
            schema,
            models,
            store: Arc::new(store.open_or_create().await.unwrap()),
        }
    }

    pub(crate) fn sink(&self) -> PostgresSink {
        self.sink_at(&self.url)
    }

    /// The same at another address.
    pub(crate) fn sink_at(&self, url: &str) -> PostgresSink {
        self.sink_builder(url).build().unwrap()
    }

    pub(crate) fn sink_builder(&self, url: &str) -> PostgresSinkBuilder {
        let sink = PostgresSink::builder(url).in_schema(&self.models);
        let sink = sink.schema(BALANCES).schema(TAKEN);
        sink.runtime(RUNTIME.handle().clone())
    }

    pub(crate) async fn inline(&self, projection: Projection<PostgresModel>) -> PostgresInline {
        let inline = PostgresInline::builder(Arc::clone(&self.store));
        inline
            .project(projection, self.sink())
            .open()
            .await
            .unwrap()
    }

    /// What the model of this version says, and what the log says that it should, of one moment.
    pub(crate) async fn told(&self, client: &mut Client, version: u32) -> (Told, Told) {
        let snapshot = client
            .build_transaction()
            .isolation_level(IsolationLevel::RepeatableRead)
            .read_only(true)
            .start()
            .await
            .unwrap();
        let Self { schema, models, .. } = self;
        let rows = snapshot
            .query(
                &format!("SELECT account, cents FROM {models}.balances_v{version}"),
                &[],
            )
            .await
            .unwrap();
        let balances = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        let query = format!("SELECT position FROM {models}.taken_v{version} ORDER BY place");
        let rows = snapshot.query(&query, &[]).await.unwrap();
        let taken = rows.iter().map(|row| row.get(0)).collect();
        let query =
            format!("SELECT cursor FROM {models}.annals_progress WHERE version = {version}");
        let cursor = snapshot.query_one(&query, &[]).await.unwrap().get(0);
        let found = Told {
            balances,
            taken,
            cursor,
        };

        let query =
            format!("SELECT position, stream, payload FROM {schema}.events ORDER BY position");
        let mut expected = Told {
            balances: BTreeMap::new(),
            taken: Vec::new(),
            cursor: String::new(),
        };
        for row in snapshot.query(&query, &[]).await.unwrap() {
            let payload: Vec<u8> = row.get(2);
            let payload: serde_json::Value = serde_json::from_slice(&payload).unwrap();
            let cents = payload
                .get("cents")
                .and_then(serde_json::Value::as_i64)
                .unwrap();
            *expected.balances.entry(row.get(1)).or_default() += cents;
            expected.taken.push(row.get(0));
        }
        let query = format!("SELECT position FROM {schema}.log");
        let head: i64 = snapshot.query_one(&query, &[]).await.unwrap().get(0);
        let head = u64::try_from(head).unwrap();
        expected.cursor = annals_core::Cursor::at(head.into()).to_string();
        (found, expected)
    }

    /// The model of this version has just what the log has.
    pub(crate) async fn assert_even(&self, version: u32) {
        let (found, expected) = self.told(&mut client(&self.url).await, version).await;
        assert_eq!(found, expected);
    }

    /// How many events the log has.
    pub(crate) async fn events(&self) -> usize {
        self.store.collect(ReadRequest::all()).await.unwrap().len()
    }
}

/// The balances.
pub(crate) fn balances(version: u32) -> ProjectionBuilder<PostgresModel> {
    balances_and(version, |_, _| Ok(()))
}

/// The balances, which refuse 666 and halt at 700: that they do is heard, and they are told to go on.
pub(crate) fn balances_that_halt() -> (
    ProjectionBuilder<PostgresModel>,
    UnboundedReceiver<()>,
    std::sync::mpsc::Sender<()>,
) {
    let (told, hears) = tokio::sync::mpsc::unbounded_channel();
    let (go_on, waits) = std::sync::mpsc::channel::<()>();
    let waits = std::sync::Mutex::new(waits);
    let projection = balances_and(1, move |_, cents| match cents {
        666 => Err("not this one".into()),
        700 => {
            told.send(()).unwrap();
            Ok(waits.lock().unwrap().recv()?)
        }
        _ => Ok(()),
    });
    (projection, hears, go_on)
}

/// The balances, with something done after the rows of an event.
pub(crate) fn balances_and(
    version: u32,
    then: impl Fn(&mut PostgresModel, i64) -> Result<(), annals_core::BoxError> + Send + Sync + 'static,
) -> ProjectionBuilder<PostgresModel> {
    let builder = Projection::builder("balances", version).unwrap();
    builder.on(
        JsonCodec,
        move |model: &mut PostgresModel, event: &AccountEvent, recorded| {
            let AccountEvent::Changed { cents } = event;
            model.execute(ADD, &[&recorded.stream().as_str(), cents])?;
            let position = i64::try_from(recorded.position().value())?;
            model.execute("INSERT INTO {taken} VALUES ($1)", &[&position])?;
            then(model, *cents)
        },
    )
}

pub(crate) fn model_id() -> ModelId {
    balances(1).build().unwrap().model_id()
}

/// An append of one change of an account, whatever the account is.
pub(crate) fn change(account: u32, cents: i64) -> Append {
    changes(account, &[cents])
}

pub(crate) fn changes(account: u32, cents: &[i64]) -> Append {
    let event = |cents: &i64| {
        JsonCodec
            .encode(&AccountEvent::Changed { cents: *cents })
            .unwrap()
    };
    let stream = StreamId::parse(&format!("account-{account}")).unwrap();
    Append::builder(UuidIds::default().append_id())
        .write(stream, Expected::Any, cents.iter().map(event))
        .build()
        .unwrap()
}

/// Appends so many changes through a store, and gives up on nothing.
pub(crate) async fn append_all(store: &impl EventStore, account: u32, count: i64) {
    for cents in 1..=count {
        store.append(change(account, cents)).await.unwrap();
    }
}
