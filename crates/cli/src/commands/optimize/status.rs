//! What is compressed, and what past runs did.

use std::sync::Arc;

use annals_core::{Optimizable as _, SegmentState, SegmentSummary};
use annals_optimize::{Ended, Optimizer, PastRun};
use clap::Args;
use serde::Serialize;

use crate::failure::Result;
use crate::output::table::{Align, Cell, Table};
use crate::output::{Out, text};
use crate::session::Session;

const EXAMPLES: &str =
    "Examples:\n  annals optimize status\n  annals optimize status --limit 1 --json";

/// Tell how much of a store is compressed, and what the last runs did: those of this command, and those of applications.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Status {
    /// The most runs to tell of.
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 5)]
    limit: usize,
}

/// The segments of a store, counted.
#[derive(Debug, Default, Serialize)]
struct Sizes {
    store: String,
    segments: usize,
    segments_plain: usize,
    segments_compressed: usize,
    segments_reclaimed: usize,
    segments_damaged: usize,
    segments_archived: usize,
    bytes: u64,
    compressed_bytes: u64,
    compressed_bytes_before: u64,
    archived_bytes: u64,
}

#[derive(Serialize)]
struct RunJson<'a> {
    began_at: String,
    steps: usize,
    events_hidden: u64,
    ended: Option<&'static str>,
    ended_at: Option<String>,
    steps_done: Option<usize>,
    steps_passed_over: Option<usize>,
    bytes_before: Option<u64>,
    bytes_after: Option<u64>,
    events_reclaimed: Option<u64>,
    error: Option<&'a str>,
}

pub(super) fn run(args: &Status, session: &mut Session) -> Result {
    let store = Arc::new(session.store.follower()?);
    let segments = Sizes::of(session.store.to_string(), &store.segments()?);
    let runs = Optimizer::of(store).past_runs(args.limit)?;
    if !session.out.is_json() {
        segments.tell(&mut session.out)?;
        return table(&runs, &mut session.out);
    }
    session.out.json(&segments)?;
    runs.iter()
        .try_for_each(|run| session.out.json(&RunJson::of(run)))
}

impl Sizes {
    fn of(store: String, summaries: &[SegmentSummary]) -> Self {
        let mut all = Self {
            store,
            segments: summaries.len(),
            ..Self::default()
        };
        for it in summaries {
            all.bytes += it.stored_bytes;
            all.segments_archived += usize::from(it.archived_bytes.is_some());
            all.archived_bytes += it.archived_bytes.unwrap_or(0);
            match it.state {
                SegmentState::Plain => all.segments_plain += 1,
                SegmentState::Damaged => all.segments_damaged += 1,
                SegmentState::Compressed | SegmentState::Reclaimed => {
                    all.segments_reclaimed += usize::from(it.state == SegmentState::Reclaimed);
                    all.segments_compressed += 1;
                    all.compressed_bytes += it.archived_bytes.unwrap_or(it.stored_bytes);
                    all.compressed_bytes_before += it.plain_bytes;
                }
                _ => {}
            }
        }
        all
    }

    fn tell(&self, out: &mut Out) -> Result {
        let damaged = match self.segments_damaged {
            0 => String::new(),
            damaged => format!(", {damaged} damaged"),
        };
        let reclaimed = match self.segments_reclaimed {
            0 => String::new(),
            reclaimed => format!(" ({reclaimed} reclaimed in part)"),
        };
        out.line(&format!(
            "{}: {} in {}: {} compressed{reclaimed}, {} plain{damaged}, and the one that is being written",
            self.store,
            text::bytes(self.bytes),
            text::count(self.segments as u64, "segment"),
            self.segments_compressed,
            self.segments_plain,
        ))?;
        if self.segments_archived > 0 {
            let archived = text::count(self.segments_archived as u64, "segment");
            let bytes = text::bytes(self.archived_bytes);
            out.line(&format!("  archived: {archived}, {bytes}"))?;
        }
        if self.segments_compressed == 0 {
            return Ok(());
        }
        out.line(&format!(
            "  compressed: {} -> {}",
            text::bytes(self.compressed_bytes_before),
            text::bytes(self.compressed_bytes)
        ))
    }
}

impl<'a> RunJson<'a> {
    fn of(run: &'a PastRun) -> Self {
        let end = run.end.as_ref();
        Self {
            began_at: run.began_at.to_string(),
            steps: run.steps,
            events_hidden: run.totals.events_hidden,
            ended: end.map(|end| word(end.ended)),
            ended_at: end.map(|end| end.ended_at.to_string()),
            steps_done: end.map(|end| end.applied.steps_done),
            steps_passed_over: end.map(|end| end.applied.steps_passed_over),
            bytes_before: end.map(|end| end.applied.bytes_before),
            bytes_after: end.map(|end| end.applied.bytes_after),
            events_reclaimed: end.map(|end| end.applied.events_reclaimed),
            error: end.and_then(|end| end.error.as_deref()),
        }
    }
}

fn word(ended: Ended) -> &'static str {
    match ended {
        Ended::Finished => "finished",
        Ended::Cancelled => "cancelled",
        Ended::Failed => "failed",
    }
}

fn table(runs: &[PastRun], out: &mut Out) -> Result {
    const COLUMNS: &[(&str, Align)] = &[
        ("BEGAN", Align::Left),
        ("ENDED", Align::Left),
        ("STEPS", Align::Right),
        ("DONE", Align::Right),
        ("BYTES", Align::Left),
    ];
    if runs.is_empty() {
        return out.line("  no run is in its journal");
    }
    let mut table = Table::new(COLUMNS);
    for run in runs {
        let (ended, done, bytes) = match &run.end {
            // Whether its process lives can't be told from here.
            None => (
                "goes on, or was killed".to_owned(),
                String::new(),
                String::new(),
            ),
            Some(end) => {
                let error = end.error.as_ref().map(|error| format!(": {error}"));
                let (before, after) = (end.applied.bytes_before, end.applied.bytes_after);
                (
                    format!("{}{}", word(end.ended), error.unwrap_or_default()),
                    end.applied.steps_done.to_string(),
                    format!("{} -> {}", text::bytes(before), text::bytes(after)),
                )
            }
        };
        let began = out.zone().show(run.began_at);
        let cells: Vec<Cell> = vec![
            began.into(),
            ended.into(),
            run.steps.to_string().into(),
            done.into(),
            bytes.into(),
        ];
        table.row(out, cells)?;
    }
    table.flush(out)
}
