//! What of a stream is kept and shown.

use std::time::Duration;

use super::number::Version;
use super::stream_id::StreamId;
use super::time::Timestamp;

/// Which events of a stream reads still show; recorded like events, honoured by every read at once.
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

/// A new policy for one stream, in place of the one it had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyChange {
    /// The stream; it need not have any event.
    pub stream: StreamId,
    /// The policy from now on.
    pub policy: StreamPolicy,
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
    /// The policy as a store records it for a stream at `head`: a soft delete hides all up to there.
    #[must_use]
    pub fn recorded_at(mut self, head: Version) -> Self {
        if self.state == StreamState::SoftDeleted {
            self.truncate_before = self.truncate_before.max(head.next());
        }
        self
    }

    /// Notes that the stream takes an append: a soft-deleted one is open again.
    pub fn reopen(&mut self) {
        if self.state == StreamState::SoftDeleted {
            self.state = StreamState::Open;
        }
    }

    /// Whether reads at `now` show an event of this version and time, in a stream that is at `head`.
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

    fn check(change: impl FnOnce(&mut StreamPolicy), shown: &[u64]) {
        let mut policy = StreamPolicy::default();
        change(&mut policy);
        let at = |version| Timestamp::from_seconds(i64::try_from(version).unwrap());
        let versions = (1..=5).filter(|version| {
            policy.shows(Version::new(*version), at(*version), Version::new(5), at(6))
        });
        assert_eq!(versions.collect::<Vec<u64>>(), shown, "{policy:?}");
    }

    #[test]
    fn each_rule_hides_its_own() {
        check(|_| {}, &[1, 2, 3, 4, 5]);
        check(|policy| policy.max_count = Some(2), &[4, 5]);
        check(|policy| policy.max_count = Some(0), &[]);
        check(
            |policy| policy.max_age = Some(Duration::from_secs(3)),
            &[3, 4, 5],
        );
        check(|policy| policy.truncate_before = Version::new(4), &[4, 5]);
        check(|policy| policy.state = StreamState::SoftDeleted, &[]);
        check(|policy| policy.state = StreamState::Tombstoned, &[]);
    }
}
