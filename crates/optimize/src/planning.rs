//! Making plans.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::time::Duration;

use annals_core::{
    Category, Cursor, Error, PolicyAction, ReadRequest, SegmentCompression, SegmentReclaim,
    SegmentState, SegmentSummary, SnapshotKey, StreamHead, StreamId, StreamState, Timestamp,
    Version,
};
use annals_core::{EventStore, EventStoreExt};
use futures_executor::block_on;
use futures_util::StreamExt;

use crate::optimizer::Optimizer;
use crate::plan::{Plan, Step, count};
use crate::policy::{
    ArchiveRule, CompressionRule, OptimizePolicy, ReclaimRule, RetentionRule, SnapshotRule,
};
use crate::times::Times;

impl Optimizer {
    /// What this policy would have done to the store as it is. Changes nothing.
    ///
    /// Reads some of every segment that could be compressed, all of those of which something could be reclaimed,
    /// and for rules and holds about streams all events of their categories. Blocks meanwhile: call it on a thread
    /// that may.
    ///
    /// # Errors
    /// What the store refuses to read. [`ErrorKind::Invalid`](annals_core::ErrorKind::Invalid) for a share that is
    /// not from 0 to 1, a level that zstd has not, and for a rule with a
    /// [`max_age`](RetentionRule::max_age) when the clock can't be believed: it stands more than five minutes
    /// before the newest event, or it alone makes all events of the store too old. See
    /// [`trusts_clock`](OptimizePolicy::trusts_clock).
    pub fn plan(&self, policy: &OptimizePolicy) -> Result<Plan, Error> {
        policy.validate()?;
        let mut plan = Plan {
            trusts_clock: policy.trusts_clock,
            legal_hold: policy.legal_hold.clone(),
            ..Plan::default()
        };
        self.plan_holds(&mut plan, policy)?;
        // Events are hidden first, so that a segment is reclaimed without them.
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
        if let Some(rule) = &policy.reclaim {
            self.plan_reclaim(&mut plan, rule)?;
        }
        if let Some(rule) = &policy.compression {
            self.plan_compression(&mut plan, rule)?;
        }
        if let Some(rule) = &policy.archive {
            self.plan_archive(&mut plan, rule)?;
        }
        Ok(plan)
    }

    /// What would bring every archived segment back to the store's disk, and every compressed one into plain form.
    ///
    /// # Errors
    /// As for [`plan`](Self::plan).
    pub fn plan_undo(&self) -> Result<Plan, Error> {
        let Some(files) = &self.files else {
            return Ok(without_files());
        };
        let mut plan = Plan::default();
        for it in files.segments()? {
            if let Some(bytes) = it.archived_bytes {
                let segment = it.segment;
                plan.steps.push(Step::Restore { segment, bytes });
            }
            match it.state {
                SegmentState::Compressed => plan.steps.push(Step::Decompress {
                    segment: it.segment,
                    bytes_before: it.archived_bytes.unwrap_or(it.stored_bytes),
                    bytes_after: it.plain_bytes,
                }),
                SegmentState::Reclaimed => {
                    let segment = it.segment;
                    let note =
                        format!("segment {segment} was reclaimed in part and stays compressed");
                    plan.notes.push(note);
                }
                SegmentState::Damaged if it.stored_bytes < it.plain_bytes => {
                    let segment = it.segment;
                    let note = format!("segment {segment} lost something and stays compressed");
                    plan.notes.push(note);
                }
                _ => {}
            }
        }
        Ok(plan)
    }

    fn plan_reclaim(&self, plan: &mut Plan, rule: &ReclaimRule) -> Result<(), Error> {
        let Some(files) = &self.files else {
            plan.notes.append(&mut without_files().notes);
            return Ok(());
        };
        let hidden_at = Times::of(self)?.reclaim_at(plan.trusts_clock);
        let hold = plan.legal_hold.clone();
        let is_sealed =
            |it: &SegmentSummary| !matches!(it.state, SegmentState::Active | SegmentState::Damaged);
        let segments = files.segments()?;
        note_archived(plan, &segments);
        for it in segments.into_iter().filter(is_sealed).filter(is_local) {
            let request = SegmentReclaim {
                segment: it.segment,
                level: rule.level,
                hidden_at,
                is_held: &|stream| hold.holds(stream),
            };
            let found = files.estimate_reclaim(request)?;
            let share = share_of(found.bytes, it.plain_bytes);
            if found.events == 0 || share < rule.share_min {
                continue;
            }
            let compressed = match it.state {
                SegmentState::Plain => files.estimate_compression(SegmentCompression {
                    segment: it.segment,
                    level: rule.level,
                })?,
                _ => it.stored_bytes,
            };
            plan.steps.push(Step::Reclaim {
                segment: it.segment,
                level: rule.level,
                events: found.events,
                bytes_before: it.stored_bytes,
                bytes_after: share_left(compressed, share),
            });
        }
        if plan.totals().events_hidden > 0 {
            let note = "what this plan hides is reclaimed as well, as far as it lies in a segment that is reclaimed here; \
                of other segments the next plan does it";
            plan.notes.push(note.to_owned());
        }
        Ok(())
    }

    fn plan_compression(&self, plan: &mut Plan, rule: &CompressionRule) -> Result<(), Error> {
        let Some(files) = &self.files else {
            plan.notes.append(&mut without_files().notes);
            return Ok(());
        };
        let segments = files.segments()?;
        let old = self.old_segments(&segments, rule.newest_kept_plain, rule.older_than)?;
        let reclaimed: BTreeSet<u32> = plan.steps.iter().filter_map(reclaimed).collect();
        let is_left = |it: &&SegmentSummary| {
            it.state == SegmentState::Plain && !reclaimed.contains(&it.segment)
        };
        for it in old.iter().filter(is_left) {
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

    /// The sealed segments but so many of the newest, oldest first, up to the first one that is not so old.
    fn old_segments(
        &self,
        segments: &[SegmentSummary],
        newest_kept: usize,
        older_than: Option<Duration>,
    ) -> Result<Vec<SegmentSummary>, Error> {
        let is_sealed = |it: &&SegmentSummary| it.state != SegmentState::Active;
        let sealed: Vec<&SegmentSummary> = segments.iter().filter(is_sealed).collect();
        let eligible = sealed.len().saturating_sub(newest_kept);
        let mut old = Vec::new();
        for it in sealed.into_iter().take(eligible).filter(|it| is_local(it)) {
            if let Some(age) = older_than
                && !self.is_older(it, segments, age)?
            {
                // Those after it are younger still.
                break;
            }
            old.push(*it);
        }
        Ok(old)
    }

    fn plan_archive(&self, plan: &mut Plan, rule: &ArchiveRule) -> Result<(), Error> {
        let Some(files) = &self.files else {
            plan.notes.append(&mut without_files().notes);
            return Ok(());
        };
        let segments = files.segments()?;
        let old = self.old_segments(&segments, rule.newest_kept_local, rule.older_than)?;
        for it in old.iter().filter(|it| it.state != SegmentState::Damaged) {
            let rewritten = plan.steps.iter().rev().find_map(|step| match step {
                Step::Compress {
                    segment,
                    bytes_after,
                    ..
                }
                | Step::Reclaim {
                    segment,
                    bytes_after,
                    ..
                } if *segment == it.segment => Some(*bytes_after),
                _ => None,
            });
            plan.steps.push(Step::Archive {
                segment: it.segment,
                to: rule.to.clone(),
                bytes: rewritten.unwrap_or(it.stored_bytes),
            });
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

    /// Lifts the rules that held streams have. Of a held category, those streams that show events.
    fn plan_holds(&self, plan: &mut Plan, policy: &OptimizePolicy) -> Result<(), Error> {
        let mut streams: BTreeSet<StreamId> = policy.legal_hold.streams.clone();
        for category in &policy.legal_hold.categories {
            let none = RetentionRule::new(category.clone());
            let shown = self.scan(plan, policy, &none, Timestamp::EPOCH)?;
            streams.extend(shown.into_keys());
        }
        for stream in streams {
            let head = block_on(self.store.stream_head(&stream))?;
            plan.steps.extend(lift(&head));
        }
        Ok(())
    }

    fn plan_retention(
        &self,
        plan: &mut Plan,
        policy: &OptimizePolicy,
        rule: &RetentionRule,
    ) -> Result<(), Error> {
        let category = &rule.category;
        if policy.legal_hold.categories.contains(category) {
            let note = format!("all streams of {category} are on legal hold");
            plan.notes.push(note);
            return Ok(());
        }
        let times = rule.max_age.map(|_| Times::of(self)).transpose()?;
        if let Some(times) = &times
            && !policy.trusts_clock
        {
            times.check_behind()?;
        }
        let now = times.map_or(Timestamp::EPOCH, |times| times.now());
        let mut streams = self.scan(plan, policy, rule, now)?;
        let shown = streams.len();
        streams.retain(|stream, _| !policy.legal_hold.holds(stream));
        note_holds(plan, category, shown - streams.len());
        if let (Some(times), Some(age)) = (&times, rule.max_age)
            && !policy.trusts_clock
            && !streams.is_empty()
        {
            times.check_ahead(age)?;
        }
        for (stream, seen) in streams {
            let head = block_on(self.store.stream_head(&stream))?;
            plan.steps.extend(seen.steps(rule, &head));
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
                "{category} has more than {most} streams; raise streams_max to plan for the rest"
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
        // What the rule leaves out stays as somebody else has set it.
        let rules = (
            rule.max_age.or(policy.max_age),
            rule.max_count.or(policy.max_count),
        );
        if (policy.max_age, policy.max_count) != rules {
            let over = rule
                .max_count
                .map_or(0, |count| self.shown.saturating_sub(count));
            steps.push(Step::Retain {
                stream: head.stream.clone(),
                max_age: rules.0,
                max_count: rules.1,
                events_hidden: self.too_old.max(over).saturating_sub(self.before),
            });
        }
        steps
    }
}

/// Says how many streams of a category are held, if any.
fn note_holds(plan: &mut Plan, category: &Category, held: usize) {
    if held == 0 {
        return;
    }
    let verb = if held == 1 { "is" } else { "are" };
    let streams = count(held as u64, "stream");
    let note = format!("{streams} of {category} {verb} on legal hold");
    plan.notes.push(note);
}

/// Lifts the rules of a stream that is held, if it has any. One that is closed for good keeps them.
fn lift(head: &StreamHead) -> Option<Step> {
    let policy = &head.policy;
    let has_rules = policy.max_age.is_some() || policy.max_count.is_some();
    (has_rules && policy.state != StreamState::Tombstoned).then(|| Step::Retain {
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

fn is_local(it: &SegmentSummary) -> bool {
    it.archived_bytes.is_none()
}

fn note_archived(plan: &mut Plan, segments: &[SegmentSummary]) {
    let archived = segments.iter().filter(|it| !is_local(it)).count();
    if archived > 0 {
        let archived = count(archived as u64, "archived segment");
        let note = format!(
            "what can be reclaimed of {archived} is not looked at: restore what is archived before, by an undo"
        );
        plan.notes.push(note);
    }
}

/// The segment that a step reclaims, and so compresses.
fn reclaimed(step: &Step) -> Option<u32> {
    match step {
        Step::Reclaim { segment, .. } => Some(*segment),
        _ => None,
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a share needs no more bits than a float has"
)]
fn share_of(bytes: u64, whole: u64) -> f64 {
    bytes as f64 / whole.max(1) as f64
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an estimate, of what is left of a size"
)]
fn share_left(bytes: u64, share: f64) -> u64 {
    (bytes as f64 * (1.0 - share.clamp(0.0, 1.0))) as u64
}

fn without_files() -> Plan {
    Plan {
        notes: vec!["the store keeps no segments that could be compressed".to_owned()],
        ..Plan::default()
    }
}
