//! The log that a store ended with, as the witness of what happened and when.

use std::collections::{BTreeMap, HashMap};

use annals_core::limits::CONFLICT_POSITIONS_MAX;
use annals_core::{
    Append, AppendId, EventId, FailedCheck, NewEvent, Position, RecordedEvent, Selection, StreamId,
    StreamState, Version,
};

/// The log with indexes. A *moment* of the log is a count of events: what the store held when it had
/// recorded so many.
#[derive(Debug)]
pub(super) struct Witness<'a> {
    pub(super) log: &'a [RecordedEvent],
    streams: HashMap<&'a StreamId, Vec<usize>>,
    ids: HashMap<EventId, usize>,
    /// Where each append stands.
    pub(super) placed: BTreeMap<AppendId, Placed>,
    /// The moments between appends, in order: the only ones that a client may see.
    boundaries: Vec<usize>,
    /// When appends were sure to be in: acknowledgement, and the moment then, both increasing.
    certain: Vec<(u64, usize)>,
    /// When appends could be in: beginning, and the latest moment possible then, both increasing.
    possible: Vec<(u64, usize)>,
}

/// An append in the log.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    /// The moment before its first event.
    pub(super) from: usize,
    /// The moment after its last event.
    pub(super) to: usize,
    /// When the call began that recorded it, or the first that may have.
    pub(super) began: u64,
    /// When it was first acknowledged; `u64::MAX` where it never was.
    pub(super) acknowledged: u64,
}

/// The moments that the store went through during a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    /// Everything acknowledged before the call was in by then.
    pub(super) first: usize,
    /// Nothing else can have been in at its end.
    pub(super) last: usize,
}

impl<'a> Witness<'a> {
    pub(super) fn new(log: &'a [RecordedEvent]) -> Self {
        let mut streams: HashMap<&StreamId, Vec<usize>> = HashMap::new();
        let mut ids = HashMap::new();
        for (index, event) in log.iter().enumerate() {
            streams.entry(event.stream()).or_default().push(index);
            ids.entry(event.id()).or_insert(index);
        }
        Self {
            log,
            streams,
            ids,
            placed: BTreeMap::new(),
            boundaries: Vec::new(),
            certain: Vec::new(),
            possible: Vec::new(),
        }
    }

    /// Takes note of where the appends stand, once they are found.
    pub(super) fn place(&mut self, placed: BTreeMap<AppendId, Placed>) {
        self.boundaries = placed.values().map(|placed| placed.to).chain([0]).collect();
        self.boundaries.sort_unstable();
        self.boundaries.dedup();
        let known = placed
            .values()
            .filter(|placed| placed.acknowledged < u64::MAX);
        self.certain = rising(
            known
                .map(|placed| (placed.acknowledged, placed.to))
                .collect(),
        );
        self.possible = rising(
            placed
                .values()
                .map(|placed| (placed.began, placed.to))
                .collect(),
        );
        self.placed = placed;
    }

    /// The moments that a call may have seen.
    pub(super) fn span(&self, began: u64, ended: u64) -> Span {
        Span {
            first: before(&self.certain, began),
            last: before(&self.possible, ended),
        }
    }

    /// The moments between appends within a span.
    pub(super) fn moments(&self, span: Span) -> impl Iterator<Item = usize> {
        let from = self
            .boundaries
            .partition_point(|moment| *moment < span.first);
        let rest = self.boundaries.get(from..).unwrap_or_default();
        rest.iter()
            .copied()
            .take_while(move |moment| *moment <= span.last)
    }

    /// Whether an append ends, or none has begun, at this moment.
    pub(super) fn is_boundary(&self, moment: usize) -> bool {
        self.boundaries.binary_search(&moment).is_ok()
    }

    /// The moment at which everything up to this position was in.
    pub(super) fn moment_of(&self, position: Position) -> usize {
        self.log
            .partition_point(|event| event.position() <= position)
    }

    /// The event at this position.
    pub(super) fn at(&self, position: Position) -> Option<&'a RecordedEvent> {
        let before = self.moment_of(position).checked_sub(1)?;
        self.log
            .get(before)
            .filter(|event| event.position() == position)
    }

    /// The version of a stream at a moment.
    pub(super) fn version(&self, stream: &StreamId, moment: usize) -> Version {
        let events = self.of_stream(stream);
        Version::new(events.partition_point(|index| *index < moment) as u64)
    }

    pub(super) fn of_stream(&self, stream: &StreamId) -> &[usize] {
        self.streams.get(stream).map_or(&[], Vec::as_slice)
    }

    /// The log places (from 0) of what a selection selects.
    pub(super) fn select(&self, selection: &Selection) -> Vec<usize> {
        let selected = |event: &RecordedEvent| match selection {
            Selection::Stream(stream) => event.stream() == stream,
            Selection::Category(category) => category.contains(event.stream()),
            Selection::Criteria(criteria) => criteria.matches(event),
            _ => true,
        };
        if let Selection::Stream(stream) = selection {
            return self.of_stream(stream).to_vec();
        }
        let events = self.log.iter().enumerate();
        events
            .filter_map(|(index, event)| selected(event).then_some(index))
            .collect()
    }

    /// The checks of an append that fail at a moment.
    pub(super) fn failures(&self, append: &Append, moment: usize) -> Vec<FailedCheck> {
        let mut failures = Vec::new();
        for (stream, expected) in append.expectations() {
            let actual = self.version(stream, moment);
            if !expected.holds(actual, false) {
                let offending = self
                    .of_stream(stream)
                    .iter()
                    .filter(|index| **index < moment)
                    .filter_map(|index| self.log.get(*index))
                    .filter(|event| expected.is_offended_by(event.version()));
                failures.push(FailedCheck::Stream {
                    stream: stream.clone(),
                    expected,
                    actual,
                    state: StreamState::Open,
                    positions: oldest(offending),
                });
            }
        }
        for (index, condition) in append.conditions().iter().enumerate() {
            let after = condition.after.position().unwrap_or_default();
            let span = self
                .log
                .get(self.moment_of(after)..moment)
                .unwrap_or_default();
            let positions = oldest(span.iter().filter(|event| condition.unless.matches(event)));
            if !positions.is_empty() {
                failures.push(FailedCheck::Condition {
                    index,
                    unless: condition.unless.clone(),
                    after: condition.after.clone(),
                    positions,
                });
            }
        }
        let ids = append.events().filter_map(|(_, event)| event.id());
        failures.extend(ids.filter_map(|id| {
            let index = self.ids.get(&id).filter(|index| **index < moment)?;
            let position = self.log.get(*index)?.position();
            Some(FailedCheck::EventId { id, position })
        }));
        failures
    }

    /// Whether the events of the append are those at these log places.
    pub(super) fn shows(&self, append: &Append, from: usize, to: usize) -> bool {
        let recorded = self.log.get(from..to).unwrap_or_default();
        append.same_content(
            recorded
                .iter()
                .map(|event| Some((event.stream(), event.content()))),
        )
    }

    /// Whether the event at this log place is this one of an append.
    pub(super) fn is_one_of(&self, index: usize, stream: &StreamId, event: &NewEvent) -> bool {
        let recorded = self.log.get(index);
        recorded.is_some_and(|recorded| {
            recorded.stream() == stream && recorded.content().same_content(&event.content())
        })
    }
}

/// In the order of the first number, each second number the highest so far.
fn rising(mut pairs: Vec<(u64, usize)>) -> Vec<(u64, usize)> {
    pairs.sort_unstable();
    let mut highest = 0;
    for (_, moment) in &mut pairs {
        highest = highest.max(*moment);
        *moment = highest;
    }
    pairs
}

/// The moment that was reached before this time.
fn before(pairs: &[(u64, usize)], time: u64) -> usize {
    let count = pairs.partition_point(|(at, _)| *at < time);
    count
        .checked_sub(1)
        .and_then(|last| pairs.get(last))
        .map_or(0, |(_, moment)| *moment)
}

fn oldest<'e>(events: impl Iterator<Item = &'e RecordedEvent>) -> Vec<Position> {
    events
        .map(RecordedEvent::position)
        .take(CONFLICT_POSITIONS_MAX)
        .collect()
}
