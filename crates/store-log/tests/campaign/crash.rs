//! Losses of power after every operation on the disk, those of recovery, rotation and index files
//! included (T1, F11, F13, F14).

use annals_core::{Clock, EventStore, Expected};
use annals_log::vfs::sim::SimFs;
use annals_store_log::Durability;
use futures_executor::block_on;

use crate::generated::Files;
use crate::reference::{Reads, Reference};
use crate::world::{Step, World, open};
use crate::{Counters, Violation, run, seeds};

/// How many steps a history has.
const STEPS: usize = 40;

/// How many index files of one event each there are when the power begins to go: one more, and they are merged.
const INDEX_FILES: usize = 3;

/// One history, with the power lost after each operation of each step.
pub(crate) fn history(
    seed: u64,
    durability: Durability,
    counters: &mut Counters,
) -> Result<(), Violation> {
    let mut world = World::create(seed, durability);
    let mut files = Files::default();
    for _ in 0..INDEX_FILES {
        world.step(Step::Single, counters)?;
        world.step(Step::Close, counters)?;
    }
    files.note(&world, counters);
    world.is_recorded = true;
    world.disk.record_boundaries();
    let mut first = [Step::Single, Step::Close].into_iter();
    for number in 0..STEPS {
        let step = first.next().unwrap_or_else(|| world.next_step());
        let before = world.reference.changes();
        let disk = world.disk.clone();
        let taken = world.step(step, counters);
        taken.map_err(|violation| format!("step {number}, {step:?}: {violation}"))?;
        files.note(&world, counters);
        let mut boundaries = disk.take_boundaries();
        if matches!(step, Step::Kill | Step::PowerLoss) {
            // The disk that was left goes on by itself.
            boundaries.clear();
        }
        boundaries.append(&mut world.disk.take_boundaries());
        let states = States::of(&world, before, step);
        for boundary in boundaries {
            power_loss(&mut world, &boundary.file_system, &states, counters).map_err(
                |violation| {
                    format!(
                        "step {number}, {step:?}, call {}: {violation}",
                        boundary.calls
                    )
                },
            )?;
        }
        let last = States::of(&world, world.reference.changes(), Step::Wait);
        let disk = world.disk.restart();
        power_loss(&mut world, &disk, &last, counters)
            .map_err(|violation| format!("after step {number}, {step:?}: {violation}"))?;
    }
    counters.count("history");
    Ok(())
}

/// The states that the store may be in at some moment of a step.
struct States(Vec<Reference>);

impl States {
    fn of(world: &World, before: usize, step: Step) -> Self {
        let after = world.reference.changes();
        // Without a sync, a loss of power may take everything.
        let takes_more = world.durability == Durability::Process || step == Step::PowerLoss;
        let least = if takes_more && world.durability == Durability::Process {
            0
        } else {
            before
        };
        Self(
            (least.min(after)..=after)
                .map(|changes| world.reference.after(changes))
                .collect(),
        )
    }
}

/// Loses the power at this moment: what is there then is one of these states, whole, and a new append goes on
/// from there and stays.
fn power_loss(
    world: &mut World,
    disk: &SimFs,
    states: &States,
    counters: &mut Counters,
) -> Result<(), Violation> {
    let image = disk.crash(world.draw.rng.bits());
    counters.count("crash points");
    let failed = |error| format!("no opening: {error:?}");
    let store = open(&image, &world.clock, world.durability).map_err(failed)?;
    let queries = if world.draw.one_in(16) { 12 } else { 1 };
    let state = states.find(world, &store, queries)?;
    if world.durability == Durability::Process || !world.draw.one_in(4) {
        return Ok(());
    }
    let append = world.draw.one_event("single", Expected::Any);
    let mut expected = state.after(state.changes());
    let receipt = expected.append(&append, world.clock.now());
    let found = block_on(store.append(append));
    match (&receipt, &found) {
        (Ok(receipt), Ok(found)) if receipt == found => {}
        (Err(_), Err(_)) => return Ok(()),
        _ => {
            return Err(format!(
                "a new append is answered {found:?}, expected {receipt:?}"
            ));
        }
    }
    counters.count("crash points");
    let image = image.crash(world.draw.rng.bits());
    let store = open(&image, &world.clock, world.durability).map_err(failed)?;
    let checked = expected.check(&store, world.clock.now(), &world.draw, 1, Reads::Succeed);
    checked.map_err(|violation| format!("after a new append and another loss: {violation}"))
}

impl States {
    /// The state that the store is in.
    fn find(
        &self,
        world: &World,
        store: &dyn EventStore,
        queries: usize,
    ) -> Result<&Reference, Violation> {
        let mut violations = Vec::new();
        for state in self.0.iter().rev() {
            let check = state.check(
                store,
                world.clock.now(),
                &world.draw,
                queries,
                Reads::Succeed,
            );
            match check {
                Ok(()) => return Ok(state),
                Err(violation) => violations.push(violation),
            }
        }
        Err(format!(
            "it is in no state that it may be in: {violations:?}"
        ))
    }
}

const REACHED: [&str; 8] = [
    "appends recorded",
    "policy",
    "closed and opened",
    "killed and opened",
    "power lost and opened",
    "several segments",
    "several index files",
    "index files merged",
];

#[test]
fn wherever_the_power_goes_the_store_is_what_was_acknowledged() {
    let counters = run("T1 synced", seeds(20_000, 16), |seed, counters| {
        history(seed, Durability::Sync, counters)
    });
    counters.require(&REACHED);
}

#[test]
fn without_sync_a_power_loss_leaves_an_earlier_state_whole() {
    let counters = run("T1 unsynced", seeds(30_000, 3), |seed, counters| {
        history(seed, Durability::Process, counters)
    });
    counters.require(&REACHED[..2]);
}
