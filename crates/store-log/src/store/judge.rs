//! Whether an append may be recorded: its expectations, conditions and identities against one state.

use std::borrow::Cow;

use annals_core::limits::CONFLICT_POSITIONS_MAX;
use annals_core::{
    Append, Condition, Conflict, Direction, Error, EventId, Expected, FailedCheck, Position,
    ReadRequest, StreamId, StreamState, Timestamp, Version,
};

use super::batch::{Batch, Standing};
use super::error::bad_record;
use super::ids::{self, Ids};
use super::looked::{Looked, OlderFacts};
use super::lost;
use super::matching;
use super::shown::{Shown, first_shown};
use super::snapshot::{LiveStream, Snapshot, StreamFacts};
use crate::index::{Hashed, Memtable};
use crate::planted::{self, Bug};

/// A state of the store, and what the batch in the making adds to it.
pub(crate) struct Judge<'a> {
    pub(crate) snapshot: &'a Snapshot,
    /// The newest part of the index, when whoever judges is the one who changes it: others must not keep it,
    /// and lock it for each question.
    pub(crate) live: Option<&'a Memtable>,
    /// Nothing on the task of a caller.
    pub(crate) batch: &'a Batch<'a>,
    pub(crate) now: Timestamp,
}

impl Judge<'_> {
    /// Every check that the append fails. Notes how the streams stand that it writes, whose hashes these are;
    /// who has no use for that gives none.
    pub(crate) fn failures(
        &self,
        append: &Append,
        looked: &Looked,
        known: &[u64],
        written: &mut Vec<Standing>,
    ) -> Result<Vec<FailedCheck>, Error> {
        let hasher = self.snapshot.hasher();
        let mut failures = Vec::new();
        for (index, (stream, expected)) in append.expectations().enumerate() {
            let known = known.get(index).copied();
            let hash = known.unwrap_or_else(|| hasher.stream(stream.as_str()));
            let older = looked.stream(self.snapshot, index);
            let (standing, facts) = self.standing(stream, hash, older)?;
            failures.extend(self.failed_expectation(stream, expected, &facts)?);
            written.extend(known.map(|_| standing));
        }
        for (index, condition) in append.conditions().iter().enumerate() {
            failures.extend(self.failed_condition(index, condition, looked)?);
        }
        let ids = append.events().filter_map(|(_, event)| event.id());
        self.check_ids(ids, looked, &mut failures)?;
        Ok(failures)
    }

    /// A stream as it stands.
    pub(crate) fn stream(&self, stream: &StreamId) -> Result<StreamFacts, Error> {
        let hash = self.snapshot.hasher().stream(stream.as_str());
        self.standing(stream, hash, None).map(|(_, facts)| facts)
    }

    /// A stream as it stands, with what the caller found of it in the older parts of the index.
    pub(crate) fn standing(
        &self,
        stream: &StreamId,
        hash: u64,
        older: Option<&OlderFacts>,
    ) -> Result<(Standing, StreamFacts), Error> {
        let added = self.batch.hashed_stream(stream, hash);
        let added = added.filter(|_| !planted::is_active(Bug::StaleHead));
        let live = self.live_stream(stream, hash)?;
        let older = match older {
            Some(older) => Cow::Borrowed(older),
            None => Cow::Owned(OlderFacts::of(self.snapshot, stream.as_str())?),
        };
        let recorded = live.end.or(older.end);
        let version = added
            .and_then(|added| added.version)
            .or_else(|| recorded.map(|end| Version::new(end.version)));
        let policy = added
            .and_then(|added| added.policy.clone())
            .or(live.policy)
            .or_else(|| older.policy.clone());
        let facts = StreamFacts::new(version.unwrap_or_default(), recorded, policy);
        let standing = Standing {
            number: live.number,
            version: facts.version,
        };
        Ok((standing, facts))
    }

    fn live_stream(&self, stream: &StreamId, hash: u64) -> Result<LiveStream, Error> {
        let text = stream.as_str();
        let stream = Hashed { text, hash };
        match self.live {
            Some(memtable) => LiveStream::of(memtable, stream, self.snapshot.head),
            None => LiveStream::of(&self.snapshot.live.read(), stream, self.snapshot.head),
        }
    }

    /// The application's own ids must be new.
    fn check_ids(
        &self,
        ids: impl Iterator<Item = EventId>,
        looked: &Looked,
        failures: &mut Vec<FailedCheck>,
    ) -> Result<(), Error> {
        for id in ids {
            let position = match self.batch.event_id(id) {
                Some(position) => Some(position),
                None => ids::event(self.snapshot, id, looked.ids(self.snapshot))?,
            };
            failures.extend(position.map(|position| FailedCheck::EventId { id, position }));
        }
        Ok(())
    }

    /// Whether an event of the store or of the batch has this id.
    pub(crate) fn is_taken(&self, id: EventId) -> Result<bool, Error> {
        Ok(self.batch.event_id(id).is_some() || ids::event(self.snapshot, id, Ids::All)?.is_some())
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
        let from = match after.position() {
            Some(position) => position,
            None => ReadRequest::all().after(after.clone()).positions()?.0,
        };
        self.snapshot.check_not_ahead(after)?;
        let from = from.max(looked.conditions_hold_at);
        lost::refuse(self.snapshot.view.lost(), from, self.snapshot.head)?;
        let mut positions = Vec::new();
        let head = self.snapshot.head;
        if from < head {
            let mut shown = Shown::new(self.snapshot, self.now);
            matching::each(self.snapshot, unless, from.next()..=head, |position| {
                if self.is_shown(position, &mut shown)? {
                    positions.push(position);
                }
                Ok(positions.len() < CONFLICT_POSITIONS_MAX)
            })?;
        }
        for (position, stream, version) in self.batch.matching(unless) {
            if positions.len() == CONFLICT_POSITIONS_MAX {
                break;
            }
            let facts = self.stream(stream)?;
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
        let (stream, version, is_gone) =
            self.snapshot.look(position, &mut scratch, |event| {
                let stream = event.stream().map_err(|bad| bad_record(bad, position))?;
                let is_gone = event.is_reclaimed();
                Ok::<_, Error>((StreamId::parse(stream)?, event.version(), is_gone))
            })??;
        if is_gone {
            return Ok(false);
        }
        let facts = self.stream(&stream)?;
        Ok(version >= self.first_shown(&stream, &facts)?)
    }
}

/// The conflict of these failures, if there are any.
pub(crate) fn refuse(failures: Vec<FailedCheck>) -> Result<(), Error> {
    Conflict::of(failures).map_or(Ok(()), |conflict| Err(conflict.into()))
}
