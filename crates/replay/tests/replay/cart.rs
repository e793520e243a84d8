//! The aggregate of the tests, and stores with histories of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use annals_codec::{EventCodec, JsonCodec};
use annals_core::{
    Aggregate, Append, Event as _, EventStore, Expected, Ids, ManualClock, Refusal, StreamId,
    Timestamp, UuidIds,
};
use annals_macros::Event;
use annals_replay::{Replay, ReplayFold};
use annals_store_memory::MemoryStore;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "cart")]
pub(crate) enum CartEvent {
    Put { item: u8, count: u32 },
    Taken { item: u8 },
    Noted { text: String },
    Struck { note: usize },
}

/// A state with all that a diff has to tell: numbers, a list, a map, an option.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cart {
    pub(crate) events: u64,
    pub(crate) items: BTreeMap<u8, u32>,
    pub(crate) notes: Vec<String>,
    pub(crate) last: Option<u8>,
}

impl Aggregate for Cart {
    type Event = CartEvent;

    fn apply(&mut self, event: &CartEvent) -> Result<(), Refusal> {
        self.events += 1;
        match event {
            CartEvent::Put { item, count } => {
                *self.items.entry(*item).or_default() += count;
                self.last = Some(*item);
            }
            CartEvent::Taken { item } => {
                self.last = None;
                let taken = self.items.remove(item);
                taken.ok_or(Refusal::new("what is taken is not there"))?;
            }
            CartEvent::Noted { text } => self.notes.push(text.clone()),
            CartEvent::Struck { note } => {
                if *note >= self.notes.len() {
                    return Err(Refusal::new("there is no such note"));
                }
                self.notes.remove(*note);
            }
        }
        Ok(())
    }
}

/// The state that these events give, those that are refused left out; and the indexes of those.
pub(crate) fn folded<'a>(events: impl IntoIterator<Item = &'a CartEvent>) -> (Cart, Vec<usize>) {
    let (mut cart, mut refused) = (Cart::default(), Vec::new());
    for (index, event) in events.into_iter().enumerate() {
        let before = cart.clone();
        if cart.apply(event).is_err() {
            cart = before;
            refused.push(index);
        }
    }
    (cart, refused)
}

/// Histories that no cart refuses.
pub(crate) fn histories(events_max: usize) -> impl Strategy<Value = Vec<CartEvent>> {
    let event = prop_oneof![
        (0..4_u8, 1..5_u32).prop_map(|(item, count)| CartEvent::Put { item, count }),
        (0..4_u8).prop_map(|item| CartEvent::Taken { item }),
        "[a-c]{1,2}".prop_map(|text| CartEvent::Noted { text }),
        (0..4_usize).prop_map(|note| CartEvent::Struck { note }),
    ];
    prop::collection::vec(event, 0..events_max).prop_map(|events| {
        let (_, refused) = folded(&events);
        let kept = events.into_iter().enumerate();
        kept.filter(|(index, _)| !refused.contains(index))
            .map(|(_, event)| event)
            .collect()
    })
}

pub(crate) fn seconds(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(seconds)
}

/// A store in which the n-th event, from 1, was appended at second n, each to the cart of its key.
pub(crate) async fn store_of<'a>(
    events: impl IntoIterator<Item = (&'a str, &'a CartEvent)>,
) -> Arc<MemoryStore> {
    let clock = ManualClock::default();
    let store = MemoryStore::builder()
        .clock(Arc::new(clock.clone()))
        .build();
    let ids = UuidIds::default();
    for (index, (key, event)) in events.into_iter().enumerate() {
        clock.set(seconds(i64::try_from(index).unwrap() + 1));
        let stream = StreamId::new(&CartEvent::CATEGORY, key).unwrap();
        let event = JsonCodec.encode(event).unwrap();
        let append = Append::builder(ids.append_id())
            .write(stream, Expected::Any, [event])
            .build();
        store.append(append.unwrap()).await.unwrap();
    }
    Arc::new(store)
}

/// The history of the one cart of a store.
pub(crate) async fn replay_of(events: &[CartEvent]) -> Replay<Cart, CartEvent> {
    let store = store_of(events.iter().map(|event| ("1", event))).await;
    Replay::of_aggregate(store, JsonCodec, "1").unwrap()
}

pub(crate) fn fold() -> ReplayFold<Cart, CartEvent> {
    ReplayFold::of_aggregate(JsonCodec)
}

pub(crate) fn put(item: u8, count: u32) -> CartEvent {
    CartEvent::Put { item, count }
}

pub(crate) fn taken(item: u8) -> CartEvent {
    CartEvent::Taken { item }
}
