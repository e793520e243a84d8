//! A failing expectation points at the line of the test. Alone in its process, as it takes the panic hook.

use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicU32, Ordering};

use annals_codec::JsonCodec;
use annals_core::{Aggregate, ErrorKind, Refusal};
use annals_macros::Event;
use annals_store_memory::MemoryStore;
use annals_testkit::laws::{
    self, every_event_survives_its_codec as survives,
    folding_in_two_parts_is_folding_in_one as in_two_parts,
    folding_in_two_parts_is_folding_in_one_by as in_parts_by,
    replay_is_deterministic_by as by_projection,
};
use annals_testkit::{Fault, FaultyStore, Scenario, Then};
use serde::{Deserialize, Serialize};

/// The line of the last panic; 0 for one in another file.
static PANICKED_AT: AtomicU32 = AtomicU32::new(0);

/// What no door takes.
#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "door")]
struct Opened;

#[derive(Debug, Default, PartialEq)]
struct Door(u8);

impl Aggregate for Door {
    type Event = Opened;

    fn apply(&mut self, _: &Opened) -> Result<(), Refusal> {
        Err(Refusal::new("it is locked"))
    }
}

/// Holds the expectation to failing at this line.
fn check(line: u32, expectation: impl FnOnce()) {
    let failed = panic::catch_unwind(AssertUnwindSafe(expectation));
    assert!(failed.is_err(), "the expectation at line {line} holds");
    assert_eq!(PANICKED_AT.load(Ordering::SeqCst), line);
}

fn none() -> Scenario<Door> {
    Scenario::given([])
}

fn refused() -> Then<Door, &'static str> {
    none().when(|_| Err::<Opened, _>("no"))
}

fn nothing() -> Then<Door, &'static str> {
    none().when(|_| Ok::<_, &str>(None))
}

#[test]
fn every_expectation_points_at_the_line_of_the_test() {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let here = info
            .location()
            .filter(|location| location.file() == file!());
        let line = here.map_or(0, panic::Location::line);
        PANICKED_AT.store(line, Ordering::SeqCst);
        print(info);
    }));

    check(line!(), || drop(Scenario::<Door>::given([Opened])));
    check(line!(), || drop(none().then_state_is(Door(1))));
    check(line!(), || drop(none().when(|_| Ok::<_, ()>(Opened))));

    check(line!(), || drop(nothing().then([Opened])));
    check(line!(), || drop(refused().then([Opened])));
    check(line!(), || drop(refused().then_nothing()));
    check(line!(), || drop(nothing().then_events_where(|_| false)));
    check(line!(), || drop(refused().then_events_where(|_| true)));
    check(line!(), || drop(nothing().then_error("no")));
    check(line!(), || drop(refused().then_error("yes")));
    check(line!(), || drop(nothing().then_error_where(|_| true)));
    check(line!(), || drop(refused().then_error_where(|_| false)));
    check(line!(), || drop(nothing().then_state_is(Door(1))));
    check(line!(), || drop(refused().then_state(|_| {})));
    check(line!(), || drop(refused().when(|_| Ok::<_, ()>(None))));

    let codec = &JsonCodec;
    let events = [[Opened]];
    check(line!(), || laws::check_all::<Door>(codec, &events));
    check(line!(), || laws::replay_is_deterministic::<Door>(&events));
    check(line!(), || by_projection::<Door, _>(&events, |_| 0));
    check(line!(), || in_two_parts::<Door>(&events));
    check(line!(), || in_parts_by::<Door, _>(&events, |_| 0));
    check(line!(), || survives::<Opened>(codec, &[]));
    #[cfg(feature = "proptest")]
    {
        use annals_testkit::laws::generated::replay_is_deterministic;
        use proptest::strategy::Just;
        let histories = Just(vec![Opened]);
        check(line!(), || replay_is_deterministic::<Door>(&histories));
    }

    let faulty = || FaultyStore::new(MemoryStore::new());
    let met = faulty().on_append(1, Fault::LostAfterWrite);
    check(line!(), || met.assert_all_faults_met());
    let lost = Fault::LostBeforeWrite;
    check(line!(), || drop(faulty().on_append(0, lost)));
    check(line!(), || drop(faulty().on_read(0, ErrorKind::Unknown)));
}
