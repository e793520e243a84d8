//! What a store tells of its own state.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::sync::Arc;
use std::time::Duration;

use annals_core::{
    Append, ContentType, ErrorKind, EventStore, EventType, Expected, Ids, ManualClock, NewEvent,
    StreamId, Timestamp, UuidIds, WriterState,
};
use annals_log::vfs::OsRng;
use annals_log::vfs::sim::{Fault, IoFault, SimFs};
use annals_store_log::{Durability, LogStore, Maintenance, Parts, ReadMode, Settings};
use futures_executor::block_on;

/// A store on a simulated disk, by a clock that stands at noon.
fn store(disk: &SimFs, durability: Durability) -> LogStore {
    let mut settings = Settings::default();
    settings.durability = durability;
    settings.maintenance = Maintenance::Inline;
    settings.reads = ReadMode::Pread;
    settings.segment_bytes = 16 * 1024;
    let parts = Parts {
        vfs: Arc::new(disk.clone()),
        rng: Arc::new(OsRng),
        ..Parts::os()
    };
    let clock = ManualClock::at(noon());
    let store = LogStore::builder("/store").settings(settings).parts(parts);
    store.clock(Arc::new(clock)).create().unwrap()
}

fn noon() -> Timestamp {
    Timestamp::EPOCH.after(Duration::from_hours(12))
}

fn append(store: &LogStore) -> Result<(), ErrorKind> {
    let event = NewEvent::new(EventType::from_static("opened"), ContentType::JSON, "{}").unwrap();
    let append = Append::builder(UuidIds::default().append_id())
        .write(
            StreamId::parse("account-1").unwrap(),
            Expected::Any,
            [event],
        )
        .build()
        .unwrap();
    let appended = block_on(store.append(append));
    appended.map(drop).map_err(|error| error.kind())
}

#[test]
fn syncs_are_counted_and_leave_nothing_unsynced() {
    let disk = SimFs::new();
    let store = store(&disk, Durability::Sync);
    assert_eq!(store.vitals().last_sync_at, None);
    for syncs in 1..=3 {
        append(&store).unwrap();
        let vitals = store.vitals();
        assert_eq!((vitals.syncs, vitals.unsynced_bytes), (syncs, Some(0)));
        assert_eq!(vitals.last_sync_at, Some(noon()));
        assert_eq!(vitals.last_sync_took, Some(Duration::ZERO));
        assert_eq!(
            (vitals.queued_appends, vitals.queued_bytes),
            (Some(0), Some(0))
        );
        assert_eq!(vitals.writer, WriterState::Open);
    }
}

#[test]
fn what_is_not_synced_is_told() {
    let disk = SimFs::new();
    let store = store(&disk, Durability::Process);
    let mut before = 0;
    for _ in 0..3 {
        append(&store).unwrap();
        let vitals = store.vitals();
        let unsynced = vitals.unsynced_bytes.unwrap();
        assert!(unsynced > before, "{unsynced} after {before}");
        assert_eq!((vitals.syncs, vitals.last_sync_at), (0, None));
        before = unsynced;
    }
}

#[test]
fn a_writer_that_failed_or_was_closed_says_so() {
    let disk = SimFs::new();
    let failing = store(&disk, Durability::Sync);
    append(&failing).unwrap();
    disk.fail_from(disk.calls(), Fault::Io(IoFault::Device));
    assert_eq!(append(&failing), Err(ErrorKind::Unknown));
    assert_eq!(failing.vitals().writer, WriterState::Failed);
    assert_eq!(failing.vitals().syncs, 1);

    let closing = store(&SimFs::new(), Durability::Sync);
    closing.close().unwrap();
    assert_eq!(closing.vitals().writer, WriterState::Closed);
}
