//! Bugs that are planted in the store and in its log: the campaigns must catch every one (T-planted).

use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};

use annals_log::planted as log;
use annals_store_log::{Durability, planted as store};

use crate::{Counters, Violation, full_disk, generated, index, mapped, power};

type Campaign = fn(u64, &mut Counters) -> Result<(), Violation>;

/// A campaign with its first seed and how many seeds to try; each passes without a bug, in its own module.
struct Hunt(&'static str, Campaign, u64, u64);

const SYNCED: Hunt = Hunt(
    "T9 synced",
    |seed, counters| generated::history(seed, Durability::Sync, counters),
    1,
    40,
);
const UNSYNCED: Hunt = Hunt(
    "T9 unsynced",
    |seed, counters| generated::history(seed, Durability::Process, counters),
    10_000,
    20,
);
const FAILED_SYNC: Hunt = Hunt("F12", power::failed_sync, 70_000, 200);
const FAILED_SYNC_OF_REPEATS: Hunt = Hunt("F12 repeats", power::failed_sync_of_repeats, 74_000, 60);
const NO_ROOM: Hunt = Hunt("F8 writes", full_disk::refused_writes, 62_000, 40);
const FLIPPED: Hunt = Hunt(
    "F6 flips",
    |seed, counters| index::flipped_bytes(seed, 31, counters),
    80_000,
    2,
);
const MAPPED: Hunt = Hunt("F2 mapped", mapped::flipped_bits, 84_000, 4);
const MADE_AHEAD: Hunt = Hunt("F26 ahead", mapped::pages_made_ahead, 85_000, 40);
const AHEAD: Hunt = Hunt("F6 ahead", index::index_ahead, 82_000, 30);

impl Hunt {
    /// The seed that catches what is planted.
    fn catch(&self) -> Option<u64> {
        let Self(_, campaign, first, seeds) = self;
        (*first..first + seeds).find(|seed| {
            let run = || campaign(*seed, &mut Counters::default());
            !catch_unwind(AssertUnwindSafe(run)).is_ok_and(|outcome| outcome.is_ok())
        })
    }
}

/// Fails with the bugs that are not caught.
fn check<B: Copy + Debug, P>(bugs: &[(B, Hunt)], plant: fn(B) -> P) {
    let mut escaped = Vec::new();
    for (bug, hunt) in bugs {
        let planted = plant(*bug);
        match hunt.catch() {
            Some(seed) => println!("planted {bug:?}: caught by {}, seed {seed}", hunt.0),
            None => escaped.push(bug),
        }
        drop(planted);
    }
    assert!(escaped.is_empty(), "not caught: {escaped:?}");
    println!("campaign planted: {{\"bugs caught\": {}}}", bugs.len());
}

/// The campaign that is made for a bug of the store.
fn hunt(bug: store::Bug) -> Hunt {
    match bug {
        store::Bug::FailureAcknowledged => FAILED_SYNC,
        store::Bug::RepeatAcknowledged => FAILED_SYNC_OF_REPEATS,
        store::Bug::KindStatedTooEarly => NO_ROOM,
        store::Bug::IndexAheadTrusted => AHEAD,
        store::Bug::IndexUnchecked => FLIPPED,
        store::Bug::PageAheadTrusted => MADE_AHEAD,
        _ => SYNCED,
    }
}

#[test]
fn every_bug_of_the_store_is_caught() {
    check(&store::Bug::ALL.map(|bug| (bug, hunt(bug))), store::plant);
}

/// Those bugs of the log that show at the store.
#[test]
fn bugs_of_the_log_are_caught_at_the_store() {
    let bugs = [
        (log::Bug::AcknowledgedBeforeSync, SYNCED),
        (log::Bug::FailedSyncRetried, FAILED_SYNC),
        (log::Bug::PoisonIgnored, FAILED_SYNC),
        (log::Bug::LastRecordDropped, SYNCED),
        (log::Bug::TailNotRewritten, UNSYNCED),
        (log::Bug::DirectoryNotSynced, SYNCED),
        (log::Bug::ManifestNotSynced, SYNCED),
        (log::Bug::SealNotSynced, SYNCED),
        (log::Bug::MappedRecordUnchecked, MAPPED),
    ];
    check(&bugs, log::plant);
}
