//! An order, as the customer sees it.

use std::convert::Infallible;

use annals::{Aggregate, Event, Refusal};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What happens to an order: stream `order-<number>`.
#[derive(Clone, Debug, PartialEq, Eq, Event, Serialize, Deserialize)]
#[event(category = "order")]
#[expect(missing_docs, reason = "the names say it")]
pub enum OrderEvent {
    Placed {
        customer: String,
        item: String,
        quantity: u32,
        cents: u64,
    },
    Completed,
    Cancelled {
        reason: String,
    },
}

/// Where an order stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Order {
    #[default]
    None,
    Open,
    Closed,
}

/// Why an order is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("there is an order of this number already")]
pub struct PlacedBefore;

impl Order {
    /// Places the order.
    ///
    /// # Errors
    /// [`PlacedBefore`].
    pub fn place(
        self,
        customer: &str,
        (quantity, item): (u32, &str),
        cents: u64,
    ) -> Result<OrderEvent, PlacedBefore> {
        if self != Self::None {
            return Err(PlacedBefore);
        }
        Ok(OrderEvent::Placed {
            customer: customer.to_owned(),
            item: item.to_owned(),
            quantity,
            cents,
        })
    }

    /// Closes the order, one way or the other; nothing where it is closed.
    ///
    /// # Errors
    /// None.
    pub fn close(self, how: OrderEvent) -> Result<Option<OrderEvent>, Infallible> {
        Ok((self == Self::Open).then_some(how))
    }
}

impl Aggregate for Order {
    type Event = OrderEvent;

    fn apply(&mut self, event: &OrderEvent) -> Result<(), Refusal> {
        *self = match event {
            OrderEvent::Placed { .. } => Self::Open,
            OrderEvent::Completed | OrderEvent::Cancelled { .. } => Self::Closed,
        };
        Ok(())
    }
}
