//! The sink as a whole: the contract of sinks, and what it refuses.

use std::collections::BTreeMap;

use annals_core::{Error, ErrorKind};
use annals_projection::conformance::{SinkBackend, check};
use annals_projection::{ModelId, Sink};
use annals_read_postgres::{PostgresModel, PostgresSink, PostgresSinkBuilder};

use crate::bank::model_id;
use crate::support::{RUNTIME, client, fresh_schema, server};

const SUMS: &str = "CREATE TABLE {sums} (key text PRIMARY KEY, sum bigint NOT NULL)";
const ADD: &str =
    "INSERT INTO {sums} AS s VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET sum = s.sum + $2";

struct InPostgres(String);

fn builder(url: &str, models: &str) -> PostgresSinkBuilder {
    let builder = PostgresSink::builder(url).in_schema(models);
    builder.runtime(RUNTIME.handle().clone())
}

impl SinkBackend for InPostgres {
    type Sink = PostgresSink;
    type Storage = String;

    fn storage(&self) -> String {
        fresh_schema()
    }

    fn sink(&self, models: &mut String) -> PostgresSink {
        builder(&self.0, models).schema(SUMS).build().unwrap()
    }

    fn add(&self, model: &mut PostgresModel, key: &str, amount: i64) -> Result<(), Error> {
        model.execute(ADD, &[&key, &amount]).map(drop)
    }

    fn sums(&self, models: &String, model: &ModelId) -> Result<BTreeMap<String, i64>, Error> {
        let sums = self.sink(&mut models.clone()).expand(model, "{sums}")?;
        RUNTIME.block_on(async {
            let client = client(&self.0).await;
            let is_there = client
                .query_one("SELECT to_regclass($1) IS NOT NULL", &[&sums])
                .await;
            if !is_there.unwrap().get::<_, bool>(0) {
                return Ok(BTreeMap::new());
            }
            let rows = client
                .query(&format!("SELECT key, sum FROM {sums}"), &[])
                .await
                .unwrap();
            Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
        })
    }

    fn survives(&self) -> bool {
        true
    }
}

#[test]
fn the_contract_is_kept() {
    let Some(url) = server("the_contract_is_kept") else {
        return;
    };
    assert_eq!(check(&InPostgres(url)), Vec::<String>::new());
}

#[test]
fn a_handler_does_not_end_the_transaction() {
    let Some(url) = server("a_handler_does_not_end_the_transaction") else {
        return;
    };
    let mut sink = builder(&url, &fresh_schema()).schema(SUMS).build().unwrap();
    sink.open(&model_id()).unwrap();
    for refused in [
        "COMMIT",
        " rollback",
        "-- a comment\nCOMMIT",
        "SELECT 1; COMMIT",
        "SAVEPOINT x",
        "SELECT $1::bigint",
    ] {
        sink.begin().unwrap();
        sink.model().execute(ADD, &[&"a", &1_i64]).unwrap();
        let error = sink.model().execute(refused, &[]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{refused}: {error}");
        // Whatever the handler makes of it, nothing follows.
        assert!(sink.model().execute(ADD, &[&"a", &1_i64]).is_err());
        sink.roll_back().unwrap();
    }
    let sums = InPostgres(url)
        .sums(&sink_schema(&sink), &model_id())
        .unwrap();
    assert_eq!(sums, BTreeMap::new());
}

/// The schema that a sink is in, as its names tell.
fn sink_schema(sink: &PostgresSink) -> String {
    let name = sink.expand(&model_id(), "{sums}").unwrap();
    name.split('"').nth(1).unwrap().to_owned()
}

#[test]
fn a_schema_that_makes_something_else_is_refused_and_leaves_nothing() {
    let Some(url) = server("a_schema_that_makes_something_else_is_refused_and_leaves_nothing")
    else {
        return;
    };
    let models = fresh_schema();
    let open = |schema: &str| {
        let mut sink = builder(&url, &models).schema(schema).build().unwrap();
        sink.open(&model_id()).map(drop)
    };
    let stray = format!("{SUMS}; CREATE TABLE stray (x int)");
    for refused in [&*stray, "CREATE TABLE {sums} (x no_type)"] {
        assert_eq!(
            open(refused).unwrap_err().kind(),
            ErrorKind::Invalid,
            "{refused}"
        );
    }
    open(SUMS).unwrap();
    let other = format!("{SUMS}; CREATE INDEX {{by_sum}} ON {{sums}} (sum)");
    let error = open(&other).unwrap_err().to_string();
    assert!(error.contains("raise the version"), "{error}");
    let none = builder(&url, &models)
        .schema("CREATE TABLE sums (x int)")
        .build();
    assert_eq!(none.unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn a_reset_makes_the_tables_of_the_present_schema() {
    let Some(url) = server("a_reset_makes_the_tables_of_the_present_schema") else {
        return;
    };
    let models = fresh_schema();
    let mut sink = builder(&url, &models).schema(SUMS).build().unwrap();
    sink.open(&model_id()).unwrap();
    let view = "CREATE VIEW {large} AS SELECT * FROM {sums} WHERE sum > 10";
    let mut sink = builder(&url, &models)
        .schema(SUMS)
        .schema(view)
        .build()
        .unwrap();
    assert!(sink.open(&model_id()).is_err());
    sink.reset().unwrap();
    sink.begin().unwrap();
    assert!(
        sink.model()
            .query_opt("SELECT * FROM {large}", &[])
            .unwrap()
            .is_none()
    );
    sink.roll_back().unwrap();
    sink.reset().unwrap();
}

#[test]
fn tables_that_are_there_already_are_not_taken_over() {
    let Some(url) = server("tables_that_are_there_already_are_not_taken_over") else {
        return;
    };
    let models = fresh_schema();
    let tolerant = SUMS.replace("CREATE TABLE", "CREATE TABLE IF NOT EXISTS");
    let sink = |schema: &str| builder(&url, &models).schema(schema).build().unwrap();
    let run = |sql: &str| {
        RUNTIME
            .block_on(async { client(&url).await.batch_execute(sql).await })
            .unwrap();
    };
    sink(&tolerant).open(&model_id()).unwrap();
    // As it is: opened once more.
    sink(&tolerant).open(&model_id()).unwrap();

    // Another projection, which would share the table, or what is called as its index is.
    let mut other = model_id();
    other.name = annals_core::CheckpointName::parse("others").unwrap();
    run(&format!("CREATE INDEX taken_v1 ON {models}.sums_v1 (sum)"));
    for taken in [&*tolerant, "CREATE TABLE IF NOT EXISTS {taken} (x int)"] {
        let error = sink(taken).open(&other).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{taken}");
        assert!(error.to_string().contains("drop it"), "{error}");
    }

    // What is left of a model whose place is gone.
    run(&format!("DELETE FROM {models}.annals_progress"));
    let error = sink(&tolerant).open(&model_id()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
}

#[test]
fn a_reset_drops_whatever_the_schema_made() {
    let Some(url) = server("a_reset_drops_whatever_the_schema_made") else {
        return;
    };
    let schema = "CREATE SEQUENCE {numbers}; CREATE TYPE {pair} AS (x int, y int); \
                  CREATE TABLE {sums} (key text PRIMARY KEY, sum bigint NOT NULL, \
                  number bigint DEFAULT nextval('NUMBERS'), pair {pair}); CREATE INDEX {by_sum} ON {sums} (sum)";
    let models = fresh_schema();
    let schema = schema.replace("NUMBERS", &format!("{models}.numbers_v1"));
    let mut sink = builder(&url, &models).schema(&schema).build().unwrap();
    sink.open(&model_id()).unwrap();
    for _ in 0..2 {
        sink.reset().unwrap();
    }
    sink.begin().unwrap();
    let add = "INSERT INTO {sums} (key, sum) VALUES ($1, $2) RETURNING number";
    let row = sink.model().query_opt(add, &[&"a", &1_i64]).unwrap();
    assert_eq!(row.unwrap().get::<i64>(0).unwrap(), 1);
    sink.roll_back().unwrap();
}
