//! Sums of what was measured.

use std::time::Duration;

use serde::Serialize;

use crate::nanos::{self, Nanos};

/// How often something was done, how often it failed, and how long it took in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Totals {
    /// How often, failures included.
    pub count: u64,
    /// How often it failed.
    pub failed: u64,
    /// How many events were in it.
    pub events: u64,
    /// How long it took in all.
    #[serde(rename = "total_ns", serialize_with = "nanos::serialize")]
    pub total: Duration,
    /// How long it took at the most.
    #[serde(rename = "max_ns", serialize_with = "nanos::serialize")]
    pub max: Duration,
}

impl Totals {
    /// How long it took on average; `None` when it was never done.
    pub fn average(&self) -> Option<Duration> {
        let nanos = self.total.as_nanos().checked_div(u128::from(self.count))?;
        Some(Duration::from_nanos(
            u64::try_from(nanos).unwrap_or(u64::MAX),
        ))
    }
}

/// What totals are added up in: whole nanoseconds, which take less room and less work than durations do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) count: u64,
    pub(crate) failed: u64,
    pub(crate) events: u64,
    pub(crate) total: Nanos,
    pub(crate) max: Nanos,
}

impl Sums {
    /// Adds what was summed elsewhere.
    pub(crate) fn add(&mut self, other: &Self) {
        self.count = self.count.saturating_add(other.count);
        self.failed = self.failed.saturating_add(other.failed);
        self.events = self.events.saturating_add(other.events);
        self.total = self.total.saturating_add(other.total);
        self.max = self.max.max(other.max);
    }

    /// Adds a measurement, as often as it stands for.
    pub(crate) fn note(&mut self, measured: &Measurement) {
        let Measurement { took, times, .. } = *measured;
        self.add(&Self {
            count: times,
            failed: if measured.is_failed { times } else { 0 },
            events: measured.events.saturating_mul(times),
            total: measured.weight(),
            max: took,
        });
    }
}

impl From<Sums> for Totals {
    fn from(sums: Sums) -> Self {
        Self {
            count: sums.count,
            failed: sums.failed,
            events: sums.events,
            total: Duration::from_nanos(sums.total),
            max: Duration::from_nanos(sums.max),
        }
    }
}

/// What was measured: how long, of how many events, and whether it failed.
///
/// ```
/// use std::time::Duration;
/// use annals_profile::Measurement;
///
/// let page = Measurement::took(Duration::from_micros(120)).events(1000);
/// let refused = Measurement::took(Duration::from_micros(3)).failed();
/// # let _ = (page, refused);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "hand it to a profiler"]
pub struct Measurement {
    pub(crate) took: Nanos,
    pub(crate) events: u64,
    pub(crate) times: u64,
    pub(crate) is_failed: bool,
}

impl Measurement {
    /// Something took so long.
    pub fn took(took: Duration) -> Self {
        Self {
            took: nanos::of(took),
            events: 0,
            times: 1,
            is_failed: false,
        }
    }

    /// So many events were in it.
    pub const fn events(mut self, events: u64) -> Self {
        self.events = events;
        self
    }

    /// It stands for so many of its kind, of which one was measured.
    pub const fn standing_for(mut self, times: u64) -> Self {
        self.times = times;
        self
    }

    /// It failed.
    pub const fn failed(mut self) -> Self {
        self.is_failed = true;
        self
    }

    /// How long all took that it stands for.
    pub(crate) const fn weight(&self) -> Nanos {
        self.took.saturating_mul(self.times)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measurements_add_up() {
        assert_eq!(Totals::default().average(), None);
        let took = |nanos| Measurement::took(Duration::from_nanos(nanos));
        let mut sums = Sums::default();
        sums.note(&took(40).events(3));
        sums.note(&took(10).failed());
        sums.note(&took(50).standing_for(2));
        let totals = Totals::from(sums);
        assert_eq!(
            totals,
            Totals {
                count: 4,
                failed: 1,
                events: 3,
                total: Duration::from_nanos(150),
                max: Duration::from_nanos(50),
            }
        );
        assert_eq!(totals.average(), Some(Duration::from_nanos(37)));
    }

    #[test]
    fn sums_end_at_their_greatest() {
        let mut sums = Sums::default();
        for _ in 0..3 {
            sums.note(&Measurement::took(Duration::MAX).standing_for(u64::MAX));
        }
        let totals = Totals::from(sums);
        assert_eq!((totals.count, totals.events), (u64::MAX, 0));
        let greatest = Duration::from_nanos(u64::MAX);
        assert_eq!((totals.max, totals.total), (greatest, greatest));
    }
}
