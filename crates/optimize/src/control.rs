//! Holding a run up, and ending it.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use annals_core::{Clock, Timestamp};

/// How much of its rate a run may be behind before it goes on at the rate, in microseconds: so much may come
/// at once after a pause.
const BURST_MICROS: i64 = 50_000;

/// How long one wait is at most: a store that is closed waits for it.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// The lowest rate.
pub(crate) const BYTES_PER_SECOND_MIN: u64 = 1024 * 1024;

/// Pauses, resumes and cancels a run, from any thread. Clones are of the same run.
#[derive(Clone, Debug, Default)]
pub struct Control(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    wish: Mutex<Wish>,
    changed: Condvar,
    /// Set when a pause broke a step off.
    interrupted: AtomicBool,
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

    /// Holds the run up until it is resumed or cancelled. A step that is in hand is broken off and begun anew
    /// then, so that a paused run holds nothing of the store.
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

    /// Whether it is paused.
    pub fn is_paused(&self) -> bool {
        *self.lock() == Wish::Pause
    }

    /// Whether a pause broke the step off, since it was last asked; not when it was cancelled.
    pub(crate) fn take_interruption(&self) -> bool {
        self.0.interrupted.swap(false, Ordering::AcqRel) && !self.is_cancelled()
    }

    /// Waits as long as it is paused.
    pub(crate) fn wait_until_resumed(&self) {
        let wish = self.lock();
        let waited = self.0.changed.wait_while(wish, |wish| *wish == Wish::Pause);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Waits as long as told; breaks at once when it is paused or cancelled.
    fn wait(&self, time: Duration) -> ControlFlow<()> {
        let wish = self.lock();
        let waited = self
            .0
            .changed
            .wait_timeout_while(wish, time, |wish| *wish == Wish::Run);
        let (wish, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match *wish {
            Wish::Run => ControlFlow::Continue(()),
            Wish::Cancel => ControlFlow::Break(()),
            Wish::Pause => {
                self.0.interrupted.store(true, Ordering::Release);
                ControlFlow::Break(())
            }
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
            bytes_per_second: bytes_per_second.map(|rate| rate.max(BYTES_PER_SECOND_MIN)),
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
        self.control.wait(self.due.since(now).min(WAIT_MAX))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicI64;

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
        let mut throttle = Throttle::new(&control, &clock, Some(2_000_000));
        assert!(throttle.pass(2000).is_continue());
        assert_eq!(throttle.due, Timestamp::from_micros(1000));
        assert!(throttle.pass(2000).is_continue());
        assert_eq!(throttle.due, Timestamp::from_micros(2000));
        clock.0.store(10_000_000, Ordering::Relaxed);
        assert!(throttle.pass(2000).is_continue());
        let expected = 10_000_000 - BURST_MICROS + 1000;
        assert_eq!(throttle.due, Timestamp::from_micros(expected));
    }

    #[test]
    fn what_is_cancelled_stays_so_and_wakes_who_waits() {
        let control = Control::new();
        control.pause();
        let other = control.clone();
        let waiting = std::thread::spawn(move || other.wait_until_resumed());
        assert!(control.wait(Duration::MAX).is_break());
        control.cancel();
        waiting.join().unwrap();
        assert!(control.wait(Duration::MAX).is_break());
        control.resume();
        assert!(control.is_cancelled());
    }
}
