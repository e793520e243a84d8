//! What stream policies hide.

use std::collections::HashMap;

use annals_core::{Error, Position, StreamState, Timestamp, Version};

use super::error::bad_record;
use super::snapshot::{Snapshot, StreamFacts};
use crate::record::EventView;

/// The first version of a stream that reads at `now` show; the one after its head when they show none.
///
/// Every rule hides a beginning of the stream: ages fall as versions rise.
pub(crate) fn first_shown(
    facts: &StreamFacts,
    now: Timestamp,
    mut appended_at: impl FnMut(Version) -> Result<Timestamp, Error>,
) -> Result<Version, Error> {
    let StreamFacts {
        version, policy, ..
    } = facts;
    let none = version.next();
    if policy.state != StreamState::Open {
        return Ok(none);
    }
    let by_count = policy
        .max_count
        .map_or(0, |count| none.value().saturating_sub(count));
    let low = by_count.max(policy.truncate_before.value()).max(1);
    let (mut low, mut high) = (low.min(none.value()), none.value());
    while policy.max_age.is_some() && low < high {
        let middle = Version::new(low + (high - low) / 2);
        if policy.shows(middle, appended_at(middle)?, *version, now) {
            high = middle.value();
        } else {
            low = middle.next().value();
        }
    }
    Ok(Version::new(low))
}

/// Tells which events reads show, remembering each stream that it looked up.
pub(crate) struct Shown<'a> {
    snapshot: &'a Snapshot,
    now: Timestamp,
    /// Of each stream that was met what its policy says; `None` for one without a policy.
    streams: Option<HashMap<Box<str>, Option<StreamFacts>>>,
    scratch: Vec<u8>,
}

impl<'a> Shown<'a> {
    /// By the policies of this state, at this time.
    pub(crate) fn new(snapshot: &'a Snapshot, now: Timestamp) -> Self {
        Self {
            snapshot,
            now,
            streams: (snapshot.has_policies() || snapshot.view.has_reclaimed()).then(HashMap::new),
            scratch: Vec::new(),
        }
    }

    /// Remembers at most so many streams from now on.
    pub(crate) fn limit(&mut self, streams_max: usize) {
        if let Some(streams) = &mut self.streams
            && streams.len() > streams_max
        {
            streams.clear();
        }
    }

    /// Whether reads show the event of this position.
    pub(crate) fn at(&mut self, position: Position) -> Result<bool, Error> {
        if self.streams.is_none() {
            return Ok(true);
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        let snapshot = self.snapshot;
        let shown = snapshot.look(position, &mut scratch, |event| self.event(event, position));
        self.scratch = scratch;
        shown?
    }

    /// Whether reads show this event.
    #[inline]
    pub(crate) fn event(
        &mut self,
        event: &EventView<'_>,
        position: Position,
    ) -> Result<bool, Error> {
        if self.streams.is_none() {
            return Ok(true);
        }
        self.event_by_policy(event, position)
    }

    fn event_by_policy(
        &mut self,
        event: &EventView<'_>,
        position: Position,
    ) -> Result<bool, Error> {
        let Some(streams) = &mut self.streams else {
            return Ok(true);
        };
        if event.is_reclaimed() {
            return Ok(false);
        }
        let stream = event.stream().map_err(|bad| bad_record(bad, position))?;
        let facts = if let Some(facts) = streams.get(stream) {
            facts
        } else {
            let facts = self.snapshot.stream_with_policy(stream)?;
            streams.entry(stream.into()).or_insert(facts)
        };
        let Some(facts) = facts else {
            return Ok(true);
        };
        let at = event.appended_at();
        Ok(facts
            .policy
            .shows(event.version(), at, facts.version, self.now))
    }
}
