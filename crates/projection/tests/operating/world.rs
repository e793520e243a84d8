//! Time that goes on as the test has it.

use std::time::Duration;

use annals_concurrency::Timer;
use annals_core::{Clock, ManualClock, Timestamp};
use futures_util::future::BoxFuture;

use crate::tasks::pass;

/// A timer and a clock that go on as the test has it; pauses last as long as they say.
#[derive(Clone, Debug)]
pub(crate) struct World {
    clock: ManualClock,
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            clock: ManualClock::at(Timestamp::from_seconds(1_000_000)),
        }
    }

    pub(crate) fn goes_on(&self, duration: Duration) {
        self.clock.advance(duration);
    }
}

impl Clock for World {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

impl Timer for World {
    fn elapsed(&self) -> Duration {
        self.clock.now().since(Timestamp::EPOCH)
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let world = self.clone();
        let until = world.now().after(duration);
        Box::pin(async move {
            while world.now() < until {
                pass().await;
            }
        })
    }
}
