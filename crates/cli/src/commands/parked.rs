//! `annals parked`: events that consumers put aside.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use annals_core::{Category, EventStore, ReadRequest};
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::failure::Result;
use crate::lost::surveyed;
use crate::output::table::{Align, Cell, Table};
use crate::output::{BAD, DIM, NAME, text};
use crate::select::each_event;
use crate::session::Session;

const EXAMPLES: &str = "Examples:\n  annals parked\n  annals parked mailer --json";

/// Where reactions record what they parked: a stream for each, `parked-<name>`.
const CATEGORY: Category = Category::from_static("parked");

/// List the events that reactions parked, those that wait behind them, and why.
///
/// Reactions record it in the store. Projections keep it in their read models, where the application has it.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Parked {
    /// Those of this reaction.
    #[arg(value_name = "REACTION")]
    name: Option<String>,
}

/// What one reaction parked.
#[derive(Clone, Debug, Default)]
pub(crate) struct ParkedBy {
    pub(crate) events: BTreeMap<u64, ParkedJson>,
    pub(crate) skipped: u64,
}

/// An event that is parked.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct ParkedJson {
    position: u64,
    stream: String,
    version: u64,
    key: String,
    cause: Cause,
}

/// Why.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Cause {
    Failed { error: String, attempts: u32 },
    Waits,
}

#[derive(Deserialize)]
struct Released {
    position: u64,
}

#[derive(Serialize)]
struct ItemJson<'a> {
    consumer: &'a str,
    position: u64,
    stream: &'a str,
    version: u64,
    key: &'a str,
    waits: bool,
    error: Option<&'a str>,
    attempts: Option<u32>,
}

/// What every reaction parked, by its name.
pub(crate) fn all(store: &dyn EventStore) -> Result<BTreeMap<String, ParkedBy>> {
    let mut all: BTreeMap<String, ParkedBy> = BTreeMap::new();
    let read = each_event(store, ReadRequest::category(CATEGORY), |event| {
        let parked = all.entry(event.stream().key().to_owned()).or_default();
        // What an application records in this category itself is none of ours.
        match event.event_type().as_str() {
            "event-parked" => {
                if let Ok(item) = serde_json::from_slice::<ParkedJson>(event.payload()) {
                    parked.events.insert(item.position, item);
                }
            }
            "event-released" => {
                if let Ok(item) = serde_json::from_slice::<Released>(event.payload()) {
                    parked.events.remove(&item.position);
                }
            }
            "event-skipped" => {
                parked.skipped += 1;
                if let Ok(item) = serde_json::from_slice::<Released>(event.payload()) {
                    parked.events.remove(&item.position);
                }
            }
            _ => {}
        }
        Ok(ControlFlow::Continue(()))
    });
    read.map(|()| all)
}

pub(crate) fn run(args: &Parked, session: &mut Session) -> Result {
    const COLUMNS: &[(&str, Align)] = &[
        ("CONSUMER", Align::Left),
        ("POSITION", Align::Right),
        ("STREAM", Align::Left),
        ("VERSION", Align::Right),
        ("TRIED", Align::Right),
        ("WHY", Align::Left),
    ];
    let store = surveyed(&session.store)?.to_read()?;
    let all = all(&*store)?;
    let out = &mut session.out;
    let mut table = Table::new(COLUMNS);
    let mut count = 0_u64;
    let wanted = all
        .iter()
        .filter(|(name, _)| args.name.as_ref().is_none_or(|wanted| wanted == *name));
    for (name, parked) in wanted {
        for item in parked.events.values() {
            count += 1;
            if out.is_json() {
                out.json(&ItemJson::of(name, item))?;
                continue;
            }
            let (tried, why) = match &item.cause {
                Cause::Failed { error, attempts } => {
                    (attempts.to_string(), Cell::styled(BAD, error.as_str()))
                }
                Cause::Waits => (
                    String::new(),
                    Cell::styled(DIM, format!("waits behind another of {}", item.key)),
                ),
            };
            table.row(
                out,
                vec![
                    Cell::styled(NAME, name.as_str()),
                    item.position.to_string().into(),
                    item.stream.as_str().into(),
                    item.version.to_string().into(),
                    tried.into(),
                    why,
                ],
            )?;
        }
    }
    table.flush(out)?;
    if count == 0 {
        out.say("nothing is parked")?;
    } else {
        out.say(&text::count(count, "event"))?;
    }
    Ok(())
}

impl<'a> ItemJson<'a> {
    fn of(consumer: &'a str, item: &'a ParkedJson) -> Self {
        let (error, attempts) = match &item.cause {
            Cause::Failed { error, attempts } => (Some(error.as_str()), Some(*attempts)),
            Cause::Waits => (None, None),
        };
        Self {
            consumer,
            position: item.position,
            stream: &item.stream,
            version: item.version,
            key: &item.key,
            waits: error.is_none(),
            error,
            attempts,
        }
    }
}
