//! A false pair fails the law, however it is false; a true one keeps it.

use annals_concurrency::CommutingPairs;
use annals_testkit::laws;

use crate::account::{Account, AccountEvent, deposited, opened, withdrawn};
use crate::support::failure_of;

fn histories() -> [Vec<AccountEvent>; 1] {
    [vec![opened(), deposited(100), withdrawn(70), deposited(5)]]
}

fn pairs(one: &str, other: &str) -> CommutingPairs<AccountEvent> {
    CommutingPairs::none().with(one, other).unwrap()
}

#[test]
fn the_declared_pairs_of_a_right_aggregate_commute() {
    laws::commuting_pairs_commute::<Account>(&histories());
}

#[test]
fn a_false_pair_is_told() {
    for (one, other, message) in [
        // Of 100, 70 can be withdrawn once.
        ("withdrawn", "withdrawn", "not both"),
        ("closed", "deposited", "not both"),
        ("closed", "opened", "a difference"),
    ] {
        let histories = [histories().concat(), vec![opened(), AccountEvent::Closed]];
        let failure = failure_of(|| {
            laws::commuting_pairs_commute_in::<Account>(&pairs(one, other), |_| true, &histories);
        });
        assert!(
            failure.contains("broken law: commuting pairs commute"),
            "{failure}"
        );
        assert!(failure.contains(message), "{failure}");
    }
}

#[test]
fn a_pair_that_breaks_the_invariant_is_told() {
    let pairs = pairs("deposited", "deposited");
    laws::commuting_pairs_commute_in::<Account>(&pairs, |_| true, &histories());
    let failure = failure_of(|| {
        let within = |account: &Account| account.cents <= 100;
        laws::commuting_pairs_commute_in::<Account>(&pairs, within, &histories());
    });
    assert!(failure.contains("break it"), "{failure}");
}

#[test]
fn a_pair_that_never_happens_is_missed() {
    let failure = failure_of(|| {
        laws::commuting_pairs_commute::<Account>(&[vec![opened(), deposited(1)]]);
    });
    assert!(failure.contains("give a history of both"), "{failure}");
}
