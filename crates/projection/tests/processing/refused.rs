//! What is asked for wrongly: each refusal says what to do instead.

use std::sync::Arc;

use annals_codec::JsonCodec;
use annals_core::{Error, EventStore};
use annals_projection::{
    GroupSettings, Inspect, MemorySink, ModelRow, ModelVersion, Partition, Processor,
    ProcessorSettings, Projection, ProjectionVersions, Reaction, Rebuild, RebuildSettings, Start,
};
use annals_store_memory::MemoryStore;
use futures_executor::block_on;

use crate::rig::log::Log;
use crate::rig::shop::{Book, OrderEvent, book};

fn store() -> Arc<dyn EventStore> {
    Arc::new(MemoryStore::new())
}

fn inspect(sink: &MemorySink<Book>) -> impl Inspect + use<> {
    sink.view()
        .inspect(|book| vec![ModelRow::new("cents", book.cents)])
}

/// Makes a rebuild of a projection beside version 1 of `book`.
fn rebuild(projection: Projection<Book>) -> Result<(), Error> {
    let versions = ProjectionVersions::new(store(), "book", 1)?;
    let (old, new) = (
        MemorySink::new(Book::default()),
        MemorySink::new(Book::default()),
    );
    let live = ModelVersion::new(&book("book"), inspect(&old));
    let inspect = inspect(&new);
    Rebuild::new(versions, live, projection, new, inspect).map(drop)
}

fn build(settings: impl FnOnce(&mut ProcessorSettings)) -> Result<(), Error> {
    let mut changed = ProcessorSettings::DEFAULT;
    settings(&mut changed);
    Processor::builder(store())
        .settings(changed)
        .build()
        .map(drop)
}

fn asked_for_nobody() -> Result<(), Error> {
    let log = Log::new("log");
    let running = Processor::builder(store())
        .consume(log.boxed())
        .build()?
        .start();
    let asked = running.resume("lag");
    block_on(running.stop());
    asked
}

#[test]
fn a_refusal_says_what_to_do() {
    let twice = || {
        let processor = Processor::builder(store()).consume(Log::new("log").boxed());
        processor.consume(Log::new("log").boxed()).build().map(drop)
    };
    let split = || {
        let none: Vec<MemorySink<Book>> = Vec::new();
        let processor = Processor::builder(store()).project_split(&book("book"), none);
        processor.build().map(drop)
    };
    let unhandled = || Projection::<Book>::builder("book", 1)?.build().map(drop);
    let version_0 = || {
        let builder = Projection::<Book>::builder("book", 0)?;
        let builder = builder.on(JsonCodec, |_, _: &OrderEvent, _| Ok(()));
        builder.build().map(drop)
    };
    let unreacting = || Reaction::builder("mailer", Start::Now)?.build().map(drop);
    let mut rows = RebuildSettings::DEFAULT;
    rows.sample_rows_max = 1_000_000;
    let mut partitions = GroupSettings::DEFAULT;
    partitions.partitions = 0;
    let unversioned = || ProjectionVersions::new(store(), "book", 0).map(drop);
    for (refused, advice) in [
        (twice(), "give them names of their own"),
        (split(), "there are 1 to 1024"),
        (Partition::new(3, 3).map(drop), "counted from 0"),
        (unhandled(), "give it one with `on`"),
        (version_0(), "versions count from 1"),
        (unreacting(), "give it one"),
        (build(|it| it.page_events_max = 0), "within 1 to 10,000"),
        (
            build(|it| it.page_bytes_max = usize::MAX),
            "within 1 to 64 MiB",
        ),
        (build(|it| it.window_pages = 1025), "within 1 to 1024"),
        (build(|it| it.retry.attempts_max = 0), "tried at least once"),
        (rebuild(book("another")), "of the same name"),
        (rebuild(book("book")), "rebuild a newer one"),
        (rows.validate(), "compare fewer rows"),
        (partitions.validate(), "within 1 to 1024"),
        (unversioned(), "in use first"),
        (asked_for_nobody(), "one of those that are fed"),
    ] {
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains(advice), "{refused}");
    }
}
