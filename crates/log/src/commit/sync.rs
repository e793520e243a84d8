//! The concurrency primitives of the shell, in one place so that a test can put a scheduler of its own
//! under the same source (`tests/commit_shuttle.rs`).

pub(super) use std::sync::{Condvar, Mutex, MutexGuard};
pub(super) use std::thread;
