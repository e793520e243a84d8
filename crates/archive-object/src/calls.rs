//! Requests, each within its time and again where it fails.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use object_store::Result;

use crate::bridge::Bridge;
use crate::failure::{NO_ANSWER, is_passing, told};
use crate::settings::Settings;

/// How long to wait before the second attempt; four times as long before each further one.
const BACKOFF: Duration = Duration::from_millis(100);

/// How long to wait before an attempt at most.
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// Makes requests on the thread that has the runtime.
#[derive(Clone, Debug)]
pub(crate) struct Calls {
    bridge: Arc<Bridge>,
    settings: Arc<Settings>,
}

/// What an attempt gave.
pub(crate) enum Attempt<T> {
    Done(T),
    /// Asking again may help.
    Again(io::Error),
    /// Asking again is of no use.
    Failed(io::Error),
}

impl<T> Attempt<T> {
    pub(crate) fn of(result: Result<T>) -> Self {
        match result {
            Ok(value) => Self::Done(value),
            Err(error) if is_passing(&error) => Self::Again(told(error)),
            Err(error) => Self::Failed(told(error)),
        }
    }

    pub(crate) fn result(self) -> io::Result<T> {
        match self {
            Self::Done(value) => Ok(value),
            Self::Again(error) | Self::Failed(error) => Err(error),
        }
    }
}

impl Calls {
    pub(crate) fn new(bridge: Arc<Bridge>, settings: Arc<Settings>) -> Self {
        Self { bridge, settings }
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Makes a request until an attempt is done, for as many times as are set; the caller blocks.
    pub(crate) fn call<T, F>(&self, request: impl Fn() -> F + Send + 'static) -> io::Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Attempt<T>> + Send,
    {
        let (attempts_max, timeout) = (self.settings.attempts_max, self.settings.attempt_timeout);
        self.bridge.run(async move {
            for pause in pauses(attempts_max) {
                match in_time(timeout, request()).await {
                    Attempt::Again(error) => tracing::debug!(%error, "asked again"),
                    ended => return ended.result(),
                }
                tokio::time::sleep(pause).await;
            }
            in_time(timeout, request()).await.result()
        })?
    }

    /// Makes a request that can't be repeated as it is; the caller blocks.
    pub(crate) fn once<T: Send + 'static>(
        &self,
        request: impl Future<Output = Result<T>> + Send + 'static,
    ) -> io::Result<Attempt<T>> {
        let timeout = self.settings.attempt_timeout;
        let request = async move { Attempt::of(request.await) };
        self.bridge.run(in_time(timeout, request))
    }
}

/// How long to wait after each attempt but the last.
fn pauses(attempts_max: u32) -> impl Iterator<Item = Duration> {
    let pauses = std::iter::successors(Some(BACKOFF), |pause| Some((*pause * 4).min(BACKOFF_MAX)));
    pauses.zip(1..attempts_max).map(|(pause, _)| pause)
}

async fn in_time<T>(timeout: Duration, request: impl Future<Output = Attempt<T>>) -> Attempt<T> {
    let ended = tokio::time::timeout(timeout, request).await;
    ended.unwrap_or_else(|_| {
        let message = format!("no answer within {timeout:?}: {NO_ANSWER}");
        Attempt::Again(io::Error::new(io::ErrorKind::TimedOut, message))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_have_an_end() {
        let found: Vec<u128> = pauses(7).map(|pause| pause.as_millis()).collect();
        assert_eq!(found, [100, 400, 1600, 5000, 5000, 5000]);
        assert_eq!(pauses(1).count(), 0);
        assert!(pauses(1000).all(|pause| pause <= BACKOFF_MAX));
    }
}
