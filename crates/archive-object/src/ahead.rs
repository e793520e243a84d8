//! What was read of objects, and how much more to read with what is asked for.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// How much is read at least by who reads on, in bytes.
const AHEAD_BYTES_MIN: u64 = 256 * 1024;

/// How much is read ahead at once, at most, in bytes.
const AHEAD_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// How much may be left out by who still counts as reading on, in bytes.
const SKIPPED_BYTES_MAX: u64 = 64 * 1024;

/// How many ranges are kept, at most.
const WINDOWS_MAX: usize = 256;

/// The newest ranges that were read, as many as a bound allows.
#[derive(Debug)]
pub(crate) struct Ahead {
    kept: Mutex<Kept>,
    bytes_max: usize,
    openings: AtomicU64,
}

#[derive(Debug, Default)]
struct Kept {
    windows: VecDeque<Window>,
    bytes: usize,
}

/// A range of an object, as it was read.
#[derive(Clone, Debug)]
struct Window {
    opening: u64,
    start: u64,
    bytes: Bytes,
}

impl Window {
    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}

impl Ahead {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            kept: Mutex::default(),
            bytes_max,
            openings: AtomicU64::new(0),
        }
    }

    /// A number for an object that is opened, which no other has.
    pub(crate) fn next_opening(&self) -> u64 {
        self.openings.fetch_add(1, Ordering::Relaxed)
    }

    /// What is known from this offset on; nothing where nothing is.
    pub(crate) fn find(&self, opening: u64, offset: u64) -> Option<Bytes> {
        let kept = self.kept();
        let mut windows = kept.windows.iter().rev();
        let window =
            windows.find(|it| it.opening == opening && (it.start..it.end()).contains(&offset))?;
        let within = usize::try_from(offset - window.start).ok()?;
        Some(window.bytes.slice(within..))
    }

    /// What to read where this is asked for, of an object that is so long: more where it goes on from what was read,
    /// forward or backward; and less where its end is known, so that the next piece is found.
    pub(crate) fn range(&self, opening: u64, asked: Range<u64>, length: u64) -> Range<u64> {
        let kept = self.kept();
        let windows = kept.windows.iter().rev();
        for window in windows.filter(|it| it.opening == opening) {
            let twice = 2 * window.bytes.len() as u64;
            let more = twice.clamp(AHEAD_BYTES_MIN, AHEAD_BYTES_MAX);
            if within(window.end(), asked.start) {
                let end = asked.end.max(asked.start.saturating_add(more));
                return asked.start..end.min(length);
            }
            let is_known =
                asked.start < window.start && (window.start..=window.end()).contains(&asked.end);
            if is_known || within(asked.end, window.start) {
                let end = asked.end.min(window.start);
                return asked.start.min(end.saturating_sub(more))..end;
            }
        }
        asked
    }

    /// Keeps a range in place of the oldest ones. What is over the bound alone is not kept.
    pub(crate) fn keep(&self, opening: u64, start: u64, bytes: Bytes) {
        let mut kept = self.kept();
        if bytes.len() > self.bytes_max {
            return;
        }
        kept.bytes += bytes.len();
        kept.windows.push_back(Window {
            opening,
            start,
            bytes,
        });
        while kept.bytes > self.bytes_max || kept.windows.len() > WINDOWS_MAX {
            let Some(oldest) = kept.windows.pop_front() else {
                return;
            };
            kept.bytes -= oldest.bytes.len();
        }
    }

    /// Forgets what was read of an object.
    pub(crate) fn forget(&self, opening: u64) {
        let mut kept = self.kept();
        kept.windows.retain(|window| window.opening != opening);
        kept.bytes = kept.windows.iter().map(|window| window.bytes.len()).sum();
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the one goes on where the other ends, or shortly after.
fn within(end: u64, start: u64) -> bool {
    start
        .checked_sub(end)
        .is_some_and(|skipped| skipped <= SKIPPED_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: u64 = 1024;
    const LENGTH: u64 = 64 * KIB * KIB;

    fn bytes(range: &Range<u64>) -> Bytes {
        vec![0; usize::try_from(range.end - range.start).unwrap()].into()
    }

    /// Asks for piece after piece; how many requests that takes.
    fn requests(ahead: &Ahead, pieces: impl Iterator<Item = Range<u64>>) -> usize {
        let mut requests = 0;
        for mut asked in pieces {
            while !asked.is_empty() {
                if let Some(known) = ahead.find(1, asked.start) {
                    asked.start += known.len() as u64;
                    continue;
                }
                let range = ahead.range(1, asked.clone(), LENGTH);
                assert!(range.contains(&asked.start));
                assert!(range.end <= LENGTH && range.end - range.start <= AHEAD_BYTES_MAX);
                ahead.keep(1, range.start, bytes(&range));
                requests += 1;
            }
        }
        requests
    }

    fn pieces(piece: u64) -> impl DoubleEndedIterator<Item = Range<u64>> {
        (0..LENGTH.div_ceil(piece)).map(move |at| at * piece..LENGTH.min((at + 1) * piece))
    }

    #[test]
    fn who_reads_on_makes_few_requests_in_either_direction() {
        for piece in [16 * KIB, 28_731, 64 * KIB, 256 * KIB] {
            let ahead = || Ahead::new(32 * 1024 * 1024);
            assert!(requests(&ahead(), pieces(piece)) <= 21);
            assert!(requests(&ahead(), pieces(piece).rev()) <= 21);
        }
    }

    #[test]
    fn who_reads_here_and_there_is_given_what_is_asked_for() {
        let ahead = Ahead::new(1024 * 1024);
        for at in [40, 3, 21, 60, 11] {
            let asked = at * KIB * KIB..at * KIB * KIB + 16 * KIB;
            assert_eq!(ahead.range(1, asked.clone(), LENGTH), asked);
            ahead.keep(1, asked.start, bytes(&asked));
        }
    }

    #[test]
    fn what_is_kept_stays_within_the_bound_and_objects_apart() {
        let ahead = Ahead::new(100);
        ahead.keep(1, 0, vec![1; 60].into());
        ahead.keep(2, 0, vec![2; 40].into());
        assert_eq!(ahead.find(1, 10).unwrap().len(), 50);
        assert_eq!(ahead.find(2, 0).unwrap()[0], 2);
        ahead.keep(2, 40, vec![3; 1].into());
        assert!(ahead.find(1, 10).is_none());
        assert_eq!(ahead.find(2, 40).unwrap()[0], 3);
        ahead.keep(3, 0, vec![4; 101].into());
        assert!(ahead.find(3, 0).is_none() && ahead.find(2, 0).is_some());
        ahead.forget(2);
        assert!(ahead.find(2, 0).is_none() && ahead.kept().bytes == 0);
    }
}
