//! `annals diff`: what changed between two moments.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use annals_core::{Category, Cursor, EventStore, Position, ReadRequest, StreamId};
use clap::Args;
use serde::Serialize;

use super::at::{Moment, moment, state_at};
use super::history::print;
use crate::failure::{Failure, Result};
use crate::fold::{Change, difference};
use crate::lost::PastLost;
use crate::output::table::{Align, Cell, Table};
use crate::output::{BOLD, GOOD, NAME, Out};
use crate::select::{each_event, known};
use crate::session::Session;

const EXAMPLES: &str = "Examples:\n  annals diff 2 5\n  annals diff 2026-01-01 now --json\n  \
    annals diff 1 5 --stream account-1";

/// How many streams are told of one by one.
const STREAMS_MAX: usize = 100_000;

/// Print what changed between two moments: which streams had events, or with --stream what became of it.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Diff {
    /// The earlier moment: a position or a time.
    #[arg(value_name = "FROM", value_parser = moment_or_now)]
    from: Moment,
    /// The later moment: a position, a time, or now.
    #[arg(value_name = "TO", value_parser = moment_or_now, default_value = "now")]
    to: Moment,
    /// What changed of this stream, its payloads merged into one JSON object (RFC 7396).
    #[arg(long, value_name = "STREAM")]
    stream: Option<StreamId>,
    /// Only streams of this category.
    #[arg(long, value_name = "CATEGORY", conflicts_with = "stream")]
    category: Option<Category>,
    #[command(flatten)]
    lost: PastLost,
}

fn moment_or_now(text: &str) -> std::result::Result<Moment, String> {
    if text == "now" {
        return Ok(Moment::Now);
    }
    moment(text)
}

#[derive(Serialize)]
struct StreamJson<'a> {
    stream: &'a str,
    from_version: u64,
    to_version: u64,
    types: &'a BTreeMap<String, u64>,
}

#[derive(Serialize)]
struct StateJson<'a> {
    stream: &'a str,
    from_position: u64,
    from_version: u64,
    to_position: u64,
    to_version: u64,
    changes: &'a [Change],
}

pub(crate) fn run(args: &Diff, session: &mut Session) -> Result {
    let store = args.lost.of(&session.store)?.to_read()?;
    let place = |moment: Moment| {
        let last = moment.last_event(&*store)?;
        Ok::<_, Failure>(last.map_or(Position::START, |event| event.position()))
    };
    let (from, to) = (place(args.from)?, place(args.to)?);
    if to < from {
        return Err(Failure::usage("the second moment is before the first")
            .hint("give the earlier one first"));
    }
    match &args.stream {
        Some(stream) => {
            known(&*store, stream)?;
            of_stream(&*store, stream, (from, to), &mut session.out)
        }
        None => of_all(args, &*store, (from, to), &mut session.out),
    }
}

fn of_stream(
    store: &dyn EventStore,
    stream: &StreamId,
    (from, to): (Position, Position),
    out: &mut Out,
) -> Result {
    let (from_version, before) = state_at(store, stream, from)?;
    let (to_version, after) = state_at(store, stream, to)?;
    let changes = difference(&before, &after);
    if out.is_json() {
        return out.json(&StateJson {
            stream: stream.as_str(),
            from_position: from.value(),
            from_version,
            to_position: to.value(),
            to_version,
            changes: &changes,
        });
    }
    let title = out.paint(BOLD, stream.as_str());
    out.line(&format!("{title}, version {from_version} to {to_version}"))?;
    print(&changes, out)?;
    if changes.is_empty() {
        out.say("nothing changed in between, of what its policy leaves to be seen")?;
    }
    Ok(())
}

/// What happened to a stream.
#[derive(Default)]
struct Happened {
    first: u64,
    last: u64,
    types: BTreeMap<String, u64>,
}

fn of_all(
    args: &Diff,
    store: &dyn EventStore,
    (from, to): (Position, Position),
    out: &mut Out,
) -> Result {
    let request = match &args.category {
        Some(category) => ReadRequest::category(category.clone()),
        None => ReadRequest::all(),
    };
    let request = request.after(Cursor::at(from)).until(Cursor::at(to));
    let mut streams: BTreeMap<StreamId, Happened> = BTreeMap::new();
    each_event(store, request, |event| {
        if streams.len() >= STREAMS_MAX && !streams.contains_key(event.stream()) {
            let message = format!("more than {STREAMS_MAX} streams had events in between");
            return Err(Failure::usage(message)
                .hint("take moments that are nearer to each other, or a --category"));
        }
        let happened = streams.entry(event.stream().clone()).or_default();
        if happened.first == 0 {
            happened.first = event.version().value();
        }
        happened.last = event.version().value();
        *happened
            .types
            .entry(event.event_type().to_string())
            .or_default() += 1;
        Ok(ControlFlow::Continue(()))
    })?;
    tell(&streams, out)
}

fn tell(streams: &BTreeMap<StreamId, Happened>, out: &mut Out) -> Result {
    const COLUMNS: &[(&str, Align)] = &[
        ("STREAM", Align::Left),
        ("VERSION", Align::Left),
        ("EVENTS", Align::Left),
    ];
    let mut table = Table::new(COLUMNS);
    for (stream, happened) in streams {
        let from_version = happened.first - 1;
        if out.is_json() {
            out.json(&StreamJson {
                stream: stream.as_str(),
                from_version,
                to_version: happened.last,
                types: &happened.types,
            })?;
            continue;
        }
        let is_new = from_version == 0;
        let types = happened
            .types
            .iter()
            .map(|(name, count)| format!("{name} x{count}"));
        table.row(
            out,
            vec![
                Cell::styled(if is_new { GOOD } else { NAME }, stream.as_str()),
                format!("{from_version} -> {}", happened.last).into(),
                types.collect::<Vec<_>>().join(", ").into(),
            ],
        )?;
    }
    table.flush(out)?;
    if streams.is_empty() {
        out.say("nothing happened in between")?;
    }
    Ok(())
}
