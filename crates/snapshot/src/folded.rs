//! A state, and which part of its stream is folded in it.

use annals_core::{StreamHead, StreamState, Timestamp, Version};

/// A state that is the fold of one run of a stream's events, from `begins_at` up to and with `version`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folded<S> {
    /// The state.
    pub state: S,
    /// The version of the first event that is folded in it: the first that reads showed then.
    pub begins_at: Version,
    /// The version up to which it is folded.
    pub version: Version,
}

/// Whether a folded state may be gone on from, after a look at its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Validity {
    /// A fold from the beginning has the same events in it.
    Holds,
    /// The stream's policy hides events that are folded in it, or the stream has not so many: it is dropped.
    Dropped,
    /// The policy hides events by age: it holds when the first event that a read shows is the one it
    /// begins at.
    DependsOnAge,
}

/// The newest snapshot of a stream that its reader knows of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotMark {
    /// The version that it is of.
    pub version: Version,
    /// When it was taken.
    pub taken_at: Timestamp,
}

impl<S> Folded<S> {
    /// Whether anything is folded in it: else it is the state before the first event.
    pub fn is_empty(&self) -> bool {
        self.begins_at > self.version
    }

    /// Whether a fold from the beginning of the stream, as it stands at this head, has the same events in
    /// it up to this version.
    pub fn validity(&self, head: &StreamHead) -> Validity {
        let policy = &head.policy;
        if policy.state != StreamState::Open || head.version < self.version {
            return Validity::Dropped;
        }
        let by_count = policy.max_count.map_or(Version::FIRST, |count| {
            Version::new(head.version.value().saturating_sub(count)).next()
        });
        let first_shown = Version::FIRST.max(policy.truncate_before).max(by_count);
        match policy.max_age {
            Some(_) if first_shown <= self.begins_at => Validity::DependsOnAge,
            None if first_shown == self.begins_at => Validity::Holds,
            _ => Validity::Dropped,
        }
    }

    /// The same with the state borrowed.
    pub fn as_ref(&self) -> Folded<&S> {
        Folded {
            state: &self.state,
            begins_at: self.begins_at,
            version: self.version,
        }
    }

    /// The same with another value in place of the state.
    pub fn map<T>(self, change: impl FnOnce(S) -> T) -> Folded<T> {
        Folded {
            state: change(self.state),
            begins_at: self.begins_at,
            version: self.version,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use annals_core::{PolicyAction, StreamId, StreamPolicy};

    use super::*;

    /// A fold of versions 1 to 4, against a stream of five events after these changes of policy.
    fn check(actions: &[PolicyAction], expected: Validity) {
        let head = Version::new(5);
        let policy = actions
            .iter()
            .fold(StreamPolicy::default(), |policy, action| {
                policy.changed(action, head, Some(Version::FIRST)).unwrap()
            });
        let head = StreamHead {
            stream: StreamId::parse("account-42").unwrap(),
            version: head,
            policy,
        };
        let folded = Folded {
            state: (),
            begins_at: Version::FIRST,
            version: Version::new(4),
        };
        assert_eq!(folded.validity(&head), expected, "{actions:?}");
    }

    fn retain(max_age: Option<u64>, max_count: Option<u64>) -> PolicyAction {
        PolicyAction::Retain {
            max_age: max_age.map(Duration::from_secs),
            max_count,
        }
    }

    #[test]
    fn a_state_is_dropped_where_something_in_it_is_hidden() {
        check(&[], Validity::Holds);
        check(&[retain(None, Some(5))], Validity::Holds);
        check(&[retain(None, Some(4))], Validity::Dropped);
        check(&[retain(None, Some(0))], Validity::Dropped);
        check(
            &[PolicyAction::TruncateBefore(Version::FIRST)],
            Validity::Holds,
        );
        check(
            &[PolicyAction::TruncateBefore(Version::new(2))],
            Validity::Dropped,
        );
        check(&[PolicyAction::SoftDelete], Validity::Dropped);
        check(&[PolicyAction::Tombstone], Validity::Dropped);
        check(&[retain(Some(60), None)], Validity::DependsOnAge);
        check(&[retain(Some(60), Some(4))], Validity::Dropped);
    }
}
