//! `annals schemas`: which types of events there are, in which versions and forms.

use std::collections::BTreeMap;

use annals_core::{Category, HistoryEntry, Position, RecordedEvent, Timestamp};
use clap::Args;
use serde::Serialize;

use crate::decode::Reading;
use crate::failure::{Failure, Result};
use crate::lost::surveyed;
use crate::output::table::{Align, Cell, Table};
use crate::output::{BAD, DIM, NAME, Out, text};
use crate::session::Session;
use crate::survey::each_entry;

const EXAMPLES: &str = "Examples:\n  annals schemas\n  annals schemas --category account --json";

/// How many schemas are told apart.
const SCHEMAS_MAX: usize = 10_000;

/// List the types of events, their schema versions and forms, how often each occurs and when it did last.
///
/// What code has to be able to read: a version that occurs needs its upcaster for as long as it is here. READABLE tells
/// whether every payload of a form that describes itself is what the form says.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Schemas {
    /// Those in streams of this category.
    #[arg(long, value_name = "CATEGORY")]
    category: Option<Category>,
}

/// What tells schemas apart: type, version, form.
type Key = (String, u32, String);

#[derive(Clone, Copy)]
struct Seen {
    reading: Reading,
    events: u64,
    bytes: u64,
    unreadable: u64,
    first_unreadable: Option<Position>,
    first: Timestamp,
    last: Timestamp,
}

#[derive(Serialize)]
struct SchemaJson<'a> {
    #[serde(rename = "type")]
    event_type: &'a str,
    schema_version: u32,
    content_type: &'a str,
    events: u64,
    payload_bytes: u64,
    first_appended_at: String,
    last_appended_at: String,
    /// Absent where only the application's code can tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    unreadable: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_unreadable_position: Option<u64>,
}

pub(crate) fn run(args: &Schemas, session: &mut Session) -> Result {
    let mut all: BTreeMap<Key, Seen> = BTreeMap::new();
    let mut history = surveyed(&session.store)?.history()?;
    each_entry("looking at events", &mut history, |entry| {
        let HistoryEntry::Event {
            event,
            is_reclaimed,
            ..
        } = entry
        else {
            return Ok(());
        };
        let is_asked_for = args
            .category
            .as_ref()
            .is_none_or(|category| category.contains(event.stream()));
        // Of what was reclaimed nothing will be decoded any more.
        if is_asked_for && !is_reclaimed {
            add(&mut all, &event)?;
        }
        Ok(())
    })?;
    tell(&all, &mut session.out)
}

fn add(all: &mut BTreeMap<Key, Seen>, event: &RecordedEvent) -> Result {
    let key = (
        event.event_type().to_string(),
        event.schema_version().value(),
        event.content_type().to_string(),
    );
    if all.len() >= SCHEMAS_MAX && !all.contains_key(&key) {
        let message = format!("there are more than {SCHEMAS_MAX} types and versions");
        return Err(Failure::usage(message).hint("look at one category at a time, with --category"));
    }
    let seen = all.entry(key).or_insert_with(|| Seen {
        reading: Reading::of(event.content_type()),
        events: 0,
        bytes: 0,
        unreadable: 0,
        first_unreadable: None,
        first: event.appended_at(),
        last: event.appended_at(),
    });
    seen.events += 1;
    seen.bytes += event.payload().len() as u64;
    seen.last = event.appended_at();
    if seen.reading.check(event.payload()).is_err() {
        seen.unreadable += 1;
        seen.first_unreadable.get_or_insert(event.position());
    }
    Ok(())
}

fn tell(all: &BTreeMap<Key, Seen>, out: &mut Out) -> Result {
    const COLUMNS: &[(&str, Align)] = &[
        ("TYPE", Align::Left),
        ("VERSION", Align::Right),
        ("FORM", Align::Left),
        ("EVENTS", Align::Right),
        ("PAYLOADS", Align::Right),
        ("LAST APPENDED", Align::Left),
        ("READABLE", Align::Left),
    ];
    let mut table = Table::new(COLUMNS);
    for ((event_type, version, content_type), seen) in all {
        if out.is_json() {
            out.json(&SchemaJson {
                event_type,
                schema_version: *version,
                content_type,
                events: seen.events,
                payload_bytes: seen.bytes,
                first_appended_at: seen.first.to_string(),
                last_appended_at: seen.last.to_string(),
                unreadable: (!seen.reading.is_opaque()).then_some(seen.unreadable),
                first_unreadable_position: seen.first_unreadable.map(Position::value),
            })?;
            continue;
        }
        let row = vec![
            Cell::styled(NAME, event_type.as_str()),
            version.to_string().into(),
            content_type.as_str().into(),
            text::grouped(seen.events).into(),
            text::bytes(seen.bytes).into(),
            Cell::styled(DIM, out.zone().show(seen.last)),
            readable(seen),
        ];
        table.row(out, row)?;
    }
    table.flush(out)
}

fn readable(seen: &Seen) -> Cell {
    match (seen.reading.is_opaque(), seen.first_unreadable) {
        (true, _) => "by its code alone".into(),
        (false, None) => "yes".into(),
        (false, Some(first)) => Cell::styled(
            BAD,
            format!("{} not, the first at {first}", seen.unreadable),
        ),
    }
}
