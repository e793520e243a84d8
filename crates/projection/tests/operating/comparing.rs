//! Versions are compared at one place, whatever is recorded between the looks.

use std::sync::Arc;

use annals_core::{Error, EventStore};
use annals_projection::{Inspect, ModelVersion, Processor, ProjectionVersions, Rebuild};
use annals_store_memory::MemoryStore;
use async_trait::async_trait;

use crate::durable::{Disk, Kept};
use crate::shop::{place, sold};
use crate::tasks::{Tasks, pass};
use crate::world::World;

/// Looks, and then orders come before it answers.
#[derive(Debug)]
struct Meddled {
    disk: Disk,
    store: Arc<MemoryStore>,
}

/// Answers late: whatever can be projected is projected by then.
#[derive(Debug)]
struct Late(Disk);

#[async_trait]
impl Inspect for Meddled {
    type Rows = Kept;

    async fn look(&self) -> Result<Kept, Error> {
        let look = self.disk.look().await;
        for item in 0..3 {
            place(&*self.store, item, item).await;
        }
        look
    }
}

#[async_trait]
impl Inspect for Late {
    type Rows = Kept;

    async fn look(&self) -> Result<Kept, Error> {
        for _ in 0..300 {
            pass().await;
        }
        self.0.look().await
    }
}

#[test]
fn versions_are_compared_at_one_place() {
    for seed in 0..50 {
        let tasks = Tasks::new(seed);
        let memory = Arc::new(MemoryStore::new());
        let store: Arc<dyn EventStore> = Arc::<MemoryStore>::clone(&memory);
        let (old, new, world) = (Disk::default(), Disk::default(), World::new());
        let spawn = tasks.clone();
        let comparison = tasks.run(async move {
            for item in 0..20 {
                place(&*store, item, item % 3).await;
            }
            let processor = Processor::builder(Arc::clone(&store))
                .timer(world.clone())
                .spawn(spawn.clone())
                .project(sold(1), old.sink());
            let running = processor.build().unwrap().start();
            running.wait_until_live("sold").await.unwrap();
            let versions = ProjectionVersions::new(Arc::clone(&store), "sold", 1).unwrap();
            let meddled = Meddled {
                disk: old,
                store: memory,
            };
            let live = ModelVersion::new(&sold(1), meddled);
            let rebuild = Rebuild::new(versions, live, sold(2), new.sink(), Late(new.clone()))
                .unwrap()
                .with_spawn(spawn)
                .on_condition(|live: &Kept, new: &Kept| {
                    if live.stock == new.stock {
                        Ok(())
                    } else {
                        Err("not of one place".into())
                    }
                });
            let plan = rebuild.plan().await.unwrap();
            rebuild.apply(&plan).await.unwrap().unwrap()
        });
        assert!(comparison.is_passed(), "seed {seed}: {comparison}");
        tasks.crash();
    }
}
