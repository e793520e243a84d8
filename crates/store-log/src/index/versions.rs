//! Which versions the events of a stream in one part have.

use std::ops::{Range, RangeInclusive};

/// The versions of a stream's events in one part, in order.
///
/// They follow each other without a gap, except where the log has lost events: there a new stretch begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Versions<'a> {
    /// The version of the first event.
    pub(crate) first: u64,
    /// How many events there are.
    pub(crate) count: u32,
    /// The later stretches, in order.
    pub(crate) stretches: &'a [Stretch],
}

/// Versions without a gap, after a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    /// How many of the stream's events stand before it.
    pub(crate) index: u32,
    /// The version of its first event.
    pub(crate) version: u64,
}

impl Versions<'_> {
    /// The version of the last event.
    pub(crate) fn head(&self) -> u64 {
        let (index, version) = self
            .stretches
            .last()
            .map_or((0, self.first), |stretch| (stretch.index, stretch.version));
        let further = self.count.saturating_sub(index).saturating_sub(1);
        version.saturating_add(further.into())
    }

    /// Which of the events have these versions.
    pub(crate) fn range(&self, versions: &RangeInclusive<u64>) -> Range<u32> {
        let start = self.before(*versions.start());
        let end = match versions.end().checked_add(1) {
            Some(end) => self.before(end),
            None => self.count,
        };
        start..end.max(start)
    }

    /// How many of the events have a version below this one.
    fn before(&self, version: u64) -> u32 {
        let later = self
            .stretches
            .partition_point(|stretch| stretch.version <= version);
        let (index, first) = later
            .checked_sub(1)
            .and_then(|last| self.stretches.get(last))
            .map_or((0, self.first), |stretch| (stretch.index, stretch.version));
        let end = self
            .stretches
            .get(later)
            .map_or(self.count, |stretch| stretch.index);
        let further = u32::try_from(version.saturating_sub(first)).unwrap_or(u32::MAX);
        index.saturating_add(further).min(end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(stretches: &[(u32, u64)], versions: RangeInclusive<u64>, expected: Range<u32>) {
        let stretches: Vec<Stretch> = stretches
            .iter()
            .map(|&(index, version)| Stretch { index, version })
            .collect();
        let all = Versions {
            first: 10,
            count: 6,
            stretches: &stretches,
        };
        assert_eq!(all.range(&versions), expected, "{versions:?} of {all:?}");
    }

    #[test]
    fn versions_are_found() {
        check(&[], 0..=u64::MAX, 0..6);
        check(&[], 12..=13, 2..4);
        check(&[], 1..=9, 0..0);
        check(&[], 16..=20, 6..6);
        check(&[], 15..=15, 5..6);
        let lost = [(2, 20), (4, 30)];
        check(&lost, 0..=u64::MAX, 0..6);
        check(&lost, 11..=20, 1..3);
        check(&lost, 12..=19, 2..2);
        check(&lost, 21..=30, 3..5);
        check(&lost, 22..=29, 4..4);
        check(&lost, 31..=99, 5..6);
    }

    #[test]
    #[expect(clippy::reversed_empty_ranges, reason = "callers may ask for nothing")]
    fn a_range_of_nothing_is_empty() {
        check(&[], 13..=12, 3..3);
    }

    #[test]
    fn the_head_is_the_last_version() {
        let stretches = [Stretch {
            index: 2,
            version: 20,
        }];
        assert_eq!(
            Versions {
                first: 10,
                count: 6,
                stretches: &[]
            }
            .head(),
            15
        );
        assert_eq!(
            Versions {
                first: 10,
                count: 6,
                stretches: &stretches
            }
            .head(),
            23
        );
    }
}
