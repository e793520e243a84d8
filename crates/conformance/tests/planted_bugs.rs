//! Bugs planted in a store, one at a time: each must be caught, and by what is written down. A suite that
//! can't fail proves nothing.

mod faulty;

use std::time::Duration;

use annals_conformance::{
    Backend, HistorySettings, ManualClock, Report, Stores, check, check_histories, check_model,
    check_only,
};
use annals_core::Error;
use async_trait::async_trait;

use crate::faulty::{Bug, Faulty};

/// Each bug, and what must fail because of it: subjects or cases, the model, the histories.
const PLANTED: &[(Bug, &[&str])] = &[
    (
        Bug::ConflictLost,
        &["expectations", "conflict", MODEL, HISTORY],
    ),
    (Bug::NoStreamTakenAsAny, &["expectations", MODEL]),
    (Bug::StreamExistsTakenAsAny, &["expectations", MODEL]),
    (
        Bug::ExactlyTakenAsAtLeast,
        &["expectations", "conflict", HISTORY],
    ),
    (
        Bug::CheckOnUnwrittenStreamIgnored,
        &["append", "expectations", MODEL],
    ),
    (Bug::VersionCheckedThenWritten, &["concurrency"]),
    (
        Bug::ConditionsIgnored,
        &["boundaries", "concurrency", HISTORY],
    ),
    (Bug::ConditionOneTooLate, &["boundaries", MODEL, HISTORY]),
    (Bug::ConditionOneTooEarly, &["boundaries", MODEL, HISTORY]),
    (Bug::ConditionWithoutTags, &["boundaries", MODEL]),
    (
        Bug::ConditionOfFirstItemOnly,
        &["boundaries", "limits.the_widest_condition"],
    ),
    (Bug::FirstConditionOnly, &["boundaries", MODEL]),
    (Bug::ConditionOnWrittenStreamsOnly, &["boundaries", HISTORY]),
    (Bug::ConditionCountsOwnEvents, &["boundaries", MODEL]),
    (Bug::ConflictOfFirstCheckOnly, &["conflict", HISTORY]),
    (
        Bug::ConflictWithVersionOneTooHigh,
        &["expectations", "conflict", HISTORY],
    ),
    (Bug::ConflictWithNewestPositions, &["conflict", MODEL]),
    (Bug::ConflictWithoutPositions, &["conflict", MODEL]),
    (
        Bug::RetryRecordedAgain,
        &["idempotency", "concurrency.racing_retries", HISTORY],
    ),
    (Bug::RetryNotMarked, &["idempotency", MODEL, HISTORY]),
    (Bug::RetryJudgedAgain, &["idempotency", MODEL]),
    (Bug::ReusedIdAccepted, &["idempotency", HISTORY]),
    (Bug::RejectedIdTaken, &["idempotency", MODEL, HISTORY]),
    (Bug::ReceiptForgotten, &["idempotency", MODEL, HISTORY]),
    (Bug::MultiStreamAppendInPart, &["append", MODEL, HISTORY]),
    (Bug::WritesReordered, &["append", MODEL, HISTORY]),
    (
        Bug::EventsRecordedOneByOne,
        &["idempotency", MODEL, HISTORY],
    ),
    (Bug::LostUnderConcurrency, &[HISTORY]),
    (Bug::RecordedButRejected, &["paging", HISTORY]),
    (
        Bug::AcknowledgedBeforeRecorded,
        &["append", "idempotency", HISTORY],
    ),
    (Bug::EventIdNotUnique, &["events", HISTORY]),
    (Bug::EventIdReplaced, &["events", MODEL, HISTORY]),
    (Bug::MetadataLost, &["events", MODEL]),
    (Bug::TrailingZerosCut, &["events"]),
    (Bug::RecordedAtReplaced, &["events", MODEL]),
    (Bug::AppendedAtGoesBack, &["events", MODEL, HISTORY]),
    (Bug::GapInVersions, &["append", "read", MODEL, HISTORY]),
    (Bug::UntilIgnored, &["read", "subscribe.ends_where", MODEL]),
    (Bug::UntilExclusive, &["read", "cursors", MODEL]),
    (Bug::AfterInclusive, &["read", "paging", MODEL, HISTORY]),
    (Bug::VersionBoundIgnored, &["read", MODEL]),
    (Bug::TimesIgnored, &["time.bounds_are", MODEL, HISTORY]),
    (Bug::AppendedFromExclusive, &["time", MODEL, HISTORY]),
    (
        Bug::AppendedBeforeInclusive,
        &["time.bounds_are", MODEL, HISTORY],
    ),
    (Bug::TimesOfTheApplication, &["time.the_stores_time", MODEL]),
    (Bug::TimesLostOnTheNextPage, &["time.pages_keep", MODEL]),
    (
        Bug::CursorPastTheTimeBound,
        &["time.the_cursor", "time.a_subscription_ends", MODEL],
    ),
    (Bug::BackwardAsForward, &["read", "paging", MODEL, HISTORY]),
    (Bug::CategoryByPrefix, &["read", MODEL, HISTORY]),
    (Bug::CriteriaOfAnyTag, &["read", MODEL]),
    (Bug::CriteriaOfFirstItemOnly, &["read", MODEL]),
    (
        Bug::StrongReadLags,
        &["append", "concurrency.a_client_reads", MODEL, HISTORY],
    ),
    (
        Bug::HeadLags,
        &["append", "cursors.the_last_cursor", MODEL, HISTORY],
    ),
    (Bug::PageTellsVersionOfItsLastEvent, &["read", MODEL]),
    (Bug::LimitsIgnored, &["read"]),
    (Bug::CursorAheadAccepted, &["cursors", MODEL]),
    (Bug::PageDropsItsLast, &["paging", MODEL, HISTORY]),
    (Bug::NextRepeatsTheLast, &["paging", MODEL]),
    (Bug::EmptyLastPage, &["paging"]),
    (Bug::PageOneTooLong, &["paging", MODEL]),
    (Bug::BytesIgnored, &["paging", MODEL]),
    (Bug::CursorAtHeadOnFullPage, &["paging", MODEL, HISTORY]),
    (Bug::CursorOneBehind, &["paging", MODEL]),
    (Bug::CursorTakenLate, &[HISTORY]),
    (
        Bug::WakeLosesAnEvent,
        &["subscribe.catches_up", "subscribe.starts_after"],
    ),
    (Bug::WakesTooEarly, &["subscribe.a_change_to_come"]),
    (
        Bug::NeverWakes,
        &["subscribe.a_change_to_come", "subscribe.catches_up"],
    ),
    (Bug::MaxCountOneTooHigh, &["policies", MODEL]),
    (Bug::TruncationOneTooLow, &["policies", MODEL]),
    (
        Bug::SoftDeleteOnlyHides,
        &["expectations", "policies", MODEL],
    ),
    (
        Bug::TombstoneTakenAsSoftDelete,
        &["expectations", "policies"],
    ),
    (Bug::TombstoneLiftedInWords, &["policies"]),
    (Bug::PolicyExpectationIgnored, &["policies", MODEL]),
    (Bug::RetainKeepsTheOldRule, &["policies", MODEL]),
    (Bug::PolicyChangeGivesTheOldHead, &["policies", MODEL]),
    (Bug::OffersLessThanItDoes, &["capabilities", "limits"]),
    (Bug::SnapshotNewerThanAsked, &["snapshots"]),
    (Bug::SnapshotOfAnyFold, &["snapshots"]),
    (Bug::SnapshotNotReplaced, &["snapshots"]),
    (Bug::SnapshotRemovalTakesOneMore, &["snapshots"]),
    (Bug::SnapshotPurgeForgetsAStream, &["snapshots"]),
    (Bug::CheckpointRevisionUnchecked, &["checkpoints"]),
    (Bug::CheckpointRevisionsComeAgain, &["checkpoints"]),
    (Bug::CheckpointNotRemoved, &["checkpoints"]),
    (Bug::CheckpointNeverGoesBack, &["checkpoints"]),
];

const MODEL: &str = "model";
const HISTORY: &str = "history";

/// A memory store with this bug, or with none.
#[derive(Clone, Copy, Debug)]
struct Planted(Option<Bug>);

#[async_trait]
impl Backend for Planted {
    async fn open(&self, clock: ManualClock) -> Result<Stores, Error> {
        Ok(Stores::complete(Faulty::new(clock, self.0)).on_the_clock())
    }

    fn case_timeout(&self) -> Duration {
        match self.0 {
            // Whoever waits for the event, or for the end, that never comes hangs.
            Some(Bug::NeverWakes | Bug::WakeLosesAnEvent | Bug::CursorPastTheTimeBound) => {
                Duration::from_secs(1)
            }
            _ => Duration::from_mins(1),
        }
    }
}

/// Runs the model, the histories, or the cases of this name.
fn run(name: &str, bug: Option<Bug>) -> Report {
    match name {
        MODEL => check_model(Planted(bug), 1000),
        HISTORY => check_histories(Planted(bug), HistorySettings::default().histories(20)),
        cases => check_only(Planted(bug), cases),
    }
}

#[test]
fn every_planted_bug_is_caught() {
    let missed: Vec<String> = PLANTED
        .iter()
        .flat_map(|(bug, names)| names.iter().map(move |name| (*bug, *name)))
        .filter(|(bug, name)| run(name, Some(*bug)).failed().next().is_none())
        .map(|(bug, name)| format!("{bug:?} by {name}"))
        .collect();
    assert_eq!(missed, Vec::<String>::new(), "not caught");
}

#[test]
fn the_wrapper_without_a_bug_passes() {
    check(Planted(None)).assert_passed();
    run(MODEL, None).assert_passed();
    run(HISTORY, None).assert_passed();
}
