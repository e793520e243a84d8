//! `annals stats`: how much there is.

use std::collections::BTreeMap;

use annals_core::{
    ConsistencyLevel, Cursor, EventStore as _, HistoryEntry, ReadRequest, RecordedEvent, Timestamp,
};
use annals_store_log::Losses;
use clap::Args;
use futures_executor::block_on;
use serde::Serialize;

use crate::failure::Result;
use crate::lost::{Beginnings, survey};
use crate::output::table::{Align, Cell, Table};
use crate::output::{BOLD, DIM, NAME, Out, text};
use crate::select::first_event;
use crate::session::Session;
use crate::store_at::StoreAddress;
use crate::survey::{Files, StoreFiles, each_entry};

const EXAMPLES: &str = "Examples:\n  annals stats\n  annals stats --quick --json";

/// How many categories are counted one by one.
const CATEGORIES_MAX: usize = 1000;

/// Print how much a store holds: events, appends, streams, categories, files.
///
/// It reads the whole log; with --quick only the ends of it.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Stats {
    /// Only what is known without reading the log.
    #[arg(long)]
    quick: bool,
}

#[derive(Default, Serialize)]
struct Summary {
    store: String,
    head: u64,
    first_appended_at: Option<String>,
    last_appended_at: Option<String>,
    /// What a repair gave up.
    lost_positions: u64,
    segment_files: u64,
    segment_bytes: u64,
    /// What is in archives, where there is something.
    #[serde(skip_serializing_if = "Option::is_none")]
    archived: Option<Archived>,
    index_files: u64,
    index_bytes: u64,
    snapshot_bytes: u64,
    all_bytes: u64,
    #[serde(flatten)]
    counted: Option<Counted>,
}

/// The segments that are in archives.
#[derive(Clone, Copy, Default, Serialize)]
struct Archived {
    segments: usize,
    bytes: u64,
}

#[derive(Default, Serialize)]
struct Counted {
    events: u64,
    appends: u64,
    streams: u64,
    policy_changes: u64,
    payload_bytes: u64,
    categories: BTreeMap<String, Category>,
    /// Those of further categories, which are not told apart.
    other_categories: Category,
}

#[derive(Clone, Copy, Default, Serialize)]
struct Category {
    streams: u64,
    events: u64,
    payload_bytes: u64,
}

pub(crate) fn run(args: &Stats, session: &mut Session) -> Result {
    let (address, lost) = survey(&session.store)?;
    let store = address.to_read()?;
    let ends = [ReadRequest::all(), ReadRequest::all().backward()];
    let [first, newest] = ends.map(|request| {
        let event = first_event(&*store, request);
        event.map(|event| event.as_ref().map(RecordedEvent::appended_at))
    });
    let head = block_on(store.head(ConsistencyLevel::Strong))?;
    let counted = if args.quick {
        None
    } else {
        Some(count(&address, &lost)?)
    };
    let archived = archived(session)?;
    let first = match first {
        // The rest is told all the same.
        Err(failure) if archived.is_some() && failure.is_passing => None,
        first => first?,
    };
    let files = StoreFiles::of(session.store.directory())?;
    let mut summary = Summary::of(session, &head, (first, newest?), files, counted);
    summary.archived = archived;
    summary.lost_positions = lost.events();
    if session.out.is_json() {
        return session.out.json(&summary);
    }
    print(&summary, (store_times(&summary), files), &mut session.out)
}

fn archived(session: &Session) -> Result<Option<Archived>> {
    let archives = session.store.builder().archives_in_use()?;
    let all = archives
        .iter()
        .fold(Archived::default(), |all, it| Archived {
            segments: all.segments + it.segments,
            bytes: all.bytes + it.bytes,
        });
    Ok((all.segments > 0).then_some(all))
}

impl Summary {
    fn of(
        session: &Session,
        head: &Cursor,
        (first, last): (Option<Timestamp>, Option<Timestamp>),
        files: StoreFiles,
        counted: Option<Counted>,
    ) -> Self {
        Self {
            store: session.store.to_string(),
            head: head.position().unwrap_or_default().value(),
            first_appended_at: first.map(|time| time.to_string()),
            last_appended_at: last.map(|time| time.to_string()),
            lost_positions: 0,
            segment_files: files.segments.count,
            segment_bytes: files.segments.bytes,
            archived: None,
            index_files: files.index.count,
            index_bytes: files.index.bytes,
            snapshot_bytes: files.snapshots.bytes,
            all_bytes: files.all.bytes,
            counted,
        }
    }
}

fn store_times(summary: &Summary) -> [Option<Timestamp>; 2] {
    let time = |text: &Option<String>| text.as_ref().and_then(|text| text.parse().ok());
    [
        time(&summary.first_appended_at),
        time(&summary.last_appended_at),
    ]
}

fn count(store: &StoreAddress, lost: &Losses) -> Result<Counted> {
    let mut counted = Counted::default();
    let mut beginnings = Beginnings::of(lost);
    let mut history = store.history()?;
    each_entry("counting", &mut history, |entry| {
        match entry {
            HistoryEntry::Event { event, append, .. } => {
                counted.appends += u64::from(append.is_some());
                counted.add(&event, beginnings.has(&event));
            }
            _ => counted.policy_changes += 1,
        }
        Ok(())
    })?;
    Ok(counted)
}

impl Counted {
    fn add(&mut self, event: &RecordedEvent, is_first: bool) {
        let bytes = event.payload().len() as u64;
        let is_first = u64::from(is_first);
        self.events += 1;
        self.streams += is_first;
        self.payload_bytes += bytes;
        let name = event.stream().category_str();
        let is_full = self.categories.len() >= CATEGORIES_MAX;
        let category = match self.categories.get_mut(name) {
            Some(category) => category,
            None if is_full => &mut self.other_categories,
            None => self.categories.entry(name.to_owned()).or_default(),
        };
        category.streams += is_first;
        category.events += 1;
        category.payload_bytes += bytes;
    }
}

fn print(
    summary: &Summary,
    (times, files): ([Option<Timestamp>; 2], StoreFiles),
    out: &mut Out,
) -> Result {
    let zone = out.zone();
    let title = out.paint(BOLD, &summary.store);
    out.line(&title)?;
    let [first, last] =
        times.map(|time| time.map_or_else(|| "-".to_owned(), |time| zone.show(time)));
    let mut lines = vec![("head", format!("position {}", summary.head))];
    if let Some(counted) = &summary.counted {
        lines.push(("events", text::grouped(counted.events)));
        lines.push(("appends", text::grouped(counted.appends)));
        lines.push(("streams", text::grouped(counted.streams)));
        lines.push(("policies", text::count(counted.policy_changes, "change")));
        lines.push(("payloads", text::bytes(counted.payload_bytes)));
    }
    if summary.lost_positions > 0 {
        lines.push(("lost", text::count(summary.lost_positions, "position")));
    }
    lines.push(("first", first));
    lines.push(("last", last));
    for (name, files) in [
        ("segments", files.segments),
        ("index", files.index),
        ("snapshots", files.snapshots),
        ("all files", files.all),
    ] {
        lines.push((name, files_text(files)));
    }
    if let Some(archived) = summary.archived {
        let segments = text::count(archived.segments as u64, "segment");
        let value = format!("{} in {segments}", text::bytes(archived.bytes));
        lines.push(("archived", value));
    }
    for (name, value) in lines {
        let name = out.paint(DIM, &format!("{name:<12}"));
        out.line(&format!("  {name}{value}"))?;
    }
    match &summary.counted {
        Some(counted) => print_categories(counted, out),
        None => Ok(()),
    }
}

fn files_text(files: Files) -> String {
    format!(
        "{} in {}",
        text::bytes(files.bytes),
        text::count(files.count, "file")
    )
}

fn print_categories(counted: &Counted, out: &mut Out) -> Result {
    const COLUMNS: &[(&str, Align)] = &[
        ("CATEGORY", Align::Left),
        ("STREAMS", Align::Right),
        ("EVENTS", Align::Right),
        ("PAYLOADS", Align::Right),
    ];
    let mut table = Table::new(COLUMNS);
    let mut categories: Vec<_> = counted.categories.iter().collect();
    categories.sort_by(|a, b| b.1.events.cmp(&a.1.events).then_with(|| a.0.cmp(b.0)));
    let others = "(all others)".to_owned();
    let others =
        (counted.other_categories.events > 0).then_some((&others, &counted.other_categories));
    for (name, category) in categories.into_iter().chain(others) {
        table.row(
            out,
            vec![
                Cell::styled(NAME, name.as_str()),
                text::grouped(category.streams).into(),
                text::grouped(category.events).into(),
                text::bytes(category.payload_bytes).into(),
            ],
        )?;
    }
    table.flush(out)
}
