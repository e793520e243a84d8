//! A text is searched for in every byte of the store, of the keys and of all that is logged: it is nowhere before
//! the erasure but where the application put it itself, and nowhere after it.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Mutex;

use super::*;
use annals_codec::privacy::{EncryptedFields, Eraser, FileKeys, MasterKey};
use annals_codec::{EventCodecExt, FormatExt, JsonCodec};
use annals_core::{
    Append, ContentType, EventStore, Expected, FoldId, ReadRequest, Snapshot, SnapshotKey,
    SnapshotStore, StreamId, Version,
};
use annals_store_log::LogStore;
use futures_executor::block_on;
use tracing::field::{Field, Visit};

const CANARY: &str = "canary-8842-of-ada";
const OTHER: &str = "canary-7731-of-eve";

/// All that is logged.
#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<String>>);

impl Visit for Log {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let mut text = self.0.lock().unwrap();
        write!(text, "{}={value:?} ", field.name()).unwrap();
    }
}

impl tracing::Subscriber for Log {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        span.record(&mut self.clone());
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, values: &tracing::span::Record<'_>) {
        values.record(&mut self.clone());
    }

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        event.record(&mut self.clone());
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

/// In how many files under a directory the text is: as it is, in base64 and in hexadecimal.
fn files_with(directory: &Path, text: &[u8]) -> usize {
    let mut found = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found += files_with(&path, text);
        } else {
            found += usize::from(holds(&std::fs::read(path).unwrap(), text));
        }
    }
    found
}

fn holds(bytes: &[u8], text: &[u8]) -> bool {
    let mut hex = String::new();
    for byte in text {
        write!(hex, "{byte:02x}").unwrap();
    }
    [text, hex.as_bytes()]
        .iter()
        .any(|text| bytes.windows(text.len()).any(|at| at == *text))
}

fn stream(of: &str) -> StreamId {
    StreamId::parse(&format!("customer-{of}")).unwrap()
}

fn append(store: &LogStore, of: &str, event: annals_core::NewEvent) {
    let append = Append::builder(UuidIds::default().append_id());
    let append = append.write(stream(of), Expected::Any, [event]).build();
    block_on(store.append(append.unwrap())).unwrap();
}

/// A snapshot of an application that took the name out of its `Personal`.
fn snapshot(store: &LogStore, of: &str, name: &str) {
    let key = SnapshotKey {
        stream: stream(of),
        fold: FoldId::from_static("name.1"),
    };
    for version in 1..4 {
        let version = Version::new(version);
        let payload = format!("\"{name}\"").repeat(3);
        let snapshot = Snapshot::new(
            key.clone(),
            version,
            ContentType::JSON,
            payload,
            Timestamp::EPOCH,
        );
        block_on(store.save_snapshot(snapshot.unwrap())).unwrap();
    }
}

/// Every error that the codec gives about events of this store, in all its words.
fn errors(codec: &EncryptedFields<JsonCodec>, event: &CustomerEvent) -> String {
    let named = codec.encode(event).unwrap();
    let moved = named.clone().with_id(UuidIds::default().event_id());
    let elsewhere = EncryptedFields::new(JsonCodec, memory_keys());
    let read = |codec: &dyn EventCodec<CustomerEvent>, named: &annals_core::NewEvent| {
        codec.decode_one(named.content()).unwrap_err()
    };
    let errors = [
        JsonCodec.encode(event).unwrap_err(),
        JsonCodec.to_bytes(event).unwrap_err(),
        read(codec, &moved),
        read(&elsewhere, &named),
        read(&JsonCodec, &named),
    ];
    let mut text = format!("{event:?} {codec:?} {named:?}");
    for error in errors {
        write!(text, "{error} {error:?}").unwrap();
        let core = annals_core::Error::from(error);
        write!(text, "{core} {core:?}").unwrap();
    }
    text
}

#[test]
fn a_canary_is_nowhere() {
    let directory = tempfile::tempdir().unwrap();
    let (store_path, keys_path) = (
        directory.path().join("store"),
        directory.path().join("keys"),
    );
    let log = Log::default();
    let secret = tracing::subscriber::with_default(log.clone(), || {
        let master = MasterKey::new([7; 32]);
        let keys = Arc::new(FileKeys::create(&keys_path, &master).unwrap());
        let store = LogStore::builder(&store_path).open_or_create().unwrap();
        let codec = EncryptedFields::new(JsonCodec, keys.clone());
        for (id, of, name) in [(42, "ada", CANARY), (43, "eve", OTHER)] {
            for _ in 0..50 {
                append(&store, of, codec.encode(&registered(id, name)).unwrap());
            }
        }
        let secret = *keys.key_for(&subject("42")).unwrap().expose();
        for hidden in [CANARY.as_bytes(), OTHER.as_bytes(), &secret, &[7; 32]] {
            assert_eq!(
                files_with(directory.path(), hidden),
                0,
                "only ciphertext is there"
            );
        }
        snapshot(&store, "ada", CANARY);
        snapshot(&store, "eve", OTHER);
        assert_eq!(
            files_with(directory.path(), CANARY.as_bytes()),
            1,
            "the snapshot is in the clear"
        );

        let eraser = Eraser::new(&store, &*keys).with_snapshots(&store);
        let report = block_on(eraser.erase(&subject("42"))).unwrap();
        assert_eq!((report.events, report.snapshots_removed), (50, Some(3)));
        assert_eq!(files_with(directory.path(), CANARY.as_bytes()), 0);
        assert_eq!(
            files_with(directory.path(), OTHER.as_bytes()),
            1,
            "the other's snapshot stays"
        );
        check_reads(&store, &codec);
        let shown = errors(&codec, &registered(44, CANARY));
        tracing::info!(%shown, report = %report, ?report, "all of it is logged");
        drop(store);

        let keys = FileKeys::open(&keys_path, &master).unwrap();
        let store = LogStore::builder(&store_path).open().unwrap();
        check_reads(&store, &EncryptedFields::new(JsonCodec, Arc::new(keys)));
        secret
    });
    for hidden in [CANARY.as_bytes(), &secret] {
        assert_eq!(files_with(directory.path(), hidden), 0);
        assert!(!holds(log.0.lock().unwrap().as_bytes(), hidden));
    }
    let logged = log.0.lock().unwrap();
    assert!(
        logged.contains("Personal(..)") && logged.contains("subject 42"),
        "the log was captured"
    );
    assert!(!logged.contains(&format!("{secret:?}")));
}

/// Ada's events read as erased, Eve's as they are.
fn check_reads(store: &LogStore, codec: &EncryptedFields<JsonCodec>) {
    for (of, id, name) in [("ada", 42, Personal::Erased), ("eve", 43, known(OTHER))] {
        let page = block_on(store.read(ReadRequest::stream(stream(of)))).unwrap();
        assert_eq!(page.events.len(), 50);
        for event in &page.events {
            let event: CustomerEvent = codec.decode(event).unwrap().one().unwrap();
            let born = name.as_ref().map(|_| 1815);
            let expected = CustomerEvent::Registered {
                customer_id: id,
                name: name.clone(),
                born: Some(born),
            };
            assert_eq!(event, expected);
        }
    }
}

#[derive(Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "customer")]
struct Leaked {
    name: String,
}

/// The search finds what it should: a field that nobody declared, a snapshot that only was removed, a message.
#[test]
fn the_search_can_fail() {
    let directory = tempfile::tempdir().unwrap();
    let store = LogStore::builder(directory.path().join("store"))
        .open_or_create()
        .unwrap();
    append(
        &store,
        "ada",
        JsonCodec
            .encode(&Leaked {
                name: CANARY.to_owned(),
            })
            .unwrap(),
    );
    assert_eq!(files_with(directory.path(), CANARY.as_bytes()), 1);
    snapshot(&store, "ada", OTHER);
    let key = SnapshotKey {
        stream: stream("ada"),
        fold: FoldId::from_static("name.1"),
    };
    let removal = annals_core::SnapshotRemoval::Older {
        key,
        keep_newest: 0,
    };
    assert_eq!(block_on(store.remove_snapshots(removal)).unwrap(), 3);
    assert_eq!(
        files_with(directory.path(), OTHER.as_bytes()),
        1,
        "redb keeps what was removed"
    );
    let log = Log::default();
    tracing::subscriber::with_default(log.clone(), || tracing::warn!(name = CANARY, "a slip"));
    assert!(holds(log.0.lock().unwrap().as_bytes(), CANARY.as_bytes()));
}
