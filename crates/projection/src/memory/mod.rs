//! Read models in memory.

pub(crate) mod sink;
pub(crate) mod view;
pub(crate) mod views;
