//! Each example's rules, and a race in each that has one winner, on both stores.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed unwrap is a failed test"
)]

mod course;
mod course_aggregate;
mod invoice;
mod occupancy;
mod opt_in;
mod order;
mod price;
mod race;
mod stores;
mod username;
