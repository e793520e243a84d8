//! Explained conflicts, leases and retries over the reference store.

#![cfg_attr(feature = "lease", expect(clippy::panic, reason = "helpers of tests"))]
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod explained;
#[cfg(feature = "lease")]
mod leased;
mod retried;
mod support;
