//! Decisions: what they read, what guards their appends, and what comes of conflicts.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed unwrap is a failed test"
)]

mod boundary;
mod composed;
mod idempotence;
mod meddled;
mod seats;
