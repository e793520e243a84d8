//! The code of the chapter "Rebuilding without downtime".

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "what a chapter shows"
)]

use std::collections::BTreeMap;
use std::sync::Arc;

use annals::prelude::*;
use annals::projection::{
    Checks, Delivery, GroupMember, HeldPartition, Inline, Live, MemoryInspect, MemorySink,
    ModelRow, ModelVersion, Processor, Projection, ProjectionConsumer, ProjectionVersions,
    Reaction, ReactionConsumer, Rebuild, RebuildSettings, Start,
};
use futures_executor::block_on;
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
#[event(category = "order")]
struct Placed {
    item: String,
    pieces: u64,
}

type Sold = BTreeMap<String, u64>;

// ANCHOR: versions
/// What was sold. Version 2 knows that names of items differ in case only by mistake.
fn sold(version: u32) -> Result<Projection<Sold>, annals::Error> {
    Projection::<Sold>::builder("sold", version)?
        .on(JsonCodec, move |sold, placed: &Placed, _| {
            let item = match version {
                1 => placed.item.clone(),
                _ => placed.item.to_lowercase(),
            };
            *sold.entry(item).or_default() += placed.pieces;
            Ok(())
        })
        .build()
}
// ANCHOR_END: versions

// ANCHOR: inspect
fn inspect(sink: &MemorySink<Sold>) -> MemoryInspect<Sold> {
    sink.view().inspect(|sold| {
        let rows = sold.iter();
        rows.map(|(item, pieces)| ModelRow::new(item, *pieces))
            .collect()
    })
}
// ANCHOR_END: inspect

async fn place(store: &dyn EventStore, order: &str, item: &str) -> Receipt {
    let item = item.to_owned();
    let placed = JsonCodec.encode(&Placed { item, pieces: 1 }).unwrap();
    let append = Append::builder(UuidIds::default().append_id())
        .write(StreamId::parse(order).unwrap(), Expected::Any, [placed])
        .build()
        .unwrap();
    store.append(append).await.unwrap()
}

#[test]
fn a_version_takes_over() {
    let store: Arc<dyn EventStore> = Arc::new(MemoryStore::new());
    block_on(async {
        place(&*store, "order-1", "tea").await;
        place(&*store, "order-2", "rice").await;
        rebuild(Arc::clone(&store)).await.unwrap();
    });
}

async fn rebuild(store: Arc<dyn EventStore>) -> Result<(), annals::Error> {
    let (old, new) = (MemorySink::new(Sold::new()), MemorySink::new(Sold::new()));
    let (old_view, new_view) = (old.view(), new.view());
    let (old_inspect, new_inspect) = (inspect(&old), inspect(&new));
    // ANCHOR: live
    let versions = ProjectionVersions::new(Arc::clone(&store), "sold", 1)?;
    let live = Live::open(versions.clone(), [(1, old_view), (2, new_view)]).await?;
    // ANCHOR_END: live
    let processor = Processor::builder(Arc::clone(&store)).project(sold(1)?, old);
    let running = processor.build()?.start();
    running.wait_until_live("sold").await?;

    // ANCHOR: plan
    let current = ModelVersion::new(&sold(1)?, old_inspect);
    let rebuild = Rebuild::new(versions.clone(), current, sold(2)?, new, new_inspect)?
        .on_condition(|old, new| {
            let sum = |sold: &Sold| sold.values().sum::<u64>();
            if sum(old) == sum(new) {
                Ok(())
            } else {
                Err("pieces are lost".into())
            }
        });
    let plan = rebuild.plan().await?;
    println!("{plan}");
    // ANCHOR_END: plan
    // ANCHOR: apply
    let comparison = rebuild.apply(&plan).await?;
    // ANCHOR_END: apply
    assert!(comparison.is_some_and(|comparison| comparison.is_passed()));
    // ANCHOR: cut
    rebuild.cut_over(&Checks::Hold).await?;
    // ANCHOR_END: cut
    // ANCHOR: read
    live.refresh().await?;
    let reader = live.read()?;
    println!("version {}: {:?}", reader.version(), reader.read());
    // ANCHOR_END: read
    assert_eq!((reader.version(), reader.read().len()), (2, 2));
    // ANCHOR: back
    rebuild.roll_back(&Checks::Hold).await?;
    // ANCHOR_END: back
    assert_eq!(live.refresh().await?, 1);
    let new = ModelVersion::new(&sold(2)?, inspect(&MemorySink::new(Sold::new())));
    let settings = RebuildSettings::DEFAULT;
    let checks = Checks::Despite("to drop the old one".to_owned());
    versions.roll_back(&new, &settings, &checks).await?;
    running.stop().await;
    // ANCHOR: drop
    versions
        .drop_version(&sold(1)?, MemorySink::new(Sold::new()))
        .await?;
    // ANCHOR_END: drop
    assert_eq!(versions.read().await?.to_string(), "v1 dropped, v2 live");
    Ok(())
}

#[test]
fn a_reaction_is_shared() {
    let store: Arc<dyn EventStore> = Arc::new(MemoryStore::new());
    block_on(async {
        place(&*store, "order-1", "tea").await;
        let handle = share(Arc::clone(&store)).unwrap();
        handle.wait(|status| status.held.len() == 16).await;
        handle.leave().await;
    });
}

fn share(store: Arc<dyn EventStore>) -> Result<annals::projection::GroupHandle, annals::Error> {
    // ANCHOR: group
    let mailer = Reaction::builder("mailer", Start::Beginning)?
        .on(JsonCodec, |placed: Delivery<Placed>| async move {
            println!("{} of {} ordered", placed.pieces, placed.item);
            Ok(())
        })
        .build()?;
    let processor = Processor::builder(Arc::clone(&store)).build()?.start();
    let events = Arc::clone(&store);
    let make = move |held: HeldPartition| {
        let mailer = mailer.for_partition(held.partition());
        let consumer = ReactionConsumer::new(mailer, Arc::clone(&events), held.checkpoints())?;
        Ok(Box::new(consumer) as Box<_>)
    };
    let member = GroupMember::new(store, "mailer", "worker-1", processor, make)?;
    let handle = member.handle();
    std::thread::spawn(|| block_on(member.run()));
    // ANCHOR_END: group
    Ok(handle)
}

#[test]
fn an_append_waits_for_its_projection() {
    block_on(async {
        // ANCHOR: inline
        let sink = MemorySink::new(Sold::new());
        let view = sink.view();
        let consumer = ProjectionConsumer::new(sold(1)?, sink);
        let store = Inline::open(MemoryStore::new(), vec![Box::new(consumer)]).await?;
        // ANCHOR_END: inline
        place(&store, "order-1", "tea").await;
        assert_eq!(view.read().get("tea"), Some(&1));
        Ok::<(), annals::Error>(())
    })
    .unwrap();
}
