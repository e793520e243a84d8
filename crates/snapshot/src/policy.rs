//! When a snapshot is taken.

use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use annals_core::{StreamId, Timestamp, Version};

/// When a snapshot is taken: asked after each append, with what is known then.
///
/// ```
/// use std::time::Duration;
/// use annals_snapshot::SnapshotPolicy;
///
/// let often = SnapshotPolicy::every_events(100)
///     .or(SnapshotPolicy::fold_takes(Duration::from_millis(5)));
/// let rarely = SnapshotPolicy::older_than(Duration::from_hours(1))
///     .and(SnapshotPolicy::every_events(10));
/// # let _ = (often, rarely);
/// ```
#[derive(Clone)]
pub struct SnapshotPolicy(Rule);

/// What a policy is asked about.
#[derive(Clone, Debug)]
pub struct Occasion<'a> {
    /// The stream.
    pub stream: &'a StreamId,
    /// Its version, up to which a snapshot would be.
    pub version: Version,
    /// How many events it has had since the newest snapshot that is known, or since the fold began where
    /// none is.
    pub events_since: u64,
    /// How long the load that came before took to read and to fold.
    pub fold_time: Duration,
    /// When the newest snapshot that is known was taken; `None` where none is known.
    pub taken_at: Option<Timestamp>,
    /// The present moment.
    pub now: Timestamp,
}

#[derive(Clone)]
enum Rule {
    Never,
    Events(NonZeroU64),
    FoldTime(Duration),
    Age(Duration),
    Custom(Arc<dyn Fn(&Occasion<'_>) -> bool + Send + Sync>),
    Any(Arc<[Rule; 2]>),
    All(Arc<[Rule; 2]>),
}

impl SnapshotPolicy {
    /// Never: snapshots that are there are used, and none is taken.
    pub const fn never() -> Self {
        Self(Rule::Never)
    }

    /// When this many events, or more, have come since the newest one; 0 counts as 1.
    pub fn every_events(events: u64) -> Self {
        Self(Rule::Events(
            NonZeroU64::new(events).unwrap_or(NonZeroU64::MIN),
        ))
    }

    /// When the load before the append took this long, or longer, to read and to fold.
    pub const fn fold_takes(time: Duration) -> Self {
        Self(Rule::FoldTime(time))
    }

    /// When the newest one was taken this long ago, or longer, or there is none.
    pub const fn older_than(age: Duration) -> Self {
        Self(Rule::Age(age))
    }

    /// When this says so. It is asked on the path of a command, so it is to be quick.
    pub fn when(predicate: impl Fn(&Occasion<'_>) -> bool + Send + Sync + 'static) -> Self {
        Self(Rule::Custom(Arc::new(predicate)))
    }

    /// When this policy says so or the other one.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self(Rule::Any(Arc::new([self.0, other.0])))
    }

    /// When both policies say so.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(Rule::All(Arc::new([self.0, other.0])))
    }

    /// Whether a snapshot is to be taken now. Not where there is no event since the newest one, whatever
    /// the rules say.
    pub fn is_due(&self, occasion: &Occasion<'_>) -> bool {
        occasion.events_since > 0 && self.0.is_due(occasion)
    }
}

impl Rule {
    fn is_due(&self, occasion: &Occasion<'_>) -> bool {
        match self {
            Self::Never => false,
            Self::Events(events) => occasion.events_since >= events.get(),
            Self::FoldTime(time) => occasion.fold_time >= *time,
            Self::Age(age) => occasion
                .taken_at
                .is_none_or(|taken_at| occasion.now.since(taken_at) >= *age),
            Self::Custom(predicate) => predicate(occasion),
            Self::Any(rules) => rules.iter().any(|rule| rule.is_due(occasion)),
            Self::All(rules) => rules.iter().all(|rule| rule.is_due(occasion)),
        }
    }
}

impl Default for SnapshotPolicy {
    /// Every 100 events.
    fn default() -> Self {
        Self::every_events(100)
    }
}

impl fmt::Debug for SnapshotPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never => f.write_str("never"),
            Self::Events(events) => write!(f, "every {events} events"),
            Self::FoldTime(time) => write!(f, "when a fold takes {time:?}"),
            Self::Age(age) => write!(f, "when older than {age:?}"),
            Self::Custom(_) => f.write_str("when a predicate says so"),
            Self::Any(rules) => write!(f, "any of {rules:?}"),
            Self::All(rules) => write!(f, "all of {rules:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(policy: &SnapshotPolicy, expected: [bool; 4]) {
        let stream = StreamId::parse("account-42").unwrap();
        let at = Timestamp::from_seconds;
        let occasion = |events_since, fold_millis, taken_at| Occasion {
            stream: &stream,
            version: Version::new(500),
            events_since,
            fold_time: Duration::from_millis(fold_millis),
            taken_at,
            now: at(1_000),
        };
        let occasions = [
            occasion(0, 1_000, None),
            occasion(9, 20, Some(at(999))),
            occasion(10, 2, Some(at(900))),
            occasion(11, 2, None),
        ];
        let due = occasions.map(|occasion| policy.is_due(&occasion));
        assert_eq!(due, expected, "{policy:?}");
    }

    #[test]
    fn each_rule_is_due_by_its_own_measure() {
        let slow = || SnapshotPolicy::fold_takes(Duration::from_millis(10));
        let old = || SnapshotPolicy::older_than(Duration::from_mins(1));
        check(&SnapshotPolicy::never(), [false; 4]);
        check(
            &SnapshotPolicy::every_events(10),
            [false, false, true, true],
        );
        check(&SnapshotPolicy::every_events(0), [false, true, true, true]);
        check(&slow(), [false, true, false, false]);
        check(&old(), [false, false, true, true]);
        check(
            &SnapshotPolicy::when(|it| it.events_since == 9),
            [false, true, false, false],
        );
        check(&slow().or(old()), [false, true, true, true]);
        check(&slow().and(old()), [false; 4]);
        check(
            &SnapshotPolicy::every_events(11).and(old()),
            [false, false, false, true],
        );
    }
}
