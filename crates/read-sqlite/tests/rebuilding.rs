//! A new version of a model in SQLite is compared with the live one, and takes over.

#![expect(clippy::unwrap_used, reason = "a panic is a failed test")]

use std::path::PathBuf;
use std::sync::Arc;

use annals_codec::{EventCodec, JsonCodec};
use annals_core::{Append, ErrorKind, EventStore, Expected, Ids, StreamId, UuidIds};
use annals_macros::Event;
use annals_projection::{
    Checks, ComparedFields, Comparison, Inspect, Live, ModelRows, ModelVersion, Processor,
    Projection, ProjectionVersions, Rebuild, RebuildSettings, TableRows,
};
use annals_read_sqlite::{
    Change, ColumnType, SqliteInspect, SqliteModel, SqliteRows, SqliteSink, SqliteView, Table,
};
use annals_store_memory::MemoryStore;
use futures_executor::block_on;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

#[derive(Event, Serialize, Deserialize)]
#[event(category = "order")]
struct Placed {
    customer: String,
    cents: i64,
}

/// What a version does otherwise than version 1.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Otherwise {
    Nothing,
    /// One order of a customer counts a cent more.
    Cents,
    /// A table has a row less, another one more.
    Rows,
    /// A further column and a further table.
    More,
}

/// Spending by customer, and the orders, in tables of their own.
struct Model {
    version: u32,
    otherwise: Otherwise,
    path: PathBuf,
}

impl Model {
    fn new(directory: &TempDir, version: u32, otherwise: Otherwise) -> Self {
        Self {
            version,
            otherwise,
            path: directory.path().join(format!("v{version}.sqlite")),
        }
    }

    fn tables(&self) -> [Table; 2] {
        let spending = Table::new("spending").key("customer", ColumnType::Text);
        let spending = match self.otherwise {
            Otherwise::More => spending.number("orders"),
            _ => spending,
        };
        let orders = Table::new("orders").key("id", ColumnType::Text);
        [
            spending.number("cents").build().unwrap(),
            orders.column("note", ColumnType::Text).build().unwrap(),
        ]
    }

    fn projection(&self) -> Projection<SqliteModel> {
        let [spending, orders] = self.tables();
        let otherwise = self.otherwise;
        let take = move |model: &mut SqliteModel,
                         placed: &Placed,
                         recorded: &annals_core::RecordedEvent| {
            let order = recorded.stream().as_str();
            let is_first = order == "order-0";
            let more = i64::from(otherwise == Otherwise::Cents && is_first);
            let row = Change::upsert().key("customer", &placed.customer);
            spending.apply(model, row.add("cents", placed.cents + more))?;
            if otherwise == Otherwise::Rows && is_first {
                let row = Change::upsert().key("customer", "nobody").add("cents", 0);
                spending.apply(model, row)?;
                return Ok(());
            }
            let row = Change::upsert()
                .key("id", order)
                .set("note", "x".repeat(9_000));
            orders.apply(model, row)?;
            Ok(())
        };
        let projection = Projection::builder("spending", self.version).unwrap();
        projection.on(JsonCodec, take).build().unwrap()
    }

    fn sink(&self) -> SqliteSink {
        let [spending, orders] = self.tables();
        let mut sink = SqliteSink::builder(&self.path)
            .table(&spending)
            .table(&orders);
        if self.otherwise == Otherwise::More {
            sink = sink.schema("CREATE TABLE {more} (id TEXT PRIMARY KEY) STRICT");
        }
        sink.build().unwrap()
    }

    fn inspect(&self) -> SqliteInspect {
        self.sink().inspect(&self.projection().model_id())
    }
}

async fn append(store: &Arc<dyn EventStore>, order: u32) {
    let placed = Placed {
        customer: format!("customer-{}", order % 7),
        cents: i64::from(order),
    };
    let append = Append::builder(UuidIds::default().append_id())
        .write(
            StreamId::parse(&format!("order-{order}")).unwrap(),
            Expected::Any,
            [JsonCodec.encode(&placed).unwrap()],
        )
        .build();
    store.append(append.unwrap()).await.unwrap();
}

type SqliteRebuild = Rebuild<SqliteInspect, SqliteInspect>;

/// A store, its model in version 1 that is fed, and one in version 2 beside it.
struct Shop {
    store: Arc<dyn EventStore>,
    versions: ProjectionVersions,
    live: Model,
    new: Model,
    _directory: TempDir,
}

impl Shop {
    fn new(otherwise: Otherwise) -> Self {
        let directory = TempDir::new().unwrap();
        let store: Arc<dyn EventStore> = Arc::new(MemoryStore::new());
        for order in 0..50 {
            block_on(append(&store, order));
        }
        Self {
            versions: ProjectionVersions::new(Arc::clone(&store), "spending", 1).unwrap(),
            store,
            live: Model::new(&directory, 1, Otherwise::Nothing),
            new: Model::new(&directory, 2, otherwise),
            _directory: directory,
        }
    }

    fn rebuild(&self) -> SqliteRebuild {
        self.rebuild_of(self.live.inspect(), self.new.inspect())
    }

    fn rebuild_of(&self, live: SqliteInspect, new: SqliteInspect) -> SqliteRebuild {
        let live = ModelVersion::new(&self.live.projection(), live);
        let (projection, sink) = (self.new.projection(), self.new.sink());
        Rebuild::new(self.versions.clone(), live, projection, sink, new).unwrap()
    }

    /// Applies a rebuild while the live version is fed.
    fn apply(&self, rebuild: &SqliteRebuild) -> Comparison {
        let processor = Processor::builder(Arc::clone(&self.store))
            .project(self.live.projection(), self.live.sink());
        let running = processor.build().unwrap().start();
        block_on(async {
            let plan = rebuild.plan().await.unwrap();
            let comparison = rebuild.apply(&plan).await.unwrap().unwrap();
            running.stop().await;
            comparison
        })
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
fn same_sum(live: &SqliteRows, new: &SqliteRows) -> Result<(), annals_core::BoxError> {
    let sum = |view: &SqliteView| {
        let sum = view.query_row("SELECT sum(cents) FROM {spending}", (), |row| row.get(0))?;
        Ok(sum.unwrap_or(0))
    };
    let (live, new): (i64, i64) = (live.read(sum)?, new.read(sum)?);
    if live == new {
        return Ok(());
    }
    Err(format!("{new} cents in all, and not {live}").into())
}

#[test]
fn a_version_that_is_the_same_takes_over_and_can_be_rolled_back() {
    let shop = Shop::new(Otherwise::Nothing);
    let rebuild = shop.rebuild().on_condition(same_sum);
    let comparison = shop.apply(&rebuild);
    assert!(comparison.is_passed(), "{comparison}");
    let tables = [rows("orders", 50, 50), rows("spending", 7, 7)];
    assert_eq!(comparison.tables, tables);
    assert_eq!(comparison.compared, 2 * 57, "every row of each");
    block_on(async {
        let ids = [1, 2].map(|version| (version, version));
        let live = Live::open(shop.versions.clone(), ids).await.unwrap();
        rebuild.cut_over(&Checks::Hold).await.unwrap();
        assert_eq!(live.refresh().await.unwrap(), 2);
        rebuild
            .roll_back(&Checks::Despite("as a test".to_owned()))
            .await
            .unwrap();
        assert_eq!(live.refresh().await.unwrap(), 1);
        rebuild.processor().unwrap().stop().await;
    });
}

#[test]
fn a_row_that_differs_is_shown() {
    let shop = Shop::new(Otherwise::Cents);
    let rebuild = shop.rebuild().on_condition(same_sum);
    let comparison = shop.apply(&rebuild);
    assert_eq!(comparison.different, 2, "once from each side");
    let first = comparison.differences.first().unwrap().to_string();
    assert_eq!(first, "spending [\"customer-0\"]: cents is 197, was 196");
    let objections = [
        "2 of 114 compared rows differ",
        "1226 cents in all, and not 1225",
    ];
    assert_eq!(comparison.objections, objections);
    let refused = block_on(rebuild.cut_over(&Checks::Hold)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Refused);
}

#[test]
fn tables_are_counted_apart() {
    let shop = Shop::new(Otherwise::Rows);
    let mut settings = RebuildSettings::DEFAULT;
    settings.sample_rows_max = 0;
    let rebuild = shop.rebuild().with_settings(settings).unwrap();
    let comparison = shop.apply(&rebuild);
    assert_eq!((comparison.rows_live, comparison.rows_new), (57, 57));
    let objections = [
        "orders: 49 rows against 50 of the live version",
        "spending: 8 rows against 7 of the live version",
    ];
    assert_eq!(comparison.objections, objections);
}

#[test]
fn a_version_with_more_is_compared_by_what_both_have() {
    let shop = Shop::new(Otherwise::More);
    let rebuild = shop.rebuild();
    assert!(!shop.apply(&rebuild).is_passed());
    block_on(rebuild.processor().unwrap().stop());

    let mut settings = RebuildSettings::DEFAULT;
    settings.fields = ComparedFields::Common;
    let rebuild = shop.rebuild().with_settings(settings).unwrap();
    let comparison = shop.apply(&rebuild);
    assert!(comparison.is_passed(), "{comparison}");

    let tables = |model: &Model| model.inspect().of_tables(["orders"]);
    let look = block_on(tables(&shop.new).look()).unwrap();
    assert_eq!(block_on(look.counts()).unwrap().len(), 1);
    let unknown = shop.new.inspect().of_tables(["order"]);
    let unknown = block_on(unknown.look()).unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::Invalid);
}

#[test]
fn a_look_is_of_one_moment() {
    let shop = Shop::new(Otherwise::Nothing);
    let missing = block_on(shop.live.inspect().look()).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::Unavailable);
    let processor = Processor::builder(Arc::clone(&shop.store));
    let processor = processor.project(shop.live.projection(), shop.live.sink());
    let running = processor.build().unwrap().start();
    block_on(async {
        running.wait_until_live("spending").await.unwrap();
        let look = shop.live.inspect().look().await.unwrap();
        append(&shop.store, 50).await;
        running.wait_until_live("spending").await.unwrap();
        assert_eq!(look.counts().await.unwrap()["orders"], 50);
        let key = "orders [\"order-50\"]";
        assert_eq!(look.row(key).await.unwrap(), None);
        assert_eq!(look.sample(1_000, 0).await.unwrap().len(), 57);
        let later = shop.live.inspect().look().await.unwrap();
        assert!(later.cursor().covers(look.cursor()) && later.cursor() != look.cursor());
        let row = later.row(key).await.unwrap().unwrap();
        assert_eq!(row.value["note"]["text_bytes"], 9_000);
        assert!(look.row("nonsense").await.is_err());
        running.stop().await;
    });
}

#[test]
fn a_sample_has_of_every_table_and_others_by_another_seed() {
    let shop = Shop::new(Otherwise::Nothing);
    let processor = Processor::builder(Arc::clone(&shop.store));
    let processor = processor.project(shop.live.projection(), shop.live.sink());
    let running = processor.build().unwrap().start();
    block_on(async {
        running.wait_until_live("spending").await.unwrap();
        running.stop().await;
        let look = shop.live.inspect().look().await.unwrap();
        let mut keys = std::collections::BTreeSet::new();
        for seed in 0..50 {
            let sample = look.sample(8, seed).await.unwrap();
            assert_eq!(sample.len(), 8);
            for table in ["orders ", "spending "] {
                assert!(sample.iter().any(|row| row.key.starts_with(table)));
            }
            keys.extend(sample.into_iter().map(|row| row.key));
        }
        assert_eq!(keys.len(), 57, "every row comes at some seed");
        assert!(look.sample(1, 0).await.unwrap().len() <= 1);
    });
}
