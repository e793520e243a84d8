//! Who waits for whom, by itself. Apart from the module, which is also compiled over other primitives.

use std::time::Duration;

use super::gathering::{Approach, Came, Gathering};
use super::slots::{Key, Slots};
use super::sync::{IDLE_LOOKS_MAX, clock};

const LONG: Duration = Duration::from_hours(1);

/// Keys of different futures.
fn keys<const N: usize>() -> [Key; N] {
    let mut slots = Slots::<()>::new();
    [(); N].map(|()| slots.insert(0))
}

/// After a commit of all but those who were found.
fn expecting(full: usize, found: usize) -> Gathering {
    let mut gathering = Gathering::default();
    gathering.expect(full - found, found, clock(), LONG);
    gathering
}

#[test]
fn nobody_is_awaited_when_all_are_back() {
    let [one] = keys();
    let mut gathering = expecting(3, 0);
    assert_eq!(gathering.approach(one, Came::Never, 3), None);
}

#[test]
fn nobody_is_awaited_after_a_commit_that_is_over_soon() {
    let [one] = keys();
    let mut gathering = Gathering::default();
    gathering.expect(64, 0, clock(), Duration::from_micros(20));
    assert_eq!(gathering.approach(one, Came::Never, 1), None);
}

#[test]
fn nobody_is_awaited_long_after_a_commit() {
    let [one] = keys();
    let mut gathering = Gathering::default();
    // Done before the clock began.
    gathering.expect(64, 0, Duration::ZERO, Duration::from_micros(30));
    while clock() < Duration::from_micros(40) {}
    let approach = gathering.approach(one, Came::Never, 1);
    assert_eq!(approach, Some(Approach::Lead));
}

#[test]
fn one_looks_and_the_others_wait_to_be_woken() {
    let [one, other] = keys();
    let mut gathering = expecting(3, 0);
    let mut come = |key, came: &mut Came, waiting| {
        let approach = gathering.approach(key, *came, waiting);
        *came = gathering.now();
        approach
    };
    let (mut first, mut second) = (Came::Never, Came::Never);
    assert_eq!(come(one, &mut first, 1), Some(Approach::StepBack));
    assert_eq!(come(other, &mut second, 2), Some(Approach::StepBack));
    assert_eq!(come(one, &mut first, 2), Some(Approach::StepBack));
    assert_eq!(come(other, &mut second, 2), Some(Approach::Park));
    assert_eq!(come(one, &mut first, 2), Some(Approach::Linger));
}

#[test]
fn another_looks_where_the_first_does_not() {
    let [one, other] = keys();
    let mut gathering = expecting(3, 0);
    gathering.approach(one, Came::Never, 1);
    for (came, waiting) in [(Came::Never, 2), (Came::Parked, 2)] {
        let approach = gathering.approach(other, came, waiting);
        assert_eq!(approach, Some(Approach::StepBack), "it was not polled yet");
    }
    let came = gathering.now();
    assert_eq!(gathering.approach(other, came, 2), Some(Approach::StepBack));
    let came = gathering.now();
    assert_eq!(gathering.approach(other, came, 2), Some(Approach::Linger));
}

#[test]
fn a_wait_ends_when_nobody_comes() {
    let [one] = keys();
    let mut gathering = expecting(2, 0);
    let mut looks = 0;
    while gathering.approach(one, gathering.now(), 1) != Some(Approach::Lead) {
        looks += 1;
    }
    assert_eq!(looks, IDLE_LOOKS_MAX);
}

/// Commits until somebody is awaited; how many batches were taken as they are.
fn skipped(gathering: &mut Gathering) -> usize {
    let [one] = keys();
    let mut skipped = 0;
    loop {
        gathering.expect(32, 32, clock(), LONG);
        if gathering.approach(one, Came::Never, 32).is_some() {
            return skipped;
        }
        skipped += 1;
    }
}

fn await_in_vain(gathering: &mut Gathering) {
    let [one] = keys();
    while gathering.approach(one, gathering.now(), 33) != Some(Approach::Lead) {}
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
    let [one] = keys();
    let mut gathering = Gathering::default();
    for _ in 0..3 {
        skipped(&mut gathering);
        await_in_vain(&mut gathering);
    }
    skipped(&mut gathering);
    assert_eq!(gathering.approach(one, gathering.now(), 64), None);
    assert_eq!(skipped(&mut gathering), 0);
}

#[test]
fn what_comes_evenly_is_not_worth_a_wait() {
    let [one] = keys();
    let mut gathering = Gathering::default();
    while clock() < Duration::from_millis(1) {}
    // As many came in the wait as in the commit, and it took as long.
    gathering.expect(10, 10, Duration::ZERO, clock());
    let approach = gathering.approach(one, Came::Never, 19);
    assert_eq!(approach, Some(Approach::Lead));
    assert_eq!(skipped(&mut gathering), 2);
}
