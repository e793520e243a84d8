//! An error at every call to the disk, once and for good (T4, F7, F8, F9).

use annals_log::vfs::sim::{Call, Fault, IoFault, Operation, Reached};
use annals_store_log::Durability;

use crate::reference::Reads;
use crate::world::{Step, World};
use crate::{Counters, Violation, run, seeds};

/// Enough for segments to be sealed, and for index files to be written and merged.
const STEPS: [Step; 24] = [
    Step::Append,
    Step::Append,
    Step::Policy,
    Step::Close,
    Step::Batch,
    Step::Append,
    Step::Close,
    Step::Append,
    Step::Batch,
    Step::Policy,
    Step::Retry,
    Step::Close,
    Step::Append,
    Step::Batch,
    Step::Append,
    Step::Close,
    Step::Batch,
    Step::Append,
    Step::Append,
    Step::Policy,
    Step::Batch,
    Step::Close,
    Step::Append,
    Step::Batch,
];

/// What goes wrong, and for how long.
#[derive(Clone, Copy, Debug)]
struct Trouble {
    call: u64,
    fault: Fault,
    is_for_good: bool,
}

impl Trouble {
    /// How reads end when so many calls were made.
    fn reads(&self, calls: u64) -> Reads {
        let is_over = !self.is_for_good && calls > self.call;
        let spoils_writes = match self.fault {
            Fault::Io(fault) | Fault::LateIo(fault) => {
                !matches!(fault, IoFault::Device | IoFault::Denied)
            }
            _ => true,
        };
        if is_over || spoils_writes {
            Reads::Succeed
        } else {
            Reads::MayFail
        }
    }
}

/// The faults that change what this call does.
fn faults(operation: &Operation, seed: u64) -> Vec<Fault> {
    if !operation.changes() {
        return [IoFault::Device, IoFault::Denied].map(Fault::Io).to_vec();
    }
    let mut faults = IoFault::ALL.map(Fault::Io).to_vec();
    faults.push(Fault::LateIo(IoFault::Device));
    match operation {
        Operation::Write { .. } => {
            faults.extend([Fault::ShortWrite, Fault::LateIo(IoFault::NoSpace)]);
        }
        Operation::SyncData | Operation::SyncAll => {
            let reached = [
                Reached::Nothing,
                Reached::Some { seed },
                Reached::Everything,
            ];
            faults.extend(reached.map(Fault::FailedSync));
        }
        _ => {}
    }
    faults
}

/// Takes the steps; gives the calls that were made.
fn take(
    seed: u64,
    trouble: Option<Trouble>,
    counters: &mut Counters,
) -> Result<Vec<Call>, Violation> {
    let mut world = World::create(seed, Durability::Sync);
    let disk = world.disk.clone();
    if let Some(trouble) = trouble {
        world.is_faulty = true;
        if trouble.is_for_good {
            disk.fail_from(trouble.call, trouble.fault);
        } else {
            disk.fail_at(trouble.call, trouble.fault);
        }
    }
    for step in STEPS {
        world
            .step(step, counters)
            .map_err(|violation| format!("{step:?}: {violation}"))?;
        let reads = trouble.map_or(Reads::Succeed, |trouble| trouble.reads(disk.calls()));
        world
            .check(1, reads)
            .map_err(|violation| format!("after {step:?}: {violation}"))?;
    }
    disk.clear_faults();
    world.is_faulty = false;
    let power_is_lost = world.draw.one_in(2);
    let image = if power_is_lost {
        disk.crash(seed ^ disk.calls())
    } else {
        disk.restart()
    };
    world
        .start_on(image, power_is_lost, counters)
        .and_then(|()| world.step(Step::Append, counters))
        .and_then(|()| world.step(Step::PowerLoss, counters))
        .map_err(|violation| format!("once the faults are over: {violation}"))?;
    Ok(disk.take_trace())
}

/// Of the calls that only look, one of so many is spoiled; of those that change the disk, each.
const LOOKS_FOR_ONE: u64 = 8;

#[test]
fn whatever_call_fails_every_answer_is_true() {
    let counters = run("T4 store", seeds(50_000, 1), |seed, counters| {
        let first = World::create(seed, Durability::Sync).disk.calls();
        let calls = take(seed, None, &mut Counters::default())?;
        counters.add("calls", calls.len() as u64);
        for (call, Call { operation, .. }) in (0_u64..).zip(&calls) {
            let is_left_out = !operation.changes() && !(call + seed).is_multiple_of(LOOKS_FOR_ONE);
            if call < first || is_left_out {
                continue;
            }
            for fault in faults(operation, seed ^ call) {
                for is_for_good in [false, true] {
                    let trouble = Trouble {
                        call,
                        fault,
                        is_for_good,
                    };
                    counters.count("faults");
                    take(seed, Some(trouble), counters)
                        .map_err(|violation| format!("{trouble:?}: {violation}"))?;
                }
            }
        }
        Ok(())
    });
    counters.require(&[
        "unknown",
        "unavailable",
        "no space",
        "unknown, and recorded",
        "closed and opened",
    ]);
}
