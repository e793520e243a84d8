//! The laws on generated histories: right aggregates pass, wrong ones fail with a small history.

use annals_codec::JsonCodec;
use annals_core::{Aggregate, Refusal, fold};
use annals_testkit::laws::generated;
use expect_test::expect;
use proptest::prelude::*;

use crate::account::{Account, AccountEvent, deposited, opened, withdrawn};
use crate::support::failure_of;

fn any_event() -> impl Strategy<Value = AccountEvent> {
    prop_oneof![
        "[a-z]{1,8}".prop_map(|owner| AccountEvent::Opened { owner }),
        (1_u64..100).prop_map(deposited),
        (1_u64..100).prop_map(withdrawn),
        Just(AccountEvent::Closed),
    ]
}

#[test]
fn a_right_aggregate_keeps_every_law() {
    let histories = generated::any_history::<Account>(any_event(), 30);
    generated::check_all::<Account>(&JsonCodec, &histories);
    generated::every_event_survives_its_codec(&JsonCodec, &any_event());
}

proptest! {
    #[test]
    fn every_generated_history_is_accepted(history in generated::any_history::<Account>(any_event(), 30)) {
        prop_assert!(history.len() <= 30);
        prop_assert!(fold::<Account>(&history).is_ok());
    }
}

/// An account whose fold goes wrong at a withdrawal of 50 and more.
#[derive(Debug, Default, PartialEq)]
struct Wrong {
    account: Account,
    checksum: u64,
}

impl Aggregate for Wrong {
    type Event = AccountEvent;

    fn apply(&mut self, event: &AccountEvent) -> Result<(), Refusal> {
        use std::sync::atomic::{AtomicU64, Ordering};
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        if matches!(event, AccountEvent::Withdrawn { cents: 50.. }) {
            self.checksum = COUNTER.fetch_add(1, Ordering::SeqCst);
        }
        self.account.apply(event)
    }
}

#[test]
fn what_breaks_a_law_is_shrunk_and_shown_with_its_seed() {
    let histories = generated::any_history::<Wrong>(any_event(), 30);
    let message = failure_of(|| generated::replay_is_deterministic::<Wrong>(&histories));
    for part in [
        "broken law: replay is deterministic\nthe same history gives different states\n",
        "    1. Opened { owner: \"a\" }\n",
        ". Withdrawn { cents: 50 }\n",
        "run it again with:\n    PROPTEST_RNG_SEED=",
    ] {
        assert!(message.contains(part), "no {part:?} in {message}");
    }
}

#[test]
fn a_panic_is_shrunk_too() {
    #[derive(Debug, Default, PartialEq)]
    struct Panics(u64);

    impl Aggregate for Panics {
        type Event = AccountEvent;

        fn apply(&mut self, event: &AccountEvent) -> Result<(), Refusal> {
            if let AccountEvent::Deposited { cents } = event {
                self.0 += cents;
                assert!(self.0 < 150, "rich");
            }
            Ok(())
        }
    }

    let histories = proptest::collection::vec(any_event(), 0..20);
    let message = failure_of(|| generated::replay_is_deterministic::<Panics>(&histories));
    assert!(message.contains("message:\n    rich\n"), "{message}");
    assert!(!message.contains("Opened"), "{message}");
    assert!(message.contains("PROPTEST_RNG_SEED="), "{message}");
}

#[test]
fn histories_in_which_nothing_happens_are_told() {
    let histories = generated::any_history::<Account>(Just(deposited(1)), 30);
    let message = failure_of(|| generated::replay_is_deterministic::<Account>(&histories));
    expect![[r#"
        samples are incomplete for the law: replay is deterministic
        every generated history is empty; generate events that can come first
    "#]]
    .assert_eq(&message);
    assert!(fold::<Account>(&[opened(), deposited(1)]).is_ok());
}
