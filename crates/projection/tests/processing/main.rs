//! Processors: what consumers are fed with, whatever happens beside it.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "helpers of tests fail and print as tests do"
)]

mod failing;
mod fed;
mod handover;
mod law;
mod order;
mod putting_off;
mod reacting;
mod refused;
mod rig;
mod saved;
mod sharing;
mod steering;
