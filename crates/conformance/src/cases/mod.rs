//! The cases, a module for each subject.

use crate::case::Case;

mod append;
mod boundaries;
mod capabilities;
mod checkpoints;
mod concurrency;
mod conflict;
mod cursors;
mod events;
mod expectations;
mod idempotency;
mod limits;
mod paging;
mod partitions;
mod policies;
mod read;
mod snapshots;
mod subscribe;
mod time;

/// The subjects in the order in which they run, each with its cases.
pub(crate) const SUBJECTS: &[(&str, &[Case])] = &[
    ("append", append::CASES),
    ("expectations", expectations::CASES),
    ("conflict", conflict::CASES),
    ("idempotency", idempotency::CASES),
    ("boundaries", boundaries::CASES),
    ("read", read::CASES),
    ("cursors", cursors::CASES),
    ("paging", paging::CASES),
    ("time", time::CASES),
    ("subscribe", subscribe::CASES),
    ("limits", limits::CASES),
    ("events", events::CASES),
    ("policies", policies::CASES),
    ("capabilities", capabilities::CASES),
    ("partitions", partitions::CASES),
    ("concurrency", concurrency::CASES),
    ("snapshots", snapshots::CASES),
    ("checkpoints", checkpoints::CASES),
];
