//! The stock of an item.

use std::collections::BTreeMap;
use std::convert::Infallible;

use annals::{Aggregate, Event, Refusal};
use serde::{Deserialize, Serialize};

// ANCHOR: events
/// What happens to the stock of an item: stream `stock-<item>`. The tag tells whose order it is about.
#[derive(Clone, Debug, PartialEq, Eq, Event, Serialize, Deserialize)]
#[event(category = "stock")]
#[expect(missing_docs, reason = "the names say it")]
pub enum StockEvent {
    Received {
        quantity: u32,
    },
    Reserved {
        #[event(tag)]
        order: String,
        quantity: u32,
    },
    /// The answer to who asks for more than there is: recorded as well, so that it is the same each time.
    ReservationRejected {
        #[event(tag)]
        order: String,
    },
    Released {
        #[event(tag)]
        order: String,
        quantity: u32,
    },
}
// ANCHOR_END: events

/// The stock of an item.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stock {
    available: u32,
    reserved: BTreeMap<String, u32>,
}

impl Stock {
    /// Takes more of the item in.
    ///
    /// # Errors
    /// None.
    pub fn receive(&self, quantity: u32) -> Result<StockEvent, Infallible> {
        Ok(StockEvent::Received { quantity })
    }

    // ANCHOR: reserve
    /// Keeps so many for an order, or says that there are not enough: a fact either way.
    ///
    /// # Errors
    /// None.
    pub fn reserve(&self, order: &str, quantity: u32) -> Result<StockEvent, Infallible> {
        let order = order.to_owned();
        Ok(if quantity <= self.available {
            StockEvent::Reserved { order, quantity }
        } else {
            StockEvent::ReservationRejected { order }
        })
    }
    // ANCHOR_END: reserve

    /// Gives back what is kept for an order, if anything is.
    ///
    /// # Errors
    /// None.
    pub fn release(&self, order: &str) -> Result<Option<StockEvent>, Infallible> {
        Ok(self
            .reserved
            .get(order)
            .map(|&quantity| StockEvent::Released {
                order: order.to_owned(),
                quantity,
            }))
    }

    /// How many are there for further orders.
    pub fn available(&self) -> u32 {
        self.available
    }
}

impl Aggregate for Stock {
    type Event = StockEvent;

    fn apply(&mut self, event: &StockEvent) -> Result<(), Refusal> {
        let available = match event {
            StockEvent::Received { quantity } => self.available.checked_add(*quantity),
            StockEvent::Reserved { order, quantity } => {
                self.reserved.insert(order.clone(), *quantity);
                self.available.checked_sub(*quantity)
            }
            StockEvent::ReservationRejected { .. } => Some(self.available),
            StockEvent::Released { order, quantity } => {
                self.reserved.remove(order);
                self.available.checked_add(*quantity)
            }
        };
        self.available = available.ok_or(Refusal::new("the stock leaves its range"))?;
        Ok(())
    }
}
