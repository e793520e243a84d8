//! Feeding consumers from a store.

pub(crate) mod builder;
pub(crate) mod cell;
pub(crate) mod handle;
pub(crate) mod settings;
pub(crate) mod status;
mod worker;
