//! The process: what happens between the order, the stock, the payment and the parcel.

use std::sync::Arc;
use std::time::Duration;

use annals::prelude::*;
use annals::{
    BoxError, Delivery, Error, FailurePolicy, JsonCodec, ProcessKey, ProcessManager, RetryPolicy,
    TimerChange,
};
use serde::{Deserialize, Serialize};

use crate::order::{Order, OrderEvent};
use crate::payment::{Asked, PaymentEvent, PaymentService};
use crate::shipping::{Parcel, ShippingEvent};
use crate::stock::{Stock, StockEvent};

/// Under which the process manager goes, for good.
pub const NAME: &str = "fulfilment";

/// How long a customer has to pay.
pub const PAYMENT_TERM: Duration = Duration::from_hours(3 * 24);

// ANCHOR: events
/// What the process decides: its own events, in the stream `fulfilment-<order>`. Each stands for what is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Event, Serialize, Deserialize)]
#[event(category = "fulfilment")]
#[expect(missing_docs, reason = "the names say it")]
pub enum FulfilmentEvent {
    StockAsked {
        item: String,
        quantity: u32,
        cents: u64,
    },
    PaymentAsked {
        cents: u64,
    },
    ParcelAsked,
    Completed,
    GaveUp {
        item: String,
        reason: String,
    },
    RefundAsked,
}
// ANCHOR_END: events

// ANCHOR: state
/// Where the process of an order stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fulfilment {
    step: Step,
    item: String,
    cents: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Step {
    #[default]
    New,
    WaitsForStock,
    WaitsForPayment,
    WaitsForParcel,
    Over,
}

impl Aggregate for Fulfilment {
    type Event = FulfilmentEvent;

    fn apply(&mut self, event: &FulfilmentEvent) -> Result<(), Refusal> {
        self.step = match event {
            FulfilmentEvent::StockAsked { item, cents, .. } => {
                self.item.clone_from(item);
                self.cents = *cents;
                Step::WaitsForStock
            }
            FulfilmentEvent::PaymentAsked { .. } => Step::WaitsForPayment,
            FulfilmentEvent::ParcelAsked => Step::WaitsForParcel,
            FulfilmentEvent::Completed
            | FulfilmentEvent::GaveUp { .. }
            | FulfilmentEvent::RefundAsked => Step::Over,
        };
        Ok(())
    }
}
// ANCHOR_END: state

// ANCHOR: decide
impl Fulfilment {
    fn on_order(&self, event: &OrderEvent) -> Vec<FulfilmentEvent> {
        match event {
            OrderEvent::Placed {
                item,
                quantity,
                cents,
                ..
            } if self.step == Step::New => {
                vec![FulfilmentEvent::StockAsked {
                    item: item.clone(),
                    quantity: *quantity,
                    cents: *cents,
                }]
            }
            _ => vec![],
        }
    }

    fn on_stock(&self, event: &StockEvent) -> Vec<FulfilmentEvent> {
        match event {
            StockEvent::Reserved { .. } if self.step == Step::WaitsForStock => {
                vec![FulfilmentEvent::PaymentAsked { cents: self.cents }]
            }
            StockEvent::ReservationRejected { .. } if self.step == Step::WaitsForStock => {
                self.give_up("out of stock")
            }
            _ => vec![],
        }
    }

    fn on_payment(&self, PaymentEvent::Received { .. }: &PaymentEvent) -> Vec<FulfilmentEvent> {
        match self.step {
            Step::WaitsForPayment => vec![FulfilmentEvent::ParcelAsked],
            // Too late, or twice.
            _ => vec![FulfilmentEvent::RefundAsked],
        }
    }

    fn on_shipping(&self, ShippingEvent::Sent: &ShippingEvent) -> Vec<FulfilmentEvent> {
        match self.step {
            Step::WaitsForParcel => vec![FulfilmentEvent::Completed],
            _ => vec![],
        }
    }

    fn on_unpaid(&self) -> Vec<FulfilmentEvent> {
        match self.step {
            Step::WaitsForPayment => self.give_up("not paid in time"),
            _ => vec![],
        }
    }

    fn give_up(&self, reason: &str) -> Vec<FulfilmentEvent> {
        vec![FulfilmentEvent::GaveUp {
            item: self.item.clone(),
            reason: reason.to_owned(),
        }]
    }
}
// ANCHOR_END: decide

// ANCHOR: hands
/// What the process gets things done with.
#[derive(Clone, Debug)]
pub struct Hands {
    /// The orders.
    pub orders: Repository<Order>,
    /// The stock.
    pub stock: Repository<Stock>,
    /// The parcels.
    pub parcels: Repository<Parcel>,
    /// The service outside.
    pub payments: PaymentService,
}
// ANCHOR_END: hands

impl Hands {
    // ANCHOR: issue
    /// Does what an event of the process stands for. It may be asked to again: the ids are the same then.
    async fn issue(&self, event: Delivery<FulfilmentEvent>) -> Result<(), BoxError> {
        let order = event.recorded().stream().key();
        let command = |number| -> Result<Context, Error> {
            let context = Context::from(event.metadata()?);
            Ok(context.with_append_id(event.append_id(number)))
        };
        match &*event {
            FulfilmentEvent::StockAsked { item, quantity, .. } => {
                let reserve = |stock: &Stock| stock.reserve(order, *quantity);
                self.stock.execute_with(&command(0)?, item, reserve).await?;
            }
            FulfilmentEvent::PaymentAsked { cents } => {
                let (order, cents) = (order.to_owned(), *cents);
                let asked = Asked::Payment { order, cents };
                self.payments.ask(event.append_id(0), asked).await?;
            }
            FulfilmentEvent::ParcelAsked => {
                let send = |parcel: &Parcel| parcel.send();
                self.parcels.execute_with(&command(0)?, order, send).await?;
            }
            FulfilmentEvent::Completed => {
                let close = |order: &Order| order.close(OrderEvent::Completed);
                self.orders.execute_with(&command(0)?, order, close).await?;
            }
            FulfilmentEvent::GaveUp { item, reason } => {
                let release = |stock: &Stock| stock.release(order);
                self.stock.execute_with(&command(0)?, item, release).await?;
                let reason = reason.clone();
                let cancelled = OrderEvent::Cancelled { reason };
                let close = |order: &Order| order.close(cancelled.clone());
                self.orders.execute_with(&command(1)?, order, close).await?;
            }
            FulfilmentEvent::RefundAsked => {
                let order = order.to_owned();
                let asked = Asked::Refund { order };
                self.payments.ask(event.append_id(0), asked).await?;
            }
        }
        Ok(())
    }
    // ANCHOR_END: issue
}

// ANCHOR: manager
/// The process manager: what comes in, what is decided, and who does it.
///
/// # Errors
/// As the store has it.
pub fn manager(
    store: Arc<dyn EventStore>,
    hands: Hands,
) -> Result<ProcessManager<Fulfilment>, Error> {
    ProcessManager::<Fulfilment>::builder(NAME, store, JsonCodec)?
        .on(
            JsonCodec,
            ProcessKey::stream(),
            |it: &Fulfilment, event: &OrderEvent, _| Ok(it.on_order(event)),
        )
        .on(
            JsonCodec,
            ProcessKey::tag("order"),
            |it: &Fulfilment, event: &StockEvent, _| Ok(it.on_stock(event)),
        )
        .on(
            JsonCodec,
            ProcessKey::stream(),
            |it: &Fulfilment, event: &PaymentEvent, _| Ok(it.on_payment(event)),
        )
        .on(
            JsonCodec,
            ProcessKey::stream(),
            |it: &Fulfilment, event: &ShippingEvent, _| Ok(it.on_shipping(event)),
        )
        .on_timer(|it, _, _| Ok(it.on_unpaid()))?
        .setting_timers(timers)
        .issuing(move |event| {
            let hands = hands.clone();
            async move { hands.issue(event).await }
        })
        .on_failure(FailurePolicy::park().retrying(two_tries()))
        .concurrent_keys(8)
        .build()
}
// ANCHOR_END: manager

// ANCHOR: timers
/// What the events of the process say of its timer. The time counts from the event that it was decided about.
fn timers(event: &FulfilmentEvent, about: &RecordedEvent) -> Vec<TimerChange> {
    match event {
        FulfilmentEvent::PaymentAsked { .. } => {
            let due = about.appended_at().after(PAYMENT_TERM);
            vec![TimerChange::set("unpaid", due)]
        }
        FulfilmentEvent::ParcelAsked => vec![TimerChange::cancel("unpaid")],
        _ => vec![],
    }
}
// ANCHOR_END: timers

fn two_tries() -> RetryPolicy {
    let mut policy = FailurePolicy::RETRY_DEFAULT;
    policy.attempts_max = 2;
    policy
}
