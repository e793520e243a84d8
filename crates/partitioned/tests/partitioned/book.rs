//! What the book shows.

use std::error::Error;

use annals_core::{
    Append, ContentType, Criteria, EventStore, EventStoreExt, EventType, Expected, Ids, NewEvent,
    ReadRequest, StreamId, Tag, Tags, UuidIds,
};
use annals_partitioned::Partitioned;
use annals_store_log::LogStore;
use futures_executor::block_on;

fn event(kind: &'static str) -> NewEvent {
    NewEvent::new(EventType::from_static(kind), ContentType::JSON, "{}").unwrap()
}

#[test]
fn the_chapter_runs() {
    let directory = tempfile::tempdir().unwrap();
    block_on(run(directory.path())).unwrap();
}

async fn run(data: &std::path::Path) -> Result<(), Box<dyn Error>> {
    // ANCHOR: open
    let mut logs = Vec::new();
    for disk in ["disk-0", "disk-1", "disk-2", "disk-3"] {
        logs.push(LogStore::builder(data.join(disk)).open_or_create()?);
    }
    let store = Partitioned::over(logs).open().await?;
    // ANCHOR_END: open

    // ANCHOR: together
    let append = Append::builder(UuidIds::default().append_id())
        .write(
            StreamId::parse("order-{acme}17")?,
            Expected::NoStream,
            [event("placed")],
        )
        .write(
            StreamId::parse("account-{acme}")?,
            Expected::Any,
            [event("charged")],
        )
        .build()?;
    store.append(append).await?;
    // ANCHOR_END: together

    // ANCHOR: boundary
    let of_acme = Tag::from_parts(Tag::PARTITION, "acme")?;
    let reserved = EventType::from_static("seat-reserved");
    let criteria = Criteria::of_types([reserved])?.tagged([of_acme.clone()])?;
    let page = store.read(ReadRequest::matching(criteria.clone())).await?;
    let event = event("seat-reserved").with_tags(Tags::new([of_acme])?);
    let append = Append::builder(UuidIds::default().append_id())
        .write(StreamId::parse("seats-{acme}")?, Expected::Any, [event])
        .unless(criteria, page.cursor)
        .build()?;
    store.append(append.clone()).await?;
    // ANCHOR_END: boundary

    let seats = ReadRequest::stream(StreamId::parse("seats-{acme}")?);
    assert_eq!(store.collect(seats).await?.len(), 1);
    // Judged again, it would find its own event.
    let again = again(&append)?;
    let refused = store.append(again).await.unwrap_err();
    assert!(refused.conflict().is_some());
    Ok(())
}

/// The same append, as another one.
fn again(append: &Append) -> Result<Append, annals_core::Error> {
    let mut again = Append::builder(UuidIds::default().append_id());
    for write in append.writes() {
        again = again.write(write.stream.clone(), write.expected, write.events.clone());
    }
    for condition in append.conditions() {
        again = again.unless(condition.unless.clone(), condition.after.clone());
    }
    again.build()
}
