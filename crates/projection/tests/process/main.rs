//! Process managers and timers: what they decide, and that it happens once, whatever is lost and whoever dies.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod crash;
mod manager;
mod order;
mod snapshots;
mod stepping;
mod timers;
mod world;
