//! What a caller finds out about its append before it waits in the queue.

use annals_core::{Append, Error, Position, StreamPolicy};

use super::ids::Ids;
use super::snapshot::Snapshot;
use crate::index::StreamEnd;

/// What the settled parts of the index say of an append, so that the committer need not ask them again:
/// they never change.
#[derive(Debug)]
pub(crate) struct Looked {
    /// The facts are of the parts before this position.
    settled: u64,
    /// Of each expectation's stream, in their order.
    streams: Vec<OlderFacts>,
    /// No condition fails up to and with this position.
    pub(crate) conditions_hold_at: Position,
    /// Whether no identity of the append stands in those parts.
    ids_are_new: bool,
}

/// A stream by the settled parts of the index alone.
#[derive(Clone, Debug, Default)]
pub(crate) struct OlderFacts {
    pub(crate) end: Option<StreamEnd>,
    pub(crate) policy: Option<StreamPolicy>,
}

impl Looked {
    /// Looks up the streams of the append.
    pub(crate) fn at(snapshot: &Snapshot, append: &Append) -> Result<Self, Error> {
        let streams = append
            .expectations()
            .map(|(stream, _)| OlderFacts::of(snapshot, stream.as_str()));
        Ok(Self {
            settled: snapshot.settled(),
            streams: streams.collect::<Result<_, _>>()?,
            conditions_hold_at: Position::START,
            ids_are_new: false,
        })
    }

    /// Of an append of which nothing was looked up.
    #[cfg(test)]
    pub(crate) fn nothing() -> Self {
        Self {
            settled: 0,
            streams: Vec::new(),
            conditions_hold_at: Position::START,
            ids_are_new: false,
        }
    }

    /// Notes that nothing stood against the append in this state.
    pub(crate) fn nothing_stands_against_it(&mut self, head: Position) {
        self.conditions_hold_at = head;
        self.ids_are_new = true;
    }

    /// The facts of the n-th expectation's stream, if they still hold.
    pub(crate) fn stream(&self, snapshot: &Snapshot, index: usize) -> Option<&OlderFacts> {
        self.streams.get(index).filter(|_| self.holds(snapshot))
    }

    /// In which parts of the index an identity may stand that the caller did not find.
    pub(crate) fn ids(&self, snapshot: &Snapshot) -> Ids {
        if self.ids_are_new && self.holds(snapshot) {
            Ids::Live
        } else {
            Ids::All
        }
    }

    fn holds(&self, snapshot: &Snapshot) -> bool {
        self.settled == snapshot.settled()
    }
}

impl OlderFacts {
    /// Looks a stream up.
    pub(crate) fn of(snapshot: &Snapshot, stream: &str) -> Result<Self, Error> {
        Ok(Self {
            end: snapshot.older_end(stream)?,
            policy: snapshot.older_policy(stream)?,
        })
    }
}
