//! Dynamic product price.

use annals::RecordedEvent;
use dcb::price::{GRACE_MINUTES, PriceError, Products};
use futures_executor::block_on;

use crate::race::{CLIENTS, assert_one_winner, count, fresh, race, refused};

fn other_price(product: &str, cents: u64) -> PriceError {
    let product = product.to_owned();
    PriceError::OtherPrice { product, cents }
}

#[test]
fn the_rules() {
    block_on(async {
        let products = Products::new(fresh());
        let unknown = products.order(&[("tea", 300)], 0).await;
        assert_eq!(refused(unknown), PriceError::NoSuchProduct);
        products.price(("tea", 300), 0).await.unwrap();
        products.price(("jam", 450), 0).await.unwrap();
        products.order(&[("tea", 300)], 99).await.unwrap();
        let wrong = products.order(&[("tea", 299)], 99).await;
        assert_eq!(refused(wrong), other_price("tea", 300));

        // What was shown counts for a while.
        products.price(("tea", 350), 100).await.unwrap();
        let last = 100 + GRACE_MINUTES;
        for (cents, minute, refusal) in [
            (350, 100, None),
            (300, last, None),
            (300, last + 1, Some(other_price("tea", 350))),
        ] {
            let ordered = products.order(&[("tea", cents)], minute).await;
            assert_eq!(
                ordered.err().map(|error| error.refused().cloned()),
                refusal.map(Some)
            );
        }

        // A cart is ordered as a whole.
        let cart = products.order(&[("tea", 350), ("jam", 1)], 500).await;
        assert_eq!(refused(cart), other_price("jam", 450));
        let cart = products.order(&[("tea", 350), ("jam", 450)], 500).await;
        assert_eq!(cart.unwrap().events.len(), 2);
    });
}

/// Of all who saw one price and change it, one does.
#[test]
fn a_price_is_changed_once() {
    race(
        |decisions| {
            let products = Products::new(decisions.clone());
            drop(block_on(products.price(("tea", 300), 0)).unwrap());
        },
        |decisions, _| {
            let products = Products::new(decisions.clone());
            block_on(products.reprice(("tea", 300), 350, 50))
        },
        |race| {
            assert_one_winner(&race.answers, &other_price("tea", 350));
            assert_eq!(count(&race.events, "priced"), 2);
        },
    );
}

/// An order at the old price is recorded before the change, or not at all. (The grace is over for them.)
#[test]
fn no_order_is_recorded_at_a_price_that_is_over() {
    race(
        |decisions| {
            let products = Products::new(decisions.clone());
            drop(block_on(products.price(("tea", 300), 0)).unwrap());
        },
        |decisions, number| {
            let products = Products::new(decisions.clone());
            if number == CLIENTS / 2 {
                drop(block_on(products.reprice(("tea", 300), 350, 50)).unwrap());
            } else {
                drop(block_on(products.order(&[("tea", 300)], 999)));
            }
        },
        |race| {
            let is_priced = |event: &RecordedEvent| event.event_type().as_str() == "priced";
            let changed = race.events.iter().rposition(is_priced).unwrap();
            assert_eq!(race.events.len(), changed + 1);
        },
    );
}

/// Orders don't wait for each other.
#[test]
fn orders_are_not_in_each_others_way() {
    race(
        |decisions| {
            let products = Products::new(decisions.clone());
            drop(block_on(products.price(("tea", 300), 0)).unwrap());
        },
        |decisions, _| {
            let products = Products::new(decisions.clone());
            let ordered = block_on(products.order(&[("tea", 300)], 1));
            ordered.unwrap().attempts
        },
        |race| assert_eq!(race.answers, [1; CLIENTS]),
    );
}
