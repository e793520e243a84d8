//! The code of the book's chapter on erasing people, which includes what stands between the anchors, and proof
//! that it does what the chapter says.

#![cfg(all(feature = "embedded", feature = "encryption"))]
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "test helpers outside of a test function, and a report that is shown"
)]

use std::path::Path;
use std::sync::Arc;

use annals::prelude::*;
use annals::privacy::{
    EncryptedEvents, EncryptedFields, Eraser, ErasureReport, FileKeys, KeyStore, MasterKey,
    Personal, Subject, SubjectErased, SystemEntropy,
};
use annals::{EventCodec, FoldId, Snapshot, SnapshotKey, SnapshotStore};
use futures_executor::block_on;
use serde::{Deserialize, Serialize};

// ANCHOR: events
#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "customer")]
enum CustomerEvent {
    Registered {
        customer_id: u64,
        #[event(personal(subject = "customer_id"))]
        name: Personal<String>,
        #[event(personal(subject = "customer_id"))]
        address: Option<Personal<String>>,
    },
    OrderPlaced {
        customer_id: u64,
        cents: u64,
    },
}
// ANCHOR_END: events

// ANCHOR: fold
#[derive(Default)]
struct Customer {
    greeting: String,
    spent: u64,
}

impl Aggregate for Customer {
    type Event = CustomerEvent;

    fn apply(&mut self, event: &CustomerEvent) -> Result<(), Refusal> {
        match event {
            CustomerEvent::Registered { name, .. } => {
                self.greeting = match name {
                    Personal::Known(name) => format!("Dear {name}"),
                    Personal::Erased => "Dear customer".to_owned(),
                };
            }
            CustomerEvent::OrderPlaced { cents, .. } => self.spent += cents,
        }
        Ok(())
    }
}
// ANCHOR_END: fold

fn registered(customer_id: u64, name: &str) -> CustomerEvent {
    CustomerEvent::Registered {
        customer_id,
        name: Personal::Known(name.to_owned()),
        address: None,
    }
}

fn keys(directory: &Path) -> Result<FileKeys, annals::codec::Error> {
    // ANCHOR: keys
    let master = MasterKey::generate(&SystemEntropy)?; // once, into a vault: master.to_text()
    let keys = FileKeys::create(directory, &master)?; // later: FileKeys::open
    // ANCHOR_END: keys
    Ok(keys)
}

fn customers(store: &Arc<LogStore>, keys: &Arc<FileKeys>) -> Repository<Customer> {
    let (store, keys) = (Arc::clone(store), Arc::clone(keys));
    // ANCHOR: repository
    let codec = EncryptedFields::new(JsonCodec, keys);
    let customers = Repository::<Customer>::new(store, codec);
    // ANCHOR_END: repository
    customers
}

// ANCHOR: erase
async fn forget(
    customer_id: u64,
    store: &LogStore,
    keys: &dyn KeyStore,
) -> Result<ErasureReport, annals::Error> {
    let why = Metadata::default().with_header("reason", "request 8842, by mail")?;
    let eraser = Eraser::new(store, keys)
        .with_snapshots(store)
        .with_metadata(why);
    let report = eraser
        .erase(&Subject::new(customer_id.to_string())?)
        .await?;
    println!("{report}");
    Ok(report)
}
// ANCHOR_END: erase

// ANCHOR: notice
async fn forgotten(store: &LogStore, after: Cursor) -> Result<Vec<Subject>, annals::Error> {
    let notices = ReadRequest::category(SubjectErased::CATEGORY).after(after);
    let page = store.read(notices).await?;
    let mut subjects = Vec::new();
    for event in &page.events {
        for notice in JsonCodec.decode(event)? {
            let SubjectErased { subject, .. } = notice;
            subjects.push(subject); // and remove the rows of this one from the read model
        }
    }
    Ok(subjects)
}
// ANCHOR_END: notice

fn snapshot(store: &LogStore) {
    let key = SnapshotKey {
        stream: StreamId::parse("customer-42").unwrap(),
        fold: FoldId::from_static("greeting.1"),
    };
    let taken_at = Timestamp::EPOCH;
    let taken = Snapshot::new(
        key,
        Version::FIRST,
        ContentType::JSON,
        "\"Dear Ada\"",
        taken_at,
    );
    block_on(store.save_snapshot(taken.unwrap())).unwrap();
}

#[test]
fn one_is_forgotten_and_the_others_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let store = LogStore::builder(folder.path().join("store")).open_or_create();
    let store = Arc::new(store.unwrap());
    let keys = Arc::new(keys(&folder.path().join("keys")).unwrap());
    let customers = customers(&store, &keys);
    for (id, name) in [(42, "Ada"), (43, "Eve")] {
        let key = id.to_string();
        block_on(async {
            let order = CustomerEvent::OrderPlaced {
                customer_id: id,
                cents: 500,
            };
            let register = |_: &Customer| Ok::<_, annals::Error>(registered(id, name));
            customers.execute(&key, register).await.unwrap();
            let place = |_: &Customer| Ok::<_, annals::Error>(order.clone());
            customers.execute(&key, place).await.unwrap();
        });
    }
    snapshot(&store);
    let greeting = |key: &str| {
        let loaded = block_on(customers.load(key)).unwrap();
        (loaded.state().greeting.clone(), loaded.state().spent)
    };
    assert_eq!(greeting("42"), ("Dear Ada".to_owned(), 500));

    let report = block_on(forget(42, &store, &*keys)).unwrap();
    assert_eq!((report.events, report.snapshots_removed), (1, Some(1)));
    assert_eq!(greeting("42"), ("Dear customer".to_owned(), 500));
    assert_eq!(greeting("43"), ("Dear Eve".to_owned(), 500));
    let told = block_on(forgotten(&store, Cursor::START)).unwrap();
    assert_eq!(told, [Subject::new("42").unwrap()]);
}

#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "letter")]
struct Written {
    customer_id: u64,
    text: String,
}

#[test]
fn whole_events_are_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let keys = Arc::new(keys(folder.path()).unwrap());
    let whole = |keys: Arc<FileKeys>| {
        // ANCHOR: whole
        let codec = EncryptedEvents::new(JsonCodec, keys, |letter: &Written| {
            Some(letter.customer_id.to_string())
        });
        // ANCHOR_END: whole
        codec
    };
    let codec = whole(Arc::clone(&keys));
    let text = "Dear Ada".to_owned();
    let named = codec
        .encode(&Written {
            customer_id: 42,
            text,
        })
        .unwrap();
    keys.erase(&Subject::new("42").unwrap(), Timestamp::EPOCH)
        .unwrap();
    let decoded = codec.decode_content(named.content()).unwrap();
    assert_eq!(decoded.into_iter().count(), 0);
}

#[test]
fn a_value_in_the_clear_gets_nowhere() {
    let refused = JsonCodec.encode(&registered(42, "Ada")).unwrap_err();
    // ANCHOR: plain
    assert_eq!(refused.kind(), annals::codec::ErrorKind::PersonalInPlain);
    // ANCHOR_END: plain
}
