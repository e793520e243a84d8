//! Operating projections: rebuilds, groups and inline projections, whatever dies in between.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed helper is a failed test"
)]

mod comparing;
mod crashing;
mod durable;
mod grouping;
mod inline;
mod rebuilding;
mod shop;
#[path = "../common/tasks.rs"]
mod tasks;
mod world;
mod yielding;
