//! What the golden store of format 1 holds, and how it is made: the same bytes on every machine.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use annals_core::{
    Append, AppendId, CausationId, CheckpointName, CheckpointSave, CheckpointStore, ContentType,
    CorrelationId, Cursor, Error, EventId, EventStore, EventType, Expected, FoldId, Ids,
    ManualClock, Metadata, NewEvent, PolicyAction, PolicyChange, SchemaVersion, Snapshot,
    SnapshotKey, SnapshotStore, StreamId, Tag, Tags, Timestamp, Version,
};
use annals_store_log::vfs::{OsVfs, SeededRng};
use annals_store_log::{LogStore, LogStoreBuilder, Maintenance, Parts, Settings};
use uuid::Uuid;

/// How many appends there are.
pub(crate) const APPENDS: u64 = 120;

pub(crate) const ACCOUNTS: u64 = 9;

/// Streams with a policy, and what it is.
pub(crate) fn policies() -> [(StreamId, PolicyAction); 5] {
    let keep = |max_age, max_count| PolicyAction::Retain { max_age, max_count };
    [
        (
            account(1),
            keep(Some(Duration::from_millis(86_400_001)), None),
        ),
        (account(2), keep(None, Some(3))),
        (account(3), PolicyAction::TruncateBefore(Version::new(4))),
        (account(4), PolicyAction::SoftDelete),
        (account(5), PolicyAction::Tombstone),
    ]
}

pub(crate) fn snapshots() -> [Snapshot; 3] {
    let folds = [
        (1, "balance/1", 200),
        (2, "balance/1", 40_000),
        (1, "owner/2", 0),
    ];
    folds.map(|(stream, fold, bytes)| {
        let key = SnapshotKey {
            stream: account(stream),
            fold: FoldId::parse(fold).unwrap(),
        };
        let payload = payload(bytes, stream);
        let at = Timestamp::from_seconds(1_700_000_000);
        Snapshot::new(key, Version::new(2), ContentType::JSON, payload, at).unwrap()
    })
}

/// Names of checkpoints; the last one is removed again.
pub(crate) const CHECKPOINTS: [&str; 3] = ["balances", "mail \u{e9}", "gone"];

pub(crate) fn append_id(number: u64) -> AppendId {
    let text = match number % 3 {
        0 => Uuid::from_u128(0xa11_0000 << 64 | u128::from(number)).to_string(),
        _ => format!("append {number}"),
    };
    AppendId::parse(&text).unwrap()
}

pub(crate) fn account(number: u64) -> StreamId {
    StreamId::parse(&format!("account-{number}")).unwrap()
}

/// A builder for stores like the golden one: small segments and small index files, so that a short history
/// has several, and nothing left to chance or to a thread.
pub(crate) fn builder(directory: &Path) -> (LogStoreBuilder, ManualClock) {
    let clock = ManualClock::at(Timestamp::from_seconds(1_700_000_000));
    let mut settings = Settings::default();
    settings.segment_bytes = 16 * 1024;
    settings.index_bytes_max = 16 * 1024;
    settings.maintenance = Maintenance::Inline;
    let parts = Parts {
        vfs: Arc::new(OsVfs),
        rng: Arc::new(SeededRng::new(1)),
        ..Parts::os()
    };
    let builder = LogStore::builder(directory)
        .settings(settings)
        .clock(Arc::new(clock.clone()))
        .ids(Arc::new(NoIds))
        .parts(parts);
    (builder, clock)
}

/// Makes a store of the first of the appends, and closes it.
pub(crate) async fn write(directory: &Path, appends: u64) -> Result<(), Error> {
    let (builder, clock) = builder(directory);
    let store = builder.create()?;
    for number in 0..appends {
        clock.advance(Duration::from_micros(1_500 + number));
        store.append(append(number)).await?;
        if number == APPENDS / 2 {
            change_policies(&store).await?;
        }
    }
    for snapshot in snapshots() {
        store.save_snapshot(snapshot).await?;
    }
    for name in CHECKPOINTS {
        let name = CheckpointName::parse(name)?;
        let cursor: Cursor = "17".parse()?;
        let save = |cursor, expected_revision| CheckpointSave {
            name: name.clone(),
            cursor,
            expected_revision,
        };
        let first = store.save_checkpoint(save(Cursor::START, 0)).await?;
        let saved = store.save_checkpoint(save(cursor, first.revision)).await?;
        if name.as_str() == "gone" {
            store.remove_checkpoint(&name, saved.revision).await?;
        }
    }
    store.close()
}

async fn change_policies(store: &LogStore) -> Result<(), Error> {
    for (stream, action) in policies() {
        let expected = Expected::Any;
        let change = PolicyChange {
            stream,
            expected,
            action,
        };
        store.change_stream_policy(change).await?;
    }
    Ok(())
}

/// One to four events, of one stream or of two.
fn append(number: u64) -> Append {
    let mut append = Append::builder(append_id(number));
    let events = |stream: u64, count| (0..count).map(move |at| event(number, stream, at));
    append = append.write(
        open_account(number),
        Expected::Any,
        events(0, 1 + number % 3),
    );
    if number.is_multiple_of(7) {
        let transfer = StreamId::parse(&format!("transfer-{number}")).unwrap();
        append = append.write(transfer, Expected::NoStream, events(1, 1));
    }
    append.build().unwrap()
}

/// An account that takes events: the fifth is closed for good halfway.
fn open_account(number: u64) -> StreamId {
    match number % ACCOUNTS {
        5 if number > APPENDS / 2 => account(6),
        account_number => account(account_number),
    }
}

fn event(number: u64, stream: u64, at: u64) -> NewEvent {
    let event_type = ["opened", "money-moved", "noted", "closed"];
    let event_type = event_type[usize::try_from(number + at).unwrap() % 4];
    let (form, schema) = match number % 5 {
        4 => (ContentType::parse("text/plain").unwrap(), 2),
        _ => (ContentType::JSON, 1),
    };
    let payload = payload(number * 13 % 290, number + at);
    let unique = u128::from(number << 16 | stream << 8 | at | 1 << 40);
    let id = match number % 2 {
        0 => Uuid::from_u128(0x018b_cfe5_6800_7abc_8def_0000_0000_0000 | unique),
        _ => Uuid::from_u128(0xfeed_0000_0000_4000_8000_0000_0000_0000 | unique),
    };
    let mut event = NewEvent::new(EventType::parse(event_type).unwrap(), form, payload)
        .unwrap()
        .with_schema_version(SchemaVersion::new(schema).unwrap())
        .with_id(EventId::new(id).unwrap());
    if number % 4 == 1 {
        let tags = [format!("course:c{}", number % 6), "flag:\u{e9}".to_owned()];
        let tags = tags.map(|tag| Tag::parse(&tag).unwrap());
        event = event.with_tags(Tags::new(tags).unwrap());
    }
    if number % 6 == 2 {
        let correlation = CorrelationId::parse(&Uuid::from_u128(unique).to_string()).unwrap();
        let causation = CausationId::parse("command-7").unwrap();
        let metadata = Metadata::EMPTY
            .with_correlation_id(correlation)
            .and_then(|it| it.with_causation_id(causation))
            .and_then(|it| it.with_header("user", "erika"))
            .and_then(|it| it.with_header("zone", ""));
        event = event.with_metadata(metadata.unwrap());
    }
    if number % 10 == 3 {
        event = event.with_recorded_at(Timestamp::from_seconds(1_600_000_000));
    }
    event
}

fn payload(bytes: u64, seed: u64) -> Vec<u8> {
    let letters = (0..bytes).map(|at| b'a' + u8::try_from((at * 7 + seed) % 26).unwrap());
    letters.collect()
}

/// Every event and append brings its id.
#[derive(Debug)]
struct NoIds;

impl Ids for NoIds {
    fn event_id(&self) -> EventId {
        panic!("an event came without an id")
    }

    fn append_id(&self) -> AppendId {
        panic!("an append came without an id")
    }
}
