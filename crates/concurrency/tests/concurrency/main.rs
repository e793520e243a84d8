//! Explained conflicts, leases and retries over the reference store.

mod explained;
#[cfg(feature = "lease")]
mod leased;
mod retried;
mod support;
