//! Operating projections: rebuilds, groups and inline projections, whatever dies in between.

mod comparing;
mod crashing;
mod durable;
mod grouping;
mod inline;
mod rebuilding;
mod shop;
mod tasks;
mod yielding;
