//! The models of the tests: seats of rooms, and guests, over two event types.

use std::sync::Arc;

use annals_aggregate::{DecisionModel, Decisions};
use annals_codec::JsonCodec;
use annals_core::{Criteria, Error, EventStore, EventStoreExt, ReadRequest, Refusal, Tag};
use annals_macros::Event;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "room")]
pub(crate) enum RoomEvent {
    Taken {
        #[event(tag)]
        room: String,
        #[event(tag)]
        guest: String,
    },
    Painted {
        #[event(tag)]
        room: String,
    },
}

#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "guest")]
pub(crate) enum GuestEvent {
    Arrived {
        #[event(tag)]
        guest: String,
    },
}

/// The guest who has a room.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Occupant {
    pub(crate) room: &'static str,
    pub(crate) guests: Vec<String>,
}

/// Whether a guest is here.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Presence {
    pub(crate) guest: &'static str,
    pub(crate) arrivals: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Occupied;

impl DecisionModel for Occupant {
    type Event = RoomEvent;

    fn criteria(&self) -> Result<Criteria, Error> {
        Criteria::of_kinds::<RoomEvent>(["taken"])?.tagged([Tag::from_parts("room", self.room)?])
    }

    fn apply(&mut self, event: &RoomEvent) -> Result<(), Refusal> {
        let RoomEvent::Taken { guest, .. } = event else {
            return Err(Refusal::new("it is not selected"));
        };
        self.guests.push(guest.clone());
        Ok(())
    }
}

impl DecisionModel for Presence {
    type Event = GuestEvent;

    fn criteria(&self) -> Result<Criteria, Error> {
        Criteria::of_event::<GuestEvent>()?.tagged([Tag::from_parts("guest", self.guest)?])
    }

    fn apply(&mut self, _: &GuestEvent) -> Result<(), Refusal> {
        self.arrivals += 1;
        Ok(())
    }
}

pub(crate) fn occupant(room: &'static str) -> Occupant {
    let guests = Vec::new();
    Occupant { room, guests }
}

pub(crate) fn presence(guest: &'static str) -> Presence {
    Presence { guest, arrivals: 0 }
}

pub(crate) fn taken(room: &str, guest: &str) -> RoomEvent {
    let (room, guest) = (room.to_owned(), guest.to_owned());
    RoomEvent::Taken { room, guest }
}

pub(crate) fn painted(room: &str) -> RoomEvent {
    let room = room.to_owned();
    RoomEvent::Painted { room }
}

pub(crate) fn arrived(guest: &str) -> GuestEvent {
    let guest = guest.to_owned();
    GuestEvent::Arrived { guest }
}

/// Takes the room for the guest, unless somebody has it.
pub(crate) fn take(
    guest: &'static str,
) -> impl FnMut(&Occupant) -> Result<RoomEvent, Occupied> + Send {
    move |occupant| {
        if occupant.guests.is_empty() {
            Ok(taken(occupant.room, guest))
        } else {
            Err(Occupied)
        }
    }
}

pub(crate) fn decisions(store: &Arc<impl EventStore + 'static>) -> Decisions<JsonCodec> {
    Decisions::new(store.clone(), JsonCodec)
}

/// Records events without looking at anything.
pub(crate) async fn record(store: &Arc<impl EventStore + 'static>, events: Vec<RoomEvent>) {
    let decisions = decisions(store);
    let decided = decisions.decide((), |()| Ok::<_, ()>(events.clone()));
    decided.await.unwrap();
}

/// How many events a store holds.
pub(crate) async fn count(store: &impl EventStore) -> usize {
    store.collect(ReadRequest::all()).await.unwrap().len()
}
