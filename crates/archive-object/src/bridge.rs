//! The thread that makes all requests, for callers that block.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::io;
use std::sync::mpsc;
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// A thread with a runtime, which ends when this is dropped. Who waits for an answer blocks on a channel that belongs
/// to no runtime: in whatever context the caller is, its own runtime is neither entered nor needed.
pub(crate) struct Bridge {
    runtime: Handle,
    _ends: oneshot::Sender<Infallible>,
}

impl Bridge {
    pub(crate) fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (ends, ended) = oneshot::channel();
        let run = move || {
            let _ = runtime.block_on(ended);
            // Whoever waits has gone; a file system that hangs is not waited for.
            runtime.shutdown_background();
        };
        let thread = thread::Builder::new().name("annals-archive".to_owned());
        thread.spawn(run)?;
        Ok(Self {
            runtime: handle,
            _ends: ends,
        })
    }

    /// Runs it there, and waits for what it gives.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> io::Result<T> {
        let (answer, answered) = mpsc::sync_channel(1);
        self.runtime.spawn(async move {
            // Who asked is there as long as it takes.
            let _ = answer.send(future.await);
        });
        let lost = |_| io::Error::other("the request to the archive panicked; see the log");
        answered.recv().map_err(lost)
    }
}

impl fmt::Debug for Bridge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bridge").finish_non_exhaustive()
    }
}
