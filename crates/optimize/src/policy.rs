//! What shall be made smaller.

use std::collections::BTreeSet;
use std::time::Duration;

use annals_core::{Category, Error, ErrorKind, FoldId, StreamId, Version};
use serde::{Deserialize, Serialize};

use crate::age;

/// What a plan is made by: settings, of which the default does nothing but compress.
///
/// In a file ages are texts, as `90s`, `15m`, `12h`, `30d`, `4w`; in TOML:
///
/// ```toml
/// [compression]
/// older_than = "7d"
///
/// [[retention]]
/// category = "session"
/// max_age = "30d"
///
/// [legal_hold]
/// streams = ["session-7"]
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct OptimizePolicy {
    /// Which segments are compressed. Default: all that get smaller by it; `None` for none.
    pub compression: Option<CompressionRule>,
    /// Which events of which categories are hidden, and so expire. Of two rules for a category the last
    /// holds. Default: none.
    pub retention: Vec<RetentionRule>,
    /// Of which segments the events that nobody is shown any more are reclaimed; what is reclaimed is gone for good.
    /// Default: none.
    pub reclaim: Option<ReclaimRule>,
    /// Which segments are moved to an archive, and where that is. Default: none.
    pub archive: Option<ArchiveRule>,
    /// What is kept whatever the rules say. Default: nothing.
    pub legal_hold: LegalHold,
    /// Which snapshots are taken, and which are removed. Default: none.
    pub snapshots: Vec<SnapshotRule>,
    /// The most streams that a plan looks at for one rule, so that its memory is bounded; it says where there
    /// are more. Default: 100,000.
    pub streams_max: usize,
    /// Whether the clock is right, whatever the store's events say. Otherwise a rule with a
    /// [`max_age`](RetentionRule::max_age) is refused when the clock stands more than five minutes before the
    /// newest event, or so far past it that every event of the store is too old by the rule: what a wrong clock
    /// hides stays hidden. Say yes for a store that nobody has written for that long. Default: no.
    pub trusts_clock: bool,
}

/// Which segments are compressed, and how.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct CompressionRule {
    /// How much time is given for how few bytes: 1 to 19, as zstd counts. Default: 9.
    pub level: i32,
    /// How many of the newest sealed segments stay as they are, because they are read most. Default: 0.
    pub newest_kept_plain: usize,
    /// Only segments of which every event was appended longer ago than this; `None` for segments of any age.
    /// What follows a segment tells its age, so that one that no event follows is not old. Default: `None`.
    #[serde(with = "age", skip_serializing_if = "Option::is_none")]
    pub older_than: Option<Duration>,
    /// The least share of a segment that must be saved, from 0 to 1. Default: 0.1.
    pub saved_share_min: f64,
}

/// Of which segments hidden events are reclaimed, and how: their payloads and their metadata are left out of the
/// segment's compressed form. Those of streams on legal hold stay, and so do those that only the time since the newest
/// event of the store hides: a clock that is wrong takes nothing, unless it is
/// [trusted](OptimizePolicy::trusts_clock).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct ReclaimRule {
    /// How much time is given for how few bytes: 1 to 19, as zstd counts. Default: 9.
    pub level: i32,
    /// The least share of a segment's bytes, as they are without compression, that there must be to reclaim, from 0
    /// to 1: a segment is written anew for it. Default: 0.1.
    pub share_min: f64,
}

/// Which segments are moved to an archive: another directory, or an object store. Reads go on, slower there. What is
/// reclaimed or compressed by the same policy is so before it is moved; what is archived is not rewritten until it is
/// restored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ArchiveRule {
    /// The archive: the absolute path of a directory, or a URL that the store knows how to open. Several stores may
    /// share one: each has a folder of its own.
    pub to: String,
    /// How many of the newest sealed segments stay on the store's disk, because they are read most. Default: 0.
    #[serde(default)]
    pub newest_kept_local: usize,
    /// Only segments of which every event was appended longer ago than this; `None` for segments of any age.
    /// What follows a segment tells its age. Default: `None`.
    #[serde(default, with = "age", skip_serializing_if = "Option::is_none")]
    pub older_than: Option<Duration>,
}

/// Which events of a category's streams reads still show.
///
/// What it leaves out (`None`) stays as the policy of each stream has it: a rule that is taken away here is not
/// lifted from the streams. A legal hold lifts it, and the application does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RetentionRule {
    /// The streams that it is for.
    pub category: Category,
    /// Hide events that were appended longer ago than this; `None` leaves the rule that the stream has.
    #[serde(default, with = "age", skip_serializing_if = "Option::is_none")]
    pub max_age: Option<Duration>,
    /// Hide all but the newest this many events of each stream; `None` leaves the rule that the
    /// stream has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_count: Option<u64>,
    /// Hide events of versions below this in each stream; `None` hides none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truncate_before: Option<Version>,
}

/// What is kept whatever the rules say: no rule hides an event of these, rules that were set before are
/// lifted, whether a rule is given or not, and nothing is reclaimed. What was hidden by then stays hidden.
///
/// A hold is part of a policy, and counts for the plans that are made by it: nothing in the store knows of it. Have
/// every policy name it from which events are reclaimed, and drop plans that were made before.
///
/// A stream of a held category that shows no event is not found, and keeps its rules until it has an event again
/// and a plan is made; name it in [`streams`](Self::streams) to have them lifted now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct LegalHold {
    /// These streams.
    pub streams: BTreeSet<StreamId>,
    /// All streams of these categories.
    pub categories: BTreeSet<Category>,
}

/// Which snapshots of a fold are taken, and which are removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SnapshotRule {
    /// The streams that it is for.
    pub category: Category,
    /// The fold that they are of.
    pub fold: FoldId,
    /// Take one when this many events stand after the last one.
    pub events_min: u64,
    /// How many of the newest are kept.
    pub newest_kept: usize,
}

impl OptimizePolicy {
    /// Refuses numbers that say nothing.
    pub(crate) fn validate(&self) -> Result<(), Error> {
        let compression = self.compression.map(|it| (it.level, it.saved_share_min));
        let reclaim = self.reclaim.map(|it| (it.level, it.share_min));
        for (level, share) in compression.into_iter().chain(reclaim) {
            if !(1..=19).contains(&level) {
                let message = "level of a rule is none of zstd; give one from 1 to 19";
                return Err(Error::new(ErrorKind::Invalid, message).with("level", level));
            }
            if !(0.0..=1.0).contains(&share) {
                let message = "share of a rule is none; give one from 0 to 1";
                return Err(Error::new(ErrorKind::Invalid, message).with("share", share));
            }
        }
        Ok(())
    }
}

impl Default for OptimizePolicy {
    fn default() -> Self {
        Self {
            compression: Some(CompressionRule::default()),
            retention: Vec::new(),
            reclaim: None,
            archive: None,
            legal_hold: LegalHold::default(),
            snapshots: Vec::new(),
            streams_max: 100_000,
            trusts_clock: false,
        }
    }
}

impl Default for CompressionRule {
    fn default() -> Self {
        Self {
            level: 9,
            newest_kept_plain: 0,
            older_than: None,
            saved_share_min: 0.1,
        }
    }
}

impl Default for ReclaimRule {
    fn default() -> Self {
        Self {
            level: 9,
            share_min: 0.1,
        }
    }
}

impl ArchiveRule {
    /// A rule that moves every sealed segment to this archive.
    pub fn new(to: impl Into<String>) -> Self {
        Self {
            to: to.into(),
            newest_kept_local: 0,
            older_than: None,
        }
    }

    /// Leaves so many of the newest sealed segments on the store's disk.
    #[must_use]
    pub fn newest_kept_local(mut self, segments: usize) -> Self {
        self.newest_kept_local = segments;
        self
    }

    /// Moves only segments of which every event was appended longer ago than this.
    #[must_use]
    pub fn older_than(mut self, age: Duration) -> Self {
        self.older_than = Some(age);
        self
    }
}

impl RetentionRule {
    /// A rule for a category that hides nothing yet.
    pub fn new(category: Category) -> Self {
        Self {
            category,
            max_age: None,
            max_count: None,
            truncate_before: None,
        }
    }

    /// Hides events that were appended longer ago than this.
    #[must_use]
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// Hides all but the newest this many events of each stream.
    #[must_use]
    pub fn max_count(mut self, events: u64) -> Self {
        self.max_count = Some(events);
        self
    }

    /// Hides events of versions below this in each stream.
    #[must_use]
    pub fn truncate_before(mut self, version: Version) -> Self {
        self.truncate_before = Some(version);
        self
    }
}

impl SnapshotRule {
    /// A rule that takes a snapshot after so many events, and keeps one.
    pub fn new(category: Category, fold: FoldId, events_min: u64) -> Self {
        Self {
            category,
            fold,
            events_min,
            newest_kept: 1,
        }
    }
}

impl LegalHold {
    /// Whether this stream is held.
    pub fn holds(&self, stream: &StreamId) -> bool {
        self.streams.contains(stream) || self.categories.contains(&stream.category())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.streams.is_empty() && self.categories.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_say_nothing_are_refused() {
        OptimizePolicy::default().validate().unwrap();
        for (text, expected) in [
            (r#"{"reclaim": {"share_min": 5}}"#, "from 0 to 1"),
            (r#"{"reclaim": {"level": 0}}"#, "from 1 to 19"),
            (
                r#"{"compression": {"saved_share_min": -0.1}}"#,
                "from 0 to 1",
            ),
            (r#"{"compression": {"level": 20}}"#, "from 1 to 19"),
        ] {
            let policy: OptimizePolicy = serde_json::from_str(text).unwrap();
            let refused = policy.validate().unwrap_err();
            assert!(refused.to_string().contains(expected), "{refused}");
        }
    }

    #[test]
    fn a_policy_is_read_as_a_person_writes_it() {
        let text = r#"{
            "compression": {"level": 12, "older_than": "7d"},
            "retention": [{"category": "session", "max_age": "36h", "max_count": 20}],
            "legal_hold": {"streams": ["session-7"], "categories": ["invoice"]}
        }"#;
        let policy: OptimizePolicy = serde_json::from_str(text).unwrap();
        let compression = policy.compression.unwrap();
        assert_eq!(
            (compression.level, compression.older_than),
            (12, Some(Duration::from_hours(7 * 24)))
        );
        let rule = RetentionRule::new(Category::from_static("session"));
        let rule = rule.max_age(Duration::from_hours(36)).max_count(20);
        assert_eq!(policy.retention, [rule]);
        assert!(policy.legal_hold.holds(&StreamId::from_static("invoice-3")));
        let again = serde_json::to_string(&policy).unwrap();
        assert_eq!(
            serde_json::from_str::<OptimizePolicy>(&again).unwrap(),
            policy
        );
        for wrong in [
            r#"{"retentoin": []}"#,
            r#"{"compression": {"older_than": "7 days"}}"#,
        ] {
            assert!(
                serde_json::from_str::<OptimizePolicy>(wrong).is_err(),
                "{wrong}"
            );
        }
    }
}
