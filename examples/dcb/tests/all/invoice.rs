//! Invoice number.

use dcb::invoice::{InvoiceEvent, Invoices};
use futures_executor::block_on;

use crate::race::{CLIENTS, fresh, race};

fn number(event: &InvoiceEvent) -> u64 {
    let InvoiceEvent::InvoiceCreated { number, .. } = event;
    *number
}

#[test]
fn the_rules() {
    block_on(async {
        let invoices = Invoices::new(fresh());
        for (year, expected) in [(2025, 1), (2025, 2), (2026, 1), (2025, 3)] {
            let made = invoices.create(year, 995).await.unwrap();
            assert_eq!(
                made.events.iter().map(number).collect::<Vec<_>>(),
                [expected]
            );
        }
    });
}

/// Each number has one winner, and there is no gap.
#[test]
fn numbers_are_given_once_and_without_a_gap() {
    race(
        |_| (),
        |decisions, _| {
            let made = block_on(Invoices::new(decisions.clone()).create(2026, 995)).unwrap();
            made.events.iter().map(number).sum::<u64>()
        },
        |race| {
            let mut numbers = race.answers.clone();
            numbers.sort_unstable();
            let expected: Vec<u64> = (1..=CLIENTS as u64).collect();
            assert_eq!(numbers, expected);
            // The model itself refuses a gap.
            block_on(Invoices::new(race.decisions.clone()).create(2026, 1)).unwrap();
        },
    );
}
