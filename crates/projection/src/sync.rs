//! The locks of processors, rebuilds and groups, in one place so that a test can put others beneath it, whose schedules it chooses.

pub(crate) use std::sync::{Mutex, MutexGuard};
