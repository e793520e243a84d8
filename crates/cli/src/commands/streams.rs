//! `annals streams`: which streams there are.

use annals_core::{
    Category, EventStore as _, HistoryEntry, StreamHead, StreamState, Timestamp, Version,
};
use clap::{Args, ValueEnum};
use futures_executor::block_on;
use serde::Serialize;

use crate::failure::Result;
use crate::lost::{Beginnings, survey};
use crate::output::table::{Align, Cell, Table};
use crate::output::{DIM, NAME, Out};
use crate::session::Session;
use crate::survey::each_entry;

const EXAMPLES: &str =
    "Examples:\n  annals streams\n  annals streams --category account --sort events --limit 5";

/// List the streams of a store, in the order in which they began.
///
/// It reads the whole log, and needs little memory whatever the number of streams: a sorted list has at most as many
/// as --limit says.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Streams {
    /// Those of this category.
    #[arg(long, value_name = "CATEGORY")]
    category: Option<Category>,
    /// The first ones by name, or those with the most events.
    #[arg(long, value_name = "BY")]
    sort: Option<Sort>,
    /// At most so many; with --sort 20 unless said otherwise.
    #[arg(short = 'n', long, value_name = "COUNT")]
    limit: Option<usize>,
}

/// By what streams are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Sort {
    /// By name.
    Name,
    /// By the number of events, the most first.
    Events,
}

const LIMIT_DEFAULT: usize = 20;

struct Found {
    head: StreamHead,
    began: Timestamp,
}

pub(crate) fn run(args: &Streams, session: &mut Session) -> Result {
    let (address, losses) = survey(&session.store)?;
    let mut history = address.history()?;
    let store = address.to_read()?;
    let mut beginnings = Beginnings::of(&losses);
    let mut list = List::new(args);
    let out = &mut session.out;
    each_entry("looking for streams", &mut history, |entry| {
        let HistoryEntry::Event { event, .. } = entry else {
            return Ok(());
        };
        let is_wanted = args
            .category
            .as_ref()
            .is_none_or(|category| category.contains(event.stream()));
        if list.is_full() || !is_wanted || !beginnings.has(&event) {
            return Ok(());
        }
        let head = block_on(store.stream_head(event.stream()))?;
        list.add(
            Found {
                head,
                began: event.appended_at(),
            },
            out,
        )
    })?;
    list.finish(out)
}

struct List {
    sort: Option<Sort>,
    limit: usize,
    given: usize,
    kept: Vec<Found>,
    table: Table,
}

impl List {
    fn new(args: &Streams) -> Self {
        const COLUMNS: &[(&str, Align)] = &[
            ("STREAM", Align::Left),
            ("EVENTS", Align::Right),
            ("BEGAN", Align::Left),
            ("POLICY", Align::Left),
        ];
        let limit = args.sort.map_or(usize::MAX, |_| LIMIT_DEFAULT);
        Self {
            sort: args.sort,
            limit: args.limit.unwrap_or(limit),
            given: 0,
            kept: Vec::new(),
            table: Table::new(COLUMNS),
        }
    }

    fn is_full(&self) -> bool {
        self.sort.is_none() && self.given >= self.limit
    }

    fn add(&mut self, found: Found, out: &mut Out) -> Result {
        if self.sort.is_none() {
            self.given += 1;
            return self.put(&found, out);
        }
        self.kept.push(found);
        if self.kept.len() >= self.limit.saturating_mul(2).max(1024) {
            self.cut();
        }
        Ok(())
    }

    /// Keeps those that will be told.
    fn cut(&mut self) {
        match self.sort {
            Some(Sort::Name) => self.kept.sort_by(|a, b| a.head.stream.cmp(&b.head.stream)),
            Some(Sort::Events) => self.kept.sort_by(|a, b| {
                let most = b.head.version.cmp(&a.head.version);
                most.then_with(|| a.head.stream.cmp(&b.head.stream))
            }),
            None => {}
        }
        self.kept.truncate(self.limit);
    }

    fn put(&mut self, found: &Found, out: &mut Out) -> Result {
        let StreamHead {
            stream, version, ..
        } = &found.head;
        if out.is_json() {
            return out.json(&StreamJson::of(found));
        }
        let row = vec![
            Cell::styled(NAME, stream.as_str()),
            version.to_string().into(),
            Cell::styled(DIM, out.zone().show(found.began)),
            policy_text(&found.head).into(),
        ];
        self.table.row(out, row)
    }

    fn finish(mut self, out: &mut Out) -> Result {
        self.cut();
        for found in std::mem::take(&mut self.kept) {
            self.put(&found, out)?;
        }
        self.table.flush(out)
    }
}

#[derive(Serialize)]
struct StreamJson<'a> {
    stream: &'a str,
    category: &'a str,
    events: u64,
    began_at: String,
    state: &'static str,
    max_age_seconds: Option<u64>,
    max_count: Option<u64>,
    truncated_before: u64,
}

impl<'a> StreamJson<'a> {
    fn of(found: &'a Found) -> Self {
        let policy = &found.head.policy;
        Self {
            stream: found.head.stream.as_str(),
            category: found.head.stream.category_str(),
            events: found.head.version.value(),
            began_at: found.began.to_string(),
            state: state_name(policy.state),
            max_age_seconds: policy.max_age.map(|age| age.as_secs()),
            max_count: policy.max_count,
            truncated_before: policy.truncate_before.value(),
        }
    }
}

/// The word for the state of a stream.
pub(crate) fn state_name(state: StreamState) -> &'static str {
    match state {
        StreamState::SoftDeleted => "soft-deleted",
        StreamState::Tombstoned => "tombstoned",
        _ => "open",
    }
}

/// What of a stream is hidden.
fn policy_text(head: &StreamHead) -> String {
    let policy = &head.policy;
    let mut parts = Vec::new();
    if policy.state != StreamState::Open {
        parts.push(state_name(policy.state).to_owned());
    }
    if let Some(age) = policy.max_age {
        parts.push(format!("max age {}s", age.as_secs()));
    }
    if let Some(count) = policy.max_count {
        parts.push(format!("max count {count}"));
    }
    if policy.truncate_before > Version::FIRST && policy.state == StreamState::Open {
        parts.push(format!("truncated before {}", policy.truncate_before));
    }
    parts.join(", ")
}
