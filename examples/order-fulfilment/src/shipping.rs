//! Parcels.

use std::convert::Infallible;

use annals::{Aggregate, Event, Refusal};
use serde::{Deserialize, Serialize};

/// What happens to the parcel of an order: stream `shipping-<order>`.
#[derive(Clone, Debug, PartialEq, Eq, Event, Serialize, Deserialize)]
#[event(category = "shipping")]
#[expect(missing_docs, reason = "the names say it")]
pub enum ShippingEvent {
    Sent,
}

/// The parcel of an order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parcel {
    is_sent: bool,
}

impl Parcel {
    /// Sends it, once.
    ///
    /// # Errors
    /// None.
    pub fn send(self) -> Result<Option<ShippingEvent>, Infallible> {
        Ok((!self.is_sent).then_some(ShippingEvent::Sent))
    }
}

impl Aggregate for Parcel {
    type Event = ShippingEvent;

    fn apply(&mut self, ShippingEvent::Sent: &ShippingEvent) -> Result<(), Refusal> {
        self.is_sent = true;
        Ok(())
    }
}
