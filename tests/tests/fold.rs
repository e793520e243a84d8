//! The laws of the fold: rho is a fold of delta, in one part or in many.

use annals_core::{EventSourcingSystem, Expected, Version, fold, fold_from};
use annals_tests::ledger::Ledger;
use annals_tests::strategies::history;
use proptest::prelude::*;

proptest! {
    #[test]
    fn folding_in_two_parts_is_folding_in_one(events in history(), cut in any::<prop::sample::Index>()) {
        let whole: Ledger = fold(&events).unwrap();
        let (first, second) = events.split_at(cut.index(events.len() + 1));
        let parts = fold::<Ledger>(first).and_then(|state| fold_from(state, second)).unwrap();
        prop_assert_eq!(parts, whole);
    }

    #[test]
    fn as_of_n_is_the_fold_of_the_first_n(events in history()) {
        let mut system = EventSourcingSystem::<Ledger>::new();
        for event in &events {
            system.record("a", Expected::Any, [event.clone()]).unwrap();
        }
        for count in 0..=events.len() {
            let version = Version::new(u64::try_from(count).unwrap());
            let first: Ledger = fold(&events[..count]).unwrap();
            prop_assert_eq!(system.state_at("a", version).unwrap(), first);
        }
        let present: Ledger = fold(&events).unwrap();
        prop_assert_eq!(system.state("a").cloned().unwrap_or_default(), present);
    }

    #[test]
    fn how_events_are_batched_changes_nothing(events in history(), batch in 1..5_usize) {
        let mut one_by_one = EventSourcingSystem::<Ledger>::new();
        let mut batched = EventSourcingSystem::<Ledger>::new();
        for event in &events {
            one_by_one.record("a", Expected::Any, [event.clone()]).unwrap();
        }
        for events in events.chunks(batch) {
            batched.record("a", Expected::Any, events.to_vec()).unwrap();
        }
        prop_assert_eq!(one_by_one.state("a"), batched.state("a"));
        prop_assert_eq!(one_by_one.history("a"), batched.history("a"));
    }

    #[test]
    fn one_refused_event_refuses_all_that_come_with_it(events in history(), excess in 1..i64::MAX) {
        use annals_tests::ledger::LedgerEvent::Moved;
        let mut system = EventSourcingSystem::<Ledger>::new();
        system.record("a", Expected::Any, events.clone()).unwrap();
        let before = system.history("a").cloned();
        let overflow = [Moved(1), Moved(i64::MAX), Moved(excess)];
        let balance = system.state("a").map_or(0, |state| state.balance);
        prop_assume!(balance >= 0);
        prop_assert!(system.record("a", Expected::Any, overflow).is_err());
        prop_assert_eq!(system.history("a").cloned(), before);
        let folded: Ledger = fold(&events).unwrap();
        prop_assert_eq!(system.state("a").cloned().unwrap_or_default(), folded);
    }
}
