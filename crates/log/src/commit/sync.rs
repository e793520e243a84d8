//! What the shell takes from the system, in one place so that a test can put a scheduler and a clock of its own under the
//! same source (`tests/commit_shuttle.rs`).

use std::sync::LazyLock;
pub(super) use std::sync::{Condvar, Mutex, MutexGuard};
pub(super) use std::thread;
use std::time::{Duration, Instant};

/// How many looks that find nobody new the wait for a full batch takes at most, whatever the clock says.
pub(super) const IDLE_LOOKS_MAX: u32 = 4096;

/// The time since the first call.
pub(super) fn clock() -> Duration {
    #[expect(
        clippy::disallowed_methods,
        reason = "it tells how long a commit takes, and decides nothing but who shares it"
    )]
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed()
}
