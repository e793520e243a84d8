//! The kit held to what it says: right code passes, planted wrong code fails with a message that helps.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "all of it is tests"
)]
#![expect(
    clippy::needless_raw_string_hashes,
    reason = "expect-test writes what it updates with hashes"
)]

mod account;
mod commute;
mod faulty_store;
#[cfg(feature = "proptest")]
mod generated;
mod laws;
mod scenario;
mod schema;
mod snapshot;
mod support;
