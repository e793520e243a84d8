//! The machine's timer.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use async_io::Timer as Alarm;
use futures_util::future::{BoxFuture, FutureExt};

use crate::Timer;

/// The machine's timer, under any executor: one thread in the process, begun with the first pause, wakes whoever
/// waits.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemTimer;

impl Timer for SystemTimer {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that asks the machine how much time passed"
    )]
    fn elapsed(&self) -> Duration {
        static BEGIN: OnceLock<Instant> = OnceLock::new();
        BEGIN.get_or_init(Instant::now).elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Alarm::after(duration).map(drop).boxed()
    }
}

#[cfg(test)]
mod tests {
    use futures_executor::block_on;

    use super::*;

    #[test]
    fn a_pause_takes_its_time() {
        let before = SystemTimer.elapsed();
        block_on(SystemTimer.sleep(Duration::from_millis(5)));
        assert!(SystemTimer.elapsed() >= before + Duration::from_millis(5));
    }
}
