//! The stress sees the bugs that it is for.

use std::panic::{AssertUnwindSafe, catch_unwind};

use annals_concurrency::{CommutingPairs, Resolution};

use crate::account::AccountEvent;
use crate::leases::{Discipline, contend};
use crate::simulation::Bug;
use crate::stress::{Identity, World, hammer, rough};

/// Whether a run of one of some seeds fails with this message.
fn is_caught(message: &str, run: impl Fn(u64)) -> bool {
    (0..40).any(|seed| {
        let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(seed))) else {
            return false;
        };
        let text = panic.downcast_ref::<String>().map_or("", String::as_str);
        assert!(text.contains(message), "caught for another reason: {text}");
        true
    })
}

#[test]
fn a_rebase_of_a_pair_that_does_not_commute_is_caught() {
    let always = |_: &[AccountEvent], _: &[AccountEvent]| Resolution::Rebase;
    assert!(is_caught("overdrawn", |seed| {
        hammer(&World::quiet(seed), always);
    }));
}

#[test]
fn a_resend_under_a_new_id_is_caught() {
    assert!(is_caught("recorded twice", |seed| {
        let world = World {
            dying_percent: 0,
            bug: Some(Bug::ForgetsIds),
            ..rough(seed, Identity::Fresh)
        };
        hammer(&world, CommutingPairs::declared());
    }));
}

#[test]
fn an_append_of_a_lease_holder_without_the_check_is_caught() {
    assert!(is_caught("after token", |seed| {
        contend(seed, Discipline::Unguarded);
    }));
}
