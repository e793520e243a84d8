//! Time that is counted in turns.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use annals_concurrency::Timer;
use futures_util::future::BoxFuture;

use super::tasks::pass;

/// A timer whose pauses take a few turns.
#[derive(Clone, Debug)]
pub(crate) struct TurnTimer {
    turns: usize,
    elapsed: Arc<Mutex<Duration>>,
}

impl TurnTimer {
    /// Each pause takes so many turns.
    pub(crate) fn new(turns: usize) -> Self {
        Self {
            turns,
            elapsed: Arc::default(),
        }
    }
}

impl Timer for TurnTimer {
    fn elapsed(&self) -> Duration {
        *self.elapsed.lock().unwrap()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let timer = self.clone();
        Box::pin(async move {
            for _ in 0..timer.turns {
                pass().await;
            }
            *timer.elapsed.lock().unwrap() += duration;
        })
    }
}
