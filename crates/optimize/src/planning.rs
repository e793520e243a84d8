//! Making plans.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;

use annals_core::{
    Cursor, Error, PolicyAction, ReadRequest, SegmentCompression, SegmentState, SegmentSummary,
    SnapshotKey, StreamHead, StreamId, Timestamp, Version,
};
use annals_core::{EventStore, EventStoreExt};
use futures_executor::block_on;
use futures_util::StreamExt;

use crate::optimizer::Optimizer;
use crate::plan::{Plan, Step};
use crate::policy::{CompressionRule, OptimizePolicy, RetentionRule, SnapshotRule};

impl Optimizer {
    /// What this policy would have done to the store as it is. Changes nothing.
    ///
    /// Reads some of every segment that could be compressed, and for rules about streams all events of
    /// their categories. Blocks meanwhile: call it on a thread that may.
    ///
    /// # Errors
    /// What the store refuses to read.
    pub fn plan(&self, policy: &OptimizePolicy) -> Result<Plan, Error> {
        let mut plan = Plan::default();
        // Events are hidden first, snapshots next: segments are compressed as they are, whatever is hidden.
        for (at, rule) in policy.retention.iter().enumerate() {
            let later = policy.retention.iter().skip(at + 1);
            if later
                .into_iter()
                .all(|other| other.category != rule.category)
            {
                self.plan_retention(&mut plan, policy, rule)?;
            }
        }
        for rule in &policy.snapshots {
            self.plan_snapshots(&mut plan, policy, rule)?;
        }
        if let Some(rule) = &policy.compression {
            self.plan_compression(&mut plan, rule)?;
        }
        Ok(plan)
    }

    /// What would bring every compressed segment back into plain form.
    ///
    /// # Errors
    /// As for [`plan`](Self::plan).
    pub fn plan_undo(&self) -> Result<Plan, Error> {
        let Some(files) = &self.files else {
            return Ok(without_files());
        };
        let segments = files.segments()?.into_iter();
        let compressed = segments.filter(|it| it.state == SegmentState::Compressed);
        Ok(Plan {
            steps: compressed
                .map(|it| Step::Decompress {
                    segment: it.segment,
                    bytes_before: it.stored_bytes,
                    bytes_after: it.plain_bytes,
                })
                .collect(),
            notes: Vec::new(),
        })
    }

    fn plan_compression(&self, plan: &mut Plan, rule: &CompressionRule) -> Result<(), Error> {
        let Some(files) = &self.files else {
            plan.notes.append(&mut without_files().notes);
            return Ok(());
        };
        let segments = files.segments()?;
        let is_sealed = |it: &&SegmentSummary| it.state != SegmentState::Active;
        let sealed: Vec<&SegmentSummary> = segments.iter().filter(is_sealed).collect();
        let old = sealed.len().saturating_sub(rule.newest_kept_plain);
        let eligible = sealed.into_iter().take(old);
        for it in eligible.filter(|it| it.state == SegmentState::Plain) {
            if let Some(age) = rule.older_than
                && !self.is_older(it, &segments, age)?
            {
                // Those after it are younger still.
                break;
            }
            let request = SegmentCompression {
                segment: it.segment,
                level: rule.level,
            };
            let bytes_after = files.estimate_compression(request)?;
            if is_worthwhile(it.stored_bytes, bytes_after, rule.saved_share_min) {
                plan.steps.push(Step::Compress {
                    segment: it.segment,
                    level: rule.level,
                    bytes_before: it.stored_bytes,
                    bytes_after,
                });
            }
        }
        Ok(())
    }

    /// Whether every event of the segment was appended longer ago than this: those of an append stand in the
    /// order of its time, so that the first one behind the segment tells.
    fn is_older(
        &self,
        segment: &SegmentSummary,
        segments: &[SegmentSummary],
        age: Duration,
    ) -> Result<bool, Error> {
        let is_next = |it: &&SegmentSummary| it.segment > segment.segment;
        let Some(next) = segments.iter().find(is_next) else {
            return Ok(false);
        };
        let before = Cursor::at(next.first_position.previous());
        let request = ReadRequest::all().after(before).events_max(1);
        let mut events = pin!(self.store.events(request));
        let following = block_on(events.next()).transpose()?;
        Ok(following.is_some_and(|it| self.clock.now().since(it.appended_at()) > age))
    }

    fn plan_retention(
        &self,
        plan: &mut Plan,
        policy: &OptimizePolicy,
        rule: &RetentionRule,
    ) -> Result<(), Error> {
        let now = self.clock.now();
        let streams = self.scan(plan, policy, rule, now)?;
        let mut on_hold = 0_usize;
        for (stream, seen) in streams {
            let head = block_on(self.store.stream_head(&stream))?;
            if policy.legal_hold.holds(&stream) {
                on_hold += 1;
                plan.steps.extend(lift(&head));
                continue;
            }
            plan.steps.extend(seen.steps(rule, &head));
        }
        if on_hold > 0 {
            let category = &rule.category;
            plan.notes
                .push(format!("{on_hold} streams of {category} are on legal hold"));
        }
        Ok(())
    }

    /// The streams of the rule's category that show events, and how many of them the rule would hide.
    fn scan(
        &self,
        plan: &mut Plan,
        policy: &OptimizePolicy,
        rule: &RetentionRule,
        now: Timestamp,
    ) -> Result<BTreeMap<StreamId, Seen>, Error> {
        let request = ReadRequest::category(rule.category.clone());
        let mut streams: BTreeMap<StreamId, Seen> = BTreeMap::new();
        let mut left_out = false;
        let mut events = self.store.events(request);
        while let Some(event) = block_on(events.next()).transpose()? {
            if !streams.contains_key(event.stream()) && streams.len() >= policy.streams_max {
                left_out = true;
                continue;
            }
            let seen = streams.entry(event.stream().clone()).or_default();
            seen.shown += 1;
            seen.too_old += u64::from(
                rule.max_age
                    .is_some_and(|age| now.since(event.appended_at()) > age),
            );
            let is_before = |before| event.version() < before;
            seen.before += u64::from(rule.truncate_before.is_some_and(is_before));
        }
        if left_out {
            let (category, most) = (&rule.category, policy.streams_max);
            plan.notes.push(format!(
                "{category} has more than {most} streams; apply this plan and make another, or raise streams_max"
            ));
        }
        Ok(streams)
    }

    fn plan_snapshots(
        &self,
        plan: &mut Plan,
        policy: &OptimizePolicy,
        rule: &SnapshotRule,
    ) -> Result<(), Error> {
        let Some(snapshots) = &self.snapshots else {
            plan.notes
                .push("no store of snapshots is given: none are planned".to_owned());
            return Ok(());
        };
        let none = RetentionRule::new(rule.category.clone());
        let streams = self.scan(plan, policy, &none, Timestamp::EPOCH)?;
        for stream in streams.into_keys() {
            let key = SnapshotKey {
                stream: stream.clone(),
                fold: rule.fold.clone(),
            };
            let head = block_on(self.store.stream_head(&stream))?;
            let newest = block_on(snapshots.load_snapshot(&key, Version::MAX))?;
            let newest = newest.map_or(Version::ABSENT, |snapshot| snapshot.version());
            let events = head.version.since(newest);
            if events >= rule.events_min && head.version > newest {
                plan.steps.push(Step::TakeSnapshot {
                    stream: stream.clone(),
                    fold: rule.fold.clone(),
                    events,
                });
            }
            if self.has_more(&key, rule.newest_kept)? {
                plan.steps.push(Step::RemoveSnapshots {
                    stream,
                    fold: rule.fold.clone(),
                    newest_kept: rule.newest_kept,
                });
            }
        }
        Ok(())
    }

    /// Whether there are more snapshots of this key than so many.
    fn has_more(&self, key: &SnapshotKey, kept: usize) -> Result<bool, Error> {
        let Some(snapshots) = &self.snapshots else {
            return Ok(false);
        };
        let mut at_most = Version::MAX;
        for _ in 0..kept {
            let found = block_on(snapshots.load_snapshot(key, at_most))?;
            let Some(version) = found.map(|snapshot| snapshot.version()) else {
                return Ok(false);
            };
            if version <= Version::FIRST {
                return Ok(false);
            }
            at_most = version.previous();
        }
        Ok(block_on(snapshots.load_snapshot(key, at_most))?.is_some())
    }
}

/// What of a stream's shown events a rule is about. Each of its parts hides the oldest ones.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    shown: u64,
    too_old: u64,
    before: u64,
}

impl Seen {
    fn steps(self, rule: &RetentionRule, head: &StreamHead) -> Vec<Step> {
        let mut steps = Vec::new();
        let policy = &head.policy;
        if let Some(before) = rule.truncate_before
            && before.min(head.version.next()) > policy.truncate_before
            && self.before > 0
        {
            steps.push(Step::Truncate {
                stream: head.stream.clone(),
                before,
                events_hidden: self.before,
            });
        }
        let has_rules = rule.max_age.is_some() || rule.max_count.is_some();
        if has_rules && (policy.max_age, policy.max_count) != (rule.max_age, rule.max_count) {
            let over = rule
                .max_count
                .map_or(0, |count| self.shown.saturating_sub(count));
            steps.push(Step::Retain {
                stream: head.stream.clone(),
                max_age: rule.max_age,
                max_count: rule.max_count,
                events_hidden: self.too_old.max(over).saturating_sub(self.before),
            });
        }
        steps
    }
}

/// Lifts the rules of a stream that is held, if it has any.
fn lift(head: &StreamHead) -> Option<Step> {
    let has_rules = head.policy.max_age.is_some() || head.policy.max_count.is_some();
    has_rules.then(|| Step::Retain {
        stream: head.stream.clone(),
        max_age: None,
        max_count: None,
        events_hidden: 0,
    })
}

/// The change of policy that a step makes.
pub(crate) fn action(step: &Step) -> Option<(&StreamId, PolicyAction)> {
    match step {
        Step::Retain {
            stream,
            max_age,
            max_count,
            ..
        } => {
            let (max_age, max_count) = (*max_age, *max_count);
            Some((stream, PolicyAction::Retain { max_age, max_count }))
        }
        Step::Truncate { stream, before, .. } => {
            Some((stream, PolicyAction::TruncateBefore(*before)))
        }
        _ => None,
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a share needs no more bits than a float has"
)]
fn is_worthwhile(before: u64, after: u64, share_min: f64) -> bool {
    before.saturating_sub(after) as f64 >= before as f64 * share_min && after < before
}

fn without_files() -> Plan {
    Plan {
        steps: Vec::new(),
        notes: vec!["the store keeps no segments that could be compressed".to_owned()],
    }
}
