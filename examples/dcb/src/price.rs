//! Dynamic product price: who orders pays the price that was shown, if that is the price, or was until a few
//! minutes ago. Orders are not in each other's way, a change of price is.

use annals::prelude::*;
use annals::{Error, JsonCodec};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::Made;

/// For how many minutes an old price still counts.
pub const GRACE_MINUTES: u64 = 10;

/// What happens to products.
#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "product")]
#[expect(missing_docs, reason = "the names say it")]
pub enum ProductEvent {
    Priced {
        #[event(tag)]
        product: String,
        cents: u64,
        minute: u64,
    },
    Ordered {
        #[event(tag)]
        product: String,
        cents: u64,
    },
}

// ANCHOR: model
/// The prices of a product that count at a moment.
struct Prices<'a> {
    product: &'a str,
    now: u64,
    current: Option<u64>,
    /// Prices that counted until a few minutes ago.
    recent: Vec<u64>,
}

impl DecisionModel for Prices<'_> {
    type Event = ProductEvent;

    fn criteria(&self) -> Result<Criteria, Error> {
        let product = Tag::from_parts("product", self.product)?;
        Criteria::of_kinds::<ProductEvent>(["priced"])?.tagged([product])
    }

    fn apply(&mut self, event: &ProductEvent) -> Result<(), Refusal> {
        let ProductEvent::Priced { cents, minute, .. } = event else {
            return Ok(());
        };
        if minute.saturating_add(GRACE_MINUTES) < self.now {
            self.recent.clear();
        } else {
            self.recent.extend(self.current);
        }
        self.current = Some(*cents);
        Ok(())
    }
}
// ANCHOR_END: model

/// Why a command about products is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum PriceError {
    #[error("there is no such product")]
    NoSuchProduct,
    #[error("the price of {product} is {cents} by now")]
    OtherPrice { product: String, cents: u64 },
}

/// What is in a cart: a product, and the price that was shown, in cents.
pub type Item<'a> = (&'a str, u64);

/// The commands. Minutes are counted from any moment.
#[derive(Clone, Debug)]
pub struct Products(Decisions<JsonCodec>);

impl Products {
    /// Products whose decisions are made here.
    pub fn new(decisions: Decisions<JsonCodec>) -> Self {
        Self(decisions)
    }

    /// Gives a product a price, whatever it is now.
    pub async fn price(
        &self,
        (product, cents): Item<'_>,
        minute: u64,
    ) -> Made<ProductEvent, PriceError> {
        let price = |(): &()| Ok(priced(product, cents, minute));
        self.0.decide((), price).await
    }

    /// Gives a product another price, if it has the one that was seen.
    pub async fn reprice(
        &self,
        (product, seen): Item<'_>,
        cents: u64,
        minute: u64,
    ) -> Made<ProductEvent, PriceError> {
        let reprice = |prices: &Prices<'_>| match prices.current {
            None => Err(PriceError::NoSuchProduct),
            Some(current) if current == seen => Ok(priced(product, cents, minute)),
            Some(current) => Err(other_price(product, current)),
        };
        self.0.decide(prices(product, minute), reprice).await
    }

    // ANCHOR: order
    /// Orders all of a cart, or nothing of it.
    pub async fn order(&self, cart: &[Item<'_>], now: u64) -> Made<ProductEvent, PriceError> {
        let boundary: Vec<Prices<'_>> = cart.iter().map(|(of, _)| prices(of, now)).collect();
        let order = |all: &Vec<Prices<'_>>| {
            let ordered = all
                .iter()
                .zip(cart)
                .map(|(prices, item)| prices.order(*item));
            ordered.collect::<Result<Vec<ProductEvent>, PriceError>>()
        };
        self.0.decide(boundary, order).await
    }
    // ANCHOR_END: order
}

impl Prices<'_> {
    fn order(&self, (product, cents): Item<'_>) -> Result<ProductEvent, PriceError> {
        let current = self.current.ok_or(PriceError::NoSuchProduct)?;
        if cents != current && !self.recent.contains(&cents) {
            return Err(other_price(product, current));
        }
        let product = product.to_owned();
        Ok(ProductEvent::Ordered { product, cents })
    }
}

fn prices(product: &str, now: u64) -> Prices<'_> {
    Prices {
        product,
        now,
        current: None,
        recent: Vec::new(),
    }
}

fn priced(product: &str, cents: u64, minute: u64) -> ProductEvent {
    ProductEvent::Priced {
        product: product.to_owned(),
        cents,
        minute,
    }
}

fn other_price(product: &str, cents: u64) -> PriceError {
    let product = product.to_owned();
    PriceError::OtherPrice { product, cents }
}
