//! What running timers are stopped by.

use annals_core::{Error, ErrorKind};
use futures_channel::oneshot;

/// What running [`Timers`](crate::Timers) are stopped by. Dropped, it leaves them running.
#[derive(Debug)]
pub struct TimersHandle {
    pub(super) stop: Option<oneshot::Sender<()>>,
    pub(super) ended: oneshot::Receiver<Result<(), Error>>,
}

impl TimersHandle {
    /// Stops the timers and waits for that. Those that wait fire when they are started again.
    ///
    /// # Errors
    /// Why they had stopped before; [`ErrorKind::Unavailable`] where their task was dropped.
    pub async fn stop(mut self) -> Result<(), Error> {
        if let Some(stop) = self.stop.take() {
            // Nobody listens where they have stopped before.
            let _ = stop.send(());
        }
        self.ended.await.unwrap_or_else(|_| Err(dropped()))
    }

    /// Waits until the timers stop by an error, and tells it.
    pub async fn failed(&mut self) -> Error {
        match (&mut self.ended).await {
            Ok(Err(error)) => error,
            Ok(Ok(())) | Err(_) => dropped(),
        }
    }
}

fn dropped() -> Error {
    let message = "task of the timers was dropped; start them anew";
    Error::new(ErrorKind::Unavailable, message).during("timers")
}
