//! The timers that wait, as far as they are held in memory.

use std::collections::{BTreeMap, HashMap};

use annals_core::{CorrelationId, Cursor, EventId, RecordedEvent, StreamId, Timestamp, Version};

use super::event::TimerEvent;

/// The timers that wait: of more than there is room for, those that are due first.
///
/// What holds: every timer that waits and comes before the horizon is held, and no other. Without a horizon all
/// are.
#[derive(Debug)]
pub(super) struct Pending {
    max: usize,
    by_due: BTreeMap<Due, Waiting>,
    by_stream: HashMap<StreamId, Timestamp>,
    /// The first timer, by its place in the order, for which there was no room.
    horizon: Option<Due>,
    /// Timers before it, of events that were read before, have fired or are cancelled: nothing to hold.
    floor: Option<Due>,
    pages: Pages,
}

/// The place of a timer in the order in which they fire.
pub(super) type Due = (Timestamp, StreamId);

/// A timer that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    /// The version of its stream that set it.
    pub(super) version: Version,
    /// The event that set it.
    pub(super) set_by: EventId,
    pub(super) correlation: Option<CorrelationId>,
    page: u64,
}

/// From where on events are to be read again, to have all timers that wait.
#[derive(Debug, Default)]
struct Pages {
    number: u64,
    after: Cursor,
    /// Where pages begin that set timers which are held, and how many each set.
    held: BTreeMap<u64, (Cursor, usize)>,
    /// Where the first page begins that set a timer for which there was no room.
    beyond: Option<Cursor>,
}

impl Pending {
    /// Holds so many timers at most.
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            by_due: BTreeMap::new(),
            by_stream: HashMap::new(),
            horizon: None,
            floor: None,
            pages: Pages::default(),
        }
    }

    /// What the events that were read before are to be read into anew, once all timers before the horizon have
    /// fired; `None` while one of them waits, and where there is nothing beyond.
    pub(super) fn beyond(&self) -> Option<(Self, Cursor)> {
        let horizon = self.horizon.as_ref().filter(|_| self.by_due.is_empty())?;
        let mut anew = Self::new(self.max);
        anew.floor = Some(horizon.clone());
        Some((anew, self.pages.beyond.clone().unwrap_or_default()))
    }

    /// Takes events that were not read before from here on.
    pub(super) fn go_on(&mut self) {
        self.floor = None;
    }

    /// Begins a page of events.
    pub(super) fn begin_page(&mut self, after: &Cursor) {
        self.pages.number = self.pages.number.saturating_add(1);
        self.pages.after = after.clone();
    }

    /// Notes an event of a timer.
    pub(super) fn note(&mut self, event: &TimerEvent, recorded: &RecordedEvent) {
        self.remove(recorded.stream());
        if let TimerEvent::Set { due, .. } = event {
            let waiting = Waiting {
                version: recorded.version(),
                set_by: recorded.id(),
                correlation: recorded.metadata().correlation_id(),
                page: self.pages.number,
            };
            self.insert((*due, recorded.stream().clone()), waiting);
        }
    }

    /// The timer that is due first.
    pub(super) fn first(&self) -> Option<(&Due, &Waiting)> {
        self.by_due.first_key_value()
    }

    /// Takes the timer of a stream out, where it waits.
    pub(super) fn remove(&mut self, stream: &StreamId) {
        let Some((stream, due)) = self.by_stream.remove_entry(stream) else {
            return;
        };
        if let Some(waiting) = self.by_due.remove(&(due, stream)) {
            self.pages.release(waiting.page);
        }
    }

    /// Where to read on after a restart, of a reader who stands at `cursor`: every timer that was set before has
    /// fired, was set anew or is cancelled.
    pub(super) fn mark(&self, cursor: &Cursor) -> Cursor {
        let held = self.pages.held.first_key_value();
        let held = held.map(|(_, (after, _))| after);
        let beyond = self.pages.beyond.as_ref();
        match (held, beyond) {
            (Some(held), Some(beyond)) if beyond.covers(held) => held.clone(),
            (_, Some(beyond)) => beyond.clone(),
            (Some(held), None) => held.clone(),
            (None, None) => cursor.clone(),
        }
    }

    fn insert(&mut self, due: Due, waiting: Waiting) {
        if self.floor.as_ref().is_some_and(|floor| due < *floor) {
            return;
        }
        // What is beyond is read again, from a page before this one.
        if self.horizon.as_ref().is_some_and(|horizon| due >= *horizon) {
            return;
        }
        self.pages.hold();
        self.by_stream.insert(due.1.clone(), due.0);
        self.by_due.insert(due, waiting);
        if self.by_due.len() > self.max {
            self.give_up_last();
        }
    }

    /// Gives up the timer that is due last.
    fn give_up_last(&mut self) {
        let Some((due, waiting)) = self.by_due.pop_last() else {
            return;
        };
        self.by_stream.remove(&due.1);
        let after = self.pages.release(waiting.page);
        self.pages.beyond = match (self.pages.beyond.take(), after) {
            (Some(known), Some(after)) if known.covers(&after) => Some(after),
            (None, after) => after,
            (known, _) => known,
        };
        self.horizon = Some(due);
    }
}

impl Pages {
    /// Notes that the page at hand set a timer that is held.
    fn hold(&mut self) {
        let page = self.held.entry(self.number);
        let (_, count) = page.or_insert_with(|| (self.after.clone(), 0));
        *count = count.saturating_add(1);
    }

    /// Notes that a timer which a page set is held no more, and gives where the page begins.
    fn release(&mut self, page: u64) -> Option<Cursor> {
        let (after, count) = self.held.get_mut(&page)?;
        let after = after.clone();
        *count = count.saturating_sub(1);
        if *count == 0 {
            self.held.remove(&page);
        }
        Some(after)
    }
}
