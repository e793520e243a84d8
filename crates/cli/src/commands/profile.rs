//! `annals profile`: what is heavy.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use annals_concurrency::{SystemTimer, Timer as _};
use annals_core::{EventStore, RecordedEvent};
use annals_profile::{Measurement, Operation, ProfiledStore, Profiler, ProfilerSettings};
use clap::Args;
use serde::Serialize;

use crate::decode::Payload;
use crate::failure::Result;
use crate::lost::surveyed;
use crate::output::table::{Align, Cell, Table};
use crate::output::{BOLD, NAME, Out, text};
use crate::select::{Select, each_event};
use crate::session::Session;

const EXAMPLES: &str =
    "Examples:\n  annals profile\n  annals profile --category account --limit 5 --json";

/// Replay events and tell what is heavy: how long reading takes, which types and streams take the most room and time.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Profile {
    #[command(flatten)]
    select: Select,
    /// How many types and streams are told.
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 20)]
    limit: usize,
}

/// What events of a type take.
#[derive(Clone, Copy, Default)]
struct Weight {
    events: u64,
    bytes: u64,
    decoding: Duration,
}

#[derive(Serialize)]
struct TypeJson<'a> {
    #[serde(rename = "type")]
    event_type: &'a str,
    events: u64,
    payload_bytes: u64,
    payload_bytes_average: u64,
    decode_ns: u64,
}

pub(crate) fn run(args: &Profile, session: &mut Session) -> Result {
    let profiler = Profiler::new(Arc::new(SystemTimer));
    let mut settings = ProfilerSettings::DEFAULT;
    settings.streams_max = args.limit.clamp(64, 10_000);
    let profiler = profiler.with_settings(settings)?;
    let store = ProfiledStore::new(surveyed(&session.store)?.follower()?, profiler.clone());
    let types = replay(args, &store, &profiler)?;
    let out = &mut session.out;
    tell_types(&types, args.limit, out)?;
    let report = profiler.report();
    if out.is_json() {
        return out.json(&report);
    }
    out.line("")?;
    for line in report.to_string().lines() {
        out.line(&text::one_line(line))?;
    }
    Ok(())
}

fn replay(
    args: &Profile,
    store: &dyn EventStore,
    profiler: &Profiler,
) -> Result<BTreeMap<String, Weight>> {
    let chosen = args.select.chosen()?;
    let mut types: BTreeMap<String, Weight> = BTreeMap::new();
    each_event(store, chosen.request.clone(), |event| {
        if chosen.takes(event) {
            let decoding = decode(event, profiler);
            let weight = match types.get_mut(event.event_type().as_str()) {
                Some(weight) => weight,
                None => types.entry(event.event_type().to_string()).or_default(),
            };
            weight.events += 1;
            weight.bytes += event.payload().len() as u64;
            weight.decoding += decoding;
        }
        Ok(std::ops::ControlFlow::Continue(()))
    })?;
    Ok(types)
}

/// Makes a value of a payload, as a fold would; how long that took.
fn decode(event: &RecordedEvent, profiler: &Profiler) -> Duration {
    let begun = SystemTimer.elapsed();
    let decoded = Payload::of(event).value();
    let took = SystemTimer.elapsed().saturating_sub(begun);
    let measured = Measurement::took(took).events(1);
    let measured = if decoded.is_some() {
        measured
    } else {
        measured.failed()
    };
    profiler.record(Operation::Decode, Some(event.stream()), measured);
    took
}

fn tell_types(types: &BTreeMap<String, Weight>, limit: usize, out: &mut Out) -> Result {
    const COLUMNS: &[(&str, Align)] = &[
        ("TYPE", Align::Left),
        ("EVENTS", Align::Right),
        ("PAYLOADS", Align::Right),
        ("AVERAGE", Align::Right),
        ("SHARE", Align::Right),
    ];
    let all: u64 = types.values().map(|weight| weight.bytes).sum();
    let mut heaviest: Vec<_> = types.iter().collect();
    heaviest.sort_by_key(|(name, weight)| (std::cmp::Reverse(weight.bytes), *name));
    let mut table = Table::new(COLUMNS);
    for (name, weight) in heaviest.into_iter().take(limit) {
        let average = weight.bytes.checked_div(weight.events).unwrap_or_default();
        if out.is_json() {
            out.json(&TypeJson {
                event_type: name,
                events: weight.events,
                payload_bytes: weight.bytes,
                payload_bytes_average: average,
                decode_ns: u64::try_from(weight.decoding.as_nanos()).unwrap_or(u64::MAX),
            })?;
            continue;
        }
        let percent = (weight.bytes * 100).checked_div(all).unwrap_or_default();
        table.row(
            out,
            vec![
                Cell::styled(NAME, name.as_str()),
                text::grouped(weight.events).into(),
                text::bytes(weight.bytes).into(),
                text::bytes(average).into(),
                Cell::styled(BOLD, format!("{percent} %")),
            ],
        )?;
    }
    table.flush(out)
}
