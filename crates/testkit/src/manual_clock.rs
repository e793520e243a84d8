//! A clock that stands still until a test moves it.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use annals_core::{Clock, Timestamp};

/// A clock that shows what a test sets: it stands still, jumps, and may go back.
///
/// Share it as an `Arc`, so that the test keeps a hand on the clock that a store or a repository reads.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use annals_core::{Clock, Timestamp};
/// use annals_testkit::ManualClock;
///
/// let clock = Arc::new(ManualClock::at("2026-01-31T12:00:00Z".parse()?));
/// let handle: Arc<dyn Clock> = clock.clone();
/// clock.advance(Duration::from_secs(90));
/// assert_eq!(handle.now(), "2026-01-31T12:01:30Z".parse::<Timestamp>()?);
/// # Ok::<(), annals_core::Error>(())
/// ```
#[derive(Debug)]
pub struct ManualClock {
    micros: AtomicI64,
}

impl ManualClock {
    /// A clock that shows this moment.
    pub const fn at(now: Timestamp) -> Self {
        Self {
            micros: AtomicI64::new(now.as_micros()),
        }
    }

    /// Shows this moment from now on, be it later or earlier.
    pub fn set(&self, now: Timestamp) {
        self.micros.store(now.as_micros(), Ordering::SeqCst);
    }

    /// Goes forward by `duration` and tells the new moment; stops at the last that can be told.
    pub fn advance(&self, duration: Duration) -> Timestamp {
        let mut before = self.now();
        loop {
            let after = before.after(duration);
            let swapped = self.micros.compare_exchange(
                before.as_micros(),
                after.as_micros(),
                Ordering::SeqCst,
                Ordering::SeqCst,
            );
            match swapped {
                Ok(_) => return after,
                Err(micros) => before = Timestamp::from_micros(micros),
            }
        }
    }
}

impl Default for ManualClock {
    /// A clock that shows 2000-01-01T00:00:00Z.
    fn default() -> Self {
        Self::at(Timestamp::from_seconds(946_684_800))
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.micros.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_shows_what_it_is_told() {
        let clock = ManualClock::default();
        assert_eq!(clock.now().to_string(), "2000-01-01T00:00:00Z");
        assert_eq!(clock.now(), clock.now());
        assert_eq!(clock.advance(Duration::from_micros(1)), clock.now());
        assert_eq!(clock.now().to_string(), "2000-01-01T00:00:00.000001Z");
        clock.set(Timestamp::EPOCH);
        assert_eq!(clock.now(), Timestamp::EPOCH);
        assert_eq!(
            clock.advance(Duration::MAX),
            Timestamp::from_micros(i64::MAX)
        );
    }

    #[test]
    fn no_advance_of_several_threads_is_lost() {
        let clock = ManualClock::at(Timestamp::EPOCH);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        clock.advance(Duration::from_micros(1));
                    }
                });
            }
        });
        assert_eq!(clock.now(), Timestamp::from_micros(4000));
    }
}
