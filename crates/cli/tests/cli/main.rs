//! The command `annals`, as a person or a script types it.

#![expect(
    clippy::format_push_string,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a panic is a failed test, a test may take its time, and a skipped one is told"
)]

mod book;
mod copy;
mod damage;
mod examples;
mod exchange;
mod json;
mod keeping;
mod live;
mod optimize;
mod output;
mod reference;
mod refusals;
mod support;
mod terminal;
