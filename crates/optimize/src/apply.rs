//! Doing what a plan says.

use std::ops::ControlFlow;

use annals_core::{
    Error, ErrorKind, Expected, Optimizable, PolicyAction, PolicyChange, RewritePace,
    SegmentArchiving, SegmentCompression, SegmentReclaim, SegmentRewrite, SegmentState,
    SegmentSummary, SnapshotKey, SnapshotRemoval,
};
use futures_executor::block_on;
use serde::{Deserialize, Serialize};

use crate::control::{Control, Throttle};
use crate::journal::Journal;
use crate::optimizer::Optimizer;
use crate::plan::{Plan, Step};
use crate::planning;
use crate::times::Times;

/// How a plan is applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct ApplySettings {
    /// How many bytes are read and written in a second at most, so that the disk is there for others; `None`
    /// for no limit, and less than 1 MiB counts as that. Default: 64 MiB.
    pub bytes_per_second_max: Option<u64>,
    /// Whether what was done is recorded in the store's [`JOURNAL`](crate::JOURNAL). Default: yes.
    pub journal: JournalMode,
}

/// Whether what was done is recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JournalMode {
    /// Two events for each run that does something, one when it begins and one when it ends.
    #[default]
    Recorded,
    /// None.
    Silent,
}

impl Default for ApplySettings {
    fn default() -> Self {
        Self {
            bytes_per_second_max: Some(64 * 1024 * 1024),
            journal: JournalMode::Recorded,
        }
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// Every step was done or passed over.
    Finished,
    /// It was cancelled.
    Cancelled,
    /// A step failed; see the error.
    Failed,
}

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Applied {
    /// How many steps were done.
    pub steps_done: usize,
    /// How many were passed over: they were done before, or can't be done any more.
    pub steps_passed_over: usize,
    /// How many bytes the files took on the store's disk that were rewritten or moved.
    pub bytes_before: u64,
    /// How many they take now.
    pub bytes_after: u64,
    /// How many events were reclaimed: they are gone for good.
    #[serde(default)]
    pub events_reclaimed: u64,
    /// Whether the run was cancelled before its last step.
    pub is_cancelled: bool,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress<'a> {
    /// The step in hand.
    pub step: &'a Step,
    /// Which of the plan's steps it is, from 0.
    pub step_index: usize,
    /// How many steps the plan has.
    pub steps: usize,
    /// How many bytes were read and written by now, for all steps.
    pub bytes_moved: u64,
    /// About how many the whole plan takes.
    pub bytes_total: u64,
}

impl Optimizer {
    /// Does what the plan says, on this thread, which it blocks until all is done or `control` cancels it.
    ///
    /// Appends and reads go on meanwhile. A step that is done already is passed over, so that a plan can be
    /// applied again after a crash or a cancelled run; so is one that can't be done any more. What stands
    /// between two steps is in the store alone: nothing is lost when the process is killed, and a step that was
    /// broken off by it leaves the store as it was before.
    ///
    /// # Errors
    /// What the store refuses; the steps before it stay done. [`ErrorKind::Invalid`], and nothing is done, when
    /// events are hidden by age and the clock can't be believed, as for [`plan`](Self::plan).
    pub fn apply(
        &self,
        plan: &Plan,
        settings: &ApplySettings,
        control: &Control,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Applied, Error> {
        if plan.steps.is_empty() {
            return Ok(Applied::default());
        }
        // Before the journal: a wrong clock would stay in the times of its events.
        self.check_clock(plan)?;
        let journal = match settings.journal {
            JournalMode::Recorded => Some(Journal::new(&*self.store, &*self.ids)),
            JournalMode::Silent => None,
        };
        if let Some(journal) = &journal {
            journal.begun(plan)?;
        }
        let mut applied = Applied::default();
        let done = self.run(plan, settings, control, progress, &mut applied);
        let ended = match &done {
            Ok(()) if applied.is_cancelled => Ended::Cancelled,
            Ok(()) => Ended::Finished,
            Err(_) => Ended::Failed,
        };
        let recorded = journal.map(|journal| journal.ended(ended, &applied, done.as_ref().err()));
        done?;
        recorded.transpose()?;
        Ok(applied)
    }

    fn run(
        &self,
        plan: &Plan,
        settings: &ApplySettings,
        control: &Control,
        progress: &mut dyn FnMut(Progress<'_>),
        applied: &mut Applied,
    ) -> Result<(), Error> {
        let mut throttle = Throttle::new(control, &*self.clock, settings.bytes_per_second_max);
        let (mut bytes_moved, bytes_total) = (0, plan.totals().bytes_moved);
        for (step_index, step) in plan.steps.iter().enumerate() {
            let mut pace = |bytes: u64| {
                bytes_moved += bytes;
                progress(Progress {
                    step,
                    step_index,
                    steps: plan.steps.len(),
                    bytes_moved,
                    bytes_total,
                });
                throttle.pass(bytes)
            };
            let end = loop {
                control.wait_until_resumed();
                let end = match pace(0) {
                    ControlFlow::Continue(()) => self.take_step(plan, step, &mut pace)?,
                    ControlFlow::Break(()) => StepEnd::BrokenOff,
                };
                // A pause breaks a step off as well, and may be over by now.
                if end != StepEnd::BrokenOff || !control.take_interruption() {
                    break end;
                }
            };
            match end {
                StepEnd::Done(rewrite) => applied.count(rewrite),
                StepEnd::PassedOver => applied.steps_passed_over += 1,
                StepEnd::BrokenOff if control.is_cancelled() => {
                    applied.is_cancelled = true;
                    return Ok(());
                }
                StepEnd::BrokenOff => {
                    let message = "store was closed during the run; open it and make another plan";
                    return Err(Error::new(ErrorKind::Unavailable, message).during("optimize"));
                }
            }
        }
        Ok(())
    }

    fn take_step(
        &self,
        plan: &Plan,
        step: &Step,
        pace: &mut RewritePace<'_>,
    ) -> Result<StepEnd, Error> {
        match step {
            Step::Compress { segment, level, .. } => {
                let request = SegmentCompression {
                    segment: *segment,
                    level: *level,
                };
                self.rewrite(*segment, &[SegmentState::Plain], |files| {
                    files.compress_segment(request, pace)
                })
            }
            Step::Decompress { segment, .. } => {
                self.rewrite(*segment, &[SegmentState::Compressed], |files| {
                    files.decompress_segment(*segment, pace)
                })
            }
            Step::Reclaim { segment, level, .. } => self.reclaim(plan, *segment, *level, pace),
            Step::Archive { segment, to, .. } => self.archive(*segment, to, pace),
            Step::Restore { segment, .. } => self.restore(*segment, pace),
            Step::Retain { .. } | Step::Truncate { .. } => self.change_policy(step),
            Step::TakeSnapshot { stream, fold, .. } => match &self.snapshotter {
                Some(snapshotter) => snapshotter.take_snapshot(stream, fold).map(|()| DONE),
                None => Ok(StepEnd::PassedOver),
            },
            Step::RemoveSnapshots {
                stream,
                fold,
                newest_kept,
            } => {
                let Some(snapshots) = &self.snapshots else {
                    return Ok(StepEnd::PassedOver);
                };
                let key = SnapshotKey {
                    stream: stream.clone(),
                    fold: fold.clone(),
                };
                let removal = SnapshotRemoval::Older {
                    key,
                    keep_newest: *newest_kept,
                };
                block_on(snapshots.remove_snapshots(removal)).map(|_| DONE)
            }
        }
    }

    /// Reclaims what nobody is shown of a segment, where there is something.
    fn reclaim(
        &self,
        plan: &Plan,
        segment: u32,
        level: i32,
        pace: &mut RewritePace<'_>,
    ) -> Result<StepEnd, Error> {
        const FROM: &[SegmentState] = &[
            SegmentState::Plain,
            SegmentState::Compressed,
            SegmentState::Reclaimed,
        ];
        let hidden_at = Times::of(self)?.reclaim_at(plan.trusts_clock);
        let request = SegmentReclaim {
            segment,
            level,
            hidden_at,
            is_held: &|stream| plan.legal_hold.holds(stream),
        };
        let end = self.rewrite(segment, FROM, |files| files.reclaim_segment(request, pace))?;
        Ok(match end {
            StepEnd::Done(rewrite) if rewrite.events_reclaimed == 0 => StepEnd::PassedOver,
            end => end,
        })
    }

    /// Moves a segment to an archive, unless it is in one.
    fn archive(
        &self,
        segment: u32,
        to: &str,
        pace: &mut RewritePace<'_>,
    ) -> Result<StepEnd, Error> {
        const FROM: &[SegmentState] = &[
            SegmentState::Plain,
            SegmentState::Compressed,
            SegmentState::Reclaimed,
        ];
        let request = SegmentArchiving { segment, to };
        self.rewrite(segment, FROM, |files| files.archive_segment(request, pace))
    }

    /// Brings a segment back from its archive, unless it is in none.
    fn restore(&self, segment: u32, pace: &mut RewritePace<'_>) -> Result<StepEnd, Error> {
        let Some(files) = &self.files else {
            return Ok(StepEnd::PassedOver);
        };
        let segments = files.segments()?;
        let is_archived =
            |it: &SegmentSummary| it.segment == segment && it.archived_bytes.is_some();
        if !segments.iter().any(is_archived) {
            return Ok(StepEnd::PassedOver);
        }
        let restored = files.restore_segment(segment, pace)?;
        Ok(restored.map_or(StepEnd::BrokenOff, StepEnd::Done))
    }

    /// Brings a segment that is on the store's disk, in one of these states, into another one.
    fn rewrite(
        &self,
        segment: u32,
        from: &[SegmentState],
        rewrite: impl FnOnce(&dyn Optimizable) -> Result<Option<SegmentRewrite>, Error>,
    ) -> Result<StepEnd, Error> {
        let Some(files) = &self.files else {
            return Ok(StepEnd::PassedOver);
        };
        let segments = files.segments()?;
        if !segments.iter().any(|it| {
            it.segment == segment && it.archived_bytes.is_none() && from.contains(&it.state)
        }) {
            return Ok(StepEnd::PassedOver);
        }
        Ok(rewrite(&**files)?.map_or(StepEnd::BrokenOff, StepEnd::Done))
    }

    fn change_policy(&self, step: &Step) -> Result<StepEnd, Error> {
        let Some((stream, action)) = planning::action(step) else {
            return Ok(StepEnd::PassedOver);
        };
        let before = block_on(self.store.stream_head(stream))?.policy;
        // The rules are said again: recording them anew would change nothing that is shown.
        if let PolicyAction::Retain { max_age, max_count } = action
            && (max_age, max_count) == (before.max_age, before.max_count)
        {
            return Ok(StepEnd::PassedOver);
        }
        let change = PolicyChange {
            stream: stream.clone(),
            expected: Expected::Any,
            action,
        };
        match block_on(self.store.change_stream_policy(change)) {
            Ok(head) if head.policy == before => Ok(StepEnd::PassedOver),
            Ok(_) => Ok(DONE),
            // It was closed for good since, and shows nothing.
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(StepEnd::PassedOver),
            Err(error) => Err(error),
        }
    }
}

impl Applied {
    fn count(&mut self, rewrite: SegmentRewrite) {
        self.steps_done += 1;
        self.bytes_before += rewrite.bytes_before;
        self.bytes_after += rewrite.bytes_after;
        self.events_reclaimed += rewrite.events_reclaimed;
    }
}

/// What became of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StepEnd {
    Done(SegmentRewrite),
    PassedOver,
    BrokenOff,
}

const DONE: StepEnd = StepEnd::Done(SegmentRewrite {
    bytes_before: 0,
    bytes_after: 0,
    events_reclaimed: 0,
});
