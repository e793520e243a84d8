//! Time that passes: how long something took, and how to wait.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;

/// Where pauses come from: a time that only goes forward, and a way to wait without a thread.
///
/// No runtime is named: implement it over the timer of the runtime at hand (`tokio::time::sleep`, for one), or
/// take `SystemTimer` (feature `timer`), which works under any.
pub trait Timer: fmt::Debug + Send + Sync {
    /// How long it is since some moment before this timer was first asked. Never goes back.
    fn elapsed(&self) -> Duration;

    /// Waits so long.
    ///
    /// # Cancellation
    /// The future may be dropped at any time.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;
}

/// A timer for tests: a pause is over at once, time goes on by it, and it is noted.
///
/// Clones are the same timer.
///
/// ```
/// use std::time::Duration;
///
/// use annals_concurrency::{ManualTimer, Timer};
///
/// let timer = ManualTimer::default();
/// # futures_executor::block_on(async {
/// timer.sleep(Duration::from_secs(3600)).await;
/// # });
/// assert_eq!(timer.elapsed(), Duration::from_secs(3600));
/// assert_eq!(timer.pauses(), [Duration::from_secs(3600)]);
/// ```
#[derive(Clone, Debug, Default)]
pub struct ManualTimer {
    passed: Arc<Mutex<Passed>>,
}

#[derive(Debug, Default)]
struct Passed {
    elapsed: Duration,
    pauses: Vec<Duration>,
}

impl ManualTimer {
    /// Lets time go on without a pause.
    pub fn advance(&self, duration: Duration) {
        self.change(|passed| passed.elapsed = passed.elapsed.saturating_add(duration));
    }

    /// Every pause that was waited for, in order.
    pub fn pauses(&self) -> Vec<Duration> {
        self.change(|passed| passed.pauses.clone())
    }

    fn change<T>(&self, change: impl FnOnce(&mut Passed) -> T) -> T {
        let mut passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut passed)
    }
}

impl Timer for ManualTimer {
    fn elapsed(&self) -> Duration {
        self.change(|passed| passed.elapsed)
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let timer = self.clone();
        Box::pin(async move {
            timer.advance(duration);
            timer.change(|passed| passed.pauses.push(duration));
        })
    }
}

impl<T: Timer + ?Sized> Timer for Arc<T> {
    fn elapsed(&self) -> Duration {
        self.as_ref().elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.as_ref().sleep(duration)
    }
}
