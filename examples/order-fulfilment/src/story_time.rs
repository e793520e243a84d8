//! The time of a story: the machine's, in which days can be skipped.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use annals::{Clock, SystemClock, SystemTimer, Timer, Timestamp};
use event_listener::Event as Bell;
use futures_util::future::{BoxFuture, select};

/// A clock and a timer in one, which goes as the machine's does, but for the days that are skipped: who sleeps then
/// wakes if it is time. Clones are the same time.
#[derive(Clone, Debug, Default)]
pub struct StoryTime {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    skipped_micros: AtomicI64,
    skipped: Bell,
}

impl StoryTime {
    /// Goes on at this time, where the machine's is earlier.
    #[must_use]
    pub fn not_before(self, time: Timestamp) -> Self {
        self.skip(time.since(self.now()));
        self
    }

    /// Lets so much time go by at once.
    pub fn skip(&self, duration: Duration) {
        let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        self.inner
            .skipped_micros
            .fetch_add(micros, Ordering::SeqCst);
        self.inner.skipped.notify(usize::MAX);
    }
}

impl Clock for StoryTime {
    fn now(&self) -> Timestamp {
        let skipped = self.inner.skipped_micros.load(Ordering::SeqCst);
        let skipped = u64::try_from(skipped).unwrap_or_default();
        SystemClock.now().after(Duration::from_micros(skipped))
    }
}

impl Timer for StoryTime {
    fn elapsed(&self) -> Duration {
        SystemTimer.elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let time = self.clone();
        let end = self.now().after(duration);
        Box::pin(async move {
            loop {
                let skipped = time.inner.skipped.listen();
                let left = end.since(time.now());
                if left.is_zero() {
                    return;
                }
                select(skipped, SystemTimer.sleep(left)).await;
            }
        })
    }
}
