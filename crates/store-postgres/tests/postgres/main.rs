//! The store on a real server of PostgreSQL, which the tests share.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a failed test is what a panic means here, and a skipped one is told"
)]

mod blocks;
mod book;
mod conformance;
mod faults;
mod import;
mod lists;
mod opening;
mod pages;
mod plans;
mod replica;
mod sharing;
#[cfg(feature = "sqlx")]
mod sqlx;
mod support;
mod transactions;
