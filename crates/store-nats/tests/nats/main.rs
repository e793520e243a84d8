//! The store on real servers of NATS: one that the tests share, and clusters of three.

#![expect(
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a failed test is what a panic means here, and a skipped one is told"
)]

mod book;
mod cluster;
mod conformance;
mod faults;
mod opening;
mod sharing;
mod support;
