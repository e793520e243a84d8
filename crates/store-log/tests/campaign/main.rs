//! Campaigns: generated histories of a store under generated faults, held against a plain model.
//!
//! A campaign is data: a first seed, a count, and the states that it must have reached. `ANNALS_SEED` runs
//! one seed alone, `ANNALS_CAMPAIGN_SCALE` multiplies the counts.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a panic is a failed test, and long runs show their counts"
)]

mod answers;
mod counters;
mod crash;
mod creation;
mod draw;
mod full_disk;
mod generated;
mod histories;
mod hooked;
mod index;
mod io_errors;
mod mapped;
mod planted;
mod power;
mod reference;
mod reopening;
mod world;

pub(crate) use counters::{Counters, Violation, run, scale, seeds};
