//! Invoice number: numbers without a gap and without a repeat, for every year anew.

use std::convert::Infallible;

use annals::prelude::*;
use annals::{Error, JsonCodec};
use serde::{Deserialize, Serialize};

use crate::Made;

/// What happens to invoices.
#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "invoice")]
#[expect(missing_docs, reason = "the names say it")]
pub enum InvoiceEvent {
    InvoiceCreated {
        #[event(tag)]
        year: u32,
        number: u64,
        cents: u64,
    },
}

// ANCHOR: model
/// The last number of a year. The year is a tag, so that a decision reads the invoices of one year only.
struct LastNumber {
    year: u32,
    number: u64,
}

impl DecisionModel for LastNumber {
    type Event = InvoiceEvent;

    fn criteria(&self) -> Result<Criteria, Error> {
        Criteria::of_event::<InvoiceEvent>()?.tagged([Tag::from_parts("year", self.year)?])
    }

    fn apply(&mut self, event: &InvoiceEvent) -> Result<(), Refusal> {
        let InvoiceEvent::InvoiceCreated { number, .. } = event;
        if self.number.checked_add(1) != Some(*number) {
            return Err(Refusal::new("invoice numbers have a gap"));
        }
        self.number = *number;
        Ok(())
    }
}
// ANCHOR_END: model

/// The commands.
#[derive(Clone, Debug)]
pub struct Invoices(Decisions<JsonCodec>);

impl Invoices {
    /// Invoices whose decisions are made here.
    pub fn new(decisions: Decisions<JsonCodec>) -> Self {
        Self(decisions)
    }

    /// Creates an invoice with the next number of its year.
    pub async fn create(&self, year: u32, cents: u64) -> Made<InvoiceEvent, Infallible> {
        let create = |last: &LastNumber| {
            let number = last.number.saturating_add(1);
            Ok(InvoiceEvent::InvoiceCreated {
                year,
                number,
                cents,
            })
        };
        self.0.decide(LastNumber { year, number: 0 }, create).await
    }
}
