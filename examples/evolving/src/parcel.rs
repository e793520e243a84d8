//! The state of a parcel, which knows the present only.

use annals::{Aggregate, Refusal};

use crate::{ParcelEvent, Service};

/// A parcel, as its events have it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parcel {
    /// Its weight.
    pub grams: u32,
    /// How fast it is to be.
    pub service: Service,
    /// For whom it is.
    pub name: String,
    /// The depots that it was in.
    pub depots: Vec<String>,
    /// Whether it is where it belongs.
    pub is_delivered: bool,
    /// What went wrong.
    pub claims: Vec<String>,
}

impl Aggregate for Parcel {
    type Event = ParcelEvent;

    fn apply(&mut self, event: &ParcelEvent) -> Result<(), Refusal> {
        match event {
            ParcelEvent::Registered { grams, service } => {
                (self.grams, self.service) = (*grams, *service);
            }
            ParcelEvent::Addressed { first, last } => {
                format!("{first} {last}")
                    .trim_start()
                    .clone_into(&mut self.name);
            }
            ParcelEvent::Departed { .. } => {}
            ParcelEvent::Arrived { at } => self.depots.push(at.clone()),
            ParcelEvent::Delivered {} => self.is_delivered = true,
            ParcelEvent::Claimed { reason } => self.claims.push(reason.clone()),
        }
        Ok(())
    }
}
