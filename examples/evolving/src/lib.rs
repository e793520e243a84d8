//! A parcel service whose events changed seven times in three years, and that reads all of them.
//!
//! The events are those of the present; `upcasters` holds the way from the past.

pub mod parcel;
pub mod upcasters;

use annals::codec::{EvolutionError, Evolving, EvolvingEvent};
use annals::{Event, JsonCodec};
use serde::{Deserialize, Serialize};

// ANCHOR: events
/// What happens to a parcel.
#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "parcel")]
pub enum ParcelEvent {
    /// Taken in, at a weight, for a kind of delivery.
    #[event(version = 3, upcast(1 => upcasters::weight_in_grams, 2 => upcasters::standard_service))]
    Registered {
        /// The weight.
        grams: u32,
        /// How fast it is to be.
        service: Service,
    },
    /// Given an address.
    #[event(version = 2, upcast(1 => upcasters::split_name))]
    Addressed {
        /// The first name, which may be empty.
        first: String,
        /// The last name.
        last: String,
    },
    /// On the road.
    Departed {
        /// The depot that it left.
        from: String,
    },
    /// In a depot.
    Arrived {
        /// The depot.
        at: String,
    },
    /// In the hands of whom it is for.
    #[event(version = 2, upcast(1 => upcasters::without_signature), was = "handed-over")]
    Delivered {},
    /// Something went wrong, and somebody wants money.
    Claimed {
        /// Why.
        reason: String,
    },
}
// ANCHOR_END: events

/// How fast a parcel is to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Service {
    /// In its time.
    #[default]
    Standard,
    /// By tomorrow.
    Express,
}

// ANCHOR: codec
/// The codec of the application: it writes the present and reads every version.
///
/// # Errors
/// When the upcasters do not lead everything to the present.
pub fn codec() -> Result<Evolving<ParcelEvent, JsonCodec>, EvolutionError> {
    let evolution = ParcelEvent::evolution()
        .split(
            ("moved", 1),
            &[("departed", 1), ("arrived", 1)],
            upcasters::split_move,
        )
        .becomes(("lost", 1), ("claimed", 1), upcasters::claim_of_loss)
        .becomes(("damaged", 1), ("claimed", 1), upcasters::claim_of_damage)
        .dropped("viewed", 1)
        .build()?;
    Evolving::new(JsonCodec, evolution)
}
// ANCHOR_END: codec

// ANCHOR: samples
/// A sample of every kind of event, for the schema ledger.
pub fn samples() -> Vec<ParcelEvent> {
    let text = str::to_owned;
    let registered = |service| ParcelEvent::Registered {
        grams: 1200,
        service,
    };
    vec![
        registered(Service::Standard),
        registered(Service::Express),
        ParcelEvent::Addressed {
            first: text("Ada"),
            last: text("Lovelace"),
        },
        ParcelEvent::Departed { from: text("Rome") },
        ParcelEvent::Arrived { at: text("Oslo") },
        ParcelEvent::Delivered {},
        ParcelEvent::Claimed {
            reason: text("it is gone"),
        },
    ]
}
// ANCHOR_END: samples
