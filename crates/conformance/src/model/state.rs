//! The plain model of a store: a list of events, and loops over it.
//!
//! Places of the log are counts of events here: place 0 is before the first event, place n after the
//! n-th. How a place is written as a cursor, and at which position an event stands, is the store's
//! affair; where its positions are not dense the model learns them from it.

use std::collections::BTreeMap;
use std::time::Duration;

use annals_core::limits::CONFLICT_POSITIONS_MAX;
use annals_core::{
    Append, AppendId, Capabilities, Criteria, Cursor, Direction, EventId, Expected, FailedCheck,
    NewEvent, PolicyAction, PolicyChange, Position, ReadRequest, Receipt, RecordedEvent, Selection,
    StreamHead, StreamId, StreamPolicy, StreamReceipt, StreamState, Timestamp, Version,
};

use crate::failure::{Verdict, check_eq, ensure};

/// Everything that the store was told and accepted.
#[derive(Debug)]
pub(super) struct Model {
    capabilities: Capabilities,
    log: Vec<Entry>,
    policies: BTreeMap<StreamId, StreamPolicy>,
    appends: Vec<(Append, Receipt)>,
}

#[derive(Debug)]
struct Entry {
    stream: StreamId,
    version: Version,
    content: NewEvent,
    appended_at: Timestamp,
    id: Option<EventId>,
    position: Option<Position>,
    /// Where a reader stood who had seen the append that recorded it, and nothing later.
    mark: Cursor,
}

/// An append, and the places that its conditions begin at.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    pub(super) append: Append,
    pub(super) places: Vec<Place>,
}

/// A request, and the places that it spans.
#[derive(Clone, Debug)]
pub(super) struct Query {
    pub(super) request: ReadRequest,
    pub(super) after: Place,
    pub(super) until: Option<Place>,
    pub(super) session: Option<Place>,
}

/// A place of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// After so many events.
    After(usize),
    /// Where no reader of the store can stand yet.
    Ahead,
}

/// The positions between which the bounds of a request end.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reach {
    pub(super) last_within: Option<Position>,
    pub(super) first_beyond: Option<Position>,
}

/// What an append must be answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Recorded,
    Duplicate(Receipt),
    Reused,
    Ahead,
    Conflict(Vec<FailedCheck>),
}

/// Stands in a conflict for the position of an event that was never shown; agrees with any.
const UNKNOWN: Position = Position::MAX;

impl Model {
    pub(super) fn new(capabilities: Capabilities) -> Self {
        Self {
            capabilities,
            log: Vec::new(),
            policies: BTreeMap::new(),
            appends: Vec::new(),
        }
    }

    pub(super) fn event_count(&self) -> usize {
        self.log.len()
    }

    pub(super) fn version(&self, stream: &StreamId) -> Version {
        let of_stream = self.log.iter().filter(|entry| entry.stream == *stream);
        Version::new(of_stream.count() as u64)
    }

    pub(super) fn stream_head(&self, stream: &StreamId) -> StreamHead {
        StreamHead {
            stream: stream.clone(),
            version: self.version(stream),
            policy: self.policies.get(stream).cloned().unwrap_or_default(),
        }
    }

    /// The stream and the version of the event of this place (from 0).
    pub(super) fn stream_place(&self, index: usize) -> Option<(StreamId, Version)> {
        let entry = self.log.get(index)?;
        Some((entry.stream.clone(), entry.version))
    }

    /// Where a reader stands who has seen everything.
    pub(super) fn head(&self) -> Cursor {
        self.log
            .last()
            .map_or(Cursor::START, |last| last.mark.clone())
    }

    /// The cursor of the place after so many events, or of the nearest later place that has one.
    pub(super) fn cursor(&self, place: usize) -> (Cursor, Place) {
        let Some(index) = place.checked_sub(1) else {
            return (Cursor::START, Place::After(0));
        };
        let Some(entry) = self.log.get(index) else {
            return (self.head(), Place::After(self.log.len()));
        };
        if let (true, Some(position)) = (self.capabilities.total_order, entry.position) {
            return (Cursor::at(position), Place::After(place));
        }
        let same_append = |other: &&Entry| other.mark == entry.mark;
        let rest = self.log.iter().skip(place).take_while(same_append).count();
        (entry.mark.clone(), Place::After(place + rest))
    }

    /// When the event so many before the end was recorded, or the first one.
    pub(super) fn time(&self, back: usize) -> Option<Timestamp> {
        let index = self.log.len().checked_sub(1)?.saturating_sub(back);
        self.log.get(index).map(|entry| entry.appended_at)
    }

    /// Where a reader stands who has seen what was recorded before this time and before this place; no
    /// further than the positions that the model knows tell.
    pub(super) fn reach(&self, before: Timestamp, until: Option<Place>) -> Reach {
        let mut reach = Reach::default();
        for (index, entry) in self.log.iter().enumerate() {
            if entry.appended_at >= before || until.is_some_and(|until| is_after(index, until)) {
                reach.first_beyond = entry.position;
                break;
            }
            reach.last_within = entry.position.or(reach.last_within);
        }
        reach
    }

    /// What this append must be answered with at this time.
    pub(super) fn answer(&self, attempt: &Attempt, now: Timestamp) -> Answer {
        let append = &attempt.append;
        for (first, receipt) in &self.appends {
            if first.id() == append.id() {
                return if same_content(first, append) {
                    Answer::Duplicate(receipt.as_duplicate())
                } else {
                    Answer::Reused
                };
            }
        }
        if attempt.places.contains(&Place::Ahead) {
            return Answer::Ahead;
        }
        let mut failures = Vec::new();
        for (stream, expected) in append.expectations() {
            failures.extend(self.failed_expectation(stream, expected, now));
        }
        for (index, place) in attempt.places.iter().enumerate() {
            failures.extend(self.failed_condition(append, index, *place, now));
        }
        if self.capabilities.unique_event_ids {
            for (_, event) in append.events() {
                failures.extend(event.id().and_then(|id| self.held_id(id)));
            }
        }
        if failures.is_empty() {
            Answer::Recorded
        } else {
            Answer::Conflict(failures)
        }
    }

    /// Takes up an append that the store recorded, once its receipt is found right.
    pub(super) fn record(
        &mut self,
        append: &Append,
        receipt: &Receipt,
        mark: &Cursor,
        clock: Option<Timestamp>,
    ) -> Verdict {
        self.check_receipt(append, receipt, clock)?;
        ensure!(
            mark.covers(&receipt.cursor) && mark.covers(&self.head()) && *mark != self.head(),
            "the head {mark} is not past the one before, {}, and the receipt's cursor {}",
            self.head(),
            receipt.cursor
        );
        for (index, (stream, event)) in append.events().enumerate() {
            let version = self.version(stream).next();
            self.log.push(Entry {
                stream: stream.clone(),
                version,
                content: event.clone(),
                appended_at: receipt.appended_at,
                id: event.id(),
                position: self.position_of(index, append, receipt),
                mark: mark.clone(),
            });
        }
        for write in append.writes() {
            let policy = self.policies.get_mut(&write.stream);
            if let Some(policy) = policy.filter(|policy| policy.state == StreamState::SoftDeleted) {
                policy.state = StreamState::Open;
            }
        }
        self.appends.push((append.clone(), receipt.clone()));
        Ok(())
    }

    /// Changes the policy of a stream, or says why not.
    pub(super) fn change_policy(
        &mut self,
        change: &PolicyChange,
        now: Timestamp,
    ) -> Result<StreamHead, FailedCheck> {
        let PolicyChange {
            stream,
            expected,
            action,
        } = change;
        let mut head = self.stream_head(stream);
        let closed = head.policy.state == StreamState::Tombstoned;
        if closed && *action == PolicyAction::Tombstone {
            return Ok(head);
        }
        if let Some(failure) = self.failed_expectation(stream, *expected, now) {
            return Err(failure);
        }
        // What is hidden now stays so: nothing before the first event that is shown comes back.
        let shown = self.visible(now).find(|entry| entry.stream == *stream);
        let hidden_before = shown.map_or(head.version.next(), |entry| entry.version);
        let policy = &mut head.policy;
        if hidden_before > Version::FIRST {
            policy.truncate_before = policy.truncate_before.max(hidden_before);
        }
        match action {
            PolicyAction::Retain { max_age, max_count } => {
                policy.max_age = *max_age;
                policy.max_count = *max_count;
            }
            PolicyAction::TruncateBefore(version) => {
                let version = (*version).min(head.version.next());
                policy.truncate_before = policy.truncate_before.max(version);
            }
            PolicyAction::SoftDelete if head.version > Version::ABSENT => {
                policy.truncate_before = head.version.next();
                policy.state = StreamState::SoftDeleted;
            }
            PolicyAction::Tombstone => policy.state = StreamState::Tombstoned,
            _ => {}
        }
        self.policies.insert(stream.clone(), head.policy.clone());
        Ok(head)
    }

    /// The receipt of an append, as it is told again.
    pub(super) fn receipt(&self, id: &AppendId) -> Option<Receipt> {
        let known = self.appends.iter().find(|(append, _)| append.id() == *id);
        known.map(|(_, receipt)| receipt.as_duplicate())
    }

    /// The places (from 0) of the events that answer a query at this time, in its direction.
    pub(super) fn select(&self, query: &Query, now: Timestamp) -> Vec<usize> {
        let Query {
            request,
            after,
            until,
            ..
        } = query;
        let mut selected = Vec::new();
        for (index, entry) in self.log.iter().enumerate() {
            let in_span =
                is_after(index, *after) && !until.is_some_and(|until| is_after(index, until));
            let in_versions =
                entry.version > request.after_version && entry.version <= request.until_version;
            let in_time = request
                .appended_from
                .is_none_or(|from| entry.appended_at >= from)
                && request
                    .appended_before
                    .is_none_or(|before| entry.appended_at < before);
            let in_bounds = in_span && in_versions && in_time;
            if in_bounds && is_of(entry, &request.selection) && self.shows(entry, now) {
                selected.push(index);
            }
        }
        if request.direction == Direction::Backward {
            selected.reverse();
        }
        selected
    }

    /// Whether the store shows the event of this place as it was appended; learns what the store
    /// added to it.
    pub(super) fn check_event(&mut self, index: usize, found: &RecordedEvent) -> Verdict {
        let total_order = self.capabilities.total_order;
        let before = index
            .checked_sub(1)
            .and_then(|before| self.log.get(before)?.position);
        let Some(entry) = self.log.get_mut(index) else {
            return Ok(());
        };
        check_eq("the stream of an event", found.stream(), &entry.stream)?;
        check_eq("the version of an event", found.version(), entry.version)?;
        ensure!(
            found.content().same_content(&entry.content.content()),
            "the content of an event\n  expected: {:?}\n  found:    {:?}",
            entry.content,
            found.content()
        );
        check_eq(
            "the metadata of an event",
            found.metadata(),
            entry.content.metadata().view(),
        )?;
        check_eq(
            "the time of an event",
            found.appended_at(),
            entry.appended_at,
        )?;
        let recorded_at = entry.content.recorded_at().unwrap_or(entry.appended_at);
        check_eq("when an event happened", found.recorded_at(), recorded_at)?;
        check_eq(
            "the id of an event",
            found.id(),
            entry.id.unwrap_or(found.id()),
        )?;
        let position = entry.position.unwrap_or(found.position());
        check_eq("the position of an event", found.position(), position)?;
        ensure!(
            !total_order || before.is_none_or(|before| before < position),
            "the position {position} of an event is not after that of the event before it"
        );
        entry.id = Some(found.id());
        entry.position = Some(position);
        Ok(())
    }

    /// Whether a conflict that was found is the one that was expected.
    pub(super) fn check_conflict(expected: &[FailedCheck], found: &[FailedCheck]) -> Verdict {
        let agree = expected.len() == found.len()
            && expected.iter().zip(found).all(|(expected, found)| {
                let mut expected = expected.clone();
                fill_in(&mut expected, found);
                expected == *found
            });
        ensure!(
            agree,
            "the failing checks\n  expected: {expected:?}\n  found:    {found:?}"
        );
        Ok(())
    }
}

/// What holds of an append.
impl Model {
    fn failed_expectation(
        &self,
        stream: &StreamId,
        expected: Expected,
        now: Timestamp,
    ) -> Option<FailedCheck> {
        let head = self.stream_head(stream);
        if head.policy.state == StreamState::Tombstoned {
            return Some(FailedCheck::Closed {
                stream: stream.clone(),
            });
        }
        let deleted = head.policy.state == StreamState::SoftDeleted;
        let exists = head.version > Version::ABSENT && !deleted;
        let (met, offended_after) = match expected {
            Expected::Any => (true, Version::MAX),
            Expected::NoStream => (!exists, Version::ABSENT),
            Expected::StreamExists => (exists, Version::MAX),
            Expected::Exactly(version) => (head.version == version && !deleted, version),
        };
        let of_stream = |entry: &&Entry| entry.stream == *stream && entry.version > offended_after;
        let positions = self.visible(now).filter(of_stream).map(position).collect();
        (!met).then(|| FailedCheck::Stream {
            stream: stream.clone(),
            expected,
            actual: head.version,
            state: head.policy.state,
            positions: oldest(positions),
        })
    }

    fn failed_condition(
        &self,
        append: &Append,
        index: usize,
        place: Place,
        now: Timestamp,
    ) -> Option<FailedCheck> {
        let condition = append.conditions().get(index)?;
        let seen = match place {
            Place::After(count) => count,
            Place::Ahead => usize::MAX,
        };
        let mut positions = Vec::new();
        for entry in self.log.iter().skip(seen) {
            if matches(&condition.unless, &entry.content) && self.shows(entry, now) {
                positions.push(position(entry));
            }
        }
        (!positions.is_empty()).then(|| FailedCheck::Condition {
            index,
            unless: condition.unless.clone(),
            after: condition.after.clone(),
            positions: oldest(positions),
        })
    }

    fn held_id(&self, id: EventId) -> Option<FailedCheck> {
        let holder = self.log.iter().find(|entry| entry.id == Some(id))?;
        let position = position(holder);
        Some(FailedCheck::EventId { id, position })
    }

    fn check_receipt(
        &self,
        append: &Append,
        receipt: &Receipt,
        clock: Option<Timestamp>,
    ) -> Verdict {
        let mut streams = Vec::new();
        for write in append.writes() {
            let before = self.version(&write.stream);
            streams.push(StreamReceipt {
                stream: write.stream.clone(),
                first_version: before.next(),
                last_version: before.forward(write.events.len() as u64),
            });
        }
        check_eq("the receipt's versions", &receipt.streams, &streams)?;
        check_eq("the receipt's append id", receipt.append_id, append.id())?;
        check_eq("whether it is a duplicate", receipt.is_duplicate(), false)?;
        let last_time = self.log.last().map(|entry| entry.appended_at);
        let earliest = clock.max(last_time).unwrap_or(receipt.appended_at);
        ensure!(
            receipt.appended_at == earliest || (clock.is_none() && receipt.appended_at > earliest),
            "the receipt's time\n  expected: {earliest}\n  found:    {}",
            receipt.appended_at
        );
        let (first, last) = (receipt.first_position, receipt.last_position);
        let count = append.event_count() as u64;
        if self.capabilities.dense_positions {
            let expected = Position::new(self.log.len() as u64 + 1);
            let positions = (expected, expected.forward(count - 1));
            check_eq("the receipt's positions", (first, last), positions)?;
        }
        ensure!(
            last.since(first) >= count - 1,
            "{count} events don't fit the receipt's positions {first} to {last}"
        );
        Ok(())
    }

    /// The position of the event of this index in an append, as far as its receipt tells.
    fn position_of(&self, index: usize, append: &Append, receipt: &Receipt) -> Option<Position> {
        if self.capabilities.dense_positions {
            Some(receipt.first_position.forward(index as u64))
        } else if index == 0 {
            Some(receipt.first_position)
        } else {
            (index + 1 == append.event_count()).then_some(receipt.last_position)
        }
    }
}

/// What is shown.
impl Model {
    fn visible(&self, now: Timestamp) -> impl Iterator<Item = &Entry> {
        self.log.iter().filter(move |entry| self.shows(entry, now))
    }

    fn shows(&self, entry: &Entry, now: Timestamp) -> bool {
        let Some(policy) = self.policies.get(&entry.stream) else {
            return true;
        };
        let newer = self.version(&entry.stream).value() - entry.version.value();
        let age = now.as_micros() - entry.appended_at.as_micros();
        let age = Duration::from_micros(u64::try_from(age).unwrap_or(0));
        policy.state == StreamState::Open
            && entry.version >= policy.truncate_before
            && policy.max_count.is_none_or(|count| newer < count)
            && policy.max_age.is_none_or(|max| age <= max)
    }
}

fn is_after(index: usize, place: Place) -> bool {
    match place {
        Place::After(count) => index >= count,
        Place::Ahead => false,
    }
}

fn is_of(entry: &Entry, selection: &Selection) -> bool {
    match selection {
        Selection::Stream(stream) => entry.stream == *stream,
        Selection::Category(category) => {
            let name = entry.stream.as_str();
            let end = name.find('-').unwrap_or(name.len());
            name.get(..end) == Some(category.as_str())
        }
        Selection::Criteria(criteria) => matches(criteria, &entry.content),
        _ => true,
    }
}

fn matches(criteria: &Criteria, event: &NewEvent) -> bool {
    criteria.items().iter().any(|item| {
        let of_type = item.types().is_empty() || item.types().contains(event.event_type());
        let has = |tag| event.tags().iter().any(|other| other == tag);
        of_type && item.tags().iter().all(has)
    })
}

fn same_content(first: &Append, second: &Append) -> bool {
    let content = |append: &Append| {
        append
            .events()
            .map(|(stream, event)| {
                let kind = (event.event_type().clone(), event.schema_version());
                let bytes = (event.content_type().clone(), event.payload().clone());
                (stream.clone(), kind, bytes, event.tags().clone())
            })
            .collect::<Vec<_>>()
    };
    content(first) == content(second)
}

fn position(entry: &Entry) -> Position {
    entry.position.unwrap_or(UNKNOWN)
}

fn oldest(mut positions: Vec<Position>) -> Vec<Position> {
    positions.truncate(CONFLICT_POSITIONS_MAX);
    positions
}

/// Takes over the positions that the model does not know.
fn fill_in(expected: &mut FailedCheck, found: &FailedCheck) {
    match (expected, found) {
        (
            FailedCheck::Stream { positions, .. },
            FailedCheck::Stream {
                positions: told, ..
            },
        )
        | (
            FailedCheck::Condition { positions, .. },
            FailedCheck::Condition {
                positions: told, ..
            },
        ) => {
            for (position, told) in positions.iter_mut().zip(told) {
                if *position == UNKNOWN {
                    *position = *told;
                }
            }
        }
        (FailedCheck::EventId { position, .. }, FailedCheck::EventId { position: told, .. })
            if *position == UNKNOWN =>
        {
            *position = *told;
        }
        _ => {}
    }
}
