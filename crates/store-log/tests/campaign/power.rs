//! Syncs that fail and say so, and what the page cache shows afterwards (F7, F12); directories that go away
//! or stop taking writes (F17).

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use annals_core::{Error, ErrorKind, EventStore, Expected, Outcome};
use annals_log::vfs::sim::{Fault, IoFault, Reached};
use annals_store_log::Durability;
use futures_executor::block_on;

use crate::hooked::{Asked, Hooked};
use crate::reference::Reads;
use crate::world::{Step, World, builder, open};
use crate::{Counters, Violation, run, seeds};

/// A store at work for a while.
fn at_work(seed: u64, counters: &mut Counters) -> Result<World, Violation> {
    let mut world = World::create(seed, Durability::Sync);
    for step in [
        Step::Append,
        Step::Batch,
        Step::Close,
        Step::Policy,
        Step::Append,
        Step::Append,
    ] {
        world.step(step, counters)?;
    }
    Ok(world)
}

/// An append whose sync fails: it is of unknown fate, nothing more is taken, and reads go on without it.
fn fail_a_sync(
    world: &mut World,
    reached: Reached,
    appends: Step,
    counters: &mut Counters,
) -> Result<(), Violation> {
    world.is_faulty = true;
    // One sync alone: a second one would lie.
    for ahead in (1..8).cycle().take(60) {
        world.disk.clear_faults();
        world
            .disk
            .fail_at(world.disk.calls() + ahead, Fault::FailedSync(reached));
        world.step(appends, counters)?;
        if world.has_pending() {
            break;
        }
    }
    world.disk.clear_faults();
    if !world.has_pending() {
        return Err("nobody is told of a failed sync".to_owned());
    }
    for _ in 0..3 {
        let append = world.draw.one_event("of no policy", Expected::Any);
        let answer = block_on(world.store.as_ref().unwrap().append(append));
        let is_refused = answer.as_ref().is_err_and(|error| {
            (error.kind(), error.outcome()) == (ErrorKind::Unavailable, Outcome::Rejected)
        });
        if !is_refused {
            return Err(format!(
                "after a failed sync an append is answered {answer:?}"
            ));
        }
    }
    // Of what is of unknown fate nothing else is said, however often it is asked for.
    let store = world.store.as_ref().unwrap();
    for append in world.pending_appends() {
        let receipt = block_on(store.receipt(&append.id())).map(drop);
        let again = block_on(store.append(append)).map(drop);
        for answer in [receipt, again] {
            if answer.as_ref().err().map(Error::outcome) != Some(Outcome::Unknown) {
                return Err(format!(
                    "of an append of unknown fate it is said {answer:?}"
                ));
            }
        }
    }
    world.is_faulty = false;
    world.check(4, Reads::Succeed)
}

/// A sync fails, the store is killed and opened, and the power goes.
pub(crate) fn failed_sync(seed: u64, counters: &mut Counters) -> Result<(), Violation> {
    failed_sync_of(Step::Batch, seed, counters)
}

/// The same of appends that are sent twice at once: neither answer is without the other.
pub(crate) fn failed_sync_of_repeats(seed: u64, counters: &mut Counters) -> Result<(), Violation> {
    failed_sync_of(Step::Repeats, seed, counters)
}

fn failed_sync_of(appends: Step, seed: u64, counters: &mut Counters) -> Result<(), Violation> {
    let mut world = at_work(seed, counters)?;
    let reached = match seed % 3 {
        0 => Reached::Nothing,
        1 => Reached::Some { seed },
        _ => Reached::Everything,
    };
    fail_a_sync(&mut world, reached, appends, counters)?;
    // The page cache shows the bytes as if they were durable; whatever is served from now on stays.
    world.step(Step::Kill, counters)?;
    world.step(Step::PowerLoss, counters)?;
    world.step(Step::Append, counters)?;
    world.step(Step::PowerLoss, counters)
}

#[test]
fn what_was_ever_served_survives_the_next_power_loss() {
    let counters = run("F12", seeds(70_000, 200), failed_sync);
    counters.require(&["unknown", "unknown, and recorded"]);
}

#[test]
fn what_is_sent_twice_at_once_is_not_acknowledged_by_half() {
    let counters = run("F12 repeats", seeds(74_000, 60), failed_sync_of_repeats);
    counters.require(&["unknown", "answered again"]);
}

#[test]
fn what_was_appended_just_before_a_kill_survives_the_next_power_loss() {
    let counters = run("F12 unsynced", seeds(71_000, 100), |seed, counters| {
        let mut world = World::create(seed, Durability::Process);
        for _ in 0..5 {
            world.step(Step::Append, counters)?;
            world.step(Step::Batch, counters)?;
            // From the opening on, what it shows is durable.
            world.step(Step::Kill, counters)?;
            world.durability = Durability::Sync;
            world.step(Step::PowerLoss, counters)?;
        }
        Ok(())
    });
    counters.require(&["appends recorded"]);
}

#[test]
fn a_directory_that_takes_no_writes_refuses_appends_and_serves_reads() {
    let counters = run("F17 read-only", seeds(72_000, 20), |seed, counters| {
        let mut world = at_work(seed, counters)?;
        let disk = world.disk.clone();
        world.is_faulty = true;
        disk.fail_from(disk.calls(), Fault::Io(IoFault::ReadOnly));
        for _ in 0..5 {
            world.step(Step::Append, counters)?;
            world.check(3, Reads::Succeed)?;
        }
        world.store = None;
        let clock = world.clock.clone();
        let again = builder(Arc::new(disk.clone()), seed, &clock);
        for opened in [
            again.clone().open(),
            again.clone().create(),
            again.open_or_create(),
        ] {
            let error = opened
                .err()
                .ok_or("a store is opened or made where nothing can be written")?;
            if error.kind() != ErrorKind::Unavailable {
                return Err(format!("{error:?}"));
            }
        }
        disk.clear_faults();
        world.is_faulty = false;
        world.start_on(disk, false, counters)?;
        world.step(Step::Append, counters)
    });
    counters.require(&["unknown", "unavailable"]);
}

#[test]
fn a_directory_that_is_gone_is_not_made_anew() {
    let counters = run("F17 removed", seeds(73_000, 20), |seed, counters| {
        let mut world = at_work(seed, counters)?;
        let disk = world.disk.clone();
        let is_gone = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&is_gone);
        let hook = move |asked, _: &Path| {
            if asked == Asked::Create && told.load(Ordering::Relaxed) {
                return Err(io::ErrorKind::NotFound.into());
            }
            Ok(())
        };
        world.store = None;
        let vfs = Hooked::new(disk.clone(), hook);
        let store = builder(Arc::new(vfs), seed, &world.clock).open().unwrap();
        is_gone.store(true, Ordering::Relaxed);
        for path in disk.disk().paths() {
            disk.disk()
                .remove(&path)
                .map_err(|error| error.to_string())?;
        }
        let mut append = |bytes| {
            let append = world.draw.one_large("of no policy", bytes);
            block_on(store.append(append)).map_err(|error| (error.kind(), error.outcome()))
        };
        // Files without names still take what fits; at the latest the next segment can't be begun.
        let refused = (0..40).find_map(|_| append(1000).err());
        if refused != Some((ErrorKind::Unknown, Outcome::Unknown)) {
            return Err(format!(
                "without a directory appends are answered {refused:?}"
            ));
        }
        let late = append(10);
        if late != Err((ErrorKind::Unavailable, Outcome::Rejected)) {
            return Err(format!("then {late:?}"));
        }
        drop(store);
        match open(&disk, &world.clock, Durability::Sync) {
            Err(error) if error.kind() == ErrorKind::Unavailable => Ok(()),
            other => Err(format!("a directory without a store is opened: {other:?}")),
        }
    });
    counters.require(&["seeds"]);
}
