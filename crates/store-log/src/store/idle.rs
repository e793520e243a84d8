//! Says in the log's files that all is well once nothing was appended for a while.
//!
//! Without it the newest frame of a log at rest could not be told from a torn tail if a power loss took the
//! watermark's newest note and the frame were damaged: see `Log::idle`.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use annals_core::{Error, ErrorKind};
use annals_log::commit::GroupCommit;
use tracing::warn;

use super::committer::Committer;

/// After how long without an append.
const IDLE_AFTER: Duration = Duration::from_secs(1);

/// Knows whether something was appended since the log was last at rest.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    appended: bool,
    /// Whether the thread sleeps until something is appended; else it looks by itself after a while.
    sleeps: bool,
    ends: bool,
}

/// The thread that waits for the log to come to rest; ends when dropped.
#[derive(Debug)]
pub(crate) struct Idler {
    activity: Arc<Activity>,
    thread: Option<JoinHandle<()>>,
}

impl Activity {
    /// Notes that something was appended.
    pub(crate) fn note(&self) {
        let mut state = self.lock();
        state.appended = true;
        if std::mem::take(&mut state.sleeps) {
            self.changed.notify_one();
        }
    }

    /// Waits until something was appended and then nothing more for a while; `false` when all ends.
    fn comes_to_rest(&self) -> bool {
        let mut state = self.lock();
        while !state.appended && !state.ends {
            state.sleeps = true;
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        while state.appended && !state.ends {
            state.appended = false;
            let waited = self
                .changed
                .wait_timeout_while(state, IDLE_AFTER, |state| !state.ends);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        !state.ends
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Idler {
    /// Begins to wait.
    pub(crate) fn start(
        activity: Arc<Activity>,
        commits: Weak<GroupCommit<Committer>>,
    ) -> Result<Self, Error> {
        let watched = Arc::clone(&activity);
        let thread = std::thread::Builder::new()
            .name("annals-idle".to_owned())
            .spawn(move || {
                while watched.comes_to_rest() {
                    let Some(commits) = commits.upgrade() else {
                        return;
                    };
                    // Where the group is closed or failed there is nothing to say.
                    if let Ok(Err(error)) = commits.with_core(Committer::rest) {
                        warn!(%error, "the log could not be marked as being at rest");
                    }
                }
            })
            .map_err(|error| {
                Error::new(ErrorKind::Unavailable, "no thread for the store").caused_by(error)
            })?;
        Ok(Self {
            activity,
            thread: Some(thread),
        })
    }
}

impl Drop for Idler {
    fn drop(&mut self) {
        self.activity.lock().ends = true;
        self.activity.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic in it has been reported by the thread itself.
            let _ = thread.join();
        }
    }
}
