//! Many tasks and few aggregates: what was acknowledged is recorded once and adds up, whatever is lost, and
//! wherever a task dies.
//!
//! Tasks are polled in the order of a seed over a store that yields and fails by the same seed, so a seed
//! replays exactly. `ANNALS_SEED` chooses one.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests, which print their seeds"
)]

mod account;
mod history;
mod leases;
mod planted;
mod scale;
mod simulation;
mod stress;
