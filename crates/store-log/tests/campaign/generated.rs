//! Generated operations against a reference, opened again, killed and cut off the power among them (T9).

use annals_store_log::Durability;

use crate::reference::Reads;
use crate::world::{Step, World};
use crate::{Counters, Violation, run, seeds};

/// How many steps a history has.
const STEPS: usize = 100;

/// One history, everything held against the reference after each opening, and a little after each step.
pub(crate) fn history(
    seed: u64,
    durability: Durability,
    counters: &mut Counters,
) -> Result<(), Violation> {
    let mut world = World::create(seed, durability);
    let mut files = Files::default();
    for number in 0..STEPS {
        let step = world.next_step();
        let taken = world
            .step(step, counters)
            .and_then(|()| world.check(1, Reads::Succeed));
        taken.map_err(|violation| format!("step {number}, {step:?}: {violation}"))?;
        files.note(&world, counters);
    }
    world.step(Step::PowerLoss, counters)?;
    counters.count("history");
    Ok(())
}

/// The files of a store, from one look at them to the next.
#[derive(Debug, Default)]
pub(crate) struct Files(Vec<(u64, u64)>);

impl Files {
    /// Notes what the files show of what the store did.
    pub(crate) fn note(&mut self, world: &World, counters: &mut Counters) {
        let paths = world.disk.disk().paths();
        let names = paths.iter().filter_map(|path| path.file_name()?.to_str());
        let (mut segments, mut runs) = (0, Vec::new());
        for name in names {
            segments += u64::from(name.ends_with(".segment"));
            let range = name
                .strip_suffix(".run")
                .and_then(|name| name.split_once('-'));
            let number = |text: &str| text.parse::<u64>().unwrap();
            runs.extend(range.map(|(first, last)| (number(first), number(last))));
        }
        let covered = |(first, last): &(u64, u64)| {
            let inside = |run: &&(u64, u64)| *first <= run.0 && run.1 <= *last;
            self.0.iter().filter(inside).count()
        };
        for (state, is_reached) in [
            ("several segments", segments > 1),
            ("several index files", runs.len() > 1),
            (
                "index files merged",
                runs.iter().any(|run| covered(run) > 1),
            ),
        ] {
            if is_reached {
                counters.count(state);
            }
        }
        self.0 = runs;
    }
}

const REACHED: [&str; 14] = [
    "appends recorded",
    "answered again",
    "conflict",
    "policy",
    "retry",
    "closed and opened",
    "killed and opened",
    "power lost and opened",
    "power lost in recovery",
    "several segments",
    "several index files",
    "index files merged",
    "history",
    "seeds",
];

#[test]
fn whatever_happens_to_it_the_store_is_what_was_acknowledged() {
    let counters = run("T9 synced", seeds(1, 40), |seed, counters| {
        history(seed, Durability::Sync, counters)
    });
    counters.require(&REACHED);
}

#[test]
fn without_sync_a_kill_takes_nothing_and_a_power_loss_the_newest() {
    let counters = run("T9 unsynced", seeds(10_000, 20), |seed, counters| {
        history(seed, Durability::Process, counters)
    });
    counters.require(&REACHED);
    counters.require(&["newest gone"]);
}

#[test]
fn a_seed_replays_exactly() {
    let trace = |seed| {
        let mut world = World::create(seed, Durability::Sync);
        let mut traces = Vec::new();
        for _ in 0..STEPS {
            let step = world.next_step();
            let before = world.disk.clone();
            world.step(step, &mut Counters::default()).unwrap();
            traces.push(before.take_trace());
        }
        traces.push(world.disk.take_trace());
        traces
    };
    for seed in seeds(1, 3) {
        assert!(trace(seed) == trace(seed), "seed {seed}");
    }
}
