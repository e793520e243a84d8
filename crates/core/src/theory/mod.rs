//! Event sourcing without a store: `(E, S, A, delta, rho)` as traits, functions and values.

pub(crate) mod aggregate;
pub(crate) mod commuting;
pub(crate) mod event;
pub(crate) mod event_stream;
pub(crate) mod fold;
mod kinds;
pub(crate) mod system;
