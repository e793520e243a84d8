//! The five-tuple made runnable.

use std::collections::BTreeMap;
use std::fmt;

use crate::{
    Aggregate, Error, Event, EventOrdering, EventStream, Expected, Position, StreamId, Version,
    fold, fold_from,
};

/// `(E, S, A, delta, rho)` in memory: the events of many aggregates of one kind, their present states,
/// and the state of each at any version.
///
/// E is `A::Event`, S is `A`, the aggregates are named by keys, delta is [`Aggregate::apply`] and rho is
/// [`fold`]. The definition that stores and repositories are held against; for tests, models and small
/// tools, not for keeping anything.
pub struct EventSourcingSystem<A: Aggregate> {
    streams: BTreeMap<StreamId, Member<A>>,
    newest: Position,
}

struct Member<A: Aggregate> {
    history: EventStream<A::Event>,
    state: A,
}

impl<A: Aggregate> EventSourcingSystem<A> {
    /// A system in which nothing has happened.
    pub fn new() -> Self {
        Self {
            streams: BTreeMap::new(),
            newest: Position::START,
        }
    }

    /// Records events of the aggregate with this key, all of them or none. A panic in `apply` loses no
    /// history, but leaves the present state of this aggregate undefined.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) when the aggregate is not in the expected
    /// state, [`ErrorKind::Refused`](crate::ErrorKind::Refused) when it refuses one of the events,
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a key that makes no stream id.
    pub fn record(
        &mut self,
        key: &str,
        expected: Expected,
        events: impl IntoIterator<Item = A::Event>,
    ) -> Result<Version, Error> {
        let id = stream_id::<A>(key)?;
        let events: Vec<A::Event> = events.into_iter().collect();
        if let Some(member) = self.streams.get_mut(&id) {
            let version = member.record(self.newest, expected, events)?;
            self.newest = self.newest.max(member.history.newest());
            return Ok(version);
        }
        let history = EventStream::new(id.clone(), EventOrdering::Total);
        let mut member = Member {
            history,
            state: A::default(),
        };
        let version = member.record(self.newest, expected, events)?;
        if version > Version::ABSENT {
            self.newest = member.history.newest();
            self.streams.insert(id, member);
        }
        Ok(version)
    }

    /// The present state of the aggregate with this key; `None` when nothing happened to it.
    pub fn state(&self, key: &str) -> Option<&A> {
        self.member(key).map(|member| &member.state)
    }

    /// The state that the aggregate had after its event of this version: the default state for
    /// [`Version::ABSENT`], the present one for a version that is not reached yet.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`](crate::ErrorKind::Refused) when `apply` is not pure, so that an event it
    /// took before is refused now.
    pub fn state_at(&self, key: &str, version: Version) -> Result<A, Error> {
        let Some(member) = self.member(key) else {
            return Ok(A::default());
        };
        Ok(fold(member.history.events_until(version))?)
    }

    /// What happened to the aggregate with this key.
    pub fn history(&self, key: &str) -> Option<&EventStream<A::Event>> {
        self.member(key).map(|member| &member.history)
    }

    /// The keys of the aggregates to which something happened, in order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.streams.keys().map(StreamId::key)
    }

    /// The position of the newest event.
    pub fn newest(&self) -> Position {
        self.newest
    }

    fn member(&self, key: &str) -> Option<&Member<A>> {
        self.streams.get(&stream_id::<A>(key).ok()?)
    }
}

impl<A: Aggregate> fmt::Debug for EventSourcingSystem<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventSourcingSystem")
            .field("streams", &self.streams.len())
            .field("newest", &self.newest)
            .finish()
    }
}

impl<A: Aggregate> Default for EventSourcingSystem<A> {
    fn default() -> Self {
        Self::new()
    }
}

impl<A: Aggregate> Member<A> {
    /// Records events after this position. The state before is folded again from the history when an
    /// event is refused, as the refusing state is spoilt.
    fn record(
        &mut self,
        after: Position,
        expected: Expected,
        events: Vec<A::Event>,
    ) -> Result<Version, Error> {
        self.history.check(expected)?;
        match fold_from(std::mem::take(&mut self.state), &events) {
            Ok(state) => self.state = state,
            Err(refused) => {
                self.state = fold(self.history.events_until(Version::MAX))?;
                return Err(refused.into());
            }
        }
        self.history.append_after(after, Expected::Any, events)
    }
}

fn stream_id<A: Aggregate>(key: &str) -> Result<StreamId, Error> {
    StreamId::new(&A::Event::CATEGORY, key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Category, ErrorKind, EventKind, EventType, Refusal, SchemaVersion, Tags};

    /// A change of a count that stays at or above zero.
    #[derive(Clone, Copy)]
    struct Changed(i64);

    #[derive(Default, Debug, PartialEq)]
    struct Count(i64);

    impl Event for Changed {
        const CATEGORY: Category = Category::from_static("count");
        const KINDS: &'static [EventKind] = &[EventKind::new(
            EventType::from_static("changed"),
            SchemaVersion::FIRST,
        )];

        fn kind_index(&self) -> usize {
            0
        }

        fn tags(&self) -> Result<Tags, Error> {
            Ok(Tags::EMPTY)
        }
    }

    impl Aggregate for Count {
        type Event = Changed;

        fn apply(&mut self, event: &Changed) -> Result<(), Refusal> {
            self.0 += event.0;
            if self.0 < 0 {
                Err(Refusal::new("below zero"))
            } else {
                Ok(())
            }
        }
    }

    #[test]
    fn every_version_of_every_aggregate_can_be_had() {
        let mut system = EventSourcingSystem::<Count>::new();
        system
            .record("a", Expected::NoStream, [Changed(1), Changed(2)])
            .unwrap();
        system.record("b", Expected::Any, [Changed(10)]).unwrap();
        system
            .record("a", Expected::Exactly(Version::new(2)), [Changed(4)])
            .unwrap();
        assert_eq!(system.state("a"), Some(&Count(7)));
        assert_eq!(system.state("c"), None);
        for (version, count) in [(0, 0), (1, 1), (2, 3), (3, 7), (4, 7)] {
            assert_eq!(
                system.state_at("a", Version::new(version)).unwrap(),
                Count(count)
            );
        }
        let positions = |key| {
            let entries = system.history(key).unwrap().entries();
            entries
                .iter()
                .map(|entry| entry.position.value())
                .collect::<Vec<u64>>()
        };
        assert_eq!((positions("a"), positions("b")), (vec![1, 2, 4], vec![3]));
        assert_eq!(system.keys().collect::<Vec<&str>>(), ["a", "b"]);
    }

    #[test]
    fn a_refused_or_conflicting_record_changes_nothing() {
        let mut system = EventSourcingSystem::<Count>::new();
        let refused = system
            .record("a", Expected::Any, [Changed(-1)])
            .unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Refused);
        assert_eq!(
            (system.state("a"), system.newest()),
            (None, Position::START)
        );

        system.record("a", Expected::Any, [Changed(1)]).unwrap();
        system
            .record("a", Expected::Any, [Changed(1), Changed(-5)])
            .unwrap_err();
        let stale = system
            .record("a", Expected::NoStream, [Changed(1)])
            .unwrap_err();
        assert_eq!(stale.kind(), ErrorKind::Conflict);
        assert_eq!(
            (system.state("a"), system.newest()),
            (Some(&Count(1)), Position::new(1))
        );
    }
}
