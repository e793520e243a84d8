//! The orders as people look at them: a read model in two versions.

use std::collections::BTreeMap;
use std::fmt;

use annals::{Error, JsonCodec, Projection, RecordedEvent};

use crate::order::OrderEvent;
use crate::payment::PaymentEvent;
use crate::shipping::ShippingEvent;

/// All orders.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Orders {
    /// By their numbers.
    pub by_number: BTreeMap<String, Line>,
    /// What each customer paid for orders that were completed, in cents: since version 2.
    pub spent: BTreeMap<String, u64>,
}

/// An order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Who ordered.
    pub customer: String,
    /// What, as `2 lamp`.
    pub what: String,
    /// For how much.
    pub cents: u64,
    /// Where it stands, as `paid`.
    pub state: String,
}

// ANCHOR: projection
/// The projection in this version, 1 or 2: the later one tells what customers spent.
///
/// # Errors
/// For version 0.
pub fn orders(version: u32) -> Result<Projection<Orders>, Error> {
    Projection::<Orders>::builder("orders", version)?
        .on(JsonCodec, move |orders, event: &OrderEvent, recorded| {
            orders.take(event, recorded.stream().key(), version);
            Ok(())
        })
        .on(
            JsonCodec,
            |orders, PaymentEvent::Received { .. }: &PaymentEvent, recorded| {
                orders.advance(recorded, "paid");
                Ok(())
            },
        )
        .on(
            JsonCodec,
            |orders, ShippingEvent::Sent: &ShippingEvent, recorded| {
                orders.advance(recorded, "sent");
                Ok(())
            },
        )
        .build()
}
// ANCHOR_END: projection

impl Orders {
    fn take(&mut self, event: &OrderEvent, number: &str, version: u32) {
        match event {
            OrderEvent::Placed {
                customer,
                item,
                quantity,
                cents,
            } => {
                let line = Line {
                    customer: customer.clone(),
                    what: format!("{quantity} {item}"),
                    cents: *cents,
                    state: "placed".to_owned(),
                };
                self.by_number.insert(number.to_owned(), line);
            }
            OrderEvent::Completed => {
                if let Some(line) = self.by_number.get_mut(number) {
                    "completed".clone_into(&mut line.state);
                    if version > 1 {
                        *self.spent.entry(line.customer.clone()).or_default() += line.cents;
                    }
                }
            }
            OrderEvent::Cancelled { reason } => {
                if let Some(line) = self.by_number.get_mut(number) {
                    line.state = format!("cancelled: {reason}");
                }
            }
        }
    }

    /// Notes how far an order got; one that is over stays so.
    fn advance(&mut self, recorded: &RecordedEvent, state: &str) {
        let line = self.by_number.get_mut(recorded.stream().key());
        if let Some(line) = line.filter(|line| !line.state.starts_with("cancelled")) {
            state.clone_into(&mut line.state);
        }
    }
}

/// `2 lamp for Ada, completed`.
impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} for {}, {}", self.what, self.customer, self.state)
    }
}
