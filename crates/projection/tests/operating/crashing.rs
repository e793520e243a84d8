//! A rebuild survives a crash at any point, and goes on.

use std::sync::Arc;
use std::time::Duration;

use annals_core::{Error, EventStore};
use annals_projection::{
    Checks, ModelVersion, Processor, ProcessorSettings, ProjectionVersions, Rebuild,
    VersionStanding,
};
use annals_store_memory::MemoryStore;
use proptest::prelude::*;

use crate::durable::Disk;
use crate::shop::{fold, place, sold};
use crate::tasks::{Tasks, pass};
use crate::world::World;
use crate::yielding::Yielding;

/// What outlives a crash.
struct Outliving {
    store: Arc<MemoryStore>,
    old: Disk,
    new: Disk,
    world: World,
}

impl Outliving {
    fn new() -> Self {
        Self {
            store: Arc::new(MemoryStore::new()),
            old: Disk::default(),
            new: Disk::default(),
            world: World::new(),
        }
    }

    fn versions(&self) -> ProjectionVersions {
        let store: Arc<dyn EventStore> = Arc::new(Yielding(Arc::<MemoryStore>::clone(&self.store)));
        let versions = ProjectionVersions::new(store, "sold", 1).unwrap();
        versions.with_timer(Arc::new(self.world.clone()))
    }

    /// A process: it feeds the versions that are recorded, appends orders, and carries the rebuild to its end.
    fn start(&self, tasks: &Tasks) -> Arc<std::sync::Mutex<Option<Result<(), Error>>>> {
        let versions = self.versions();
        let store: Arc<dyn EventStore> = Arc::new(Yielding(Arc::<MemoryStore>::clone(&self.store)));
        let (old, new, world) = (self.old.clone(), self.new.clone(), self.world.clone());
        let spawn = tasks.clone();
        tasks.begin(async move {
            let mut settings = ProcessorSettings::DEFAULT;
            settings.page_events_max = 7;
            let recorded = versions.read().await?;
            let mut processor = Processor::builder(Arc::clone(&store))
                .settings(settings.clone())
                .timer(world.clone())
                .spawn(spawn.clone());
            if recorded.is_fed(1) {
                processor = processor.project(sold(1), old.sink());
            }
            let running = processor.build()?.start();
            for order in 0..5 {
                place(&*store, order, order % 3).await;
            }
            let live = ModelVersion::new(&sold(1), old.clone());
            let rebuild = Rebuild::new(versions.clone(), live, sold(2), new.sink(), new.clone())?
                .with_processor_settings(settings)
                .with_spawn(spawn);
            let plan = rebuild.plan().await?;
            rebuild.apply(&plan).await?;
            rebuild.cut_over(&Checks::Hold).await?;
            pass().await;
            running.stop().await;
            versions.drop_version(&sold(1), old.sink()).await
        })
    }

    /// What holds at every moment, whoever just died.
    fn check(&self, tasks: &Tasks) {
        let versions = self.versions();
        let recorded = tasks.run(async move { versions.read().await.unwrap() });
        let live = match recorded.live() {
            1 => &self.old,
            _ => &self.new,
        };
        assert_ne!(
            recorded.standing(recorded.live()),
            Some(VersionStanding::Dropped)
        );
        let kept = live.kept();
        let store = Arc::clone(&self.store);
        let cursor = kept.cursor.clone();
        let expected = tasks.run(async move { fold(&*store, &cursor).await });
        assert_eq!(kept.stock, expected, "the live version is of its events");
        if recorded.live() == 2 {
            let comparison = recorded.comparison().unwrap();
            assert!(comparison.is_passed(), "{comparison}");
            assert!(kept.cursor.covers(&comparison.cursor), "it never goes back");
        }
    }
}

/// Runs processes that die after so many turns each, then one to its end.
fn survives(seed: u64, crashes: &[usize]) {
    let outliving = Outliving::new();
    let tasks = Tasks::new(seed);
    let store = Arc::clone(&outliving.store);
    tasks.run(async move {
        for order in 0..40 {
            place(&*store, order, order % 3).await;
        }
    });
    for turns in crashes {
        let done = outliving.start(&tasks);
        for _ in 0..*turns {
            tasks.turn();
            outliving.world.goes_on(Duration::from_millis(1));
        }
        if let Some(Err(error)) = &*done.lock().unwrap() {
            panic!("{error}");
        }
        tasks.crash();
        outliving.check(&tasks);
    }
    let done = outliving.start(&tasks);
    for _ in 0..100_000 {
        if done.lock().unwrap().is_some() {
            break;
        }
        tasks.turn();
        outliving.world.goes_on(Duration::from_millis(1));
    }
    done.lock().unwrap().take().unwrap().unwrap();
    tasks.crash();
    outliving.check(&tasks);
    let versions = outliving.versions();
    let recorded = tasks.run(async move { versions.read().await.unwrap() });
    assert_eq!(recorded.to_string(), "v1 dropped, v2 live");
    assert!(
        outliving.old.kept().stock.is_empty(),
        "what is dropped is emptied"
    );
}

#[test]
fn a_rebuild_survives_a_crash_at_every_turn() {
    for turns in 0..900 {
        survives(17, &[turns]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn a_rebuild_survives_any_crashes(
        seed in any::<u64>(),
        crashes in proptest::collection::vec(0..700_usize, 0..6),
    ) {
        survives(seed, &crashes);
    }
}
