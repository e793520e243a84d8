//! Read models in memory.

mod envelope;
mod saving;
pub(crate) mod sink;
pub(crate) mod view;
pub(crate) mod views;
