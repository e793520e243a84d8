//! Who waits for whom, by itself. Apart from the module, which is also compiled over other primitives.

use std::time::Duration;

use super::gathering::{Approach, Came, Gathering};
use super::slots::{Key, Slots};
use super::sync::IDLE_LOOKS_MAX;

const LONG: Duration = Duration::from_secs(3600);

/// Keys of different futures.
fn keys<const N: usize>() -> [Key; N] {
    let mut slots = Slots::<()>::new();
    [(); N].map(|()| slots.insert(0))
}

fn expecting(full: usize) -> Gathering {
    let mut gathering = Gathering::default();
    gathering.expect(full, LONG);
    gathering
}

#[test]
fn a_batch_is_full_when_all_are_back() {
    let gathering = expecting(3);
    assert!(!gathering.is_over(2));
    assert!(gathering.is_over(3));
}

#[test]
fn nobody_is_awaited_after_a_commit_that_is_over_soon() {
    let mut gathering = Gathering::default();
    gathering.expect(64, Duration::from_micros(20));
    assert!(gathering.is_over(1));
}

#[test]
fn one_looks_and_the_others_wait_to_be_woken() {
    let [one, other] = keys();
    let mut gathering = expecting(3);
    assert_eq!(gathering.approach(one, Came::Never, 1), Approach::StepBack);
    let (first, came) = (gathering.now(), Came::Never);
    assert_eq!(gathering.approach(other, came, 2), Approach::StepBack);
    let came = gathering.now();
    assert_eq!(gathering.approach(one, first, 2), Approach::StepBack);
    assert_eq!(gathering.approach(other, came, 2), Approach::Park);
    let came = gathering.now();
    assert_eq!(gathering.approach(one, came, 2), Approach::Linger);
}

#[test]
fn another_looks_where_the_first_does_not() {
    let [one, other] = keys();
    let mut gathering = expecting(3);
    gathering.approach(one, Came::Never, 1);
    assert_eq!(
        gathering.approach(other, Came::Never, 2),
        Approach::StepBack
    );
    let came = gathering.now();
    assert_eq!(gathering.approach(other, came, 2), Approach::StepBack);
    let came = gathering.now();
    assert_eq!(gathering.approach(other, came, 2), Approach::Linger);
}

#[test]
fn a_wait_ends_when_nobody_comes() {
    let [one] = keys();
    let mut gathering = expecting(2);
    let mut came = Came::Never;
    let mut looks = 0;
    while gathering.approach(one, came, 1) != Approach::Lead {
        came = gathering.now();
        looks += 1;
    }
    assert_eq!(looks, IDLE_LOOKS_MAX);
}

/// Commits until somebody is awaited; how many batches were taken as they are.
fn skipped(gathering: &mut Gathering) -> usize {
    let mut skipped = 0;
    loop {
        gathering.expect(8, LONG);
        if !gathering.is_over(1) {
            return skipped;
        }
        gathering.end(1);
        skipped += 1;
    }
}

fn await_in_vain(gathering: &mut Gathering) {
    let [one] = keys();
    gathering.approach(one, Came::Never, 1);
    gathering.end(1);
}

#[test]
fn waits_in_vain_become_rare() {
    let mut gathering = Gathering::default();
    let counts = [(); 10].map(|()| {
        let skipped = skipped(&mut gathering);
        await_in_vain(&mut gathering);
        skipped
    });
    assert_eq!(counts, [0, 2, 4, 8, 16, 32, 64, 128, 256, 256]);
}

#[test]
fn a_batch_that_fills_ends_the_distrust() {
    let mut gathering = Gathering::default();
    for _ in 0..3 {
        skipped(&mut gathering);
        await_in_vain(&mut gathering);
    }
    skipped(&mut gathering);
    gathering.end(6);
    assert_eq!(skipped(&mut gathering), 0);
}
