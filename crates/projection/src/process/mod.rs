//! Processes that keep a state as events of their own, and issue commands.

pub(crate) mod builder;
pub(crate) mod input;
pub(crate) mod key;
pub(crate) mod manager;
mod own;
pub(crate) mod remembered;
