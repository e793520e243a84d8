//! Events of three sizes, for the benchmarks of codecs.

use annals_macros::Event;
use serde::{Deserialize, Serialize};

/// What happens in a shop; each kind holds a struct that can be encoded without annals too.
#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "shop")]
pub enum ShopEvent {
    /// Tiny: 14 bytes of JSON.
    Paid(Paid),
    /// Typical: about 200 bytes of JSON.
    LineAdded(Line),
    /// Large: about 4 KiB of JSON.
    OrderFiled(Order),
}

/// Cents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Paid {
    /// How many.
    pub cents: i64,
}

/// A line of an order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(
    clippy::struct_field_names,
    reason = "a line of an order has a number, which is called so"
)]
pub struct Line {
    order: String,
    line: u32,
    article: String,
    quantity: u32,
    unit_price_cents: u64,
    currency: String,
    warehouse: String,
    requested_at: String,
}

impl Line {
    /// What it costs.
    pub fn cents(&self) -> u64 {
        u64::from(self.quantity) * self.unit_price_cents
    }
}

/// A whole order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Order {
    customer: String,
    express: bool,
    weight_grams: Option<f64>,
    notes: Vec<String>,
    lines: Vec<Line>,
}

/// The n-th payment.
pub fn paid(number: u32) -> Paid {
    Paid {
        cents: i64::from(number % 9_000) + 1_000,
    }
}

/// The n-th line.
pub fn line(number: u32) -> Line {
    Line {
        order: format!(
            "8f14e45f-ceea-467f-a9ae-{:012x}",
            u64::from(number) * 0x9e37_79b9
        ),
        line: number % 20 + 1,
        article: format!("M{}-HEX-BOLT-ZN", number % 30),
        quantity: number * 7 % 500,
        unit_price_cents: u64::from(number) * 31 % 5_000,
        currency: "EUR".to_owned(),
        warehouse: format!("HAM-{}", number % 4),
        requested_at: format!("2026-11-23T08:00:{:02}Z", number % 60),
    }
}

/// The n-th order.
pub fn order(number: u32) -> Order {
    Order {
        customer: format!("customer-{number}"),
        express: number.is_multiple_of(2),
        weight_grams: Some(f64::from(number) * 1.37),
        notes: vec![
            "ring twice".to_owned(),
            "leave it with the neighbours".to_owned(),
        ],
        lines: (number..number + 19).map(line).collect(),
    }
}
