//! What would be done: a value, to be looked at before anything is.

use std::fmt;
use std::time::Duration;

use annals_core::{FoldId, StreamId, Version};
use serde::{Deserialize, Serialize};

use crate::age;
use crate::policy::LegalHold;

/// What would make a store smaller, step by step, and what each step saves and costs.
///
/// Making it changes nothing. It prints as a table; with `serde` it can be kept and applied later: a step
/// that is done by then, or can't be done any more, is passed over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Plan {
    /// What would be done, in order.
    pub steps: Vec<Step>,
    /// What the reader of the plan should know beside it.
    pub notes: Vec<String>,
    /// Whether the policy says that the clock is right ([`OptimizePolicy::trusts_clock`]), so that it is not
    /// held against the store's events when the plan is applied either. Default: no.
    ///
    /// [`OptimizePolicy::trusts_clock`]: crate::OptimizePolicy::trusts_clock
    #[serde(default, skip_serializing_if = "is_false")]
    pub trusts_clock: bool,
    /// Of which streams nothing is reclaimed ([`OptimizePolicy::legal_hold`]).
    ///
    /// [`OptimizePolicy::legal_hold`]: crate::OptimizePolicy::legal_hold
    #[serde(default, skip_serializing_if = "LegalHold::is_empty")]
    pub legal_hold: LegalHold,
}

/// One thing to do. Each is done whole or not at all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Step {
    /// Keep a segment in compressed form.
    Compress {
        /// The segment.
        segment: u32,
        /// The level of zstd.
        level: i32,
        /// How many bytes it takes.
        bytes_before: u64,
        /// About how many it would take.
        bytes_after: u64,
    },
    /// Keep a segment in plain form again.
    Decompress {
        /// The segment.
        segment: u32,
        /// How many bytes it takes.
        bytes_before: u64,
        /// How many it would take.
        bytes_after: u64,
    },
    /// Write a segment anew, compressed and without the payloads and the metadata of events that nobody is shown.
    /// They are gone for good.
    Reclaim {
        /// The segment.
        segment: u32,
        /// The level of zstd.
        level: i32,
        /// How many events are hidden in it by now, of those that are still there.
        events: u64,
        /// How many bytes it takes.
        bytes_before: u64,
        /// About how many it would take.
        bytes_after: u64,
    },
    /// Move a segment to an archive, where it is read from then on.
    Archive {
        /// The segment.
        segment: u32,
        /// The archive.
        to: String,
        /// About how many bytes it takes by then.
        bytes: u64,
    },
    /// Bring a segment back from its archive.
    Restore {
        /// The segment.
        segment: u32,
        /// How many bytes it takes.
        bytes: u64,
    },
    /// Hide events by the policy of their stream. Reads honour it at once; their storage stays until it is reclaimed.
    Retain {
        /// The stream.
        stream: StreamId,
        /// The rules of its policy from then on.
        max_age: Option<Duration>,
        /// See [`max_age`](Self::Retain::max_age).
        max_count: Option<u64>,
        /// How many events that are shown now it hides.
        events_hidden: u64,
    },
    /// Hide events of early versions for good.
    Truncate {
        /// The stream.
        stream: StreamId,
        /// The first version that stays.
        before: Version,
        /// How many events that are shown now it hides.
        events_hidden: u64,
    },
    /// Take a snapshot, so that a load folds fewer events.
    TakeSnapshot {
        /// The stream.
        stream: StreamId,
        /// The fold.
        fold: FoldId,
        /// How many events stand after the last one.
        events: u64,
    },
    /// Remove old snapshots.
    RemoveSnapshots {
        /// The stream.
        stream: StreamId,
        /// The fold.
        fold: FoldId,
        /// How many of the newest stay.
        newest_kept: usize,
    },
}

/// A plan's steps, summed up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Totals {
    /// How many bytes of files on the store's disk are saved; less than 0 when they grow.
    pub bytes_saved: i64,
    /// About how many bytes are read and written for it.
    pub bytes_moved: u64,
    /// How many events are hidden.
    pub events_hidden: u64,
    /// How many events are gone for good.
    #[serde(default)]
    pub events_reclaimed: u64,
}

impl Plan {
    /// What all steps save and cost.
    pub fn totals(&self) -> Totals {
        self.steps
            .iter()
            .map(Step::totals)
            .fold(Totals::default(), |sum, step| Totals {
                bytes_saved: sum.bytes_saved.saturating_add(step.bytes_saved),
                bytes_moved: sum.bytes_moved.saturating_add(step.bytes_moved),
                events_hidden: sum.events_hidden.saturating_add(step.events_hidden),
                events_reclaimed: sum.events_reclaimed.saturating_add(step.events_reclaimed),
            })
    }
}

impl Step {
    /// What it saves and costs.
    pub fn totals(&self) -> Totals {
        match self {
            Self::Compress {
                bytes_before,
                bytes_after,
                ..
            }
            | Self::Decompress {
                bytes_before,
                bytes_after,
                ..
            } => Totals {
                bytes_saved: signed(*bytes_before).saturating_sub(signed(*bytes_after)),
                // Read, written, and both read once more to be compared.
                bytes_moved: 2 * (bytes_before + bytes_after),
                ..Totals::default()
            },
            Self::Reclaim {
                events,
                bytes_before,
                bytes_after,
                ..
            } => Totals {
                bytes_saved: signed(*bytes_before).saturating_sub(signed(*bytes_after)),
                // Read once more before, to see what is hidden.
                bytes_moved: 3 * bytes_before + 2 * bytes_after,
                events_reclaimed: *events,
                ..Totals::default()
            },
            Self::Archive { bytes, .. } => Totals {
                bytes_saved: signed(*bytes),
                // Read, written, and both read to be compared.
                bytes_moved: 4 * bytes,
                ..Totals::default()
            },
            Self::Restore { bytes, .. } => Totals {
                bytes_saved: -signed(*bytes),
                // Read, written, and read twice to be checked.
                bytes_moved: 4 * bytes,
                ..Totals::default()
            },
            Self::Retain { events_hidden, .. } | Self::Truncate { events_hidden, .. } => Totals {
                events_hidden: *events_hidden,
                ..Totals::default()
            },
            Self::TakeSnapshot { .. } | Self::RemoveSnapshots { .. } => Totals::default(),
        }
    }

    /// What it is about, in a word or two.
    fn subject(&self) -> String {
        match self {
            Self::Compress { segment, .. }
            | Self::Decompress { segment, .. }
            | Self::Reclaim { segment, .. }
            | Self::Archive { segment, .. }
            | Self::Restore { segment, .. } => {
                format!("segment {segment}")
            }
            Self::Retain { stream, .. } | Self::Truncate { stream, .. } => stream.to_string(),
            Self::TakeSnapshot { stream, fold, .. }
            | Self::RemoveSnapshots { stream, fold, .. } => {
                format!("{stream} {fold}")
            }
        }
    }

    fn verb(&self) -> &'static str {
        match self {
            Self::Compress { .. } => "compress",
            Self::Decompress { .. } => "decompress",
            Self::Reclaim { .. } => "reclaim",
            Self::Archive { .. } => "archive",
            Self::Restore { .. } => "restore",
            Self::Retain { .. } => "retain",
            Self::Truncate { .. } => "truncate",
            Self::TakeSnapshot { .. } => "take snapshot",
            Self::RemoveSnapshots { .. } => "remove snapshots",
        }
    }

    fn effect(&self) -> String {
        match self {
            Self::Compress {
                bytes_before,
                bytes_after,
                ..
            }
            | Self::Decompress {
                bytes_before,
                bytes_after,
                ..
            } => {
                format!("{} -> {}", Bytes(*bytes_before), Bytes(*bytes_after))
            }
            Self::Reclaim {
                events,
                bytes_before,
                bytes_after,
                ..
            } => format!(
                "{} -> {}; without {}",
                Bytes(*bytes_before),
                Bytes(*bytes_after),
                count(*events, "hidden event")
            ),
            Self::Archive { to, bytes, .. } => format!("{} to {to}", Bytes(*bytes)),
            Self::Restore { bytes, .. } => format!("{} from its archive", Bytes(*bytes)),
            Self::Retain {
                max_age,
                max_count,
                events_hidden,
                ..
            } => {
                let age = max_age.map(age::text);
                let events = max_count.map(|events| count(events, "event"));
                let rules: Vec<String> = age.into_iter().chain(events).collect();
                let rules = if rules.is_empty() {
                    "everything".to_owned()
                } else {
                    rules.join(", ")
                };
                format!("keeps {rules}; hides {}", count(*events_hidden, "event"))
            }
            Self::Truncate {
                before,
                events_hidden,
                ..
            } => {
                let hidden = count(*events_hidden, "event");
                format!("from version {before}; hides {hidden}")
            }
            Self::TakeSnapshot { events, .. } => {
                format!("{} after the last one", count(*events, "event"))
            }
            Self::RemoveSnapshots { newest_kept, .. } => format!("keeps {newest_kept}"),
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<18}{:<32}effect", "step", "of")?;
        for step in &self.steps {
            writeln!(
                f,
                "{:<18}{:<32}{}",
                step.verb(),
                step.subject(),
                step.effect()
            )?;
        }
        let totals = self.totals();
        let saved = u64::try_from(totals.bytes_saved).map_or_else(
            |_| format!("{} more", Bytes(totals.bytes_saved.unsigned_abs())),
            |bytes| format!("{} saved", Bytes(bytes)),
        );
        write!(
            f,
            "{}: {saved}, {} read and written, {} hidden",
            count(self.steps.len() as u64, "step"),
            Bytes(totals.bytes_moved),
            count(totals.events_hidden, "event"),
        )?;
        if totals.events_reclaimed > 0 {
            write!(f, ", {} gone for good", totals.events_reclaimed)?;
        }
        self.notes
            .iter()
            .try_for_each(|note| write!(f, "\nnote: {note}"))
    }
}

/// A number of things, as people say it: `1 event`, `2 events`.
pub(crate) fn count(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

/// A number of bytes, as people read it.
pub(crate) struct Bytes(pub(crate) u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
        if self.0 < 1024 {
            return write!(f, "{} B", self.0);
        }
        let (mut tenths, mut unit) = (self.0.saturating_mul(10) / 1024, 0);
        while tenths >= 10_240 && unit + 1 < UNITS.len() {
            (tenths, unit) = (tenths / 1024, unit + 1);
        }
        let unit = UNITS.get(unit).copied().unwrap_or_default();
        write!(f, "{}.{} {unit}", tenths / 10, tenths % 10)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_false(it: &bool) -> bool {
    !it
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_prints_what_it_does_saves_and_costs() {
        let mib = 1024 * 1024;
        let plan = Plan {
            steps: vec![
                Step::Compress {
                    segment: 1,
                    level: 9,
                    bytes_before: 64 * mib,
                    bytes_after: 10 * mib + 300 * 1024,
                },
                Step::Reclaim {
                    segment: 2,
                    level: 9,
                    events: 300,
                    bytes_before: 10 * mib,
                    bytes_after: 4 * mib,
                },
                Step::Retain {
                    stream: StreamId::from_static("session-7"),
                    max_age: Some(Duration::from_hours(90 * 24)),
                    max_count: Some(1),
                    events_hidden: 12,
                },
                Step::Truncate {
                    stream: StreamId::from_static("session-8"),
                    before: Version::new(2),
                    events_hidden: 1,
                },
            ],
            notes: vec!["1 stream is held".to_owned()],
            ..Plan::default()
        };
        let expected = "\
step              of                              effect
compress          segment 1                       64.0 MiB -> 10.2 MiB
reclaim           segment 2                       10.0 MiB -> 4.0 MiB; without 300 hidden events
retain            session-7                       keeps 90d, 1 event; hides 12 events
truncate          session-8                       from version 2; hides 1 event
4 steps: 59.7 MiB saved, 186.5 MiB read and written, 13 events hidden, 300 gone for good
note: 1 stream is held";
        assert_eq!(plan.to_string(), expected);
        let one = Plan {
            steps: plan.steps.iter().skip(3).cloned().collect(),
            ..Plan::default()
        };
        assert!(
            one.to_string()
                .ends_with("\n1 step: 0 B saved, 0 B read and written, 1 event hidden")
        );
        let json = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&json).unwrap(), plan);
    }
}
