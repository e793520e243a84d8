//! What a plan would do, to people and to programs.

use annals_optimize::{Plan, Step, Totals};
use serde::Serialize;

use crate::failure::Result;
use crate::output::{Out, text};

/// What is told of a plan by a policy that has no step.
pub(super) const NOTHING_SMALLER: &str = "nothing to do: nothing gets smaller by this policy";

/// What is told of an undo that has no step.
pub(super) const NOTHING_UNDONE: &str = "nothing to do: there is nothing that can be undone";

/// A step, as a line of JSON.
#[derive(Serialize)]
#[serde(
    tag = "step",
    rename_all = "kebab-case",
    rename_all_fields = "snake_case"
)]
enum StepJson<'a> {
    Compress {
        segment: u32,
        level: i32,
        bytes_before: u64,
        bytes_after: u64,
    },
    Decompress {
        segment: u32,
        bytes_before: u64,
        bytes_after: u64,
    },
    Reclaim {
        segment: u32,
        level: i32,
        events: u64,
        bytes_before: u64,
        bytes_after: u64,
    },
    Archive {
        segment: u32,
        to: &'a str,
        bytes: u64,
    },
    Restore {
        segment: u32,
        bytes: u64,
    },
    Retain {
        stream: &'a str,
        max_age_seconds: Option<f64>,
        max_count: Option<u64>,
        events_hidden: u64,
    },
    Truncate {
        stream: &'a str,
        before_version: u64,
        events_hidden: u64,
    },
    Other {
        what: String,
    },
}

/// What all steps do, as the last line of JSON.
#[derive(Serialize)]
struct TotalsJson<'a> {
    steps: usize,
    #[serde(flatten)]
    totals: Totals,
    notes: &'a [String],
}

impl<'a> StepJson<'a> {
    fn of(step: &'a Step) -> Self {
        match step {
            Step::Compress {
                segment,
                level,
                bytes_before,
                bytes_after,
            } => Self::Compress {
                segment: *segment,
                level: *level,
                bytes_before: *bytes_before,
                bytes_after: *bytes_after,
            },
            Step::Decompress {
                segment,
                bytes_before,
                bytes_after,
            } => Self::Decompress {
                segment: *segment,
                bytes_before: *bytes_before,
                bytes_after: *bytes_after,
            },
            Step::Reclaim {
                segment,
                level,
                events,
                bytes_before,
                bytes_after,
            } => Self::Reclaim {
                segment: *segment,
                level: *level,
                events: *events,
                bytes_before: *bytes_before,
                bytes_after: *bytes_after,
            },
            Step::Archive { segment, to, bytes } => Self::Archive {
                segment: *segment,
                to,
                bytes: *bytes,
            },
            Step::Restore { segment, bytes } => Self::Restore {
                segment: *segment,
                bytes: *bytes,
            },
            Step::Retain {
                stream,
                max_age,
                max_count,
                events_hidden,
            } => Self::Retain {
                stream: stream.as_str(),
                max_age_seconds: max_age.map(|age| age.as_secs_f64()),
                max_count: *max_count,
                events_hidden: *events_hidden,
            },
            Step::Truncate {
                stream,
                before,
                events_hidden,
            } => Self::Truncate {
                stream: stream.as_str(),
                before_version: before.value(),
                events_hidden: *events_hidden,
            },
            // Steps that a policy without rules for snapshots never has.
            other => Self::Other {
                what: format!("{other:?}"),
            },
        }
    }
}

/// Whether the plan does something that can't be undone: whether it hides events, now or as they get older, or takes
/// their payloads.
pub(super) fn is_for_good(plan: &Plan) -> bool {
    plan.steps.iter().any(|step| match step {
        Step::Truncate { .. } | Step::Reclaim { .. } => true,
        Step::Retain {
            max_age, max_count, ..
        } => max_age.is_some() || max_count.is_some(),
        _ => false,
    })
}

/// Tells what a plan would do; `nothing` where it has no step.
pub(super) fn plan(plan: &Plan, nothing: &str, out: &mut Out) -> Result {
    if out.is_json() {
        for step in &plan.steps {
            out.json(&StepJson::of(step))?;
        }
        return out.json(&TotalsJson {
            steps: plan.steps.len(),
            totals: plan.totals(),
            notes: &plan.notes,
        });
    }
    if plan.steps.is_empty() {
        out.line(nothing)?;
        let mut notes = plan.notes.iter();
        return notes.try_for_each(|note| out.line(&format!("note: {}", text::one_line(note))));
    }
    let told = plan.to_string();
    told.lines()
        .try_for_each(|line| out.line(&text::one_line(line)))
}
