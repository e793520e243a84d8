//! What a process manager does.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use annals_codec::{EventCodec, JsonCodec};
use annals_core::{
    Append, AppendId, ContentType, ErrorKind, EventStore, EventType, Expected, NewEvent, StreamId,
};
use annals_projection::{Delivery, ProcessKey, ProcessManager};
use annals_testkit::{Fault, FaultyStore};
use futures_executor::block_on;

use crate::order::{Fulfilment, OrderEvent, Step, manager};
use crate::world::{Input, World, fresh};

fn placed(order: u8, cents: u64) -> Input {
    Input::Order(order, OrderEvent::Placed { cents })
}

fn append(store: &dyn EventStore, stream: &str, event: NewEvent) {
    let append =
        Append::builder(fresh()).write(StreamId::parse(stream).unwrap(), Expected::Any, [event]);
    block_on(store.append(append.build().unwrap())).unwrap();
}

#[test]
fn an_input_becomes_own_events_timers_and_commands() {
    let world = World::new(&[placed(1, 100)]);
    let input = &world.recorded("order")[0];
    block_on(world.manager().take(input, 1)).unwrap();
    assert_eq!(world.names("fulfilment"), ["fulfilment-1 began"]);
    assert_eq!(
        world.names("effect"),
        ["effect-1 asked", "effect-1 reminded"]
    );
    let timers = [
        "timer-fulfilment/1/reminder timer-set",
        "timer-fulfilment/1/end timer-set",
    ];
    assert_eq!(world.names("timer"), timers);

    let own = &world.recorded("fulfilment")[0];
    let cause = |event: &annals_core::RecordedEvent| {
        let metadata = event.metadata();
        (
            metadata.causation_id().unwrap().to_string(),
            metadata.correlation_id().unwrap(),
        )
    };
    let conversation = input.id().into();
    assert_eq!(cause(own), (input.id().to_string(), conversation));
    let effect = &world.recorded("effect")[0];
    assert_eq!(cause(effect).0, own.id().to_string());
    assert_eq!(cause(effect).1, cause(own).1);
}

#[test]
fn an_input_that_comes_again_changes_nothing() {
    let world = World::new(&[placed(1, 100), Input::Paid(1, 100)]);
    let manager = world.manager();
    let inputs = [world.recorded("order"), world.recorded("payment")].concat();
    let mut once = Vec::new();
    for input in &inputs {
        block_on(manager.take(input, 1)).unwrap();
        once = world.effects();
    }
    for again in inputs.iter().chain(inputs.iter().rev()) {
        block_on(world.manager().take(again, 1)).unwrap();
    }
    assert_eq!(world.effects(), once);
}

#[test]
fn what_decided_nothing_decides_nothing_later() {
    // By the state alone the note would have it remind, once there is an order.
    let world = World::new(&[Input::Order(1, OrderEvent::Noted), placed(1, 100)]);
    let manager = world.manager();
    let inputs = world.recorded("order");
    for input in [&inputs[0], &inputs[1], &inputs[0]] {
        block_on(manager.take(input, 1)).unwrap();
    }
    assert_eq!(world.names("fulfilment"), ["fulfilment-1 began"]);
}

#[test]
fn a_failing_decision_leaves_nothing_behind() {
    let world = World::new(&[placed(1, 0)]);
    let before = world.effects();
    let error = block_on(world.manager().take(&world.recorded("order")[0], 1)).unwrap_err();
    let cause = std::error::Error::source(&*error).unwrap().to_string();
    assert_eq!(cause, "an order of nothing");
    assert_eq!(world.effects(), before);
}

#[test]
fn an_event_that_does_not_decode_fails_under_the_key_of_its_process() {
    let world = World::new(&[]);
    let odd = EventType::from_static("placed");
    let odd = NewEvent::new(odd, ContentType::JSON, r#"{"cents":"many"}"#).unwrap();
    append(&*world.memory, "order-7", odd);
    let input = &world.recorded("order")[0];
    let manager = world.manager();
    assert_eq!(manager.key(input).as_deref(), Some("7"));
    assert!(block_on(manager.take(input, 1)).is_err());
}

#[test]
fn what_has_no_key_is_no_input() {
    let world = World::new(&[]);
    let untagged = EventType::from_static("paid");
    let untagged =
        NewEvent::new(untagged, ContentType::JSON, r#"{"order":"1","cents":5}"#).unwrap();
    append(&*world.memory, "payment-1", untagged);
    let input = &world.recorded("payment")[0];
    assert_eq!(world.manager().key(input), None);
    block_on(world.manager().take(input, 1)).unwrap();
    assert!(world.names("fulfilment").is_empty());
}

#[test]
fn another_writer_of_the_process_makes_it_decide_again() {
    let world = World::new(&[placed(1, 100), Input::Order(1, OrderEvent::Cancelled)]);
    let inputs = world.recorded("order");
    block_on(world.manager().take(&inputs[0], 1)).unwrap();
    let competitor = Append::builder(AppendId::parse("competitor").unwrap())
        .write(
            StreamId::parse("fulfilment-1").unwrap(),
            Expected::Any,
            [JsonCodec.encode(&Step::Completed).unwrap()],
        )
        .build()
        .unwrap();
    let faulty = FaultyStore::new(world.memory.clone()).on_append(1, Fault::Competing(competitor));
    let store: Arc<dyn EventStore> = Arc::new(faulty);
    let manager = manager(store, Delivery::append_id);
    block_on(manager.take(&inputs[1], 1)).unwrap();
    // Closed by the other, so that there is nothing to cancel any more.
    let steps = ["fulfilment-1 began", "fulfilment-1 completed"];
    assert_eq!(world.names("fulfilment"), steps);
}

#[test]
fn an_input_that_two_take_at_once_is_decided_once() {
    for _ in 0..50 {
        let world = World::new(&[placed(1, 100)]);
        let input = &world.recorded("order")[0];
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let manager = world.manager();
                    // Who is outrun may fail, and has it tried again.
                    let mut tries = 1..100;
                    assert!(tries.any(|attempt| block_on(manager.take(input, attempt)).is_ok()));
                });
            }
        });
        assert_eq!(world.names("fulfilment"), ["fulfilment-1 began"]);
        assert_eq!(world.names("effect").len(), 2);
    }
}

#[test]
fn a_command_that_fails_or_panics_fails_its_input_and_is_issued_again() {
    let world = World::new(&[placed(1, 100)]);
    let input = &world.recorded("order")[0];
    let calls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    let manager = ProcessManager::<Fulfilment>::builder("p", world.memory.clone(), JsonCodec)
        .unwrap()
        .on(JsonCodec, ProcessKey::stream(), |_, _: &OrderEvent, _| {
            Ok(vec![Step::Began { cents: 1 }])
        })
        .issuing(move |step| {
            let call = counted.fetch_add(1, Ordering::SeqCst);
            async move {
                assert_eq!(
                    (step.attempt(), &*step),
                    (call + 1, &Step::Began { cents: 1 })
                );
                match call {
                    0 => Err("out of reach".into()),
                    1 => panic!("out of order"),
                    _ => Ok(()),
                }
            }
        })
        .build()
        .unwrap();
    let error = block_on(manager.take(input, 1)).unwrap_err();
    assert_eq!(error.to_string(), "out of reach");
    let error = block_on(manager.take(input, 2)).unwrap_err();
    assert_eq!(error.to_string(), "panics: out of order");
    block_on(manager.take(input, 3)).unwrap();
    assert_eq!(world.names("fulfilment").len(), 1);
}

#[test]
fn a_senseless_manager_is_refused() {
    let world = World::new(&[]);
    let builder =
        |name| ProcessManager::<Fulfilment>::builder(name, world.memory.clone(), JsonCodec);
    assert!(builder("").is_err());
    let error = builder("p").unwrap().build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}
