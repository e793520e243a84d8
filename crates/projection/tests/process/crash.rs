//! Crashes, failed appends and lost answers at every point: what happened in the log is what happens without them.

use std::sync::Arc;

use annals_core::{ErrorKind, EventStore};
use annals_projection::Delivery;
use annals_testkit::{Fault, FaultyStore};
use proptest::prelude::*;

use crate::order::{IdOf, OrderEvent};
use crate::stepping::{Stepping, run_for};
use crate::world::{Input, World, fresh};

const STEPS_MAX: usize = 100_000;
const DERIVED: IdOf = Delivery::append_id;

fn inputs() -> Vec<Input> {
    let placed = |order, cents| Input::Order(order, OrderEvent::Placed { cents });
    vec![
        Input::Order(1, OrderEvent::Noted),
        placed(1, 100),
        placed(2, 250),
        Input::Paid(1, 40),
        Input::Order(2, OrderEvent::Noted),
        Input::Paid(1, 100),
        placed(3, 70),
        Input::Order(3, OrderEvent::Cancelled),
        Input::Order(1, OrderEvent::Noted),
    ]
}

/// What happens without any fault.
fn expected(inputs: &[Input]) -> Vec<String> {
    let world = World::new(inputs);
    let store: Arc<dyn EventStore> = Arc::new(Stepping(world.memory.clone()));
    run_for(world.whole(store, DERIVED), STEPS_MAX)
        .unwrap()
        .unwrap();
    world.effects()
}

/// Crashes after so many steps each, then goes on to the end.
fn crashed(world: &World, crashes: &[usize], id_of: IdOf) -> bool {
    for steps in crashes {
        let store: Arc<dyn EventStore> = Arc::new(Stepping(world.memory.clone()));
        if let Some(done) = run_for(world.whole(store, id_of), *steps) {
            done.unwrap();
            return true;
        }
    }
    let store: Arc<dyn EventStore> = Arc::new(Stepping(world.memory.clone()));
    run_for(world.whole(store, id_of), STEPS_MAX)
        .unwrap()
        .unwrap();
    false
}

#[test]
fn the_story_is_what_it_is_meant_to_be() {
    let effects = expected(&inputs());
    let of = |prefix: &str| effects.iter().filter(|it| it.starts_with(prefix)).count();
    for (prefix, count) in [
        ("effect-1 asked", 1),
        ("effect-1 reminded", 1),
        ("effect-1 sent", 1),
        ("effect-2 reminded", 3),
        ("effect-2 gave-up", 1),
        ("effect-2 sent", 0),
        ("effect-3 gave-up", 1),
        ("timer-fulfilment/1/end timer-cancelled", 1),
        ("timer-fulfilment/1/end timer-fired", 0),
        ("timer-fulfilment/2/reminder timer-fired", 1),
        ("timer-fulfilment/2/end timer-fired", 1),
        ("timer-fulfilment/3/end timer-fired", 0),
    ] {
        assert_eq!(of(prefix), count, "{prefix} in {effects:#?}");
    }
}

#[test]
fn a_crash_at_any_await_leaves_no_effect_out_and_none_twice() {
    let expected = expected(&inputs());
    for batch in [1, 4] {
        let mut steps = 1;
        loop {
            let mut world = World::new(&inputs());
            world.batch = batch;
            let was_done = crashed(&world, &[steps], DERIVED);
            assert_eq!(world.effects(), expected, "after a crash at step {steps}");
            if was_done {
                assert!(steps > 100, "the store was not at work: {steps} steps");
                break;
            }
            steps += 1;
        }
    }
}

#[test]
fn any_failing_append_or_read_leaves_no_effect_out_and_none_twice() {
    type Plan = fn(
        FaultyStore<Arc<annals_store_memory::MemoryStore>>,
        u64,
    ) -> FaultyStore<Arc<annals_store_memory::MemoryStore>>;
    let expected = expected(&inputs());
    let plans: [Plan; 5] = [
        |store, nth| store.on_append(nth, Fault::Rejected(ErrorKind::Unavailable)),
        |store, nth| store.on_append(nth, Fault::LostBeforeWrite),
        |store, nth| store.on_append(nth, Fault::LostAfterWrite),
        |store, nth| store.on_append(nth, Fault::HangAfterWrite),
        |store, nth| store.on_read(nth, ErrorKind::Unavailable),
    ];
    for plan in plans {
        for nth in 1.. {
            let world = World::new(&inputs());
            let faulty = Arc::new(plan(FaultyStore::new(world.memory.clone()), nth));
            let calls = (faulty.appends(), faulty.reads());
            assert_eq!(calls, (0, 0));
            let mut runs = 0;
            loop {
                runs += 1;
                assert!(runs < 5, "call {nth} is never over");
                let store: Arc<dyn EventStore> = faulty.clone();
                if let Some(Ok(())) = run_for(world.whole(store, DERIVED), STEPS_MAX) {
                    break;
                }
            }
            assert_eq!(world.effects(), expected, "after a fault at call {nth}");
            if nth > faulty.appends().max(faulty.reads()) {
                break;
            }
        }
    }
}

#[test]
fn a_command_without_its_derived_id_is_seen() {
    let expected = expected(&inputs());
    let mut seen = 0;
    for steps in 1..400 {
        let world = World::new(&inputs());
        crashed(&world, &[steps], |_, _| fresh());
        seen += u32::from(world.effects() != expected);
    }
    assert!(
        seen > 0,
        "a crash between a command and its checkpoint shows nothing"
    );
}

fn any_input() -> impl Strategy<Value = Input> {
    let order = 1..4_u8;
    let event = prop_oneof![
        (1..300_u64).prop_map(|cents| OrderEvent::Placed { cents }),
        Just(OrderEvent::Noted),
        Just(OrderEvent::Cancelled),
    ];
    prop_oneof![
        3 => (order.clone(), event).prop_map(|(order, event)| Input::Order(order, event)),
        1 => (order, 1..300_u64).prop_map(|(order, cents)| Input::Paid(order, cents)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn whatever_comes_and_whenever_it_dies_effects_are_there_once(
        inputs in prop::collection::vec(any_input(), 1..14),
        crashes in prop::collection::vec(1..200_usize, 0..5),
        batch in 1..6_usize,
        pending_max in 1..5_usize,
    ) {
        let expected = expected(&inputs);
        let mut world = World::new(&inputs);
        world.batch = batch;
        world.pending_max = pending_max;
        crashed(&world, &crashes, DERIVED);
        prop_assert_eq!(world.effects(), expected);
    }
}
