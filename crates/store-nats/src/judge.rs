//! Whether an append or a change of a policy may be recorded, by the index.

use std::collections::{HashMap, HashSet};

use annals_concurrency::OptimisticConcurrency;
use annals_core::limits::CONFLICT_POSITIONS_MAX;
use annals_core::{
    Append, AppendId, Condition, Conflict, Error, ErrorKind, EventId, EventType, Expected,
    FailedCheck, PolicyAction, PolicyChange, Position, ReadRequest, StreamHead, StreamId,
    StreamState, Tags, Timestamp, Version,
};

use crate::select::{select, versions};
use crate::state::State;

/// Judges an append by what is recorded.
///
/// # Errors
/// The conflict, with every check that fails; [`annals_core::ErrorKind::CursorAhead`] for a condition of another store.
pub(crate) fn judge(
    state: &State,
    append: &Append,
    ids: &[EventId],
    now: Timestamp,
) -> Result<(), Error> {
    let now = state.not_before_newest(now);
    let mut failures: Vec<FailedCheck> = append
        .expectations()
        .filter_map(|(stream, expected)| failed_expectation(state, stream, expected, now))
        .collect();
    for (index, condition) in append.conditions().iter().enumerate() {
        failures.extend(failed_condition(state, index, condition, now)?);
    }
    let taken = append.events().filter_map(|(_, event)| {
        let id = event.id()?;
        let position = state.position_of_id(&id)?;
        Some(FailedCheck::EventId { id, position })
    });
    failures.extend(taken);
    refuse(failures)?;
    match ids.iter().find(|id| state.position_of_id(id).is_some()) {
        None => Ok(()),
        Some(taken) => {
            let message = "new event id is taken already; the source of ids repeats itself";
            Err(Error::new(ErrorKind::Unavailable, message).with("event", taken))
        }
    }
}

/// The head of a stream after a change of its policy.
///
/// # Errors
/// The conflict.
pub(crate) fn changed_head(
    state: &State,
    change: &PolicyChange,
    now: Timestamp,
) -> Result<StreamHead, Error> {
    let PolicyChange {
        stream,
        expected,
        action,
    } = change;
    let now = state.not_before_newest(now);
    let mut head = state.stream_head(stream);
    if *action != PolicyAction::Tombstone || head.policy.state != StreamState::Tombstoned {
        let failures = failed_expectation(state, stream, *expected, now);
        refuse(failures.into_iter().collect())?;
    }
    let first_shown = state
        .of_stream(stream)
        .iter()
        .find_map(|position| state.shown(*position, now))
        .map(|entry| entry.version);
    if let Some(policy) = head.policy.changed(action, head.version, first_shown) {
        head.policy = policy;
    }
    Ok(head)
}

fn failed_expectation(
    state: &State,
    stream: &StreamId,
    expected: Expected,
    now: Timestamp,
) -> Option<FailedCheck> {
    let StreamHead {
        version, policy, ..
    } = state.stream_head(stream);
    OptimisticConcurrency::judge(stream, expected, (version, policy.state), |after| {
        let positions = versions(state.of_stream(stream), after, Version::MAX);
        let shown = positions
            .iter()
            .filter(|position| state.shown(**position, now).is_some());
        shown.copied().take(CONFLICT_POSITIONS_MAX).collect()
    })
}

fn failed_condition(
    state: &State,
    index: usize,
    condition: &Condition,
    now: Timestamp,
) -> Result<Option<FailedCheck>, Error> {
    let Condition { unless, after } = condition;
    let offending = ReadRequest::matching(unless.clone()).after(after.clone());
    let offending = select(state, &offending, now)?;
    state.check_not_ahead(after)?;
    let positions: Vec<Position> = offending.take(CONFLICT_POSITIONS_MAX).collect();
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

fn refuse(failures: Vec<FailedCheck>) -> Result<(), Error> {
    Conflict::of(failures).map_or(Ok(()), |conflict| Err(conflict.into()))
}

/// What the appends of a batch, which are not recorded yet, add to what is.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    appends: HashSet<AppendId>,
    event_ids: HashSet<EventId>,
    versions: HashMap<StreamId, Version>,
    events: Vec<(EventType, Tags)>,
}

impl Overlay {
    /// Whether an append that may be recorded may be recorded after those of the batch too. One that may not waits
    /// until it is known whether these were.
    pub(crate) fn admits(&self, append: &Append, ids: &[EventId]) -> bool {
        let expected = |(stream, expected): (&StreamId, Expected)| {
            self.versions
                .get(stream)
                .is_none_or(|version| expected.holds(*version, false))
        };
        !self.appends.contains(&append.id())
            && !ids.iter().any(|id| self.event_ids.contains(id))
            && append.expectations().all(expected)
            && append.conditions().iter().all(|condition| {
                let selected = |(event_type, tags): &(EventType, Tags)| {
                    condition.unless.selects(event_type, tags)
                };
                !self.events.iter().any(selected)
            })
    }

    /// The version of a stream after the batch.
    pub(crate) fn version(&self, state: &State, stream: &StreamId) -> Version {
        let within = self.versions.get(stream).copied();
        within.unwrap_or_else(|| state.stream_head(stream).version)
    }

    /// Adds an append to the batch, and gives the versions that its events have.
    pub(crate) fn add(&mut self, state: &State, append: &Append, ids: &[EventId]) -> Vec<Version> {
        self.appends.insert(append.id());
        self.event_ids.extend(ids);
        let mut given = Vec::with_capacity(ids.len());
        for (stream, event) in append.events() {
            let version = self.version(state, stream).next();
            self.versions.insert(stream.clone(), version);
            self.events
                .push((event.event_type().clone(), event.tags().clone()));
            given.push(version);
        }
        given
    }
}
