//! `annals trace`: what caused what.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;

use annals_core::{CorrelationId, EventStore, ReadRequest, RecordedEvent};
use clap::Args;
use serde::Serialize;

use crate::failure::{Failure, Result};
use crate::lost::PastLost;
use crate::output::event::EventJson;
use crate::output::{DIM, NAME, Out, text};
use crate::select::each_event;
use crate::session::Session;

const EXAMPLES: &str = "Examples:\n  annals trace request-7\n  annals trace request-7 --json";

/// How many events of a conversation are taken.
const EVENTS_MAX: usize = 100_000;

/// Print the events of a conversation as a tree: each under what caused it.
///
/// The conversation is what shares a correlation id. The whole store is read for it.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Trace {
    /// The correlation id.
    #[arg(value_name = "CORRELATION-ID")]
    correlation: CorrelationId,
    #[command(flatten)]
    lost: PastLost,
}

#[derive(Serialize)]
struct NodeJson<'a> {
    depth: usize,
    /// The position of the event that caused it, where that is one of the conversation.
    caused_by_position: Option<u64>,
    event: EventJson<'a>,
}

pub(crate) fn run(args: &Trace, session: &mut Session) -> Result {
    let store = args.lost.of(&session.store)?.to_read()?;
    let events = conversation(&*store, &args.correlation)?;
    if events.is_empty() {
        return Err(Failure::not_found(format!(
            "no event has the correlation id {}",
            args.correlation
        )));
    }
    Tree::of(&events).tell(&mut session.out)
}

fn conversation(store: &dyn EventStore, id: &CorrelationId) -> Result<Vec<RecordedEvent>> {
    let mut events = Vec::new();
    each_event(store, ReadRequest::all(), |event| {
        if event.metadata().correlation_id().as_ref() == Some(id) {
            if events.len() >= EVENTS_MAX {
                return Err(Failure::usage(format!(
                    "the conversation has more than {EVENTS_MAX} events"
                ))
                .hint("`annals find --correlation` lists them one by one"));
            }
            events.push(event.clone());
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(events)
}

/// Events under what caused them; those whose cause is no event of the conversation are under the cause's name.
struct Tree<'a> {
    events: &'a [RecordedEvent],
    /// The events that each one caused.
    children: HashMap<usize, Vec<usize>>,
    /// The events whose cause is something else, by its name.
    roots: BTreeMap<usize, (String, Vec<usize>)>,
    parents: HashMap<usize, usize>,
}

impl<'a> Tree<'a> {
    fn of(events: &'a [RecordedEvent]) -> Self {
        let places: HashMap<String, usize> = events
            .iter()
            .enumerate()
            .map(|(place, event)| (event.id().to_string(), place))
            .collect();
        let mut tree = Self {
            events,
            children: HashMap::new(),
            roots: BTreeMap::new(),
            parents: HashMap::new(),
        };
        let mut named: HashMap<String, usize> = HashMap::new();
        for (place, event) in events.iter().enumerate() {
            let cause = event
                .metadata()
                .causation_id()
                .map(|id| id.to_string())
                .unwrap_or_default();
            // An event is caused by an earlier one, or the tree would be none.
            let parent = places.get(&cause).filter(|parent| **parent < place);
            if let Some(parent) = parent {
                tree.children.entry(*parent).or_default().push(place);
                tree.parents.insert(place, *parent);
                continue;
            }
            let first = *named.entry(cause.clone()).or_insert(place);
            let root = tree
                .roots
                .entry(first)
                .or_insert_with(|| (cause, Vec::new()));
            root.1.push(place);
        }
        tree
    }

    fn tell(&self, out: &mut Out) -> Result {
        for (cause, events) in self.roots.values() {
            if !out.is_json() {
                let cause = if cause.is_empty() {
                    "(no cause)".to_owned()
                } else {
                    text::one_line(cause)
                };
                let cause = out.paint(DIM, &cause);
                out.line(&cause)?;
            }
            self.branch(events, out)?;
        }
        Ok(())
    }

    /// Events and all below them, without a call for each level.
    fn branch(&self, events: &[usize], out: &mut Out) -> Result {
        let last = events.len().saturating_sub(1);
        let begin = events.iter().enumerate().rev();
        let mut stack: Vec<(usize, String, bool, usize)> = begin
            .map(|(index, place)| (*place, String::new(), index == last, 1))
            .collect();
        while let Some((place, indent, is_last, depth)) = stack.pop() {
            let Some(event) = self.events.get(place) else {
                continue;
            };
            self.node(event, place, (&indent, is_last, depth), out)?;
            let below = format!("{indent}{}", if is_last { "    " } else { "|   " });
            let children = self
                .children
                .get(&place)
                .map(Vec::as_slice)
                .unwrap_or_default();
            let last = children.len().saturating_sub(1);
            let children = children.iter().enumerate().rev();
            stack.extend(
                children.map(|(index, child)| (*child, below.clone(), index == last, depth + 1)),
            );
        }
        Ok(())
    }

    fn node(
        &self,
        event: &RecordedEvent,
        place: usize,
        (indent, is_last, depth): (&str, bool, usize),
        out: &mut Out,
    ) -> Result {
        if out.is_json() {
            let parent = self
                .parents
                .get(&place)
                .and_then(|parent| self.events.get(*parent));
            return out.json(&NodeJson {
                depth,
                caused_by_position: parent.map(|parent| parent.position().value()),
                event: EventJson::of(event),
            });
        }
        let branch = if is_last { "`-- " } else { "|-- " };
        let name = out.paint(NAME, &text::one_line(event.event_type().as_str()));
        let time = out.zone().show(event.appended_at());
        let place = out.paint(DIM, &format!("{time}, position {}", event.position()));
        out.line(&format!(
            "{indent}{branch}{name} {} version {}  {place}",
            event.stream(),
            event.version()
        ))
    }
}
