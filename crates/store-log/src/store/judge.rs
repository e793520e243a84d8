//! Whether an append may be recorded: its expectations, conditions and identities against one state.

use std::borrow::Cow;
use std::collections::HashSet;

use annals_core::limits::CONFLICT_POSITIONS_MAX;
use annals_core::{
    Append, Condition, Conflict, Direction, Error, ErrorKind, EventId, Expected, FailedCheck,
    Position, ReadRequest, StreamId, StreamState, Timestamp, Version,
};

use super::batch::Batch;
use super::error::bad_record;
use super::ids::{self, Ids};
use super::looked::{Looked, OlderFacts};
use super::lost;
use super::matching;
use super::shown::{Shown, first_shown};
use super::snapshot::{Snapshot, StreamFacts};
use crate::planted::{self, Bug};

/// A state of the store, and what the batch in the making adds to it.
pub(crate) struct Judge<'a> {
    pub(crate) snapshot: &'a Snapshot,
    /// Nothing on the task of a caller.
    pub(crate) batch: &'a Batch,
    pub(crate) now: Timestamp,
}

impl Judge<'_> {
    /// Every check that the append fails.
    pub(crate) fn failures(
        &self,
        append: &Append,
        looked: &Looked,
    ) -> Result<Vec<FailedCheck>, Error> {
        let mut failures = Vec::new();
        for (index, (stream, expected)) in append.expectations().enumerate() {
            let facts = self.stream(stream, looked.stream(self.snapshot, index))?;
            failures.extend(self.failed_expectation(stream, expected, &facts)?);
        }
        for (index, condition) in append.conditions().iter().enumerate() {
            failures.extend(self.failed_condition(index, condition, looked)?);
        }
        for (_, event) in append.events() {
            let Some(id) = event.id() else { continue };
            let position = match self.batch.event_id(id) {
                Some(position) => Some(position),
                None => ids::event(self.snapshot, id, looked.ids(self.snapshot))?,
            };
            failures.extend(position.map(|position| FailedCheck::EventId { id, position }));
        }
        Ok(failures)
    }

    /// A stream as it stands, with what the caller found of it in the older parts of the index.
    pub(crate) fn stream(
        &self,
        stream: &StreamId,
        older: Option<&OlderFacts>,
    ) -> Result<StreamFacts, Error> {
        let added = self.batch.stream(stream);
        let added = added.filter(|_| !planted::is_active(Bug::StaleHead));
        let (live_end, live_policy) = self
            .snapshot
            .live
            .stream_at(stream.as_str(), self.snapshot.head)?;
        let older = match older {
            Some(older) => Cow::Borrowed(older),
            None => Cow::Owned(OlderFacts::of(self.snapshot, stream.as_str())?),
        };
        let recorded = live_end.or(older.end);
        let version = added
            .and_then(|added| added.version)
            .or_else(|| recorded.map(|end| Version::new(end.version)));
        let policy = added
            .and_then(|added| added.policy.clone())
            .or(live_policy)
            .or_else(|| older.policy.clone());
        Ok(StreamFacts::new(
            version.unwrap_or_default(),
            recorded,
            policy,
        ))
    }

    /// Refuses an id that was made anew and is taken all the same.
    pub(crate) fn refuse_taken(&self, id: EventId, made: &HashSet<EventId>) -> Result<(), Error> {
        let taken = made.contains(&id)
            || self.batch.event_id(id).is_some()
            || ids::event(self.snapshot, id, Ids::All)?.is_some();
        if !taken {
            return Ok(());
        }
        let message = "new event id is taken already; the source of ids repeats itself";
        Err(Error::new(ErrorKind::Unavailable, message).with("event", id))
    }

    /// What stands against this expectation.
    pub(crate) fn failed_expectation(
        &self,
        stream: &StreamId,
        expected: Expected,
        facts: &StreamFacts,
    ) -> Result<Option<FailedCheck>, Error> {
        if facts.policy.state == StreamState::Tombstoned {
            let stream = stream.clone();
            return Ok(Some(FailedCheck::Closed { stream }));
        }
        if expected.holds(facts.version, facts.is_soft_deleted()) {
            return Ok(None);
        }
        let after = match expected {
            Expected::Any | Expected::StreamExists => Version::MAX,
            Expected::NoStream => Version::ABSENT,
            Expected::Exactly(version) => version,
        };
        Ok(Some(FailedCheck::Stream {
            stream: stream.clone(),
            expected,
            actual: facts.version,
            state: facts.policy.state,
            positions: self.shown_after(stream, after, facts)?,
        }))
    }

    /// The first version of a stream that reads show.
    pub(crate) fn first_shown(
        &self,
        stream: &StreamId,
        facts: &StreamFacts,
    ) -> Result<Version, Error> {
        let mut scratch = Vec::new();
        first_shown(facts, self.now, |version| {
            if self.batch.position_of(stream, version).is_some() {
                return Ok(self.now);
            }
            self.snapshot
                .appended_at_version(stream.as_str(), version, &mut scratch)
        })
    }

    /// The first positions of the shown events of a stream after this version.
    fn shown_after(
        &self,
        stream: &StreamId,
        after: Version,
        facts: &StreamFacts,
    ) -> Result<Vec<Position>, Error> {
        let from = after.next().max(self.first_shown(stream, facts)?);
        if from > facts.version {
            return Ok(Vec::new());
        }
        let recorded = self.batch.version_before(stream).unwrap_or(facts.version);
        let mut positions = self.recorded_positions(stream, (from, recorded), facts)?;
        let added = (from.max(recorded.next()).value()..=facts.version.value())
            .map_while(|version| self.batch.position_of(stream, Version::new(version)));
        positions.extend(added.take(CONFLICT_POSITIONS_MAX - positions.len()));
        Ok(positions)
    }

    /// The first positions of the recorded events of a stream from one version to another.
    fn recorded_positions(
        &self,
        stream: &StreamId,
        (from, to): (Version, Version),
        facts: &StreamFacts,
    ) -> Result<Vec<Position>, Error> {
        if from > to {
            return Ok(Vec::new());
        }
        // Who comes too late mostly does so by one event, the last.
        let last = facts.recorded.filter(|end| end.version == to.value());
        if let Some(last) = last.filter(|_| from == to) {
            return Ok(vec![Position::new(last.position)]);
        }
        let positions = self.snapshot.stream_positions(
            stream.as_str(),
            from.value()..=to.value(),
            Direction::Forward,
            CONFLICT_POSITIONS_MAX,
        )?;
        Ok(positions.into_iter().map(Position::new).collect())
    }

    fn failed_condition(
        &self,
        index: usize,
        condition: &Condition,
        looked: &Looked,
    ) -> Result<Option<FailedCheck>, Error> {
        let Condition { unless, after } = condition;
        let (from, _) = ReadRequest::matching(unless.clone())
            .after(after.clone())
            .positions()?;
        self.snapshot.check_not_ahead(after)?;
        let from = from.max(looked.conditions_hold_at);
        lost::refuse(self.snapshot.view.lost(), from, self.snapshot.head)?;
        let mut positions = Vec::new();
        let mut shown = Shown::new(self.snapshot, self.now);
        let head = self.snapshot.head;
        matching::each(self.snapshot, unless, from.next()..=head, |position| {
            if self.is_shown(position, &mut shown)? {
                positions.push(position);
            }
            Ok(positions.len() < CONFLICT_POSITIONS_MAX)
        })?;
        for (position, stream, version) in self.batch.matching(unless) {
            if positions.len() == CONFLICT_POSITIONS_MAX {
                break;
            }
            let facts = self.stream(stream, None)?;
            if version >= self.first_shown(stream, &facts)? {
                positions.push(position);
            }
        }
        if positions.is_empty() {
            return Ok(None);
        }
        Ok(Some(FailedCheck::Condition {
            index,
            unless: unless.clone(),
            after: after.clone(),
            positions,
        }))
    }

    /// Whether reads show the recorded event, by the policies of the batch too.
    fn is_shown(&self, position: Position, shown: &mut Shown<'_>) -> Result<bool, Error> {
        if !self.batch.has_policies() {
            return shown.at(position);
        }
        let mut scratch = Vec::new();
        let (stream, version) = self.snapshot.look(position, &mut scratch, |event| {
            let stream = event.stream().map_err(|bad| bad_record(bad, position))?;
            Ok::<_, Error>((StreamId::parse(stream)?, event.version()))
        })??;
        let facts = self.stream(&stream, None)?;
        Ok(version >= self.first_shown(&stream, &facts)?)
    }
}

/// The conflict of these failures, if there are any.
pub(crate) fn refuse(failures: Vec<FailedCheck>) -> Result<(), Error> {
    Conflict::of(failures).map_or(Ok(()), |conflict| Err(conflict.into()))
}
