//! Holding a run up, and ending it.

use std::ops::ControlFlow;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use annals_core::{Clock, Timestamp};

/// How much of its rate a run may be behind before it goes on at the rate, in microseconds: so much may come
/// at once after a pause.
const BURST_MICROS: i64 = 50_000;

/// Pauses, resumes and cancels a run, from any thread. Clones are of the same run.
#[derive(Clone, Debug, Default)]
pub struct Control(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    wish: Mutex<Wish>,
    changed: Condvar,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Wish {
    #[default]
    Run,
    Pause,
    Cancel,
}

impl Control {
    /// Nothing is held up.
    pub fn new() -> Self {
        Self::default()
    }

    /// Holds the run up where it is, within a step too, until it is resumed or cancelled.
    pub fn pause(&self) {
        self.wish(Wish::Pause);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.wish(Wish::Run);
    }

    /// Ends it: the step in hand is broken off and leaves nothing, those before it stay done.
    pub fn cancel(&self) {
        self.wish(Wish::Cancel);
    }

    /// Whether it was cancelled.
    pub fn is_cancelled(&self) -> bool {
        *self.lock() == Wish::Cancel
    }

    fn wish(&self, wish: Wish) {
        let mut now = self.lock();
        // What was cancelled stays so.
        if *now != Wish::Cancel {
            *now = wish;
        }
        drop(now);
        self.0.changed.notify_all();
    }

    /// Waits while it is paused, then as long as told; breaks when it is cancelled.
    fn wait(&self, time: Duration) -> ControlFlow<()> {
        let mut wish = self.lock();
        if *wish == Wish::Run && !time.is_zero() {
            let waited = self.0.changed.wait_timeout_while(wish, time, |wish| *wish == Wish::Run);
            wish = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        while *wish == Wish::Pause {
            wish = self.0.changed.wait(wish).unwrap_or_else(PoisonError::into_inner);
        }
        match *wish {
            Wish::Cancel => ControlFlow::Break(()),
            Wish::Run | Wish::Pause => ControlFlow::Continue(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Wish> {
        self.0.wish.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets bytes through at a rate.
#[derive(Debug)]
pub(crate) struct Throttle<'a> {
    control: &'a Control,
    clock: &'a dyn Clock,
    bytes_per_second: Option<u64>,
    /// When what was let through by now is due at the rate.
    due: Timestamp,
}

impl<'a> Throttle<'a> {
    pub(crate) fn new(
        control: &'a Control,
        clock: &'a dyn Clock,
        bytes_per_second: Option<u64>,
    ) -> Self {
        Self {
            control,
            clock,
            bytes_per_second: bytes_per_second.map(|rate| rate.max(1)),
            due: clock.now(),
        }
    }

    /// Waits until so many more bytes are due.
    pub(crate) fn pass(&mut self, bytes: u64) -> ControlFlow<()> {
        let Some(rate) = self.bytes_per_second else {
            return self.control.wait(Duration::ZERO);
        };
        let now = self.clock.now();
        let cost = i64::try_from(bytes.saturating_mul(1_000_000) / rate).unwrap_or(i64::MAX);
        let earliest = now.as_micros().saturating_sub(BURST_MICROS);
        let due = self.due.as_micros().max(earliest).saturating_add(cost);
        self.due = Timestamp::from_micros(due);
        self.control.wait(self.due.since(now))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    /// A clock that stands where it is put.
    #[derive(Debug, Default)]
    struct Standing(AtomicI64);

    impl Clock for Standing {
        fn now(&self) -> Timestamp {
            Timestamp::from_micros(self.0.load(Ordering::Relaxed))
        }
    }

    #[test]
    fn bytes_are_due_at_the_rate_and_a_pause_is_not_made_up_for() {
        let (control, clock) = (Control::new(), Standing::default());
        let mut throttle = Throttle::new(&control, &clock, Some(1_000_000));
        assert!(throttle.pass(1000).is_continue());
        assert_eq!(throttle.due, Timestamp::from_micros(1000));
        assert!(throttle.pass(1000).is_continue());
        assert_eq!(throttle.due, Timestamp::from_micros(2000));
        clock.0.store(10_000_000, Ordering::Relaxed);
        assert!(throttle.pass(1000).is_continue());
        let expected = 10_000_000 - BURST_MICROS + 1000;
        assert_eq!(throttle.due, Timestamp::from_micros(expected));
    }

    #[test]
    fn what_is_cancelled_stays_so_and_wakes_who_waits() {
        let control = Control::new();
        control.pause();
        let other = control.clone();
        let waiting = std::thread::spawn(move || other.wait(Duration::ZERO));
        control.cancel();
        assert!(waiting.join().unwrap().is_break());
        control.resume();
        assert!(control.is_cancelled());
    }
}
