//! Read models on a real server of PostgreSQL, which the tests share.

#![expect(
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a failed test is what a panic means here, and a skipped one is told"
)]

mod bank;
mod book;
mod book_rebuilding;
mod comparing;
mod faults;
mod grants;
mod inline;
mod sink;
#[cfg(feature = "sqlx")]
mod sqlx;
mod support;
mod takeover;
