//! Ids for the events that come without one.

use std::collections::HashSet;

use annals_core::{Error, ErrorKind, EventId, Ids};

use super::judge::Judge;
use super::prepared::Prepared;

/// Gives each event of an append its id: the application's, or a new one that no event has.
pub(crate) struct FreshIds<'a> {
    judge: &'a Judge<'a>,
    source: &'a dyn Ids,
    /// No id of the store, of the batch and of the append is above it.
    highest: u128,
    /// The ids of the append, once one of them was made that does not rise above all.
    known: Option<HashSet<EventId>>,
}

impl<'a> FreshIds<'a> {
    /// From this source, for a store without an id above this one.
    pub(crate) fn new(judge: &'a Judge<'a>, source: &'a dyn Ids, highest: u128) -> Self {
        Self {
            judge,
            source,
            highest: highest.max(judge.batch.highest_event_id()),
            known: None,
        }
    }

    /// Appends the ids of the events.
    ///
    /// # Errors
    /// Unavailable when the source repeats itself.
    pub(crate) fn give(mut self, prepared: &Prepared, ids: &mut Vec<EventId>) -> Result<(), Error> {
        let given = || prepared.events().iter().filter_map(|event| event.id);
        for id in given() {
            self.highest = self.highest.max(id.number());
        }
        for event in prepared.events() {
            let id = match event.id {
                Some(id) => id,
                None => self.make(|| given().chain(ids.iter().copied()).collect())?,
            };
            ids.push(id);
        }
        Ok(())
    }

    /// A new id: mostly it is above all others, so that nothing need be searched.
    fn make(&mut self, known: impl FnOnce() -> HashSet<EventId>) -> Result<EventId, Error> {
        let id = self.source.event_id();
        let number = id.number();
        let rises = number > self.highest;
        self.highest = self.highest.max(number);
        let is_known = if rises {
            self.known.as_mut().is_some_and(|known| !known.insert(id))
        } else {
            !self.known.get_or_insert_with(known).insert(id) || self.judge.is_taken(id)?
        };
        if !is_known {
            return Ok(id);
        }
        let message = "new event id is taken already; the source of ids repeats itself";
        Err(Error::new(ErrorKind::Unavailable, message).with("event", id))
    }
}
