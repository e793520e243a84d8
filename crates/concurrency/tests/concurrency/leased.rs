//! A lease is held by one, and its fence by nobody else.

use std::sync::Arc;
use std::time::Duration;

use annals_concurrency::{Acquired, Lease, LeaseSettings, Leases, ManualTimer};
use annals_core::{ErrorKind, EventStore, Expected, ManualClock};
use annals_store_memory::MemoryStore;
use futures_executor::block_on;

use crate::support::{append, event, stream};

const LIFE: Duration = LeaseSettings::DEFAULT.time_to_live;
const DIFFERENCE: Duration = LeaseSettings::DEFAULT.clock_difference_max;

struct World {
    store: Arc<MemoryStore>,
    clock: ManualClock,
    leases: Leases,
}

fn world() -> World {
    let clock = ManualClock::default();
    let store = MemoryStore::builder()
        .clock(Arc::new(clock.clone()))
        .build();
    let store = Arc::new(store);
    let leases = Leases::new(store.clone(), Arc::new(ManualTimer::default()))
        .with_clock(Arc::new(clock.clone()));
    World {
        store,
        clock,
        leases,
    }
}

impl World {
    fn granted(&self, owner: &str) -> Lease {
        match block_on(self.leases.acquire("payroll", owner)).unwrap() {
            Acquired::Granted(lease) => lease,
            held => panic!("{held:?}"),
        }
    }

    fn holder(&self) -> Option<String> {
        match block_on(self.leases.acquire("payroll", "anybody")).unwrap() {
            Acquired::Held { owner, .. } => Some(owner),
            _ => None,
        }
    }

    /// Whether a write under this lease is taken.
    fn writes(&self, lease: &Lease) -> bool {
        let append = lease.fence().guard(append());
        let append = append.write(stream("work"), Expected::Any, [event("paid")]);
        match block_on(self.store.append(append.build().unwrap())) {
            Ok(_) => true,
            Err(error) => {
                assert!(lease.fence().is_broken_by(&error), "{error}");
                false
            }
        }
    }
}

#[test]
fn it_is_taken_once_and_expires_after_the_difference_of_clocks() {
    let world = world();
    let first = world.granted("first");
    assert_eq!(world.holder().as_deref(), Some("first"));
    let millisecond = Duration::from_millis(1);
    world.clock.advance(LIFE);
    assert_eq!(world.holder().as_deref(), Some("first"));
    world.clock.advance(DIFFERENCE.saturating_sub(millisecond));
    assert_eq!(world.holder().as_deref(), Some("first"));
    assert!(world.writes(&first));
    world.clock.advance(millisecond);
    let second = world.granted("second");
    assert!(second.token() > first.token());
    assert!(!world.writes(&first) && world.writes(&second));
}

#[test]
fn a_renewal_keeps_the_lease_and_the_token() {
    let world = world();
    let mut lease = world.granted("first");
    for _ in 0..3 {
        world.clock.advance(LIFE);
        block_on(world.leases.renew(&mut lease)).unwrap();
    }
    assert_eq!(world.holder().as_deref(), Some("first"));
    assert_eq!(lease.token().value(), 1);
    assert!(world.writes(&lease));
    world.clock.advance(LIFE + DIFFERENCE);
    world.granted("second");
    let error = block_on(world.leases.renew(&mut lease)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(world.holder().as_deref(), Some("second"));
}

#[test]
fn what_is_given_back_is_free_at_once_and_fenced() {
    let world = world();
    let first = world.granted("first");
    block_on(world.leases.release(first.clone())).unwrap();
    assert!(!world.writes(&first));
    let second = world.granted("second");
    let error = block_on(world.leases.release(first.clone())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(world.writes(&second) && second.token() > first.token());
}

#[test]
fn a_foreign_event_in_the_stream_of_a_lease_is_an_error() {
    let world = world();
    let foreign = append().write(stream("lease-payroll"), Expected::Any, [event("noted")]);
    block_on(world.store.append(foreign.build().unwrap())).unwrap();
    let error = block_on(world.leases.acquire("payroll", "first")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Undecodable);
}

#[test]
fn senseless_settings_are_refused() {
    let mut settings = LeaseSettings::DEFAULT;
    settings.time_to_live = Duration::ZERO;
    assert!(settings.validate().is_err());
    settings.time_to_live = Duration::MAX;
    assert!(world().leases.with_settings(settings).is_err());
}
