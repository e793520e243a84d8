//! Generated events and histories of the ledger.

use crate::ledger::{LedgerEvent, Reference};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// Any event, with any values: not every history of such is right.
pub fn event() -> impl Strategy<Value = LedgerEvent> {
    event_of(any::<i64>())
}

/// A history that the ledger takes: balances stay in their range.
pub fn history() -> impl Strategy<Value = Vec<LedgerEvent>> {
    vec(event_of(-1_000_000..=1_000_000_i64), 0..24)
}

fn event_of(cents: impl Strategy<Value = i64> + Clone) -> impl Strategy<Value = LedgerEvent> {
    let reference = prop_oneof![
        any::<u64>().prop_map(Reference::Invoice),
        any::<String>().prop_map(|text| Reference::Other { text }),
    ];
    prop_oneof![
        (any::<String>(), option::of(any::<String>()))
            .prop_map(|(owner, alias)| LedgerEvent::Opened { owner, alias }),
        cents.clone().prop_map(LedgerEvent::Moved),
        (cents, any::<String>()).prop_map(|(cents, why)| LedgerEvent::Adjusted(cents, why)),
        (vec(any::<(String, u32)>(), 0..4), option::of(reference))
            .prop_map(|(notes, reference)| LedgerEvent::Annotated { notes, reference }),
        Just(LedgerEvent::Closed),
    ]
}
