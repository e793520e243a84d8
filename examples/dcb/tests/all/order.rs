//! Prevent record duplication.

use dcb::order::{OrderEvent, Orders, Resubmitted};
use futures_executor::block_on;

use crate::race::{assert_one_winner, count, fresh, race, race_as_they_come, refused};

#[test]
fn the_rules() {
    block_on(async {
        let orders = Orders::new(fresh());
        orders.place("order 1", "request 1").await.unwrap();
        orders.place("order 2", "request 2").await.unwrap();
        assert_eq!(
            refused(orders.place("order 3", "request 1").await),
            Resubmitted
        );
    });
}

#[test]
fn a_request_is_served_once() {
    race(
        |_| (),
        |decisions, number| {
            let orders = Orders::new(decisions.clone());
            block_on(orders.place(&format!("order {number}"), "request"))
        },
        |race| {
            assert_one_winner(&race.answers, &Resubmitted);
            assert_eq!(count(&race.events, "order-placed"), 1);
        },
    );
}

/// By append id everybody has the answer of the one that won.
#[test]
fn a_request_is_recorded_once_and_answered_alike() {
    race_as_they_come(
        |decisions, _| {
            let orders = Orders::new(decisions.clone());
            block_on(orders.place_once("order", "request")).unwrap()
        },
        |race| {
            let first = race.answers.iter().filter(|made| {
                let receipt = made.receipt.as_ref();
                receipt.is_some_and(|receipt| !receipt.is_duplicate())
            });
            assert_eq!(first.count(), 1);
            let placed = OrderEvent::OrderPlaced {
                order: "order".to_owned(),
                request: "request".to_owned(),
            };
            for made in &race.answers {
                assert_eq!(made.events, std::slice::from_ref(&placed));
            }
            assert_eq!(race.events.len(), 1);
        },
    );
}
