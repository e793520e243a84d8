//! Loads that go on from a cached state or a snapshot, against folds from the beginning.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod cache;
mod counter;
mod law;
mod snapshots;
