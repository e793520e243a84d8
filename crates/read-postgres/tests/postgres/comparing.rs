//! A new version of a model is compared with the live one, takes over, and the old one is dropped.

use std::collections::BTreeSet;
use std::sync::Arc;

use annals_core::{BoxError, ErrorKind, EventStore};
use annals_projection::{
    Checks, ComparedFields, Comparison, Inspect, Live, ModelId, ModelRows, ModelVersion, Processor,
    Projection, ProjectionVersions, Rebuild, RebuildSettings, Sink, TableRows,
};
use annals_read_postgres::{
    PostgresInspect, PostgresModel, PostgresRows, PostgresSink, drop_model, models,
};
use annals_store_memory::MemoryStore;
use serde_json::json;
use tokio_postgres::Client;

use crate::bank::{ADD, AccountEvent, append_all, change};
use crate::support::{self, RUNTIME, client, fresh_schema};

/// What a version does otherwise than version 1.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Otherwise {
    Nothing,
    /// The first change of an account counts a cent more.
    Cents,
    /// A table has a row less, another one more.
    Rows,
    /// A further column and a further table.
    More,
}

type PostgresRebuild = Rebuild<PostgresInspect, PostgresInspect>;

/// A log of 50 changes of 7 accounts, and its model in two versions.
struct Shop {
    url: String,
    models: String,
    store: Arc<dyn EventStore>,
    versions: ProjectionVersions,
    otherwise: Otherwise,
}

impl Shop {
    async fn new(url: &str, otherwise: Otherwise) -> Self {
        let store: Arc<dyn EventStore> = Arc::new(MemoryStore::new());
        for number in 0..50 {
            let append = change(number % 7, i64::from(number));
            store.append(append).await.unwrap();
        }
        Self {
            url: url.to_owned(),
            models: fresh_schema(),
            versions: ProjectionVersions::new(Arc::clone(&store), "balances", 1).unwrap(),
            store,
            otherwise,
        }
    }

    fn otherwise_of(&self, version: u32) -> Otherwise {
        match version {
            1 => Otherwise::Nothing,
            _ => self.otherwise,
        }
    }

    fn projection(&self, version: u32) -> Projection<PostgresModel> {
        let otherwise = self.otherwise_of(version);
        let take = move |model: &mut PostgresModel,
                         event: &AccountEvent,
                         recorded: &annals_core::RecordedEvent|
              -> Result<(), BoxError> {
            let AccountEvent::Changed { cents } = event;
            let position = i64::try_from(recorded.position().value())?;
            let is_first = position == 1;
            let more = i64::from(otherwise == Otherwise::Cents && is_first);
            let columns = ADD.replace("AS b VALUES", "AS b (account, cents) VALUES");
            let account = recorded.stream().as_str();
            model.execute(&columns, &[&account, &(cents + more)])?;
            if otherwise == Otherwise::Rows && is_first {
                model.execute(&columns, &[&"nobody", &0_i64])?;
                return Ok(());
            }
            let note = "x".repeat(9_000);
            model.execute("INSERT INTO {changes} VALUES ($1, $2)", &[&position, &note])?;
            Ok(())
        };
        let projection = Projection::builder("balances", version).unwrap();
        projection
            .on(annals_codec::JsonCodec, take)
            .build()
            .unwrap()
    }

    fn id(&self, version: u32) -> ModelId {
        self.projection(version).model_id()
    }

    fn sink(&self, version: u32) -> PostgresSink {
        let sink = PostgresSink::builder(&self.url).in_schema(&self.models);
        let sink = sink.runtime(RUNTIME.handle().clone());
        let is_more = self.otherwise_of(version) == Otherwise::More;
        let column = if is_more {
            ", more bigint DEFAULT 7"
        } else {
            ""
        };
        let mut sink = sink
            .schema(&format!(
                "CREATE TABLE {{balances}} (account text PRIMARY KEY, cents bigint NOT NULL{column})"
            ))
            .schema("CREATE TABLE {changes} (position bigint PRIMARY KEY, note text NOT NULL)")
            .schema("CREATE VIEW {rich} AS SELECT * FROM {balances} WHERE cents > 100");
        if is_more {
            sink = sink.schema("CREATE TABLE {more} (id text PRIMARY KEY)");
        }
        sink.build().unwrap()
    }

    fn inspect(&self, version: u32) -> PostgresInspect {
        self.sink(version).inspect(&self.id(version))
    }

    fn rebuild(&self) -> PostgresRebuild {
        let live = ModelVersion::new(&self.projection(1), self.inspect(1));
        let (projection, sink) = (self.projection(2), self.sink(2));
        Rebuild::new(
            self.versions.clone(),
            live,
            projection,
            sink,
            self.inspect(2),
        )
        .unwrap()
    }

    /// Applies a rebuild while the live version is fed.
    async fn apply(&self, rebuild: &PostgresRebuild) -> Comparison {
        let processor =
            Processor::builder(Arc::clone(&self.store)).project(self.projection(1), self.sink(1));
        let running = processor.build().unwrap().start();
        let plan = rebuild.plan().await.unwrap();
        let comparison = rebuild.apply(&plan).await.unwrap().unwrap();
        running.stop().await;
        comparison
    }

    /// Brings the model of version 1 up.
    async fn fill(&self) {
        let processor =
            Processor::builder(Arc::clone(&self.store)).project(self.projection(1), self.sink(1));
        let running = processor.build().unwrap().start();
        running.wait_until_live("balances").await.unwrap();
        running.stop().await;
    }
}

fn rows(table: &str, live: u64, new: u64) -> TableRows {
    TableRows {
        table: table.to_owned(),
        live: Some(live),
        new: Some(new),
    }
}

/// A condition of the application: nothing is lost.
fn same_sum(live: &PostgresRows, new: &PostgresRows) -> Result<(), BoxError> {
    let sum = |look: &PostgresRows| -> Result<i64, BoxError> {
        let rows = look.query("SELECT sum(cents)::bigint FROM {balances}", &[])?;
        Ok(rows.first().ok_or("no row")?.get(0)?)
    };
    let (live, new) = (sum(live)?, sum(new)?);
    if live == new {
        return Ok(());
    }
    Err(format!("{new} cents in all, and not {live}").into())
}

#[test]
fn a_version_that_is_the_same_takes_over_and_the_old_one_is_dropped() {
    let name = "a_version_that_is_the_same_takes_over_and_the_old_one_is_dropped";
    let Some(url) = support::server(name) else {
        return;
    };
    RUNTIME.block_on(async {
        let shop = Shop::new(&url, Otherwise::Nothing).await;
        let missing = models(&url, &shop.models).await.unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::Unavailable);
        let rebuild = shop.rebuild().on_condition(same_sum);
        let comparison = shop.apply(&rebuild).await;
        assert!(comparison.is_passed(), "{comparison}");
        let tables = [rows("balances", 7, 7), rows("changes", 50, 50)];
        assert_eq!(comparison.tables, tables);
        assert_eq!(comparison.compared, 2 * 57, "every row of each");
        let live = Live::open(shop.versions.clone(), [(1, 1), (2, 2)]).await;
        let live = live.unwrap();
        rebuild.cut_over(&Checks::Hold).await.unwrap();
        assert_eq!(live.refresh().await.unwrap(), 2);
        rebuild.processor().unwrap().stop().await;

        // Whoever still writes the old version is told.
        let (mut sink, id) = (shop.sink(1), shop.id(1));
        let mut sink = tokio::task::spawn_blocking(move || sink.open(&id).map(|_| sink))
            .await
            .unwrap()
            .unwrap();
        let both = models(&url, &shop.models).await.unwrap();
        let both: Vec<ModelId> = both.into_iter().map(|(id, _)| id).collect();
        assert_eq!(both, [shop.id(1), shop.id(2)]);
        assert!(drop_model(&url, &shop.models, &shop.id(1)).await.unwrap());
        assert!(!drop_model(&url, &shop.models, &shop.id(1)).await.unwrap());
        let begun = tokio::task::spawn_blocking(move || sink.begin());
        let refused = begun.await.unwrap().unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Conflict);
        let left = models(&url, &shop.models).await.unwrap();
        assert_eq!(left.len(), 1, "{left:?}");
        let tables = "SELECT tablename::text FROM pg_tables WHERE schemaname = $1 ORDER BY 1";
        let tables = client(&url).await.query(tables, &[&shop.models]).await;
        let tables: Vec<String> = tables.unwrap().iter().map(|row| row.get(0)).collect();
        assert_eq!(tables, ["annals_progress", "balances_v2", "changes_v2"]);
    });
}

#[test]
fn what_hangs_on_a_model_keeps_it_from_being_dropped() {
    let Some(url) = support::server("what_hangs_on_a_model_keeps_it_from_being_dropped") else {
        return;
    };
    RUNTIME.block_on(async {
        let shop = Shop::new(&url, Otherwise::Nothing).await;
        shop.fill().await;
        let view = format!(
            "CREATE VIEW {0}.mine AS SELECT * FROM {0}.balances_v1",
            shop.models
        );
        client(&url).await.batch_execute(&view).await.unwrap();
        let refused = drop_model(&url, &shop.models, &shop.id(1)).await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
        let look = shop.inspect(1).look().await.unwrap();
        assert_eq!(
            look.counts().await.unwrap()["changes"],
            50,
            "all of it is there"
        );
        let rich = look.query("SELECT count(*) FROM {rich}", &[]).unwrap();
        let rich: i64 = rich.first().unwrap().get(0).unwrap();
        assert_eq!(rich, 7, "its own view too, which goes first");
    });
}

/// An append has the head of the log when it takes the progress, and must not wait there for somebody's reader.
#[test]
fn a_drop_that_waits_for_a_reader_gives_up_and_holds_no_progress() {
    let name = "a_drop_that_waits_for_a_reader_gives_up_and_holds_no_progress";
    let Some(url) = support::server(name) else {
        return;
    };
    RUNTIME.block_on(async {
        let shop = Shop::new(&url, Otherwise::Nothing).await;
        shop.fill().await;
        let mut reading = client(&url).await;
        let reader = reading.transaction().await.unwrap();
        let read = format!("SELECT FROM {}.balances_v1", shop.models);
        reader.execute(&read, &[]).await.unwrap();
        let (url, models, id) = (url.clone(), shop.models.clone(), shop.id(1));
        let dropping = tokio::spawn(async move { drop_model(&url, &models, &id).await });
        let taking = client(&shop.url).await;
        waited_for(&taking, &shop.models, "balances_v1").await;
        let take = format!(
            "SET lock_timeout = 100; SELECT FROM {}.annals_progress FOR UPDATE",
            shop.models
        );
        taking.batch_execute(&take).await.unwrap();
        let refused = dropping.await.unwrap().unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Overloaded, "{refused}");
        reader.rollback().await.unwrap();
        shop.inspect(1).look().await.unwrap();
        assert!(
            drop_model(&shop.url, &shop.models, &shop.id(1))
                .await
                .unwrap()
        );
    });
}

#[test]
fn a_look_that_a_reset_overtakes_is_refused() {
    let Some(url) = support::server("a_look_that_a_reset_overtakes_is_refused") else {
        return;
    };
    RUNTIME.block_on(async {
        let shop = Shop::new(&url, Otherwise::Nothing).await;
        shop.fill().await;
        let mut resetting = client(&url).await;
        let reset = resetting.transaction().await.unwrap();
        let anew = "DROP VIEW {}.rich_v1; DROP TABLE {}.balances_v1; \
                    CREATE TABLE {}.balances_v1 (account text PRIMARY KEY, cents bigint)";
        let anew = anew.replace("{}", &shop.models);
        reset.batch_execute(&anew).await.unwrap();
        let inspect = shop.inspect(1);
        let looking = tokio::spawn(async move { inspect.look().await.map(drop) });
        waited_for(&client(&url).await, &shop.models, "balances_v1").await;
        reset.commit().await.unwrap();
        let refused = looking.await.unwrap().unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Unavailable, "{refused}");
        shop.inspect(1).look().await.unwrap();
    });
}

/// Waits until somebody waits for a lock on this table.
async fn waited_for(client: &Client, schema: &str, table: &str) {
    let query = "SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_class c ON c.oid = l.relation \
                 JOIN pg_namespace n ON n.oid = c.relnamespace \
                 WHERE NOT l.granted AND n.nspname = $1 AND c.relname = $2)";
    while !client
        .query_one(query, &[&schema, &table])
        .await
        .unwrap()
        .get::<_, bool>(0)
    {
        tokio::task::yield_now().await;
    }
}

#[test]
fn a_place_that_does_not_read_is_named() {
    let Some(url) = support::server("a_place_that_does_not_read_is_named") else {
        return;
    };
    RUNTIME.block_on(async {
        let shop = Shop::new(&url, Otherwise::Nothing).await;
        shop.fill().await;
        let damage = format!(
            "INSERT INTO {}.annals_progress VALUES ('x', 3, 0, 1, 'nowhere', 0, '')",
            shop.models
        );
        client(&url).await.batch_execute(&damage).await.unwrap();
        let refused = models(&url, &shop.models).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Corrupt);
        let facts: Vec<_> = refused.context().collect();
        assert_eq!(facts, [("name", "x"), ("version", "3")]);
    });
}

/// Versions whose types differ: a key is looked for as it is, and one that is no value of the type is not there.
#[test]
fn a_key_of_another_type_is_not_there() {
    let Some(url) = support::server("a_key_of_another_type_is_not_there") else {
        return;
    };
    RUNTIME.block_on(async {
        let shop = Shop::new(&url, Otherwise::Nothing).await;
        let sink = PostgresSink::builder(&url).in_schema(&shop.models);
        let sink = sink.runtime(RUNTIME.handle().clone()).schema(
            "CREATE TABLE {short} (id varchar(3) PRIMARY KEY, annals_count int, q int, number int); \
             CREATE TABLE {day} (id date, more text, PRIMARY KEY (id) INCLUDE (more)); \
             CREATE TABLE {sum} (id numeric(4, 1) PRIMARY KEY)",
        );
        let mut sink = sink.build().unwrap();
        let (id, opening) = (shop.id(1), shop.id(1));
        let sink = tokio::task::spawn_blocking(move || sink.open(&opening).map(|_| sink));
        let sink = sink.await.unwrap().unwrap();
        let fill = sink.expand(
            &id,
            "INSERT INTO {short} VALUES ('abc', 1, 2, 3); INSERT INTO {day} VALUES ('2026-01-02', 'x'); \
             INSERT INTO {sum} VALUES (1.2)",
        );
        client(&url).await.batch_execute(&fill.unwrap()).await.unwrap();
        let look = sink.inspect(&id).look().await.unwrap();
        for (key, is_there) in [
            ("short [\"abc\"]", true),
            ("short [\"abcd\"]", false),
            ("day [\"yesteryear\"]", false),
            ("day [\"2026-99-99\"]", false),
            ("day [\"2026-01-02\"]", true),
            ("sum [\"1.2\"]", true),
            ("sum [\"1.24\"]", false),
            ("sum [\"x\"]", false),
        ] {
            assert_eq!(look.row(key).await.unwrap().is_some(), is_there, "{key}");
        }
        let sample = look.sample(10, 0).await.unwrap();
        let keys: Vec<&str> = sample.iter().map(|row| row.key.as_str()).collect();
        assert_eq!(keys, ["short [\"abc\"]", "day [\"2026-01-02\"]", "sum [\"1.2\"]"]);
    });
}

#[test]
fn what_differs_is_shown() {
    let Some(url) = support::server("what_differs_is_shown") else {
        return;
    };
    RUNTIME.block_on(async {
        let shop = Shop::new(&url, Otherwise::Cents).await;
        let rebuild = shop.rebuild().on_condition(same_sum);
        let comparison = shop.apply(&rebuild).await;
        assert_eq!(comparison.different, 2, "once from each side");
        let first = comparison.differences.first().unwrap().to_string();
        assert_eq!(first, "balances [\"account-0\"]: cents is 197, was 196");
        let objections = [
            "2 of 114 compared rows differ",
            "1226 cents in all, and not 1225",
        ];
        assert_eq!(comparison.objections, objections);
        let refused = rebuild.cut_over(&Checks::Hold).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Refused);
        rebuild.processor().unwrap().stop().await;

        let shop = Shop::new(&url, Otherwise::Rows).await;
        let mut settings = RebuildSettings::DEFAULT;
        settings.sample_rows_max = 0;
        let rebuild = shop.rebuild().with_settings(settings).unwrap();
        let objections = [
            "balances: 8 rows against 7 of the live version",
            "changes: 49 rows against 50 of the live version",
        ];
        assert_eq!(shop.apply(&rebuild).await.objections, objections);
        rebuild.processor().unwrap().stop().await;
    });
}

#[test]
fn a_version_with_more_is_compared_by_what_both_have() {
    let Some(url) = support::server("a_version_with_more_is_compared_by_what_both_have") else {
        return;
    };
    RUNTIME.block_on(async {
        let shop = Shop::new(&url, Otherwise::More).await;
        let rebuild = shop.rebuild();
        assert!(!shop.apply(&rebuild).await.is_passed());
        rebuild.processor().unwrap().stop().await;

        let mut settings = RebuildSettings::DEFAULT;
        settings.fields = ComparedFields::Common;
        let rebuild = shop.rebuild().with_settings(settings).unwrap();
        let comparison = shop.apply(&rebuild).await;
        assert!(comparison.is_passed(), "{comparison}");
        rebuild.processor().unwrap().stop().await;

        let look = shop.inspect(2).of_tables(["changes"]).look().await.unwrap();
        assert_eq!(look.counts().await.unwrap().len(), 1);
        let unknown = shop.inspect(2).of_tables(["change"]).look().await;
        assert_eq!(unknown.unwrap_err().kind(), ErrorKind::Invalid);
    });
}

#[test]
fn a_look_is_of_one_moment_and_samples_reach_every_row() {
    let Some(url) = support::server("a_look_is_of_one_moment_and_samples_reach_every_row") else {
        return;
    };
    RUNTIME.block_on(async {
        let shop = Shop::new(&url, Otherwise::Nothing).await;
        let missing = shop.inspect(1).look().await.unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::Unavailable);
        shop.fill().await;
        let look = shop.inspect(1).look().await.unwrap();
        append_all(&shop.store, 1, 1).await;
        shop.fill().await;
        assert_eq!(look.counts().await.unwrap()["changes"], 50);
        let key = "changes [51]";
        assert_eq!(look.row(key).await.unwrap(), None);
        assert_eq!(look.sample(1_000, 0).await.unwrap().len(), 57);
        let later = shop.inspect(1).look().await.unwrap();
        assert!(later.cursor().covers(look.cursor()) && later.cursor() != look.cursor());
        let row = later.row(key).await.unwrap().unwrap();
        assert_eq!(row.value["note"]["text_bytes"], 9_000);
        for (other, is_key) in [("nonsense", false), ("changes []", true), ("x [1]", true)] {
            assert_eq!(look.row(other).await.is_ok(), is_key, "{other}");
        }

        let mut keys = BTreeSet::new();
        for seed in 0..50 {
            let sample = look.sample(8, seed).await.unwrap();
            assert_eq!(sample.len(), 8);
            for table in ["balances ", "changes "] {
                assert!(sample.iter().any(|row| row.key.starts_with(table)));
            }
            keys.extend(sample.into_iter().map(|row| row.key));
        }
        assert_eq!(keys.len(), 57, "every row comes at some seed");
    });
}

/// Each type comes back as it is compared, and its row is found again by it, whatever the role is set to.
#[test]
fn rows_of_every_type_are_read_and_found_again() {
    let Some(url) = support::server("rows_of_every_type_are_read_and_found_again") else {
        return;
    };
    RUNTIME.block_on(async {
        let shop = Shop::new(&url, Otherwise::Nothing).await;
        let apart = if url.contains('?') { "&" } else { "?" };
        let url = format!("{url}{apart}options=-c%20timezone%3DAsia/Tokyo%20-c%20datestyle%3DGerman");
        let sink = PostgresSink::builder(&url).in_schema(&shop.models);
        let sink = sink.runtime(RUNTIME.handle().clone()).schema(
            "CREATE TYPE {mood} AS ENUM ('dull'); CREATE TABLE {loose} (a int, b json, c real, d bytea); \
             CREATE TABLE {kinds} (\"b \"\"1\" timestamptz, a int, t text, f float8, n numeric(9, 2), by bytea, \
             m {mood}, o bool, l int[], i smallint, c char(4), PRIMARY KEY (t, \"b \"\"1\", f, n, by, m, o, i, c, l))",
        );
        let mut sink = sink.build().unwrap();
        let id = shop.id(1);
        let opening = id.clone();
        let sink = tokio::task::spawn_blocking(move || sink.open(&opening).map(|_| sink));
        let sink = sink.await.unwrap().unwrap();
        let fill = sink.expand(
            &id,
            "INSERT INTO {kinds} SELECT '2026-01-02 03:04:05.6+00', NULL, t, f, 1.50, '\\x00ff', 'dull', true, '{1,2}', \
             7, 'ab' FROM (VALUES ('a \"b\"', 0.1), ('x', 'infinity'), ('', 'nan')) AS v (t, f); \
             INSERT INTO {loose} VALUES (NULL, '{\"a\":  1}', 0.1, NULL), (2, NULL, 'nan', '\\x01')",
        );
        client(&url).await.batch_execute(&fill.unwrap()).await.unwrap();
        let look = sink.inspect(&id).look().await.unwrap();
        let sample = look.sample(100, 7).await.unwrap();
        assert_eq!(sample.len(), 5);
        for row in &sample {
            let found = look.row(&row.key).await.unwrap();
            assert_eq!(found.as_ref(), Some(row), "{}", row.key);
        }
        let first = sample.iter().find(|row| row.key.starts_with("kinds [\"a ")).unwrap();
        let expected = json!({
            "b \"1": "2026-01-02 03:04:05.6+00", "a": null, "t": "a \"b\"", "f": 0.1, "n": "1.50",
            "by": {"bytes": "00ff"}, "m": "dull", "o": true, "l": "{1,2}", "i": 7, "c": "ab",
        });
        assert_eq!(first.value, expected);
        // The columns of the key, in its order.
        assert!(first.key.starts_with("kinds [\"a \\\"b\\\"\",\"2026-"), "{}", first.key);
    });
}
