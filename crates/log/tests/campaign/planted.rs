//! Bugs planted in the engine: the campaigns must catch every one, or they prove nothing.

use std::panic::{self, AssertUnwindSafe};

use annals_log::Durability;
use annals_log::planted::{Bug, plant};
use annals_log::vfs::sim::{Fault, IoFault, Reached};

use crate::damage::{Change, Left, damaged, small_log};
use crate::faults::{Times, every_call, full_disk};
use crate::{Counters, Violation, crash};

/// A part of the campaigns, small enough to be run once for each bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Crash,
    FailingSync,
    FullDisk,
    Damage,
}

impl Part {
    const ALL: [Self; 4] = [Self::FullDisk, Self::FailingSync, Self::Damage, Self::Crash];

    fn run(self) -> Result<(), Violation> {
        let mut counters = Counters::default();
        match self {
            Self::Crash => {
                (1..60).try_for_each(|seed| crash::history(seed, Durability::Sync, &mut counters))
            }
            Self::FailingSync => {
                let faults = [
                    Fault::FailedSync(Reached::Nothing),
                    Fault::Io(IoFault::Device),
                ];
                (1..4).try_for_each(|seed| every_call(seed, &faults, Times::Once, &mut counters))
            }
            Self::FullDisk => (1..60).try_for_each(|seed| full_disk(seed, &mut counters)),
            Self::Damage => [Left::Closed, Left::Killed, Left::Compressed]
                .into_iter()
                .try_for_each(|left| {
                    let ((base, model), (foreign, _)) = (small_log(3, left), small_log(4, left));
                    let changes = Change::all(&base, |_, bit| bit.is_multiple_of(8 * 61));
                    changes.iter().try_for_each(|change| {
                        damaged(&base, &foreign, &model, change, &mut counters)
                            .map_err(|violation| format!("{change:?}: {violation}"))
                    })
                }),
        }
    }
}

/// Which part catches the bug, and how.
fn catch(bug: Bug) -> Option<(Part, Violation)> {
    let _planted = plant(bug);
    Part::ALL.into_iter().find_map(|part| {
        let caught = panic::catch_unwind(AssertUnwindSafe(|| part.run()));
        let violation = match caught {
            Ok(result) => result.err()?,
            Err(_) => "a panic".to_owned(),
        };
        Some((part, violation))
    })
}

#[test]
fn every_planted_bug_is_caught() {
    let mut missed = Vec::new();
    // A simulated disk has no map: the store's campaign catches that one, on a real disk.
    let simulated = Bug::ALL
        .into_iter()
        .filter(|bug| *bug != Bug::MappedRecordUnchecked);
    for bug in simulated {
        match catch(bug) {
            Some((part, violation)) => {
                let short: String = violation.chars().take(150).collect();
                println!("{bug:?}: {part:?}: {short}");
            }
            None => missed.push(bug),
        }
    }
    assert!(missed.is_empty(), "not caught: {missed:?}");
}
