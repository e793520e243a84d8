//! Processes of many events, which are gone on with from snapshots.

use std::sync::Arc;

use annals_codec::{EventCodec, JsonCodec};
use annals_core::{
    Aggregate, Append, Category, EventStore, EventStoreExt, Expected, Ids, PolicyAction,
    PolicyChange, Position, ReadRequest, RecordedEvent, Refusal, StreamId, UuidIds, Version,
};
use annals_macros::Event;
use annals_projection::{Delivery, ProcessKey, ProcessManager, ProcessState};
use annals_snapshot::{Fold, Folded, SnapshotPolicy, Snapshots};
use annals_store_memory::MemoryStore;
use futures_executor::block_on;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Event, Serialize, Deserialize)]
#[event(category = "delivery")]
struct Delivered {
    pieces: u64,
}

/// Own events; a delivery of many pieces has several.
#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "tally")]
enum Counted {
    Piece { number: u64 },
    Dozen,
}

/// Numbers the pieces of a key, so that each decision depends on all before.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Tally {
    pieces: u64,
    dozens: u64,
}

impl Aggregate for Tally {
    type Event = Counted;

    fn apply(&mut self, event: &Counted) -> Result<(), Refusal> {
        match event {
            Counted::Piece { number } => self.pieces = *number,
            Counted::Dozen => self.dozens += 1,
        }
        Ok(())
    }
}

type States = Snapshots<ProcessState<Tally>>;

fn snapshots(store: &Arc<MemoryStore>, version: u32) -> States {
    let policy = SnapshotPolicy::every_events(4);
    Snapshots::new(store.clone(), JsonCodec, Fold::version(version)).with_policy(policy)
}

fn manager(store: &Arc<MemoryStore>, states: Option<&States>) -> ProcessManager<Tally> {
    let commands: Arc<dyn EventStore> = store.clone();
    let builder = ProcessManager::<Tally>::builder("tally", store.clone(), JsonCodec)
        .unwrap()
        .on(
            JsonCodec,
            ProcessKey::stream(),
            |tally: &Tally, event: &Delivered, _| {
                let numbers = tally.pieces + 1..=tally.pieces + event.pieces;
                let counted = numbers.flat_map(|number| {
                    let dozen = (number % 12 == 0).then_some(Counted::Dozen);
                    [Some(Counted::Piece { number }), dozen]
                });
                Ok(counted.flatten().collect())
            },
        )
        .issuing(move |counted: Delivery<Counted>| {
            let commands = Arc::clone(&commands);
            async move {
                let note = JsonCodec.encode(&*counted)?;
                let stream = StreamId::parse("note-1")?;
                let append = Append::builder(counted.append_id(0));
                let append = append.write(stream, Expected::Any, [note]).build()?;
                commands.append(append).await?;
                Ok(())
            }
        });
    let builder = match states {
        Some(states) => builder.with_snapshots(states.clone()),
        None => builder,
    };
    builder.build().unwrap()
}

fn deliver(store: &MemoryStore, key: u8, pieces: u64) {
    let stream = StreamId::parse(&format!("delivery-{key}")).unwrap();
    let delivered = JsonCodec.encode(&Delivered { pieces }).unwrap();
    let append = Append::builder(UuidIds::default().append_id());
    let append = append.write(stream, Expected::Any, [delivered]).build();
    block_on(store.append(append.unwrap())).unwrap();
}

fn all(store: &MemoryStore, category: &'static str) -> Vec<RecordedEvent> {
    let request = ReadRequest::category(Category::from_static(category));
    block_on(store.collect(request)).unwrap()
}

/// What came of all inputs, but for where it stands in the log.
fn outcome(store: &MemoryStore) -> Vec<(String, String)> {
    let events = ["tally", "note"].map(|category| all(store, category));
    let events = events.iter().flatten();
    let told = events.map(|event| {
        let payload = String::from_utf8_lossy(event.payload()).into_owned();
        (event.stream().to_string(), payload)
    });
    told.collect()
}

/// Takes the inputs in this order, each by its place, and whatever comes again as often as it does.
fn take_all(
    store: &MemoryStore,
    manager: &ProcessManager<Tally>,
    states: Option<&States>,
    order: &[usize],
) {
    let inputs = all(store, "delivery");
    for place in order {
        block_on(manager.take(inputs.get(*place).unwrap(), 1)).unwrap();
        if let Some(states) = states {
            block_on(states.flush());
        }
    }
}

/// Each input in its turn, and after some of them an earlier one again.
fn deliveries() -> impl Strategy<Value = (Vec<(u8, u64)>, Vec<usize>)> {
    proptest::collection::vec((0..3_u8, 0..5_u64), 1..40).prop_flat_map(|inputs| {
        let count = inputs.len();
        let again = proptest::collection::vec((any::<bool>(), 0..count), count);
        (Just(inputs), again).prop_map(|(inputs, again)| {
            let order = again
                .iter()
                .enumerate()
                .flat_map(|(place, (is_again, back))| {
                    let again = is_again.then_some(place - back.min(&place));
                    [Some(place), again]
                });
            (inputs, order.flatten().collect())
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// The law: a snapshot and the tail after it give what the whole fold gives, whatever comes again.
    #[test]
    fn with_snapshots_a_process_decides_as_without((inputs, order) in deliveries()) {
        let outcomes = [true, false].map(|with_snapshots| {
            let store = Arc::new(MemoryStore::new());
            for (key, pieces) in &inputs {
                deliver(&store, *key, *pieces);
            }
            let states = with_snapshots.then(|| snapshots(&store, 1));
            let manager = manager(&store, states.as_ref());
            take_all(&store, &manager, states.as_ref(), &order);
            outcome(&store)
        });
        prop_assert_eq!(&outcomes[0], &outcomes[1]);
    }
}

/// A process of 20 events, with a snapshot of it.
fn long() -> (Arc<MemoryStore>, States) {
    let store = Arc::new(MemoryStore::new());
    for _ in 0..20 {
        deliver(&store, 1, 1);
    }
    let states = snapshots(&store, 1);
    let order: Vec<usize> = (0..20).collect();
    take_all(
        &store,
        &manager(&store, Some(&states)),
        Some(&states),
        &order,
    );
    assert!(states.counts().saved > 2, "{:?}", states.counts());
    assert!(states.counts().used > 2, "{:?}", states.counts());
    (store, states)
}

/// Has one more piece delivered, and tells its number.
fn next_number(store: &Arc<MemoryStore>, states: &States) -> u64 {
    deliver(store, 1, 1);
    let newest = all(store, "delivery").pop().unwrap();
    block_on(manager(store, Some(states)).take(&newest, 1)).unwrap();
    let own = all(store, "tally").pop().unwrap();
    let counted: serde_json::Value = serde_json::from_slice(own.payload()).unwrap();
    counted.get("number").unwrap().as_u64().unwrap()
}

/// Keeps a state that is wrong, so that it is seen whether it is used.
fn keep_wrong(store: &Arc<MemoryStore>, states: &States) {
    let stream = StreamId::parse("tally-1").unwrap();
    let head = block_on(store.stream_head(&stream)).unwrap();
    let state = ProcessState {
        state: Tally {
            pieces: 1_000,
            dozens: 0,
        },
        last_input: Position::new(20),
    };
    let wrong = Folded {
        state,
        begins_at: Version::FIRST,
        version: head.version,
    };
    block_on(states.save(stream, wrong, annals_core::Timestamp::EPOCH)).unwrap();
}

#[test]
fn a_snapshot_of_the_same_fold_is_gone_on_from_and_of_another_ignored() {
    let (store, states) = long();
    keep_wrong(&store, &states);
    assert_eq!(next_number(&store, &states), 1_001, "it is used");

    let (store, states) = long();
    keep_wrong(&store, &states);
    let next_version = snapshots(&store, 2);
    assert_eq!(next_number(&store, &next_version), 21);
    assert_eq!(next_version.counts().used, 0);
}

#[test]
fn a_snapshot_of_what_is_hidden_by_now_is_not_used() {
    let (store, states) = long();
    keep_wrong(&store, &states);
    let change = PolicyChange {
        stream: StreamId::parse("tally-1").unwrap(),
        expected: Expected::Any,
        action: PolicyAction::TruncateBefore(Version::new(3)),
    };
    block_on(store.change_stream_policy(change)).unwrap();
    assert_eq!(next_number(&store, &states), 21);
}

#[test]
fn an_input_that_comes_again_is_known_behind_a_snapshot() {
    let (store, states) = long();
    let before = outcome(&store);
    let order: Vec<usize> = (0..20).rev().collect();
    take_all(
        &store,
        &manager(&store, Some(&states)),
        Some(&states),
        &order,
    );
    assert_eq!(outcome(&store), before);
}
