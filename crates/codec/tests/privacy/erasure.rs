//! An erasure: what it counts, records and removes, and that it goes on from wherever it stopped.

use super::*;
use annals_codec::EventCodecExt;
use annals_codec::JsonCodec;
use annals_codec::privacy::{EncryptedFields, Eraser, ErasureReport, SubjectErased};
use annals_core::{
    Append, AppendId, ContentType, Event as _, EventStore, Expected, FoldId, Metadata, ReadRequest,
    Snapshot, SnapshotKey, SnapshotStore, StreamId, Version,
};
use annals_store_memory::MemoryStore;
use futures_executor::block_on;

struct World {
    store: MemoryStore,
    keys: Arc<MemoryKeys>,
    codec: EncryptedFields<JsonCodec>,
}

fn stream(text: &str) -> StreamId {
    StreamId::parse(text).unwrap()
}

impl World {
    fn new() -> Self {
        let keys = memory_keys();
        Self {
            store: MemoryStore::default(),
            codec: EncryptedFields::new(JsonCodec, keys.clone()),
            keys,
        }
    }

    fn append(&self, to: &str, event: &CustomerEvent) {
        let id = UuidIds::default().append_id();
        let event = self.codec.encode(event).unwrap();
        let append = Append::builder(id).write(stream(to), Expected::Any, [event]);
        block_on(self.store.append(append.build().unwrap())).unwrap();
    }

    fn snapshot(&self, of: &str) {
        let key = SnapshotKey {
            stream: stream(of),
            fold: FoldId::from_static("name.1"),
        };
        let taken_at = Timestamp::EPOCH;
        let snapshot = Snapshot::new(key, Version::new(1), ContentType::JSON, "\"Ada\"", taken_at);
        block_on(self.store.save_snapshot(snapshot.unwrap())).unwrap();
    }

    /// Two people in three streams.
    fn filled() -> Self {
        let world = Self::new();
        world.append("customer-42", &registered(42, "Ada"));
        world.append("customer-42", &CustomerEvent::Left { customer_id: 42 });
        world.append("customer-43", &registered(43, "Eve"));
        world.append(
            "customer-both",
            &CustomerEvent::Married {
                one: "42".to_owned(),
                other: "43".to_owned(),
                names: vec![known("Ada")],
                other_names: vec![known("Eve")],
            },
        );
        world.append(
            "customer-42",
            &CustomerEvent::Called(42, Personal::Known(vec![1])),
        );
        for of in ["customer-42", "customer-43", "customer-both"] {
            world.snapshot(of);
        }
        world
    }

    fn eraser(&self) -> Eraser<'_> {
        let why = Metadata::default()
            .with_header("reason", "asked for")
            .unwrap();
        let clock = Arc::new(ManualClock::at(Timestamp::from_seconds(9)));
        Eraser::new(&self.store, &self.keys)
            .with_snapshots(&self.store)
            .with_metadata(why)
            .with_clock(clock)
    }

    fn erase(&self, of: &str) -> ErasureReport {
        block_on(self.eraser().erase(&subject(of))).unwrap()
    }

    fn notices(&self) -> Vec<SubjectErased> {
        let page = block_on(
            self.store
                .read(ReadRequest::category(SubjectErased::CATEGORY)),
        )
        .unwrap();
        let events = page.events.iter();
        events
            .map(|event| {
                assert_eq!(event.metadata().header("reason"), Some("asked for"));
                JsonCodec.decode(event).unwrap().one().unwrap()
            })
            .collect()
    }
}

fn streams(report: &ErasureReport) -> Vec<(&str, u64)> {
    report
        .streams
        .iter()
        .map(|of| (of.stream.as_str(), of.events))
        .collect()
}

#[test]
fn a_report_covers_what_holds_data_of_the_subject() {
    let world = World::filled();
    let preview = block_on(world.eraser().preview(&subject("42"))).unwrap();
    assert!(!preview.is_done && world.notices().is_empty());
    let report = world.erase("42");
    assert_eq!(streams(&report), [("customer-42", 2), ("customer-both", 1)]);
    assert_eq!(streams(&report), streams(&preview));
    assert_eq!((report.events, report.snapshots_removed), (3, Some(2)));
    assert_eq!(report.keys.len(), 1);
    assert_eq!(
        report.keys[0].erased_at.as_deref(),
        Some("1970-01-01T00:00:09Z")
    );
    let [notice] = <[SubjectErased; 1]>::try_from(world.notices()).unwrap();
    assert_eq!(notice.subject, subject("42"));
    assert_eq!(notice.key.to_string(), report.keys[0].key);
    assert_eq!(
        (notice.events, notice.streams, notice.snapshots_removed),
        (3, 2, Some(2))
    );
    assert_eq!(report.recorded, [6]);

    let text = report.to_string();
    assert!(
        text.contains("subject 42: erased") && text.contains("customer-both: 1"),
        "{text}"
    );
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["streams"][0]["events"], 2);
}

#[test]
fn others_read_as_before() {
    let world = World::filled();
    world.erase("42");
    let page = block_on(world.store.read(ReadRequest::all())).unwrap();
    let customers = page
        .events
        .iter()
        .filter(|event| event.stream().category() == "customer");
    let read: Vec<CustomerEvent> = customers
        .map(|event| world.codec.decode(event).unwrap().one().unwrap())
        .collect();
    assert_eq!(read[2], registered(43, "Eve"));
    match &read[3] {
        CustomerEvent::Married {
            names, other_names, ..
        } => {
            assert_eq!(
                (names, other_names),
                (&vec![Personal::Erased], &vec![known("Eve")])
            );
        }
        event => panic!("{event:?}"),
    }
    assert_eq!(read[4], CustomerEvent::Called(42, Personal::Erased));
}

#[test]
fn an_erasure_is_recorded_once_for_each_key() {
    let world = World::filled();
    let first = world.erase("42");
    let again = world.erase("42");
    assert_eq!(again.recorded, [0; 0]);
    assert_eq!((again.events, &again.keys), (first.events, &first.keys));
    assert_eq!(world.notices().len(), 1);
    world.append("customer-42", &registered(42, "Ada is back"));
    let back = world.erase("42");
    assert_eq!(
        (back.events, back.keys.len(), back.recorded.len()),
        (4, 2, 1)
    );
    assert_eq!(world.notices().len(), 2);
}

#[test]
fn one_of_whom_nothing_is_known_leaves_no_record() {
    let world = World::filled();
    let report = world.erase("44");
    assert_eq!(
        (report.events, report.keys.len(), report.recorded.len()),
        (0, 0, 0)
    );
    assert!(world.notices().is_empty());
}

/// Whatever step an erasure stopped after, the next one ends as the first would have.
#[test]
fn an_erasure_goes_on_from_wherever_it_stopped() {
    for steps in 0..3 {
        let world = World::filled();
        let erased = steps > 0;
        if erased {
            erase(&*world.keys, "42");
        }
        if steps > 1 {
            let streams = vec![stream("customer-42")];
            let removal = annals_core::SnapshotRemoval::Purged { streams };
            block_on(world.store.remove_snapshots(removal)).unwrap();
        }
        let report = world.erase("42");
        assert_eq!(
            (report.events, report.recorded.len()),
            (3, 1),
            "after {steps} steps"
        );
        let erased_at = if erased {
            "1970-01-01T00:00:05Z"
        } else {
            "1970-01-01T00:00:09Z"
        };
        assert_eq!(report.keys[0].erased_at.as_deref(), Some(erased_at));
        let found = block_on(world.store.load_snapshot(
            &SnapshotKey {
                stream: stream("customer-both"),
                fold: FoldId::from_static("name.1"),
            },
            Version::MAX,
        ));
        assert_eq!(found.unwrap(), None);
    }
}

/// Encoded again, an event has other bytes: the store refuses that append under the old id, and keeps the first.
#[test]
fn an_append_that_is_encoded_again_is_never_recorded_twice() {
    let world = World::new();
    let id = AppendId::parse("import-1").unwrap();
    let append = || {
        let event = world.codec.encode(&registered(42, "Ada")).unwrap();
        let append = Append::builder(id).write(stream("customer-42"), Expected::NoStream, [event]);
        append.build().unwrap()
    };
    let first = append();
    block_on(world.store.append(first.clone())).unwrap();
    let again = block_on(world.store.append(append())).unwrap_err();
    assert_eq!(again.kind(), annals_core::ErrorKind::AppendIdReused);
    assert!(block_on(world.store.receipt(&id)).unwrap().is_some());
    assert!(block_on(world.store.append(first)).is_ok());
}
