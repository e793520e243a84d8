//! Identities that a test can foresee.

use std::sync::atomic::{AtomicU64, Ordering};

use annals_core::{AppendId, EventId, Ids};

/// Identities that count: events and appends are numbered from 1, each on its own.
///
/// The n-th event id and the n-th append id of a [series](Self::series) are known beforehand, so that a
/// test can state what it expects. Different series never give the same id, as two processes of one
/// application never do; so give each source of identities that shares a store a series of its own.
///
/// ```
/// use annals_core::Ids;
/// use annals_testkit::CountingIds;
///
/// let ids = CountingIds::default();
/// assert_eq!(ids.append_id(), "append-1");
/// assert_eq!(ids.append_id(), "append-2");
/// assert_eq!(ids.event_id().to_string(), "00000000-0000-7000-8000-000000000001");
/// assert_eq!(CountingIds::series(7).append_id(), "append-7-1");
/// ```
#[derive(Debug, Default)]
pub struct CountingIds {
    series: u32,
    events: AtomicU64,
    appends: AtomicU64,
}

impl CountingIds {
    /// Identities of this series; series 0 is the default one, whose number is left out of its ids.
    pub const fn series(series: u32) -> Self {
        Self {
            series,
            events: AtomicU64::new(0),
            appends: AtomicU64::new(0),
        }
    }
}

impl Ids for CountingIds {
    /// The version 7 UUID whose time is the series and whose last group is the number.
    #[expect(clippy::expect_used, reason = "the text is a UUID by its form")]
    fn event_id(&self) -> EventId {
        let number = next(&self.events) & 0xffff_ffff_ffff;
        format!("{:08x}-0000-7000-8000-{number:012x}", self.series)
            .parse()
            .expect("groups of 8, 4, 4, 4 and 12 hexadecimal digits, not all zero")
    }

    #[expect(clippy::expect_used, reason = "the text is short and plain")]
    fn append_id(&self) -> AppendId {
        let number = next(&self.appends);
        let text = match self.series {
            0 => format!("append-{number}"),
            series => format!("append-{series}-{number}"),
        };
        AppendId::parse(&text).expect("up to 38 bytes of letters, digits and dashes")
    }
}

fn next(count: &AtomicU64) -> u64 {
    count.fetch_add(1, Ordering::SeqCst).wrapping_add(1)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_count_from_one_in_every_series() {
        for (series, append_ids, event_ids) in [
            (
                0,
                ["append-1", "append-2"],
                [
                    "00000000-0000-7000-8000-000000000001",
                    "00000000-0000-7000-8000-000000000002",
                ],
            ),
            (
                u32::MAX,
                ["append-4294967295-1", "append-4294967295-2"],
                [
                    "ffffffff-0000-7000-8000-000000000001",
                    "ffffffff-0000-7000-8000-000000000002",
                ],
            ),
        ] {
            let ids = CountingIds::series(series);
            assert_eq!([ids.append_id(), ids.append_id()], append_ids);
            let given = [ids.event_id().to_string(), ids.event_id().to_string()];
            assert_eq!(given, event_ids);
        }
    }

    #[test]
    fn no_id_is_given_twice_and_their_order_is_that_of_the_count() {
        let ids = CountingIds::series(1);
        let given: Vec<EventId> = (0..300).map(|_| ids.event_id()).collect();
        assert!(given.is_sorted());
        let other = CountingIds::series(2);
        let all = given
            .into_iter()
            .chain((0..300).map(|_| other.event_id()))
            .collect::<BTreeSet<EventId>>();
        assert_eq!(all.len(), 600);
    }
}
