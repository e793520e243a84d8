//! Prevent record duplication: a form that is sent twice places one order.

use annals::prelude::*;
use annals::{Error, JsonCodec};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::Made;

/// What happens to orders.
#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "order")]
#[expect(missing_docs, reason = "the names say it")]
pub enum OrderEvent {
    OrderPlaced {
        #[event(tag)]
        order: String,
        /// What the client made when it showed the form.
        #[event(tag)]
        request: String,
    },
}

// ANCHOR: model
/// Whether a request was served.
struct Request<'a> {
    request: &'a str,
    is_served: bool,
}

impl DecisionModel for Request<'_> {
    type Event = OrderEvent;

    fn criteria(&self) -> Result<Criteria, Error> {
        Criteria::of_event::<OrderEvent>()?.tagged([Tag::from_parts("request", self.request)?])
    }

    fn apply(&mut self, _: &OrderEvent) -> Result<(), Refusal> {
        self.is_served = true;
        Ok(())
    }
}
// ANCHOR_END: model

/// Why an order is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the request was served")]
pub struct Resubmitted;

/// The commands.
#[derive(Clone, Debug)]
pub struct Orders(Decisions<JsonCodec>);

impl Orders {
    /// Orders whose decisions are made here.
    pub fn new(decisions: Decisions<JsonCodec>) -> Self {
        Self(decisions)
    }

    /// Places an order, and refuses a request that was served: a rule like any other, told to whoever
    /// sends twice.
    pub async fn place(&self, order: &str, request: &str) -> Made<OrderEvent, Resubmitted> {
        let boundary = Request {
            request,
            is_served: false,
        };
        let place = |served: &Request<'_>| {
            let placed = placed(order, request);
            (!served.is_served).then_some(placed).ok_or(Resubmitted)
        };
        self.0.decide(boundary, place).await
    }

    // ANCHOR: append_id
    /// Places an order, and answers a request that was served as it was answered the first time: nothing
    /// is read, as the store knows append ids by itself.
    pub async fn place_once(&self, order: &str, request: &str) -> Made<OrderEvent, Resubmitted> {
        let context = Context::new().with_append_id(AppendId::parse(request)?);
        let place = |(): &()| Ok(placed(order, request));
        self.0.decide_with(&context, (), place).await
    }
    // ANCHOR_END: append_id
}

fn placed(order: &str, request: &str) -> OrderEvent {
    OrderEvent::OrderPlaced {
        order: order.to_owned(),
        request: request.to_owned(),
    }
}
