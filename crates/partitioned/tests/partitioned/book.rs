//! What the book shows.

use std::error::Error;

use annals_core::{
    Append, AppendId, ContentType, Criteria, EventStore, EventStoreExt, EventType, Expected, Ids,
    NewEvent, ReadRequest, StreamId, Tag, Tags, UuidIds,
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

#[test]
fn partitions_are_filled() {
    let directory = tempfile::tempdir().unwrap();
    block_on(fill_twice(directory.path())).unwrap();
}

async fn fill_twice(data: &std::path::Path) -> Result<(), Box<dyn Error>> {
    let from = LogStore::builder(data.join("from")).open_or_create()?;
    for number in 0..20 {
        let stream = StreamId::parse(&format!("order-{}", number % 7))?;
        let append = Append::builder(UuidIds::default().append_id())
            .write(stream, Expected::Any, [event("placed")])
            .build()?;
        from.append(append).await?;
    }
    let logs = ["disk-0", "disk-1", "disk-2"]
        .map(|disk| LogStore::builder(data.join(disk)).open_or_create());
    let to = Partitioned::over(logs.into_iter().collect::<Result<Vec<_>, _>>()?);
    let to = to.open().await?;
    fill(&from, &to).await?;
    fill(&from, &to).await?;
    for number in 0..7 {
        let stream = StreamId::parse(&format!("order-{number}"))?;
        let ids = |events: Vec<annals_core::RecordedEvent>| {
            events
                .iter()
                .map(|event| (event.id(), event.version()))
                .collect::<Vec<_>>()
        };
        let expected = ids(from.collect(ReadRequest::stream(stream.clone())).await?);
        assert!(!expected.is_empty());
        assert_eq!(
            ids(to.collect(ReadRequest::stream(stream)).await?),
            expected
        );
    }
    Ok(())
}

// ANCHOR: fill
async fn fill(from: &impl EventStore, to: &impl EventStore) -> Result<(), annals_core::Error> {
    let mut next = Some(ReadRequest::all());
    while let Some(request) = next {
        let page = from.read(request).await?;
        for event in &page.events {
            let id = AppendId::parse(&event.id().to_string())?;
            let append = Append::builder(id)
                .write(
                    event.stream().clone(),
                    Expected::Any,
                    [event.to_new_event()],
                )
                .build()?;
            to.append(append).await?;
        }
        next = page.next;
    }
    Ok(())
}
// ANCHOR_END: fill

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
