//! Projections that are kept up by whoever appends.

pub(crate) mod store;
