//! Bugs planted in the engine: the campaigns must catch every one, or they prove nothing.

use annals_log::planted::{Bug, plant};
use annals_log::vfs::sim::{Fault, IoFault, Reached};
use annals_log::{Durability, ErrorKind};

use crate::damage::{Answer, Change, Left, damaged, read_all, small_log};
use crate::faults::{Times, every_call, full_disk};
use crate::{Counters, Violation, crash, model};

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
            Self::Damage => [Left::Closed, Left::Killed, Left::Compressed, Left::Archived]
                .into_iter()
                .try_for_each(|left| {
                    let made = |seed| small_log(seed, left).map_err(|error| error.to_string());
                    let ((base, model), (foreign, _)) = (made(3)?, made(4)?);
                    let changes = Change::all(&base, |_, bit| bit.is_multiple_of(8 * 61));
                    changes.iter().try_for_each(|change| {
                        damaged(&base, &foreign, &model, change, &mut counters)
                            .map_err(|violation| format!("{change:?}: {violation}"))
                    })
                }),
        }
    }
}

/// Which part catches the bug, and how. A panic is no way to be caught: it is what an application would get.
fn catch(bug: Bug) -> Option<(Part, Violation)> {
    let _planted = plant(bug);
    let violation = |part: Part| Some((part, part.run().err()?));
    Part::ALL.into_iter().find_map(violation)
}

#[test]
fn a_block_of_another_segment_is_told_by_an_error() {
    let (base, model) = small_log(3, Left::Compressed).unwrap();
    let _planted = plant(Bug::BlockOfAnother);
    // To who reads it is damage with a place, never the record of another segment.
    let (log, _) = model::open(&base.restart(), Durability::Sync).unwrap();
    assert_eq!(read_all(&log, &model), Ok(Answer::ReadsFail));
    let last = model.frames.iter().flat_map(|frame| &frame.records);
    let second = last.filter(|record| record.at.segment() == 2);
    let mut scratch = Vec::new();
    for record in second {
        let error = log.view().record(record.at, &mut scratch).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert!(error.damage().is_some(), "{error}");
    }
    // Who compresses reads back, and keeps what there was.
    let error = small_log(3, Left::Compressed).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");
    assert!(
        format!("{error:?}").contains("reads back differently"),
        "{error:?}"
    );
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
