//! Read models in memory.

mod saving;
pub(crate) mod sink;
pub(crate) mod view;
pub(crate) mod views;
