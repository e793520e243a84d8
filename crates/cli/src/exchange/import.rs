//! Reading a store back, so that its export is byte for byte the one that was read.
//!
//! The store takes its time from a clock that is set before each append, so that what only a store sets (`appended_at`,
//! positions, versions) comes out as it was. What the store holds already is held against the lines one by one: an
//! import that was interrupted goes on, and nothing is recorded twice.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use annals_core::{
    Append, AppendBuilder, AppendId, ConsistencyLevel, EventStore as _, Expected, ManualClock,
    NewEvent, PolicyChange, Position, StreamId, StreamPolicy, StreamState, Timestamp, Version,
};
use annals_store_log::{Durability, LogStore, Settings, StoreHistory};
use futures_executor::block_on;

use super::line::{EventLine, Line};
use super::policy::action;
use crate::failure::{Failure, Result};
use crate::output::warn;
use crate::store_at::StoreAddress;

/// What an import did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Imported {
    pub(crate) appends: u64,
    pub(crate) events: u64,
    pub(crate) policies: u64,
    /// Events that were there already.
    pub(crate) present: u64,
    /// Whether the export said that it is whole.
    pub(crate) is_ended: bool,
}

/// A store that takes lines of an export in their order.
pub(crate) struct Importer {
    store: LogStore,
    clock: ManualClock,
    /// What the store held before.
    held: Held,
    open: Option<OpenAppend>,
    soft_deleted: HashSet<StreamId>,
    next: Position,
    pub(crate) imported: Imported,
}

/// An append, the events of which are coming in.
struct OpenAppend {
    id: AppendId,
    events: usize,
    lines: Vec<EventLine>,
}

/// Settings of a store for an import: durable when it is closed, rather than at each append.
///
/// What an interrupted import recorded stays: a crash of the machine cuts the store back to some whole append, from
/// which the same import goes on.
pub(crate) fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.durability = Durability::Process;
    settings
}

impl Importer {
    /// Opens the store, or makes it.
    pub(crate) fn open(address: &StoreAddress) -> Result<Self> {
        let clock = ManualClock::at(Timestamp::EPOCH);
        let builder = address
            .builder()
            .settings(settings())
            .clock(Arc::new(clock.clone()));
        let store = if address.exists() {
            builder.open()?
        } else {
            crate::commands::init::refuse_what_is_there(address)?;
            builder.create()?
        };
        let head = block_on(store.head(ConsistencyLevel::Strong))?;
        let head = head.position().unwrap_or_default();
        Ok(Self {
            held: Held::new(address.past_lost().history()?),
            store,
            clock,
            open: None,
            soft_deleted: HashSet::new(),
            next: head.next(),
            imported: Imported::default(),
        })
    }

    /// Takes the next line.
    pub(crate) fn take(&mut self, line: Line) -> Result {
        match line {
            Line::Begin(after) => self.begin(after),
            Line::Event(event) => self.event(*event),
            Line::Policy(stream, policy) => self.policy(&stream, policy),
            Line::End(_) => {
                self.imported.is_ended = true;
                Ok(())
            }
        }
    }

    /// Makes everything durable.
    pub(crate) fn finish(&mut self) -> Result {
        self.store.close()?;
        if let Some(open) = &self.open {
            warn(&format!(
                "the last append, {}, has {} of its {} events: it was left out",
                open.id,
                open.lines.len(),
                open.events
            ));
        }
        Ok(())
    }

    fn begin(&mut self, after: Position) -> Result {
        if self.next <= after {
            let message =
                format!("this export begins after position {after}, and the store ends before");
            return Err(Failure::refused(message).hint("import the exports before it first"));
        }
        self.held.skip_to(after)
    }

    fn event(&mut self, line: EventLine) -> Result {
        if let Some(held) = self.held.next()? {
            // It is open again from this event on.
            self.soft_deleted.remove(&line.stream);
            let line = Line::Event(Box::new(line));
            if held == line {
                self.imported.present += 1;
                return Ok(());
            }
            return Err(other_history(&line, &held));
        }
        let open = match (self.open.take(), line.append) {
            (None, Some((id, events))) => OpenAppend {
                id,
                events: usize::try_from(events).unwrap_or(usize::MAX),
                lines: vec![line],
            },
            (Some(mut open), None) => {
                open.lines.push(line);
                open
            }
            (Some(open), Some(_)) => {
                let message = format!("append {} has fewer events than it says", open.id);
                return Err(Failure::usage(message).hint(RENUMBER));
            }
            (None, None) => {
                return Err(
                    Failure::usage("an event comes without the beginning of its append")
                        .hint(RENUMBER),
                );
            }
        };
        if open.lines.len() < open.events {
            self.open = Some(open);
            return Ok(());
        }
        self.append(open)
    }

    fn append(&mut self, open: OpenAppend) -> Result {
        let count = open.lines.len() as u64;
        let place = Place::of(&open.lines)?;
        if place.position != self.next {
            let message = format!(
                "position {} is missing: position {} comes next",
                self.next, place.position
            );
            return Err(Failure::usage(message).hint(RENUMBER));
        }
        let append = build(open.id, open.lines, &self.soft_deleted)?;
        for write in append.writes() {
            self.soft_deleted.remove(&write.stream);
        }
        self.clock.set(place.appended_at);
        let receipt = block_on(self.store.append(append))?;
        if receipt.is_duplicate() {
            let message = format!(
                "append {} is in the store already, at another place",
                open.id
            );
            return Err(Failure::refused(message).hint(RENUMBER));
        }
        if receipt.appended_at != place.appended_at {
            warn(&format!(
                "position {} was appended at {}, and is recorded as {}: time goes back in the export",
                place.position, place.appended_at, receipt.appended_at
            ));
        }
        self.next = receipt.last_position.next();
        self.imported.appends += 1;
        self.imported.events += count;
        Ok(())
    }

    fn policy(&mut self, stream: &StreamId, policy: StreamPolicy) -> Result {
        if policy.state == StreamState::SoftDeleted {
            self.soft_deleted.insert(stream.clone());
        }
        match self.held.next()? {
            // What time hid at a change of policy may be told otherwise; what is hidden is the same.
            Some(Line::Policy(held, _)) if held == *stream => return Ok(()),
            Some(held) => return Err(other_history(&Line::Policy(stream.clone(), policy), &held)),
            None => {}
        }
        if let Some(open) = &self.open {
            let message = format!("a policy comes within append {}", open.id);
            return Err(Failure::usage(message).hint(RENUMBER));
        }
        let before = block_on(self.store.stream_head(stream))?.policy;
        let change = |action| PolicyChange {
            stream: stream.clone(),
            expected: Expected::Any,
            action,
        };
        let changed = block_on(
            self.store
                .change_stream_policy(change(action(&before, &policy))),
        )?;
        if changed.policy != policy && changed.policy.truncate_before < policy.truncate_before {
            let truncate = annals_core::PolicyAction::TruncateBefore(policy.truncate_before);
            block_on(self.store.change_stream_policy(change(truncate)))?;
        }
        self.imported.policies += 1;
        Ok(())
    }
}

const RENUMBER: &str = "--renumber records what there is, at new places";

/// Where and when an append was recorded.
struct Place {
    position: Position,
    appended_at: Timestamp,
}

impl Place {
    fn of(lines: &[EventLine]) -> Result<Self> {
        let first = lines.first();
        let position = first.and_then(|line| line.position);
        let appended_at = first.and_then(|line| line.appended_at);
        let missing =
            || Failure::usage("an event has no `position` or no `appended_at`").hint(RENUMBER);
        let (Some(position), Some(appended_at)) = (position, appended_at) else {
            return Err(missing());
        };
        for (line, expected) in lines.iter().zip(position.value()..) {
            if line.position.map(Position::value) != Some(expected) {
                let message = format!(
                    "the events of an append don't follow each other at position {expected}"
                );
                return Err(Failure::usage(message).hint(RENUMBER));
            }
        }
        Ok(Self {
            position,
            appended_at,
        })
    }
}

/// The append that these lines tell of, the events of a stream together.
pub(crate) fn build(
    id: AppendId,
    lines: Vec<EventLine>,
    soft_deleted: &HashSet<StreamId>,
) -> Result<Append> {
    Ok(begin(id, lines, soft_deleted).build()?)
}

/// The same, to add to.
pub(crate) fn begin(
    id: AppendId,
    lines: Vec<EventLine>,
    soft_deleted: &HashSet<StreamId>,
) -> AppendBuilder {
    let mut writes: Vec<(StreamId, Expected, Vec<NewEvent>)> = Vec::new();
    let mut places: HashMap<StreamId, usize> = HashMap::new();
    for line in lines {
        let place = places.get(&line.stream).copied();
        if let Some((_, _, events)) = place.and_then(|place| writes.get_mut(place)) {
            events.push(line.event);
            continue;
        }
        let expected = expectation(&line, soft_deleted);
        places.insert(line.stream.clone(), writes.len());
        writes.push((line.stream, expected, vec![line.event]));
    }
    let mut append = Append::builder(id);
    for (stream, expected, events) in writes {
        append = append.write(stream, expected, events);
    }
    append
}

/// The version before, where it is told; a stream that is deleted is expected as it is.
fn expectation(line: &EventLine, soft_deleted: &HashSet<StreamId>) -> Expected {
    match line.version {
        Some(version) if !soft_deleted.contains(&line.stream) => {
            Expected::Exactly(version.previous())
        }
        Some(_) => Expected::Any,
        None => line.expected,
    }
}

/// What a store held before an import, line by line.
struct Held {
    history: StoreHistory,
    waiting: VecDeque<Line>,
    is_done: bool,
}

impl Held {
    fn new(history: StoreHistory) -> Self {
        Self {
            history,
            waiting: VecDeque::new(),
            is_done: false,
        }
    }

    fn next(&mut self) -> Result<Option<Line>> {
        if self.is_done {
            return Ok(None);
        }
        if self.waiting.is_empty() {
            let entries = self.history.next_entries()?;
            self.waiting.extend(entries.iter().map(Line::of));
        }
        let next = self.waiting.pop_front();
        self.is_done = next.is_none();
        Ok(next)
    }

    /// Passes over what stands up to a position.
    fn skip_to(&mut self, after: Position) -> Result {
        if after == Position::START {
            return Ok(());
        }
        while let Some(line) = self.next()? {
            let Line::Event(event) = &line else {
                continue;
            };
            if event.position > Some(after) {
                // The one before it is lost.
                self.waiting.push_front(line);
                break;
            }
            if event.position == Some(after) {
                break;
            }
        }
        Ok(())
    }
}

/// The store holds something else than the export.
fn other_history(line: &Line, held: &Line) -> Failure {
    let told = |line: &Line| match line {
        Line::Event(event) => {
            let position = event.position.unwrap_or_default();
            let version = event.version.unwrap_or(Version::ABSENT);
            format!("position {position} ({} version {version})", event.stream)
        }
        Line::Policy(stream, _) => format!("a policy of {stream}"),
        Line::Begin(_) | Line::End(_) => "an end".to_owned(),
    };
    let message = format!(
        "the store holds another history: the export has {}, the store {}",
        told(line),
        told(held)
    );
    Failure::refused(message)
        .hint("import into an empty store, or with --renumber after what is there")
}
