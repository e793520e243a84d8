//! A version takes over while events come and somebody reads.

use std::sync::Arc;
use std::time::Duration;

use annals_codec::JsonCodec;
use annals_concurrency::Timer;
use annals_core::{Append, Error, EventStore, Expected, Ids, Receipt, StreamId, UuidIds};
use annals_macros::Event;
use annals_store_memory::MemoryStore;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use shuttle::future::{block_on, spawn, yield_now};

use super::memory::view::MemoryView;
use super::rebuild::live::Live;
use super::rebuild::memory::MemoryInspect;
use super::rebuild::rows::{ModelRow, ModelVersion};
use super::rebuild::running::Rebuild;
use super::rebuild::versions::{Checks, ProjectionVersions};
use super::scenarios::{Stepping, Tasks};
use super::{MemorySink, Processor, ProcessorSettings, Projection};

#[derive(Event, Serialize, Deserialize)]
#[event(category = "note")]
struct Noted;

/// Pauses that let others take their turns, and take no time.
#[derive(Debug)]
pub(crate) struct Turns;

impl Timer for Turns {
    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(yield_now())
    }
}

fn counted(version: u32) -> Projection<u64> {
    let builder = Projection::<u64>::builder("counted", version).unwrap();
    let builder = builder.on(JsonCodec, |count, _: &Noted, _| {
        *count += 1;
        Ok(())
    });
    builder.build().unwrap()
}

async fn note(store: &dyn EventStore) -> Receipt {
    use annals_codec::EventCodec;
    let append = Append::builder(UuidIds::default().append_id())
        .write(
            StreamId::from_static("note-1"),
            Expected::Any,
            [JsonCodec.encode(&Noted).unwrap()],
        )
        .build()
        .unwrap();
    store.append(append).await.unwrap()
}

fn inspect(view: &MemoryView<u64>) -> MemoryInspect<u64> {
    view.inspect(|count| vec![ModelRow::new("count", *count)])
}

/// Reads on until version 2 is live, and tells what it has.
async fn read_until_version_2(live: &Live<MemoryView<u64>>) -> u64 {
    let mut newest = 1;
    while newest < 2 {
        let version = live.refresh().await.unwrap();
        assert!(version >= newest, "no reader goes back");
        newest = version;
        yield_now().await;
    }
    *live.read().unwrap().read()
}

/// A writer appends, somebody reads through a live handle, and version 2 takes over: it has what is recorded, no reader
/// goes back a version, and what is read is never more than what is recorded.
pub(crate) fn cutting_over_while_events_come() {
    block_on(async {
        let store: Arc<dyn EventStore> = Arc::new(Stepping(MemoryStore::new()));
        let tasks = Tasks::default();
        let mut settings = ProcessorSettings::DEFAULT;
        settings.page_events_max = 2;
        note(&*store).await;
        let (old, new) = (MemorySink::new(0), MemorySink::new(0));
        let views = [old.view(), new.view()];
        let versions = ProjectionVersions::new(Arc::clone(&store), "counted", 1).unwrap();
        let versions = versions.with_timer(Arc::new(Turns));
        let spawned = tasks.clone();
        let running = Processor::builder(Arc::clone(&store))
            .settings(settings.clone())
            .timer(Turns)
            .spawn(move |task| spawned.spawn(task))
            .project(counted(1), old)
            .build()
            .unwrap()
            .start();
        let readers = [(1, views[0].clone()), (2, views[1].clone())];
        let live = Live::open(versions.clone(), readers).await.unwrap();

        let writer = spawn({
            let store = Arc::clone(&store);
            async move {
                note(&*store).await;
                note(&*store).await
            }
        });
        let reader = spawn({
            let live = live.clone();
            async move { read_until_version_2(&live).await }
        });
        let rebuild = spawn({
            let current = ModelVersion::new(&counted(1), inspect(&views[0]));
            let (view, spawned) = (inspect(&views[1]), tasks.clone());
            let rebuild = Rebuild::new(versions, current, counted(2), new, view).unwrap();
            let rebuild = rebuild
                .with_processor_settings(settings)
                .with_spawn(move |task| spawned.spawn(task));
            async move {
                let plan = rebuild.plan().await?;
                let comparison = rebuild.apply(&plan).await?.unwrap();
                assert!(comparison.is_passed(), "{comparison}");
                let before = *views[1].read();
                rebuild.cut_over(&Checks::Hold).await?;
                assert!(*views[1].read() >= before);
                Ok::<_, Error>((rebuild, views))
            }
        });
        let (rebuild, views) = rebuild.await.unwrap().unwrap();
        let last = writer.await.unwrap();
        let seen = reader.await.unwrap();
        assert!((1..=3).contains(&seen), "{seen}");
        let building = rebuild.into_processor().unwrap();
        building.wait_for("counted.v2", &last).await.unwrap();
        running.wait_for("counted", &last).await.unwrap();
        assert_eq!(views.map(|view| *view.read()), [3, 3]);
        building.stop().await;
        running.stop().await;
        tasks.ended().await;
    });
}
