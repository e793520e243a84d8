//! A version is built, compared, cut over to, rolled back and dropped.

use std::sync::Arc;
use std::time::Duration;

use annals_concurrency::BlockingThreads;
use annals_core::{ErrorKind, EventStore};
use annals_projection::{
    Checks, Live, MemorySink, MemoryView, ModelRow, ModelVersion, Processor, ProcessorHandle,
    ProjectionVersions, Rebuild, RebuildPlan, RebuildSettings, VersionStanding,
};
use annals_store_memory::MemoryStore;
use futures_executor::block_on;

use crate::durable::Disk;
use crate::shop::{Stock, fold, place, sold};

type MemoryRebuild =
    Rebuild<annals_projection::MemoryInspect<Stock>, annals_projection::MemoryInspect<Stock>>;

struct Shop {
    store: Arc<dyn EventStore>,
    versions: ProjectionVersions,
    old: MemoryView<Stock>,
    running: ProcessorHandle,
}

fn rows(stock: &Stock) -> Vec<ModelRow> {
    let rows = stock.iter();
    rows.map(|(item, pieces)| ModelRow::new(item, *pieces))
        .collect()
}

impl Shop {
    /// A shop whose first version is fed, with so many orders.
    async fn open(orders: u64) -> Self {
        let store: Arc<dyn EventStore> = Arc::new(MemoryStore::new());
        for order in 0..orders {
            place(&*store, order, order % 7).await;
        }
        let sink = MemorySink::new(Stock::new());
        let old = sink.view();
        let processor = Processor::builder(Arc::clone(&store)).project(sold(1), sink);
        let running = processor.build().unwrap().start();
        running.wait_until_live("sold").await.unwrap();
        Self {
            versions: ProjectionVersions::new(Arc::clone(&store), "sold", 1).unwrap(),
            store,
            old,
            running,
        }
    }

    fn live(&self) -> ModelVersion<annals_projection::MemoryInspect<Stock>> {
        ModelVersion::new(&sold(1), self.old.inspect(rows))
    }

    fn rebuild(&self, version: u32) -> (MemoryRebuild, MemoryView<Stock>) {
        let sink = MemorySink::new(Stock::new());
        let view = sink.view();
        let inspect = view.inspect(rows);
        let rebuild = Rebuild::new(
            self.versions.clone(),
            self.live(),
            sold(version),
            sink,
            inspect,
        );
        let mut settings = RebuildSettings::DEFAULT;
        settings.patience = Duration::from_millis(200);
        let rebuild = rebuild.unwrap().with_settings(settings).unwrap();
        (rebuild.with_spawn(BlockingThreads), view)
    }
}

#[test]
fn a_version_takes_over_and_can_be_rolled_back() {
    block_on(async {
        let shop = Shop::open(2500).await;
        let (rebuild, new) = shop.rebuild(2);
        let live = Live::open(
            shop.versions.clone(),
            [(1, shop.old.clone()), (2, new.clone())],
        );
        let live = live.await.unwrap();
        let following = live.clone();
        std::thread::spawn(move || block_on(async move { following.follow().await }));

        let plan = rebuild.plan().await.unwrap();
        assert_eq!(
            plan.to_string(),
            "sold: v1 is live; record v2 as begun, build v2 beside v1, compare v2 with v1, \
             then v2 can be cut over to"
        );
        let comparison = rebuild.apply(&plan).await.unwrap().unwrap();
        assert!(comparison.is_passed(), "{comparison}");
        assert_eq!(
            (
                comparison.rows_live,
                comparison.rows_new,
                comparison.compared
            ),
            (7, 7, 14)
        );
        assert_eq!(live.version(), 1);
        let status = rebuild.status().await.unwrap();
        assert_eq!(status.recorded.to_string(), "v1 live, v2 being built");

        rebuild.cut_over(&Checks::Hold).await.unwrap();
        live.wait_for_version(2).await;
        let receipt = place(&*shop.store, 1, 1).await;
        rebuild.status().await.unwrap();
        let reader = live.read().unwrap();
        assert_eq!(reader.version(), 2);
        // Both are fed on.
        shop.running.wait_for("sold", &receipt).await.unwrap();
        let feeding = rebuild.into_processor().unwrap();
        feeding.wait_for("sold.v2", &receipt).await.unwrap();
        let all = fold(&*shop.store, &receipt.cursor).await;
        assert_eq!((&*new.read(), &*shop.old.read()), (&all, &all));

        let settings = RebuildSettings::DEFAULT;
        shop.versions
            .roll_back(&shop.live(), &settings, &Checks::Hold)
            .await
            .unwrap();
        live.wait_for_version(1).await;
        let recorded = shop.versions.read().await.unwrap();
        assert_eq!(recorded.standing(2), Some(VersionStanding::Kept));
        feeding.stop().await;
        let (dropped, sink) = (sold(2), MemorySink::new(Stock::new()));
        let dropping = shop.versions.drop_version(&dropped, sink);
        dropping.await.unwrap();
        let recorded = shop.versions.read().await.unwrap();
        assert_eq!(recorded.to_string(), "v1 live, v2 dropped");
        assert!(recorded.is_fed(1) && !recorded.is_fed(2));
        // What was dropped does not come back, and the next version is a higher one.
        let error = RebuildPlan::new("sold", &recorded, 2).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        RebuildPlan::new("sold", &recorded, 3).unwrap();
        shop.running.stop().await;
    });
}

#[test]
fn a_version_that_differs_is_refused_unless_somebody_says_why() {
    block_on(async {
        let shop = Shop::open(70).await;
        let (rebuild, _) = shop.rebuild(3);
        let rebuild = rebuild.on_condition(|live, new| {
            let sum = |stock: &Stock| stock.values().sum::<u64>();
            if sum(live) == sum(new) {
                Ok(())
            } else {
                Err("the sums differ".into())
            }
        });
        let plan = rebuild.plan().await.unwrap();
        let comparison = rebuild.apply(&plan).await.unwrap().unwrap();
        assert_eq!(
            comparison.objections,
            ["2 of 14 compared rows differ", "the sums differ"]
        );
        let first = comparison.differences.first().unwrap();
        assert_eq!(
            (first.live.clone(), first.new.clone()),
            (Some(10.into()), Some(20.into()))
        );
        let error = rebuild.cut_over(&Checks::Hold).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert_eq!(shop.versions.read().await.unwrap().live(), 1);
        let checks = Checks::Despite("item 0 was counted wrong before".to_owned());
        rebuild.cut_over(&checks).await.unwrap();
        assert_eq!(shop.versions.read().await.unwrap().live(), 3);
        shop.running.stop().await;
    });
}

#[test]
fn a_version_that_lags_does_not_take_over() {
    block_on(async {
        let shop = Shop::open(10).await;
        let (rebuild, _) = shop.rebuild(2);
        let plan = rebuild.plan().await.unwrap();
        rebuild.apply(&plan).await.unwrap();
        drop(rebuild);
        // A program that began anew, whose model is built anew: it was compared, and has nothing yet.
        let (rebuild, _) = shop.rebuild(2);
        let error = rebuild.cut_over(&Checks::Hold).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        let plan = rebuild.plan().await.unwrap();
        assert_eq!(
            plan.to_string(),
            "sold: v1 is live; build v2 beside v1, then v2 can be cut over to"
        );
        rebuild.apply(&plan).await.unwrap();
        rebuild.cut_over(&Checks::Hold).await.unwrap();
        // Nobody rolls back to a version that is not fed any more.
        shop.running.stop().await;
        place(&*shop.store, 1, 1).await;
        let error = rebuild.roll_back(&Checks::Hold).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        rebuild
            .roll_back(&Checks::Despite("the new one is wrong".to_owned()))
            .await
            .unwrap();
        assert_eq!(shop.versions.read().await.unwrap().live(), 1);
    });
}

#[test]
fn of_two_operators_one_changes_the_versions() {
    block_on(async {
        let shop = Shop::open(10).await;
        let (first, _) = shop.rebuild(2);
        let (second, _) = shop.rebuild(4);
        let (plan, other_plan) = (first.plan().await.unwrap(), second.plan().await.unwrap());
        first.apply(&plan).await.unwrap();
        let error = second.apply(&other_plan).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        let error = second.plan().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        shop.running.stop().await;
    });
}

#[test]
fn a_program_that_is_too_old_for_the_live_version_says_so() {
    block_on(async {
        let shop = Shop::open(10).await;
        let (rebuild, _) = shop.rebuild(2);
        let live = Live::open(shop.versions.clone(), [(1, shop.old.clone())])
            .await
            .unwrap();
        let plan = rebuild.plan().await.unwrap();
        rebuild.apply(&plan).await.unwrap();
        rebuild.cut_over(&Checks::Hold).await.unwrap();
        assert_eq!(live.read().unwrap().version(), 1);
        assert_eq!(live.refresh().await.unwrap(), 2);
        assert_eq!(live.read().unwrap_err().kind(), ErrorKind::Unsupported);
        shop.running.stop().await;
    });
}

#[test]
fn a_version_is_compared_while_orders_flow() {
    block_on(async {
        let shop = Shop::open(500).await;
        let (rebuild, _) = shop.rebuild(2);
        let rebuild = rebuild.on_condition(|live, new| {
            if **live == **new {
                Ok(())
            } else {
                Err("not of one moment".into())
            }
        });
        let store = Arc::clone(&shop.store);
        let writer = std::thread::spawn(move || {
            for order in 0..3000 {
                block_on(place(&*store, order, order % 7));
            }
        });
        let plan = rebuild.plan().await.unwrap();
        let comparison = rebuild.apply(&plan).await.unwrap().unwrap();
        assert!(comparison.is_passed(), "{comparison}");
        writer.join().unwrap();
        rebuild.cut_over(&Checks::Hold).await.unwrap();
        shop.running.stop().await;
    });
}

#[test]
fn what_is_dropped_is_emptied() {
    block_on(async {
        let shop = Shop::open(10).await;
        let disk = Disk::default();
        let rebuild = Rebuild::new(
            shop.versions.clone(),
            shop.live(),
            sold(2),
            disk.sink(),
            disk.clone(),
        );
        let rebuild = rebuild.unwrap();
        let plan = rebuild.plan().await.unwrap();
        rebuild.apply(&plan).await.unwrap();
        assert_eq!(disk.kept().stock.len(), 7);
        let feeding = rebuild.into_processor().unwrap();
        feeding.stop().await;
        shop.versions
            .drop_version(&sold(2), disk.sink())
            .await
            .unwrap();
        assert_eq!(disk.kept(), crate::durable::Kept::default());
        let error = shop
            .versions
            .drop_version(&sold(1), disk.sink())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        shop.running.stop().await;
    });
}

#[test]
fn a_version_that_passes_over_events_is_objected_to() {
    block_on(async {
        let shop = Shop::open(10).await;
        let skipping = annals_projection::Projection::<Stock>::builder("sold", 2)
            .unwrap()
            .on(
                annals_codec::JsonCodec,
                |stock, placed: &crate::shop::Placed, _| {
                    if placed.item == 1 {
                        return Err("not this one".into());
                    }
                    *stock.entry(format!("item-{}", placed.item)).or_default() += placed.pieces;
                    Ok(())
                },
            )
            .on_failure(
                annals_projection::FailurePolicy::skip()
                    .retrying(annals_concurrency::RetryPolicy::NEVER),
            )
            .build()
            .unwrap();
        let sink = MemorySink::new(Stock::new());
        let inspect = sink.view().inspect(rows);
        let rebuild =
            Rebuild::new(shop.versions.clone(), shop.live(), skipping, sink, inspect).unwrap();
        let plan = rebuild.plan().await.unwrap();
        let comparison = rebuild.apply(&plan).await.unwrap().unwrap();
        let objections = comparison.objections;
        assert!(
            objections
                .iter()
                .any(|objection| objection == "2 events are parked or skipped"),
            "{objections:?}"
        );
        shop.running.stop().await;
    });
}
