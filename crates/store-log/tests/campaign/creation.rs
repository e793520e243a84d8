//! Creations that don't come to their end (F13).

use std::sync::Arc;

use annals_core::{ErrorKind, Expected, ManualClock};
use annals_log::vfs::sim::{Fault, IoFault, SimFs};
use annals_store_log::LogStore;
use futures_executor::block_on;

use crate::draw::Draw;
use crate::reference::{Reads, Reference};
use crate::world::{began, builder};
use crate::{Counters, Violation, run, seeds};
use annals_core::{Clock, EventStore};

/// An interrupted creation is begun anew, or it was whole; nobody has to clean up.
fn recovers(disk: &SimFs, seed: u64, counters: &mut Counters) -> Result<(), Violation> {
    let clock = ManualClock::at(began());
    let on = |disk: &SimFs| builder(Arc::new(disk.clone()), seed, &clock);
    match on(disk).open() {
        Ok(store) => {
            counters.count("a store");
            drop(store);
        }
        Err(error) if error.kind() == ErrorKind::Unavailable => counters.count("none"),
        Err(error) => return Err(format!("an unfinished creation is opened: {error:?}")),
    }
    let store: LogStore = on(disk)
        .open_or_create()
        .map_err(|error| format!("no creation after an unfinished one: {error:?}"))?;
    let (mut draw, mut reference) = (Draw::new(seed), Reference::new(clock.now()));
    let append = draw.one_event("a-1", Expected::NoStream);
    let expected = reference.append(&append, clock.now());
    let found = block_on(store.append(append));
    if found.as_ref().ok() != expected.as_ref().ok() {
        return Err(format!("the first append is answered {found:?}"));
    }
    reference.check(&store, clock.now(), &draw, 2, Reads::Succeed)
}

fn create(disk: &SimFs, seed: u64) -> Result<LogStore, annals_core::Error> {
    builder(Arc::new(disk.clone()), seed, &ManualClock::at(began())).create()
}

#[test]
fn a_creation_that_was_cut_short_is_begun_anew() {
    let counters = run("F13 creation", seeds(40_000, 20), |seed, counters| {
        let disk = SimFs::new();
        disk.record_boundaries();
        drop(create(&disk, seed).map_err(|error| format!("{error:?}"))?);
        for boundary in disk.take_boundaries() {
            for image in [
                boundary.file_system.restart(),
                boundary.file_system.crash(seed),
                boundary.file_system.crash(seed + 1000),
            ] {
                counters.count("crash points");
                recovers(&image, seed, counters)
                    .map_err(|violation| format!("call {}: {violation}", boundary.calls))?;
            }
        }
        Ok(())
    });
    counters.require(&["a store", "none"]);
}

#[test]
fn a_creation_that_failed_is_begun_anew() {
    let counters = run("T4 creation", 1..2, |seed, counters| {
        let disk = SimFs::new();
        drop(create(&disk, seed).map_err(|error| format!("{error:?}"))?);
        let calls = disk.calls();
        for (call, fault) in (0..calls).flat_map(|call| IoFault::ALL.map(|fault| (call, fault))) {
            let disk = SimFs::new();
            disk.fail_at(call, Fault::Io(fault));
            counters.count("faults");
            drop(create(&disk, seed));
            disk.clear_faults();
            recovers(&disk.crash(call), seed, counters)
                .map_err(|violation| format!("{fault:?} at call {call}: {violation}"))?;
        }
        Ok(())
    });
    counters.require(&["a store", "none"]);
}
