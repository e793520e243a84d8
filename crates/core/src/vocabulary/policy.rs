//! What of a stream is kept and shown.

use std::time::Duration;

use super::expected::Expected;
use super::number::Version;
use super::stream_id::StreamId;
use super::time::Timestamp;

/// Which events of a stream reads still show; recorded like events, honoured by every read at once, and
/// changed by a [`PolicyAction`].
///
/// A hidden event keeps its version and its position, and its storage may be reclaimed later. Hidden
/// events don't count for conditions either.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamPolicy {
    /// Hide events that were appended longer ago than this; `None` shows events of any age.
    pub max_age: Option<Duration>,
    /// Hide all but the newest this many events; `None` shows any number.
    pub max_count: Option<u64>,
    /// Hide events of versions below this; [`Version::ABSENT`] hides none. A soft delete raises it past
    /// the version that the stream then has.
    pub truncate_before: Version,
    /// Whether the stream is open, deleted, or closed for good.
    pub state: StreamState,
}

/// Whether a stream takes and shows events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StreamState {
    /// It takes events and shows them.
    #[default]
    Open,
    /// It shows nothing up to the version it had when it was deleted; the next append opens it again,
    /// with versions that go on.
    SoftDeleted,
    /// Closed for good: it takes no event and shows none.
    Tombstoned,
}

/// One change to the policy of one stream, judged and made in one atomic step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyChange {
    /// The stream; it need not have any event.
    pub stream: StreamId,
    /// The state in which the stream is expected.
    pub expected: Expected,
    /// What to change.
    pub action: PolicyAction,
}

/// What to change in a stream's policy; the rest of it stays as it is.
///
/// No change shows an event again that was hidden before it, as its storage may be reclaimed by then.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PolicyAction {
    /// Keep events by age and by count, in place of the rules there were.
    Retain {
        /// Hide events that were appended longer ago than this; `None` lifts the rule.
        max_age: Option<Duration>,
        /// Hide all but the newest this many events; `None` lifts the rule.
        max_count: Option<u64>,
    },
    /// Hide events of versions below this, up to all that there are; only ever more of them.
    TruncateBefore(Version),
    /// Hide all events that there are; the next append opens the stream again, with versions that go on.
    /// A stream that never had an event stays open.
    SoftDelete,
    /// Close the stream for good.
    Tombstone,
}

/// The head of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamHead {
    /// The stream.
    pub stream: StreamId,
    /// How many events it has had, hidden ones included.
    pub version: Version,
    /// What of it is shown.
    pub policy: StreamPolicy,
}

impl StreamPolicy {
    /// The policy after a change to a stream at `head`, of which `first_shown` is the first event that
    /// reads show just then; `None` when they show none.
    ///
    /// Stores call it inside the step that records the change, with the expectation already judged. A
    /// tombstone is for good: `None` for any other change to a tombstoned stream.
    #[must_use]
    pub fn changed(
        &self,
        action: &PolicyAction,
        head: Version,
        first_shown: Option<Version>,
    ) -> Option<Self> {
        let mut policy = self.clone();
        if self.state == StreamState::Tombstoned {
            return (*action == PolicyAction::Tombstone).then_some(policy);
        }
        let hidden_before = first_shown.unwrap_or(head.next());
        if hidden_before > Version::FIRST {
            policy.truncate_before = policy.truncate_before.max(hidden_before);
        }
        match action {
            PolicyAction::Retain { max_age, max_count } => {
                policy.max_age = *max_age;
                policy.max_count = *max_count;
            }
            PolicyAction::TruncateBefore(version) => {
                policy.truncate_before = policy.truncate_before.max(head.next().min(*version));
            }
            PolicyAction::SoftDelete if head > Version::ABSENT => {
                policy.truncate_before = head.next();
                policy.state = StreamState::SoftDeleted;
            }
            PolicyAction::SoftDelete => {}
            PolicyAction::Tombstone => policy.state = StreamState::Tombstoned,
        }
        Some(policy)
    }

    /// Notes that the stream takes an append: a soft-deleted one is open again.
    pub fn reopen(&mut self) {
        if self.state == StreamState::SoftDeleted {
            self.state = StreamState::Open;
        }
    }

    /// Whether reads at `now` show an event of this version and time, in a stream that is at `head`.
    ///
    /// Stores take for `now` the later of their clock and the newest event's `appended_at`, so that a clock
    /// that goes back shows nothing again.
    pub fn shows(
        &self,
        version: Version,
        appended_at: Timestamp,
        head: Version,
        now: Timestamp,
    ) -> bool {
        self.state == StreamState::Open
            && version >= self.truncate_before
            && self
                .max_count
                .is_none_or(|count| head.since(version) < count)
            && self.max_age.is_none_or(|age| now.since(appended_at) <= age)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The versions of five events, one a second, that are shown at the sixth second.
    fn shown(policy: &StreamPolicy) -> Vec<u64> {
        let at = |version| Timestamp::from_seconds(i64::try_from(version).unwrap());
        let shows = |version: &u64| {
            policy.shows(Version::new(*version), at(*version), Version::new(5), at(6))
        };
        (1..=5).filter(shows).collect()
    }

    fn after(actions: &[PolicyAction]) -> Option<StreamPolicy> {
        actions
            .iter()
            .try_fold(StreamPolicy::default(), |policy, action| {
                let first = shown(&policy).first().map(|version| Version::new(*version));
                policy.changed(action, Version::new(5), first)
            })
    }

    fn check(actions: &[PolicyAction], expected: &[u64]) {
        assert_eq!(
            after(actions).map(|policy| shown(&policy)).as_deref(),
            Some(expected),
            "{actions:?}"
        );
    }

    fn retain(max_age: Option<u64>, max_count: Option<u64>) -> PolicyAction {
        PolicyAction::Retain {
            max_age: max_age.map(Duration::from_secs),
            max_count,
        }
    }

    fn truncate(version: u64) -> PolicyAction {
        PolicyAction::TruncateBefore(Version::new(version))
    }

    #[test]
    fn each_rule_hides_its_own() {
        check(&[], &[1, 2, 3, 4, 5]);
        check(&[retain(None, Some(2))], &[4, 5]);
        check(&[retain(None, Some(0))], &[]);
        check(&[retain(Some(3), None)], &[3, 4, 5]);
        check(&[truncate(4)], &[4, 5]);
        check(&[truncate(99)], &[]);
        check(&[PolicyAction::SoftDelete], &[]);
        check(&[PolicyAction::Tombstone], &[]);
    }

    #[test]
    fn what_was_hidden_stays_hidden() {
        check(&[retain(None, Some(2)), retain(None, None)], &[4, 5]);
        check(&[retain(Some(3), None), retain(None, Some(4))], &[3, 4, 5]);
        check(&[truncate(4), truncate(2)], &[4, 5]);
        check(&[PolicyAction::SoftDelete, retain(None, None)], &[]);
        let reopened = after(&[PolicyAction::SoftDelete, truncate(2)]).unwrap();
        assert_eq!(
            (reopened.truncate_before, reopened.state),
            (Version::new(6), StreamState::SoftDeleted)
        );
    }

    #[test]
    fn a_tombstone_is_for_good() {
        assert!(after(&[PolicyAction::Tombstone, PolicyAction::Tombstone]).is_some());
        assert!(after(&[PolicyAction::Tombstone, retain(None, None)]).is_none());
        let never = StreamPolicy::default();
        assert_eq!(
            never.changed(&PolicyAction::SoftDelete, Version::ABSENT, None),
            Some(never.clone())
        );
    }
}
