//! `annals projections`: how far the readers of a store are.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use annals_core::{Category, ConsistencyLevel, EventStore, Position, ReadRequest};
use clap::Args;
use futures_executor::block_on;
use serde::Serialize;

use super::parked;
use crate::failure::Result;
use crate::lost::surveyed;
use crate::output::table::{Align, Cell, Table};
use crate::output::{BAD, GOOD, NAME, WARN, text};
use crate::select::each_event;
use crate::session::Session;
use crate::store_at::StoreAddress;

const EXAMPLES: &str = "Examples:\n  annals projections\n  annals projections --json";

/// Where the versions of projections are recorded: a stream for each, `projection-<name>`.
const VERSIONS: Category = Category::from_static("projection");

/// List the readers that keep a checkpoint in the store: how far each is, and what it parked.
///
/// LAG counts all events after the checkpoint, wanted or not. Projections that keep their progress in a read model of
/// their own (SQLite, memory) are not in it, but for the version that is live.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Projections {}

/// How far a reader is.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Reader {
    pub(crate) name: String,
    /// Absent where it keeps that elsewhere.
    pub(crate) position: Option<u64>,
    pub(crate) lag: Option<u64>,
    pub(crate) saves: Option<u64>,
    pub(crate) parked: u64,
    pub(crate) skipped: u64,
    /// The version of the projection that is read, where it was rebuilt.
    pub(crate) live_version: Option<u64>,
    /// The version that is being built.
    pub(crate) building_version: Option<u64>,
}

pub(crate) fn run(_: &Projections, session: &mut Session) -> Result {
    const COLUMNS: &[(&str, Align)] = &[
        ("READER", Align::Left),
        ("POSITION", Align::Right),
        ("LAG", Align::Right),
        ("PARKED", Align::Right),
        ("SKIPPED", Align::Right),
        ("LIVE VERSION", Align::Left),
    ];
    let store = surveyed(&session.store)?.to_read()?;
    let readers = readers(&session.store, &*store)?;
    let out = &mut session.out;
    let mut table = Table::new(COLUMNS);
    for reader in &readers {
        if out.is_json() {
            out.json(reader)?;
            continue;
        }
        let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), text::grouped);
        let lag_style = if reader.lag == Some(0) { GOOD } else { WARN };
        let parked_style = if reader.parked > 0 { BAD } else { GOOD };
        table.row(
            out,
            vec![
                Cell::styled(NAME, reader.name.as_str()),
                number(reader.position).into(),
                Cell::styled(lag_style, number(reader.lag)),
                Cell::styled(parked_style, reader.parked.to_string()),
                reader.skipped.to_string().into(),
                versions(reader).into(),
            ],
        )?;
    }
    table.flush(out)?;
    if readers.is_empty() {
        out.say("no reader keeps a checkpoint in this store")?;
    }
    Ok(())
}

fn versions(reader: &Reader) -> String {
    let live = reader.live_version.map(|version| version.to_string());
    let building = reader
        .building_version
        .map(|version| format!("{version} is being built"));
    [live, building]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(", ")
}

/// Every reader that the store tells of, in the order of their names.
pub(crate) fn readers(address: &StoreAddress, store: &dyn EventStore) -> Result<Vec<Reader>> {
    let head = block_on(store.head(ConsistencyLevel::Strong))?;
    let head = head.position().unwrap_or_default();
    let mut readers: BTreeMap<String, Reader> = BTreeMap::new();
    for (name, checkpoint) in address.checkpoints()? {
        let reader = entry(&mut readers, name.as_str());
        let position = checkpoint.cursor.position();
        reader.position = position.map(Position::value);
        reader.lag = position.map(|position| head.since(position));
        reader.saves = Some(checkpoint.revision);
    }
    for (name, parked) in parked::all(store)? {
        let reader = entry(&mut readers, &name);
        reader.parked = parked.events.len() as u64;
        reader.skipped = parked.skipped;
    }
    add_versions(store, &mut readers)?;
    Ok(readers.into_values().collect())
}

fn entry<'a>(readers: &'a mut BTreeMap<String, Reader>, name: &str) -> &'a mut Reader {
    readers.entry(name.to_owned()).or_insert_with(|| Reader {
        name: name.to_owned(),
        ..Reader::default()
    })
}

/// Which versions of projections are live, or are being built.
fn add_versions(store: &dyn EventStore, readers: &mut BTreeMap<String, Reader>) -> Result {
    each_event(store, ReadRequest::category(VERSIONS), |event| {
        let payload: serde_json::Value =
            serde_json::from_slice(event.payload()).unwrap_or_default();
        let version = payload.get("version").and_then(serde_json::Value::as_u64);
        let name = event.stream().key();
        match event.event_type().as_str() {
            "rebuild-begun" => {
                let live = payload.get("live").and_then(serde_json::Value::as_u64);
                let reader = entry(readers, name);
                reader.building_version = version;
                reader.live_version = live;
            }
            "version-cut-over" | "version-rolled-back" => {
                let reader = entry(readers, name);
                reader.live_version = version;
                if reader.building_version == version {
                    reader.building_version = None;
                }
            }
            "version-dropped" => {
                let reader = entry(readers, name);
                if reader.building_version == version {
                    reader.building_version = None;
                }
            }
            _ => {}
        }
        Ok(ControlFlow::Continue(()))
    })
}
