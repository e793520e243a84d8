//! Recording events that come as lines, wherever they come from, after what a store holds.

use std::collections::HashSet;

use annals_core::{AppendId, EventStore, Ids as _, Receipt, UuidIds};
use futures_executor::block_on;

use super::cloud_events::digest;
use super::import::build;
use super::line::EventLine;
use crate::failure::{Failure, Result};

/// Where the id of an append comes from that a line does not name.
#[derive(Clone, Debug)]
pub(crate) enum Identity {
    /// It is a new one, whatever was recorded before.
    Fresh,
    /// This one; those of further lines have the number of the line behind it.
    Given(String),
    /// It follows from what the line says and where it stands: the same lines again are recorded once.
    Derived,
}

/// A store that takes events line by line.
pub(crate) struct Loose<'a> {
    store: &'a dyn EventStore,
    identity: Identity,
    ids: UuidIds,
    /// All lines are one append.
    is_atomic: bool,
    open: Option<(AppendId, usize, Vec<EventLine>)>,
    lines: u64,
}

impl<'a> Loose<'a> {
    pub(crate) fn new(store: &'a dyn EventStore, identity: Identity, is_atomic: bool) -> Self {
        Self {
            store,
            identity,
            ids: UuidIds::default(),
            is_atomic,
            open: None,
            lines: 0,
        }
    }

    /// Takes an event; the receipt where it ends an append.
    pub(crate) fn take(&mut self, mut line: EventLine, text: &str) -> Result<Option<Receipt>> {
        self.lines += 1;
        // Places are the store's to give here.
        line.version = None;
        let (id, events, mut lines) = match (self.open.take(), line.append) {
            (Some(open), None) => open,
            (Some((id, ..)), Some(_)) => {
                return Err(Failure::usage(format!(
                    "append {id} has fewer events than it says"
                )));
            }
            (None, Some((id, events))) => (
                id,
                usize::try_from(events).unwrap_or(usize::MAX),
                Vec::new(),
            ),
            (None, None) => {
                let events = if self.is_atomic { usize::MAX } else { 1 };
                (self.identify(&line, text)?, events, Vec::new())
            }
        };
        lines.push(line);
        if lines.len() < events {
            self.open = Some((id, events, lines));
            return Ok(None);
        }
        self.append(id, lines).map(Some)
    }

    /// Records what waits; the receipt where something did.
    pub(crate) fn finish(&mut self) -> Result<Option<Receipt>> {
        match self.open.take() {
            Some((id, usize::MAX, lines)) => self.append(id, lines).map(Some),
            Some((id, events, lines)) => Err(Failure::usage(format!(
                "append {id} has {} of its {events} events; it was left out",
                lines.len()
            ))),
            None => Ok(None),
        }
    }

    fn append(&self, id: AppendId, lines: Vec<EventLine>) -> Result<Receipt> {
        let append = build(id, lines, &HashSet::new())?;
        block_on(self.store.append(append)).map_err(|error| {
            let failure = Failure::from(error);
            let hint = failure.hint.clone();
            let failure = Failure::new(failure.exit, format!("append {id}: {}", failure.message));
            match hint {
                Some(hint) => failure.hint(hint),
                None => failure,
            }
        })
    }

    fn identify(&self, line: &EventLine, text: &str) -> Result<AppendId> {
        let id = match &self.identity {
            Identity::Fresh => return Ok(self.ids.append_id()),
            Identity::Given(id) if self.lines == 1 => id.clone(),
            Identity::Given(id) => format!("{id}:{}", self.lines),
            Identity::Derived => match line.event.id() {
                Some(id) => format!("event:{id}"),
                None => digest(&["line", &self.lines.to_string(), text]).to_string(),
            },
        };
        Ok(AppendId::parse(&id)?)
    }
}
