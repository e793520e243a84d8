//! Bugs planted in a store, one at a time: each must be caught, and by whom is written down. A suite that
//! can't fail proves nothing.

mod appends;
mod auxiliary;
mod bug;
mod faulty;
mod policies;
mod reads;

use std::time::Duration;

use annals_conformance::{
    Backend, HistorySettings, ManualClock, Report, Stores, check, check_histories, check_model,
    check_only,
};
use annals_core::Error;
use async_trait::async_trait;

use crate::bug::Bug;
use crate::faulty::Faulty;

/// A memory store with this bug.
#[derive(Clone, Copy, Debug)]
struct Planted(Option<Bug>);

#[async_trait]
impl Backend for Planted {
    async fn open(&self, clock: ManualClock) -> Result<Stores, Error> {
        Ok(Stores::complete(Faulty::new(clock, self.0)).on_the_clock())
    }

    fn case_timeout(&self) -> Duration {
        match self.0 {
            // It hangs on purpose.
            Some(Bug::NeverWakes) => Duration::from_millis(300),
            Some(_) => Duration::from_secs(5),
            None => Duration::from_mins(1),
        }
    }
}

#[test]
fn explore() {
    let from: usize = std::env::var("FROM")
        .ok()
        .and_then(|t| t.parse().ok())
        .unwrap_or(0);
    let subjects = [
        "append",
        "expectations",
        "conflict",
        "idempotency",
        "boundaries",
        "read",
        "cursors",
        "paging",
        "subscribe",
        "limits",
        "events",
        "policies",
        "capabilities",
        "concurrency",
        "snapshots",
        "checkpoints",
    ];
    for (bug, _) in PLANTED.iter().skip(from) {
        if *bug == Bug::WakesTooEarly || *bug == Bug::NeverWakes {
            continue;
        }
        let mut caught = Vec::new();
        for subject in subjects {
            let report = check_only(Planted(Some(*bug)), subject);
            let failed = report.failed().count();
            if failed > 0 {
                caught.push(format!("{subject}({failed})"));
            }
        }
        if check_model(Planted(Some(*bug)), 300)
            .failed()
            .next()
            .is_some()
        {
            caught.push("model".into());
        }
        let settings = HistorySettings::default();
        let r = check_histories(Planted(Some(*bug)), settings);
        if let Some((_, f)) = r.failed().next() {
            caught.push("history".into());
            println!("{f}");
        }
        println!("{bug:?}: {}", caught.join(" "));
    }
}

const PLANTED: &[(Bug, &[&str])] = &[
    (Bug::ConflictLost, &[]),
    (Bug::NoStreamTakenAsAny, &[]),
    (Bug::StreamExistsTakenAsAny, &[]),
    (Bug::ExactlyTakenAsAtLeast, &[]),
    (Bug::CheckOnUnwrittenStreamIgnored, &[]),
    (Bug::VersionCheckedThenWritten, &[]),
    (Bug::ConditionsIgnored, &[]),
    (Bug::ConditionOneTooLate, &[]),
    (Bug::ConditionOneTooEarly, &[]),
    (Bug::ConditionWithoutTags, &[]),
    (Bug::ConditionOfFirstItemOnly, &[]),
    (Bug::FirstConditionOnly, &[]),
    (Bug::ConditionOnWrittenStreamsOnly, &[]),
    (Bug::ConditionCountsOwnEvents, &[]),
    (Bug::ConflictOfFirstCheckOnly, &[]),
    (Bug::ConflictWithVersionOneTooHigh, &[]),
    (Bug::ConflictWithNewestPositions, &[]),
    (Bug::ConflictWithoutPositions, &[]),
    (Bug::RetryRecordedAgain, &[]),
    (Bug::RetryNotMarked, &[]),
    (Bug::RetryJudgedAgain, &[]),
    (Bug::ReusedIdAccepted, &[]),
    (Bug::RejectedIdTaken, &[]),
    (Bug::ReceiptForgotten, &[]),
    (Bug::MultiStreamAppendInPart, &[]),
    (Bug::WritesReordered, &[]),
    (Bug::EventsRecordedOneByOne, &[]),
    (Bug::LostUnderConcurrency, &[]),
    (Bug::RecordedButRejected, &[]),
    (Bug::AcknowledgedBeforeRecorded, &[]),
    (Bug::EventIdNotUnique, &[]),
    (Bug::EventIdReplaced, &[]),
    (Bug::MetadataLost, &[]),
    (Bug::TrailingZerosCut, &[]),
    (Bug::RecordedAtReplaced, &[]),
    (Bug::AppendedAtGoesBack, &[]),
    (Bug::GapInVersions, &[]),
    (Bug::UntilIgnored, &[]),
    (Bug::UntilExclusive, &[]),
    (Bug::AfterInclusive, &[]),
    (Bug::VersionBoundIgnored, &[]),
    (Bug::BackwardAsForward, &[]),
    (Bug::CategoryByPrefix, &[]),
    (Bug::CriteriaOfAnyTag, &[]),
    (Bug::CriteriaOfFirstItemOnly, &[]),
    (Bug::StrongReadLags, &[]),
    (Bug::HeadLags, &[]),
    (Bug::PageTellsVersionOfItsLastEvent, &[]),
    (Bug::LimitsIgnored, &[]),
    (Bug::CursorAheadAccepted, &[]),
    (Bug::PageDropsItsLast, &[]),
    (Bug::NextRepeatsTheLast, &[]),
    (Bug::EmptyLastPage, &[]),
    (Bug::PageOneTooLong, &[]),
    (Bug::BytesIgnored, &[]),
    (Bug::CursorAtHeadOnFullPage, &[]),
    (Bug::CursorOneBehind, &[]),
    (Bug::CursorTakenLate, &[]),
    (Bug::WakeLosesAnEvent, &[]),
    (Bug::WakesTooEarly, &[]),
    (Bug::NeverWakes, &[]),
    (Bug::MaxCountOneTooHigh, &[]),
    (Bug::TruncationOneTooLow, &[]),
    (Bug::SoftDeleteOnlyHides, &[]),
    (Bug::TombstoneTakenAsSoftDelete, &[]),
    (Bug::TombstoneLiftedInWords, &[]),
    (Bug::PolicyExpectationIgnored, &[]),
    (Bug::RetainKeepsTheOldRule, &[]),
    (Bug::PolicyChangeGivesTheOldHead, &[]),
    (Bug::SnapshotNewerThanAsked, &[]),
    (Bug::SnapshotOfAnyFold, &[]),
    (Bug::SnapshotNotReplaced, &[]),
    (Bug::SnapshotRemovalTakesOneMore, &[]),
    (Bug::CheckpointRevisionUnchecked, &[]),
    (Bug::CheckpointRevisionsComeAgain, &[]),
    (Bug::CheckpointNotRemoved, &[]),
    (Bug::CheckpointNeverGoesBack, &[]),
];

/// Runs what a name stands for: the model, the histories, or a subject.
fn run(name: &str, bug: Option<Bug>) -> Report {
    match name {
        "model" => check_model(Planted(bug), 300),
        "history" => check_histories(Planted(bug), HistorySettings::default()),
        subject => check_only(Planted(bug), subject),
    }
}
